"""All declared statistics and tables, by key and by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from eiplatform.errors import ConfigError, choose
from eiplatform.statistics.declare import Declared, Statistic, Table

__all__ = ["DECLARED", "STATISTICS", "TOPICS", "grid", "register", "statistic"]

_D = TypeVar("_D", bound=Declared)

TOPICS = (
    "excitation and inhibition",
    "tightness of balance",
    "balance over neurons",
    "lag",
    "tuning",
    "regime of firing",
    "spikes",
    "distribution of activity",
    "shared inhibition",
    "synchrony",
    "memory and rhythm",
    "dimension",
    "gain",
    "perturbation",
)
"""The order of tables; other topics follow in the order in which they were declared."""

STATISTICS: dict[str, Statistic] = {}
"""All statistics by key, in the order of tables."""
DECLARED: dict[str, type[Declared]] = {}
"""All statistics and tables that have a function, by name."""


def grid(**options: tuple[Any, ...]) -> tuple[Mapping[str, Any], ...]:
    """Return all combinations of some options, the last varying fastest.

    Examples
    --------
    >>> grid(over=("sample", "time"), pairs=("own",))
    ({'over': 'sample', 'pairs': 'own'}, {'over': 'time', 'pairs': 'own'})
    """
    return tuple(dict(zip(options, values, strict=True)) for values in product(*options.values()))


@dataclass_transform(kw_only_default=True, frozen_default=True)
def register(cls: type[_D]) -> type[_D]:
    """Declare a statistic or a table: from now on it has a function, a method and its entries.

    Parameters
    ----------
    cls : subclass of Statistic or Table
        Its annotated fields are the options.  It need not be a dataclass yet.

    Returns
    -------
    type
        The class, as a frozen dataclass.

    Raises
    ------
    ConfigError
        If something is missing in the declaration, or the name or a key is taken.
    """
    made = dataclass(frozen=True, kw_only=True)(cls)
    made.choices = _choices(made)
    wanted = ["name", "question", "compute"]
    if issubclass(made, Statistic):
        wanted += ["label", "over", "reference", "comparable_reason"]
    base = Statistic if issubclass(made, Statistic) else Table
    absent = [word for word in wanted if getattr(made, word, None) is getattr(base, word, None)]
    if absent or not made.__doc__:
        raise ConfigError(
            f"the declaration has no {', '.join(absent) or 'docstring'}",
            where=f"{made.__module__}.{made.__qualname__}",
            remedy="see docs/extending/statistic.md",
        )
    entries = [made(**variant) for variant in made.variants] if issubclass(made, Statistic) else []
    _check_free(made, [entry.key for entry in entries])
    if getattr(made, "public", True):
        DECLARED[made.name] = made
    STATISTICS.update({entry.key: entry for entry in entries})
    by_topic = sorted(STATISTICS.values(), key=lambda entry: _place(entry.topic))
    STATISTICS.clear()
    STATISTICS.update({entry.key: entry for entry in by_topic})
    return made


def _choices(cls: type[Declared]) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return the options that take one of a few words, and how messages call them."""
    found = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        words = name
        if get_origin(hint) is Annotated:
            hint, words = get_args(hint)[:2]
        if get_origin(hint) is Literal:
            found[name] = (get_args(hint), words)
    return found


def _place(topic: str) -> int:
    return TOPICS.index(topic) if topic in TOPICS else len(TOPICS)


def _check_free(made: type[Declared], keys: list[str]) -> None:
    """Raise ConfigError if another class has the name or a key; the same class may be declared again in a notebook."""
    taken: dict[str, type[Declared]] = {key: type(STATISTICS[key]) for key in keys if key in STATISTICS}
    if getattr(made, "public", True) and made.name in DECLARED:
        taken[made.name] = DECLARED[made.name]
    for name, other in taken.items():
        if (other.__module__, other.__qualname__) != (made.__module__, made.__qualname__):
            raise ConfigError(
                f"'{name}' is declared twice: by {other.__module__}.{other.__qualname__} and by "
                f"{made.__module__}.{made.__qualname__}",
                remedy="give one of them another name",
            )


def statistic(key: str) -> Statistic:
    """Return a statistic by key.

    Raises
    ------
    UnknownNameError
        If there is none; the message suggests the nearest.

    Examples
    --------
    >>> statistic("balance_index").over
    'sample and time'
    """
    return STATISTICS[choose(key, STATISTICS, "statistic")]
