"""Cautions: what limits the meaning of other statistics of the same population.

A caution is a statistic with a limit.  One that is added to :data:`CAUTIONS` appears in the attribute
``caution`` of every result that it concerns and in the column ``caution`` of every summary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from eiplatform.errors import NotApplicableError, TooShortError
from eiplatform.statistics.declare import Statistic
from eiplatform.statistics.estimate import shared
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import STATISTICS

__all__ = ["CAUTIONS", "Caution", "cautions", "kinds_of", "over_seeds", "ranged"]

_BETWEEN = "; "
_NUMBER = r"(?:less than )?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_RANGE = re.compile(f"({_NUMBER})(?: to ({_NUMBER}))?")


@dataclass(frozen=True)
class Caution:
    """When a property of a population makes other statistics mean less.

    Attributes
    ----------
    key : str
        The statistic that measures the property.
    limit : float
    above : bool
        Whether the caution holds above the limit, or below it.
    text : str
        What is said; ``{}`` is the value in percent.
    concerns : callable
        Whether it concerns a statistic.
    attribute, detail : str
        An attribute of the population that belongs to it, and the words for it.
    """

    key: str
    limit: float
    above: bool
    text: str
    concerns: Callable[[Statistic], bool]
    attribute: str = ""
    detail: str = ""

    def more(self, attrs: Mapping[Any, Any]) -> str:
        """Return what the recording itself says of it."""
        return self.detail.format(float(attrs[self.attribute])) if self.attribute in attrs else ""

    def holds(self, value: float) -> bool:
        """Whether the caution holds at a value; NaN says nothing."""
        return value > self.limit if self.above else value < self.limit


def _of_spikes(entry: Statistic) -> bool:
    return "spikes" in entry.needs


def _of_pairs(entry: Statistic) -> bool:
    return entry.private


CAUTIONS = (
    Caution("silent_share", 0.25, True, "{} of the pairs of neuron and sample are silent", _of_spikes),
    Caution("always_on_spikes", 0.1, True, "{} of the spikes come from neurons that fire at every step", _of_spikes),
    Caution(
        "private_inhibition",
        0.01,
        False,
        "homogeneous inhibition ({} of its variance is a neuron's own): no evidence for or against detailed balance, "
        "and I neurons are interchangeable",
        _of_pairs,
        "inhibitory_weight_cv",
        " (CV of their weights I->E {:.2g})",
    ),
)
"""Every caution."""


def cautions(population: Population, entry: Statistic) -> str:
    """Return what limits the meaning of a statistic of a population, or "".

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.statistics import statistic
    >>> from eiplatform.store.schema import population_dataset
    >>> spikes = np.zeros((2, 4, 2), bool)
    >>> spikes[0, 1, 0] = True
    >>> data = population_dataset(
    ...     {"spikes": spikes}, sample=np.arange(2), time=np.arange(4), neuron=np.arange(2), dt=1.0,
    ...     time_units="step", current_units="1", n_neurons=2, role="E")
    >>> cautions(Population(data), statistic("rate"))
    '75 % of the pairs of neuron and sample are silent'
    """
    if not entry.cautioned:
        return ""
    holding = []
    for caution in CAUTIONS:
        if caution.concerns(entry):
            value = shared(population, ("caution", caution.key), partial(_measured, population, caution.key))
            if caution.holds(value):
                holding.append(caution.text.format(_percent(value)) + caution.more(population.data.attrs))
    return _BETWEEN.join(holding)


def kinds_of(text: str) -> dict[str, str]:
    """Return the parts of what :func:`cautions` says by their words, which are the same whatever the numbers.

    Examples
    --------
    >>> kinds_of("30 % are silent; 2 % are shared")
    {'# % are silent': '30 % are silent', '# % are shared': '2 % are shared'}
    """
    return {_RANGE.sub("#", part): part for part in text.split(_BETWEEN) if part}


def ranged(parts: Iterable[str]) -> str:
    """Return parts of one kind as one, with the range of their numbers.

    Examples
    --------
    >>> ranged(["30 % are silent", "less than 0.01 % are silent", "25 to 40 % are silent"])
    'less than 0.01 to 40 % are silent'
    """
    several = list(parts)
    found = [[(low, high or low) for low, high in _RANGE.findall(part)] for part in several]
    ends = iter([(min((low for low, _ in slot), key=_size), max((high for _, high in slot), key=_size))
                 for slot in zip(*found, strict=True)])  # fmt: skip

    def with_range(_: re.Match[str]) -> str:
        low, high = next(ends)
        return low if low == high else f"{low} to {high}"

    return _RANGE.sub(with_range, several[0])


def over_seeds(texts: Sequence[str]) -> str:
    """Return what is said of several seeds as one text; what holds in some only says in how many.

    Examples
    --------
    >>> over_seeds(["30 % are silent", "40 % are silent; 2 % are shared"])
    '30 to 40 % are silent; in 1 of 2 seeds, 2 % are shared'
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        for kind, part in kinds_of(text).items():
            found.setdefault(kind, []).append(part)
    holding = []
    for parts in found.values():
        some = f"in {len(parts)} of {len(texts)} seeds, " if len(parts) < len(texts) else ""
        holding.append(some + ranged(parts))
    return _BETWEEN.join(holding)


def _size(number: str) -> float:
    return 0.0 if number.startswith("less") else float(number)


def _measured(population: Population, key: str) -> float:
    """Return the value of a statistic, NaN where it does not apply."""
    entry = STATISTICS[key]
    if population.missing(entry.needs):
        return float("nan")
    try:
        values = entry.estimate(population).kernel.per_neuron()
    except (TooShortError, NotApplicableError):
        return float("nan")
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else float("nan")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 1e-4 else "less than 0.01 %"
