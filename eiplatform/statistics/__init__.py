"""Balance statistics with uncertainty: array kernels, one declaration per statistic, and the ``.ei`` accessor.

Every statistic is a function here and a method of the accessor; both come from its declaration
(:mod:`eiplatform.statistics.declare`), those of the user's project and of installed packages too.
Importing this package registers the accessor.  It needs numpy, scipy and xarray only.
"""

from collections.abc import Callable
from typing import Any

from eiplatform.statistics.accessor import EIAccessor
from eiplatform.statistics.checks import populations_of
from eiplatform.statistics.declare import Statistic, Table
from eiplatform.statistics.discover import discover
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.example import example_population
from eiplatform.statistics.functions import function_of
from eiplatform.statistics.labelled import per_neuron
from eiplatform.statistics.nulls import SURROGATES, null_from, surrogate
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import DECLARED, STATISTICS, grid, register, statistic
from eiplatform.statistics.seeds import against_null, summarise_seeds
from eiplatform.statistics.summary import summarise

discover()

__all__ = [
    "EIAccessor",
    "Estimate",
    "Population",
    "STATISTICS",
    "SURROGATES",
    "Statistic",
    "Table",
    "against_null",
    "example_population",
    "grid",
    "null_from",
    "per_neuron",
    "populations_of",
    "register",
    "statistic",
    "summarise",
    "summarise_seeds",
    "surrogate",
    *DECLARED,
]


def __getattr__(name: str) -> Callable[..., Any]:
    if name in DECLARED:
        return function_of(DECLARED[name])
    raise AttributeError(f"module 'eiplatform.statistics' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *DECLARED})
