"""Functions and methods of declared statistics: with their real signature, and a docstring of all their parts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import xarray as xr

from eiplatform.errors import choose
from eiplatform.statistics.declare import Declared, Statistic
from eiplatform.statistics.labelled import apply

__all__ = ["documentation", "function_of", "method_of", "needed", "signature_of"]

_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_SECTION = re.compile(r"^(Parameters|Returns|Raises|Notes|References|Examples)\n-+\n", re.MULTILINE)


def signature_of(cls: type[Declared]) -> inspect.Signature:
    """Return the signature of a statistic's function: its recordings, then its options as keywords.

    Examples
    --------
    >>> from eiplatform.statistics.registry import DECLARED
    >>> str(signature_of(DECLARED["ei_cotuning"])).split(", *, ")[1].split(" -> ")[0]
    "pairs: Literal['own', 'cross', 'excess'] = 'own')"
    """
    data = xr.Dataset | list[xr.Dataset] if getattr(cls, "several", False) else xr.Dataset | xr.DataTree
    parameters = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=data) for name in cls.inputs
    ]
    defaults = {field.name: field.default for field in fields(cls)}  # type: ignore[arg-type]
    for name, hint in cls.options().items():
        default = inspect.Parameter.empty if defaults[name] is MISSING else defaults[name]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint))
    result = xr.DataArray if issubclass(cls, Statistic) else xr.Dataset
    return inspect.Signature(parameters, return_annotation=result)


def function_of(cls: type[Declared]) -> Callable[..., Any]:
    """Return the function of a declared statistic or table.

    Examples
    --------
    >>> from eiplatform.statistics.registry import DECLARED
    >>> function_of(DECLARED["ei_ratio"]).__name__
    'ei_ratio'
    """
    signature = signature_of(cls)

    def function(*args: Any, **kwargs: Any) -> Any:
        for word in kwargs:
            choose(word, signature.parameters, f"option of {cls.name}")
        bound = signature.bind(*args, **kwargs).arguments
        inputs = [bound.pop(name) for name in cls.inputs]
        return apply(cls(**bound), *inputs)

    return _dressed(function, cls, signature, documentation(cls, cls.inputs))


def method_of(cls: type[Declared], data: xr.Dataset | xr.DataTree) -> Callable[..., Any]:
    """Return the method of a declared statistic or table, bound to its first recording."""
    function, signature = function_of(cls), signature_of(cls)

    def method(*args: Any, **kwargs: Any) -> Any:
        return function(data, *args, **kwargs)

    rest = list(signature.parameters.values())[1:]
    return _dressed(method, cls, signature.replace(parameters=rest), documentation(cls, cls.inputs[1:]))


def _dressed(function: Any, cls: type[Declared], signature: inspect.Signature, text: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = cls.name
    function.__module__, function.__doc__, function.__signature__ = "eiplatform.statistics", text, signature
    hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    function.__annotations__ = {**hints, "return": signature.return_annotation}
    dressed: Callable[..., Any] = function
    return dressed


def documentation(cls: type[Declared], inputs: tuple[str, ...]) -> str:
    """Return the docstring of the function: that of the class, with the recordings and what comes back.

    Parameters
    ----------
    cls : subclass of Declared
    inputs : tuple of str
        Names of the recordings to describe; a method lacks the first.
    """
    head, *rest = _SECTION.split(inspect.cleandoc(cls.__doc__ or ""))
    sections = {title: text.strip("\n") for title, text in zip(rest[::2], rest[1::2], strict=True)}
    several = getattr(cls, "several", False)
    kind = "xarray.Dataset, or a list of them" if several else "xarray.Dataset or DataTree"
    whole = "" if several else ", or the recording"
    lines = [f"{name} : {kind}\n    One population of a recording{whole}.  {needed(cls)}" for name in inputs]
    if "Parameters" in sections:
        lines.append(sections["Parameters"])
    if lines:
        sections["Parameters"] = "\n".join(lines)
    sections = _derived(cls) | sections
    order = ("Parameters", "Returns", "Raises", "Notes", "References", "Examples")
    parts = [f"{title}\n{'-' * len(title)}\n{sections[title]}" for title in order if title in sections]
    return "\n\n".join([head.strip("\n"), *parts]) + "\n"


def _derived(cls: type[Declared]) -> dict[str, str]:
    """Return the sections that follow from a declaration, for a docstring that has none of its own."""
    found = {"Raises": "StatisticError\n    If a signal is missing or not finite, or an option is impossible."}
    entries = [cls(**variant) for variant in cls.variants] if issubclass(cls, Statistic) else []
    if not entries or {entry.over for entry in entries} != {"sample and time"}:
        found["Raises"] += (
            "\nTooShortError\n    With too few samples, intervals or neurons; the message gives the number needed."
        )
    if entries:
        levels = "|".join(sorted({entry.level for entry in entries}))
        dims = {"neuron": "(neuron)", "population": "()"}.get(levels, "(neuron) or ()")
        found["Returns"] = (
            f"xarray.DataArray, dims {dims}\n    With its description as attributes.  Of a recording with several "
            "populations: a DataTree."
        )
        sources = "; ".join(entry.reference for entry in entries).split("; ")
        # Where there are papers, the other sources say what a variant is.
        papers = [source for source in sources if _YEAR.search(source)] or sources
        found["References"] = ";\n".join(dict.fromkeys(papers)) + "."
    return found


def needed(cls: type[Declared]) -> str:
    """Return in a sentence which signals a recording needs, with the default options.

    Examples
    --------
    >>> from eiplatform.statistics.registry import DECLARED
    >>> needed(DECLARED["ei_ratio"])
    'Needs `current_exc` and `current_inh`.'
    """
    names = _default_needs(cls)
    if not names:
        return "Needs what the chosen statistic needs."
    words = [f"`{name}`" for name in names]
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    default = ", with the default options" if isinstance(vars(cls).get("needs"), property) else ""
    return f"Needs {listed}{' (or spike events)' if 'spikes' in names else ''}{default}."


def _default_needs(cls: type[Declared]) -> tuple[str, ...]:
    missing = [field.name for field in fields(cls) if field.default is MISSING]  # type: ignore[arg-type]
    return cls(**dict.fromkeys(missing, 1.0)).needs
