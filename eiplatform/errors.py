"""Errors that say what happened, where, what would be valid, and the remedy.

Every error a user can cause derives from :class:`EIPlatformError`; the command line prints
it as one line and exits with its ``exit_code`` (2: the user can mend it), never a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import copy
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Self

__all__ = [
    "ConfigError",
    "DeviceError",
    "EIPlatformError",
    "MissingDependencyError",
    "NotApplicableError",
    "OutputExistsError",
    "StatisticError",
    "StoreError",
    "SumRuleError",
    "TooShortError",
    "TrainingError",
    "UnknownAttributeError",
    "UnknownNameError",
    "arguments_in",
    "choose",
    "match_names",
    "suggest",
]


_QUOTED = re.compile(r"'[^']*'")
_ARGUMENT = re.compile(r'\b([a-z_]+)=(True\b|\.\.\.|"[^"]*"|\([^()]*\))')


def arguments_in(text: str) -> list[str]:
    """Return the arguments that a text asks for, e.g. ``resume=True``; what is in single quotes is another command's.

    Examples
    --------
    >>> arguments_in("pass resume=True, or see 'eiplatform validate --json'")
    ['resume']
    """
    return [name for name, _ in _ARGUMENT.findall(_QUOTED.sub("", text))]


def _as_option(found: re.Match[str], options: Mapping[str, str]) -> str:
    """Return an argument as the option of a command, if it has that option."""
    name, value = found.groups()
    if name not in options:
        return found[0]
    shown = value.strip('()"').replace(",", "")
    return options[name] if shown in ("True", "...") else f"{options[name]} {shown}"


class EIPlatformError(ValueError):
    """Base of all errors that a user can cause and mend.

    Parameters
    ----------
    what : str
        What happened, as a sentence without its full stop.
    where : str, optional
        The file, key, population or argument concerned.
    valid : str or iterable of str, optional
        What would have been valid.
    remedy : str or iterable of str, optional
        What to do now; several are alternatives.

    Attributes
    ----------
    alternatives : tuple of str
        The remedies one by one; ``remedy`` is all of them as one text.
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        valid: str | Iterable[str] | None = None,
        remedy: str | Iterable[str] | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.valid = valid if valid is None or isinstance(valid, str) else ", ".join(map(str, valid))
        self.alternatives = () if remedy is None else (remedy,) if isinstance(remedy, str) else tuple(remedy)
        self.remedy = ", or ".join(self.alternatives) or None
        super().__init__(str(self))

    def fitted(self, options: Mapping[str, str]) -> Self:
        """Return this error in the words of a command: its options in place of arguments.

        Remedies that need an argument for which the command has no option are left out.

        Parameters
        ----------
        options : mapping of str to str
            The command's options by the argument that they stand for.

        Examples
        --------
        >>> error = EIPlatformError("exists", remedy=["pass overwrite=True", 'pass device="numpy"'])
        >>> error.fitted({"overwrite": "--overwrite"}).remedy
        'pass --overwrite'
        """

        def spoken(text: str) -> str:
            return _ARGUMENT.sub(lambda found: _as_option(found, options), text)

        fitting = [text for text in self.alternatives if all(name in options for name in arguments_in(text))]
        made = copy(self)
        made.what = spoken(self.what)
        made.where, made.valid = self.where and spoken(self.where), self.valid and spoken(self.valid)
        made.alternatives = tuple(map(spoken, fitting))
        made.remedy = ", or ".join(made.alternatives) or None
        return made

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.valid:
            parts.append(f"valid: {self.valid}")
        if self.remedy:
            parts.append(self.remedy)
        return " ".join(part if part.endswith(("?", "...")) else part.rstrip(".") + "." for part in parts)


class ConfigError(EIPlatformError):
    """A configuration has an unknown key or an impossible value."""


class UnknownNameError(EIPlatformError):
    """A circuit, data set, population, signal, statistic or figure of that name does not exist."""


