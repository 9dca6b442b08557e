"""Nulls made from a recording itself: surrogates that break what a statistic measures and keep the rest.

Nulls for which the network must run again are made by :mod:`eiplatform.recording.nulls`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics.checks import populations_of
from eiplatform.statistics.seeds import ENOUGH, summarise_seeds
from eiplatform.statistics.spread import WORKERS
from eiplatform.store.chosen import chosen_spikes, replaced
from eiplatform.store.events import LINKS, bare, has_events

__all__ = ["SURROGATES", "null_from", "parse_surrogate", "surrogate"]

SURROGATES = {
    "shift-time": "inhibition of every neuron and sample shifted in time (circularly) against its excitation",
    "shuffle-neurons": "inhibition of every neuron replaced by that of another one",
    "poisson": "spikes replaced by random ones of the same rate, independent of each other",
}
"""Kinds of surrogates, and what each does."""

_KINDS = tuple(SURROGATES)
_CURRENTS = ("current_exc", "current_inh")


def surrogate(recording: xr.Dataset | xr.DataTree, kind: str, seed: int = 0) -> Any:
    """Make a surrogate of a recording, or of one population of it.

    ``shift-time`` keeps each current's distribution, autocorrelation and mean over time, and
    breaks the relation of a neuron's E to its I in time: each (sample, neuron) is shifted by its
    own random number of intervals, at least a tenth of the sample either way.
    ``shuffle-neurons`` keeps everything that neurons share (synchrony, brightness) and breaks
    what is specific to a neuron: one permutation without fixed points for all samples.
    ``poisson`` keeps the mean count of every (sample, neuron): independent spikes per interval
    in a count array (at most one where spikes are yes or no), uniform times of Poisson number for
    events.

    Only the signals that the surrogate is about are kept (currents and their difference, or
    spikes), so that no statistic mixes shuffled with recorded ones.

    Parameters
    ----------
    recording : xarray.Dataset or xarray.DataTree
        Populations without the signals become empty.
    kind : str
        A key of :data:`SURROGATES`.
    seed : int
        The surrogate of a sample depends on its id and the seed, not on the samples beside it.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        Lazy: values are made when they are read.

    Raises
    ------
    UnknownNameError
        For another kind.
    StatisticError
        If no population has the signals, there is one interval only (``shift-time``) or one
        neuron only (``shuffle-neurons``).

    References
    ----------
    Gruen 2009, J Neurophysiol 101:1126 (surrogates in general).

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> exc = np.random.default_rng(0).random((2, 60, 4))
    >>> data = population_dataset(
    ...     {"current_exc": exc, "current_inh": exc}, sample=np.arange(2), time=np.arange(60),
    ...     neuron=np.arange(4), dt=1.0, time_units="step", current_units="1", n_neurons=4, role="E")
    >>> made = surrogate(data, "shift-time", seed=1)
    >>> bool(np.allclose(made["current_inh"].mean("time"), data["current_inh"].mean("time")))
    True
    >>> bool(abs(np.corrcoef(made["current_exc"][0, :, 0], made["current_inh"][0, :, 0])[0, 1]) < 0.5)
    True
    """
    choose(kind, SURROGATES, "surrogate")
    found = populations_of(recording)
    made = {name: _population(data, kind, seed, name) for name, data in found.items()}
    if not any(data.data_vars for data in made.values()):
        needs = "spikes" if kind == "poisson" else " and ".join(_CURRENTS)
        raise StatisticError(f"the surrogate '{kind}' needs {needs}", where=", ".join(found))
    if isinstance(recording, xr.Dataset):
        return next(iter(made.values()))
    tree = xr.DataTree.from_dict(made)
    tree.attrs = {**recording.attrs, "surrogate": kind, "surrogate_seed": seed}
    return tree


def null_from(
    recording: xr.Dataset | xr.DataTree,
    kind: str,
    n: int,
    statistics: str | Iterable[str] | None = None,
    *,
    seed: int = 0,
    populations: str | Iterable[str] | None = None,
    workers: int = WORKERS,
    scheduler: str | None = None,
) -> xr.Dataset:
    """Summarise several surrogates of a recording: the null for :func:`~eiplatform.statistics.against_null`.

    Parameters
    ----------
    recording, kind
        As for :func:`surrogate`.
    n : int
        Number of surrogates; at least 3 for a z, 39 for a rank that can reach p = 0.05.
    statistics, populations, workers, scheduler
        As for :func:`~eiplatform.statistics.summarise`.
    seed : int
        Of the first surrogate.

    Returns
    -------
    xarray.Dataset
        As of :func:`~eiplatform.statistics.summarise_seeds`, one "seed" per surrogate.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.statistics import against_null, summarise
    >>> from eiplatform.store.schema import population_dataset
    >>> exc = np.random.default_rng(0).random((2, 60, 4))
    >>> data = population_dataset(
    ...     {"current_exc": exc, "current_inh": exc}, sample=np.arange(2), time=np.arange(60),
    ...     neuron=np.arange(4), dt=1.0, time_units="step", current_units="1", n_neurons=4, role="E")
    >>> null = null_from(data, "shift-time", 19, ["ei_correlation_time"])
    >>> found = against_null(summarise(data, ["ei_correlation_time"], n_bootstrap=10), null)
    >>> bool(found["z"].item() > 5), round(found["p_rank"].item(), 6)
    (True, 0.1)
    """
    if n < 1:
        raise StatisticError(f"{n} surrogates", valid="at least 1")
    made = [surrogate(recording, kind, seed + index) for index in range(n)]
    return summarise_seeds(
        made, statistics, n_bootstrap=0, populations=populations, workers=workers, scheduler=scheduler
    )


def parse_surrogate(text: str) -> tuple[str, int]:
    """Read ``KIND:COUNT``, e.g. ``"shift-time:20"``; without a count 39, enough for a rank of p = 0.05.

    Raises
    ------
    UnknownNameError
        For another kind.
    StatisticError
        If the count is not a positive whole number.

    Examples
    --------
    >>> parse_surrogate("poisson:20"), parse_surrogate("shift-time")
    (('poisson', 20), ('shift-time', 39))
    """
    kind, colon, count = text.partition(":")
    choose(kind, SURROGATES, "surrogate")
    if not colon:
        return kind, ENOUGH
    if not (count.isascii() and count.isdigit() and int(count) > 0):
        what = f"the surrogate '{text}' lacks a count of 1 or more"
        raise StatisticError(what, valid=f"{kind}:COUNT, e.g. {kind}:20, or {kind} for {ENOUGH}")
    return kind, int(count)


def _population(data: xr.Dataset, kind: str, seed: int, name: str) -> xr.Dataset:
    untied = bare(data)
    empty = untied.drop_vars(list(untied.data_vars)).assign_attrs(surrogate=kind, surrogate_seed=seed)
    if kind == "poisson":
        if "spikes" in data:
            return empty.assign(spikes=_lazy(data, "spikes", _Poisson(data, seed)))
        if not has_events(data):
            return empty
        made = _poisson_events(data.drop_vars([name for name in data.data_vars if name not in LINKS]), seed)
        return made.assign_attrs(surrogate=kind, surrogate_seed=seed)
    if not set(_CURRENTS) <= set(data.data_vars):
        return empty
    size, what = (data.sizes["time"], "interval") if kind == "shift-time" else (data.sizes["neuron"], "neuron")
    if size < 2:
        raise StatisticError(f"the surrogate '{kind}' needs more than one {what}", where=name)
    change = _Shift(data, seed) if kind == "shift-time" else _OtherNeuron(data, seed)
    variables = {"current_exc": data["current_exc"], "current_inh": _lazy(data, "current_inh", change)}
    if "current_net" in data:
        variables["current_net"] = _lazy(data, "current_inh", _Net(data, change))
    return empty.assign(variables)


class _Change(ABC):
    """Turns the values of some samples, shape (sample, time, neuron), into those of the surrogate."""

    kind: ClassVar[str]

    def __init__(self, data: xr.Dataset, seed: int) -> None:
        self._seed = [seed, _KINDS.index(self.kind)]
        ids = data["sample"].to_numpy() if "sample" in data.coords else np.arange(data.sizes["sample"])
        self._ids = ids if ids.dtype.kind in "iu" and (ids >= 0).all() else np.arange(len(ids))

    def rng(self, sample: int) -> np.random.Generator:
        return np.random.default_rng([*self._seed, int(self._ids[sample])])

    @abstractmethod
    def __call__(self, values: npt.NDArray[Any], rows: slice) -> npt.NDArray[Any]:
        """Return the surrogate of the samples `rows`, whose values are given."""


class _Shift(_Change):
    kind = "shift-time"

    def __call__(self, values: npt.NDArray[Any], rows: slice) -> npt.NDArray[Any]:
        n_steps, n_neurons = values.shape[1:]
        least = max(1, n_steps // 10)
        shifted = np.empty_like(values)
        for place, sample in enumerate(range(rows.start, rows.stop)):
            offset = self.rng(sample).integers(least, n_steps - least, size=n_neurons, endpoint=True)
            index = (np.arange(n_steps)[:, None] - offset) % n_steps
            shifted[place] = np.take_along_axis(values[place], index, axis=0)
        return shifted


class _OtherNeuron(_Change):
    kind = "shuffle-neurons"

    def __init__(self, data: xr.Dataset, seed: int) -> None:
        super().__init__(data, seed)
        # A random cycle through all neurons has no fixed point.
        order = np.random.default_rng(self._seed).permutation(data.sizes["neuron"])
        self._source = np.empty_like(order)
        self._source[order] = np.roll(order, 1)

    def __call__(self, values: npt.NDArray[Any], rows: slice) -> npt.NDArray[Any]:
        return values[:, :, self._source]


class _Poisson(_Change):
    kind = "poisson"

    def __call__(self, values: npt.NDArray[Any], rows: slice) -> npt.NDArray[Any]:
        mean = values.mean(axis=1, dtype=np.float64)
        made = np.empty_like(values)
        for place, sample in enumerate(range(rows.start, rows.stop)):
            rng = self.rng(sample)
            if values.dtype == bool:
                made[place] = rng.random(values.shape[1:]) < mean[place]
            else:
                made[place] = rng.poisson(mean[place], values.shape[1:])
        return made


class _Net:
    """Excitation minus the surrogate's inhibition."""

    def __init__(self, data: xr.Dataset, change: _Change) -> None:
        self._exc = data["current_exc"].transpose("sample", "time", "neuron")
        self._change = change

    def __call__(self, values: npt.NDArray[Any], rows: slice) -> npt.NDArray[Any]:
        net: npt.NDArray[Any] = self._exc.isel(sample=rows).to_numpy() - self._change(values, rows)
        return net


