"""The ``.ei`` accessor of populations and recordings: ``tree["fc1/E"].ei.balance_index()``, ``tree.ei.summary()``."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import import_module
from typing import Any, ClassVar

import xarray as xr

from eiplatform.errors import StatisticError, UnknownAttributeError, suggest
from eiplatform.statistics.checks import populations_of
from eiplatform.statistics.functions import method_of
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import DECLARED, STATISTICS
from eiplatform.statistics.summary import summarise

__all__ = ["EIAccessor"]


@xr.register_dataset_accessor("ei")  # type: ignore[no-untyped-call]
@xr.register_datatree_accessor("ei")  # type: ignore[no-untyped-call]
class EIAccessor:
    """Statistics of a population, or of every population of a recording, as methods.

    Each method is the function of the same name in :mod:`eiplatform.statistics`; its page is
    ``docs/statistics/<name>.md``.  ``print(data.ei)`` says what this recording can answer.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataTree
        One population of a recording, or the recording.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> data = example_population(neurons=3)
    >>> data.ei.ei_ratio().round(1).values
    array([1.8, 1.8, 1.8])
    """

    views: ClassVar[dict[str, str]] = {}
    """What packages above this one add, e.g. ``plot``: ``"module:class"``, called with the data when it is used."""

    def __init__(self, data: xr.Dataset | xr.DataTree) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Any:
        if name in DECLARED:
            return method_of(DECLARED[name], self._data)
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.views:
            module, _, view = self.views[name].partition(":")
            return getattr(import_module(module), view)(self._data)
        if name in STATISTICS:
            chosen = STATISTICS[name]
            hint = f"'{name}' is a row of {chosen.name}: per_neuron(data, '{name}') gives it"
            raise UnknownAttributeError(hint, where=".ei")
        known = [*DECLARED, "summary", *self.views]
        raise UnknownAttributeError(f"unknown statistic '{name}'{suggest(name, known)}", where=".ei", valid=known)

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *DECLARED, *self.views]

    def summary(
        self,
        statistics: str | Iterable[str] | None = None,
        *,
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """All statistics with intervals: :func:`eiplatform.statistics.summarise`.

        Parameters
        ----------
        statistics : iterable of str, optional
            Keys of :data:`eiplatform.statistics.STATISTICS`; default: all for which the signals were recorded.
        n_bootstrap, seed, level
            Of the intervals.

        Returns
        -------
        xarray.Dataset, dims (population, statistic)
        """
        return summarise(self._data, statistics, n_bootstrap=n_bootstrap, seed=seed, level=level)

    def __repr__(self) -> str:
        try:
            found = populations_of(self._data)
            populations = [Population(data, name) for name, data in found.items()]
        except StatisticError as error:
            return f"<.ei: {error}>"
        lines = ["<.ei: statistics of excitation and inhibition>"]
        for population in populations:
            sizes = population.data.sizes
            lines.append(
                f"{population.name}: {sizes['sample']} samples x {sizes['time']} times x {sizes['neuron']} neurons; "
                f"signals {', '.join(population.signals) or 'none'}"
            )
            lines += [f"  {part}" for part in self._answers(population)]
        return "\n".join([*lines, "help(data.ei.ei_ratio) explains one; data.ei.summary() computes all."])

    def _answers(self, population: Population) -> list[str]:
        """Return which statistics a population can answer, and what the others lack."""
        able: dict[str, list[str]] = {}
        lacking: dict[str, list[str]] = {}
        for key, chosen in STATISTICS.items():
            why = chosen.lacks(population)
            listed = lacking.setdefault(why, []) if why else able.setdefault(chosen.topic, [])
            name = key if why else chosen.name
            if name not in listed:
                listed.append(name)
        lines = [f"{topic}: {', '.join(names)}" for topic, names in able.items()]
        return [*(lines or ["no statistic"]), *(f"({why}: {', '.join(keys)})" for why, keys in lacking.items())]

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"