class UnknownAttributeError(UnknownNameError, AttributeError):
    """No name after a dot is called that; an AttributeError too, as Python expects."""


class StoreError(EIPlatformError):
    """A recording is missing, damaged, incomplete or of another schema version."""


class SumRuleError(StoreError):
    """Recorded parts do not rebuild the whole; nothing is stored."""


class OutputExistsError(EIPlatformError):
    """The output place is not empty and overwriting was not asked for."""


class DeviceError(EIPlatformError):
    """A simulation or training device cannot be used here."""


class MissingDependencyError(EIPlatformError):
    """An optional part of the package is not installed."""


class StatisticError(EIPlatformError):
    """A statistic cannot be computed from these data (wrong axis, missing signal)."""


class TooShortError(StatisticError):
    """A recording is too short for a temporal statistic."""


class NotApplicableError(StatisticError):
    """A statistic has no meaning for this recording, whatever its length: no threshold or labels, steps left out."""


class TrainingError(EIPlatformError):
    """Training cannot start or has become meaningless (dead layer, non-finite loss)."""


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return ``' – did you mean X?'`` for the nearest valid name, or an empty string."""
    options = {str(option).lower(): str(option) for option in valid}
    wanted = str(name).lower()
    near = [option for option in options if len(wanted) > 2 and option.startswith(wanted)]
    near = near or get_close_matches(wanted, list(options), n=1, cutoff=0.5)
    near = near or [option for option in options if len(wanted) > 2 and wanted in option]
    return f" – did you mean '{options[near[0]]}'?" if near else ""


def choose(name: str, valid: Iterable[str], kind: str, *, where: str | None = None) -> str:
    """Return `name` if it is one of `valid`, else raise with the nearest valid name.

    Parameters
    ----------
    name : str
        What the user wrote.
    valid : iterable of str
        All valid names.
    kind : str
        What is being named, e.g. ``"circuit"``.
    where : str, optional
        Where the name stood.

    Raises
    ------
    UnknownNameError
        If `name` is not valid; the message lists the valid names and suggests the nearest.

    Examples
    --------
    >>> choose("E", ["E", "I"], "population")
    'E'
    """
    options = list(valid)
    if name in options:
        return name
    raise UnknownNameError(f"unknown {kind} '{name}'{suggest(name, options)}", where=where, valid=options)


def match_names(patterns: Iterable[str], names: Iterable[str], kind: str) -> list[str]:
    """Return the names that match any wildcard pattern, in the order of `names`.

    Parameters
    ----------
    patterns : iterable of str
        Names, shell wildcards (``*`` also crosses ``/``), or ``re:`` and a regular expression
        that a whole name must match.
    names : iterable of str
        What exists.
    kind : str
        What is being named, for the message.

    Raises
    ------
    UnknownNameError
        If some pattern matches nothing, or there is none: a misspelt name never gives an empty result.

    Examples
    --------
    >>> match_names(["fc*/E"], ["fc1/E", "fc1/I", "readout/E"], "population")
    ['fc1/E']
    >>> match_names(["re:fc[12]/.", "readout/E"], ["fc1/E", "fc3/I", "readout/E"], "population")
    ['fc1/E', 'readout/E']
    """
    patterns, names = list(patterns), list(names)
    if not patterns:
        raise UnknownNameError(f"no {kind} is named", valid=names)
    chosen: set[str] = set()
    for pattern in patterns:
        if pattern.startswith("re:"):
            try:
                expression = re.compile(pattern[3:])
            except re.error as error:
                raise UnknownNameError(f"'{pattern}' is not a regular expression ({error})", where=kind) from None
            matched = {name for name in names if expression.fullmatch(name)}
        else:
            matched = {name for name in names if fnmatchcase(name, pattern)}
        if not matched:
            raise UnknownNameError(f"no {kind} matches '{pattern}'{suggest(pattern, names)}", valid=names)
        chosen |= matched
    return [name for name in names if name in chosen]
