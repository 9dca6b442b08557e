"""What was measured in cortex and ships with the platform: quantiles of firing rates, with their source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import yaml

from eiplatform.store.references import measured_files

__all__ = ["MeasuredRates", "measured_rates"]


@dataclass(frozen=True)
class MeasuredRates:
    """Quantiles of the firing rates of single units, in Hz.

    Attributes
    ----------
    name : str
        E.g. ``"mouse V1, awake: L4 E"``.
    n : int
        Units.
    median, low, high : float
        With the 5 and 95 % quantiles.
    source : str
    """

    name: str
    n: int
    median: float
    low: float
    high: float
    source: str


@cache
def measured_rates(role: str = "E") -> tuple[MeasuredRates, ...]:
    """Return what ships of the rates of a class of neurons.

    Parameters
    ----------
    role : {"E", "PV"}

    Examples
    --------
    >>> [(one.name, one.median) for one in measured_rates()][:2]
    [('mouse V1, awake: L2/3 E', 0.63), ('mouse V1, awake: L4 E', 2.12)]
    """
    found = []
    for file in measured_files():
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, (n, median, low, high, _) in told["rate_hz"].items():
            if name.endswith(role):
                found.append(MeasuredRates(f"{told['title']}: {name}", n, median, low, high, told["source"]))
    return tuple(found)