class _Derived(BackendArray):
    """A signal; only the samples that are asked for are read and changed."""

    def __init__(self, source: xr.DataArray, change: Callable[[npt.NDArray[Any], slice], npt.NDArray[Any]]) -> None:
        self._source, self._change = source, change
        self.shape, self.dtype = source.shape, source.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        first, rest = key[0], tuple(key[1:])
        single = isinstance(first, (int, np.integer))
        wanted = range(int(first), int(first) + 1) if single else range(*first.indices(self.shape[0]))
        rows = slice(wanted.start, wanted[-1] + 1) if wanted else slice(0, 0)
        values = self._change(self._source.isel(sample=rows).to_numpy(), rows)
        made: npt.NDArray[Any] = values[(0 if single else slice(None, None, wanted.step), *rest)]
        return made


def _lazy(data: xr.Dataset, name: str, change: Callable[[npt.NDArray[Any], slice], npt.NDArray[Any]]) -> xr.Variable:
    source = data[name].transpose("sample", "time", "neuron")
    array = indexing.LazilyIndexedArray(_Derived(source, change))
    return xr.Variable(source.dims, array, source.attrs, fastpath=True)


def _poisson_events(data: xr.Dataset, seed: int) -> xr.Dataset:
    """Return spike events of Poisson number at uniform times, of the rate of every (sample, neuron)."""
    rng = np.random.default_rng([seed, _KINDS.index("poisson")])
    found = chosen_spikes(data)
    pairs, counts = np.unique(np.stack([found.sample, found.neuron]), axis=1, return_counts=True)
    made = rng.poisson(counts)
    time = rng.random(int(made.sum())) * found.duration
    return replaced(data, found, time, np.repeat(pairs[1], made), np.repeat(pairs[0], made))
