"""Spikes as a list of events that follows whatever is chosen from a Dataset.

A circuit's spikes are a list: one entry per spike of any neuron (dimension ``spike``).  xarray cannot
choose from that list when samples, times or neurons are chosen.  So the population carries two *links*,
ordinary variables on the dimensions of the signals:

``spike_interval`` (sample, time)
    which sample and which interval of the recording this place stands for;
``spike_identity`` (neuron)
    which neuron of the recording this place stands for.

Links are chosen, repeated, reordered, rolled, shifted and joined with the signals, whatever the
coordinates are called.  Their numbers are codes, scattered over 52 bits and bound to this very list of
spikes: a number that was computed (doubled, averaged, interpolated, rounded) or that belongs to
another recording is not a code, and statistics of spikes refuse it.  Links are made when a recording is
opened; nothing of them is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from eiplatform.errors import StoreError

__all__ = [
    "EVENT_NAMES",
    "IDENTITY",
    "INTERVAL",
    "LINKS",
    "TRIAL",
    "bare",
    "decoded",
    "events_of",
    "has_events",
    "link",
    "read_events",
    "tie",
    "untied_because",
]

IntArray = npt.NDArray[np.int64]

EVENT_NAMES = ("spike_time", "spike_neuron", "spike_sample")
"""The list: time since the start of the recording, index of the neuron, id of the sample."""
INTERVAL, IDENTITY = "spike_interval", "spike_identity"
LINKS = {INTERVAL: ("sample", "time"), IDENTITY: ("neuron",)}
"""What ties the list to the dimensions."""
TRIAL = "spike_trial"
"""Coordinate with the ids of the samples that the list covers, silent ones included."""
_SIGNAL = {"sample", "time", "neuron"}
_GRID = ("n_intervals", "interval", "n_recorded", "n_neurons", "duration")
"""Attributes of ``spike_time`` while it is tied."""

_BITS = 52  # what a float64 holds exactly
_MASK = np.uint64(2**_BITS - 1)
_HALF = np.uint64(_BITS // 2)
_FACTORS = tuple(factor % 2**_BITS for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_SHIFT = np.uint64(0xD6E8FEB86659F)
"""Added in every round: without it, doubling a code doubles what it stands for, once in 256 times."""
_ENDS = 256
"""Spikes at either end of the list that the codes are bound to, beside its length."""


def _scattered(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Map numbers below 2**52 one to one on numbers that look random."""
    values = values & _MASK
    for factor in _FACTORS:
        values = ((values ^ (values >> _HALF)) * np.uint64(factor) + _SHIFT) & _MASK
    return values ^ (values >> _HALF)


def _gathered(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Undo :func:`_scattered`."""
    values = values ^ (values >> _HALF)
    for factor in reversed(_FACTORS):
        values = ((values - _SHIFT) * np.uint64(pow(factor, -1, 2**_BITS))) & _MASK
        values = values ^ (values >> _HALF)
    return values


class _Binding:
    """The two numbers that bind codes to one list of spikes; its ends are read when they are first needed."""

    def __init__(self, events: Mapping[str, xr.Variable], trial: npt.NDArray[Any], grid: Mapping[str, float]) -> None:
        self._events, self._trial, self._grid = dict(events), trial, dict(grid)

    @cached_property
    def _digest(self) -> bytes:
        n = self._events["spike_time"].size
        held = [repr([float(self._grid[name]) for name in _GRID]), repr(self._trial.tolist()), str(n)]
        for name, variable in self._events.items():
            kind = np.float64 if name == "spike_time" else np.int64
            ends = (variable[:_ENDS], variable[max(_ENDS, n - _ENDS) :])
            held.append(np.concatenate([end.to_numpy().astype(kind) for end in ends]).tobytes().hex())
        return hashlib.blake2b("\n".join(held).encode(), digest_size=16).digest()

    def number(self, link: str) -> np.uint64:
        """Return the offset of the codes of one link."""
        start = 8 * list(LINKS).index(link)
        return np.uint64(int.from_bytes(self._digest[start : start + 8], "little") & int(_MASK))


class _Codes(BackendArray):
    """Codes of ``first * count + 0, 1, ... count - 1``, shape (first, count), or of ``first`` where count is 0."""

    def __init__(self, binding: _Binding, link: str, first: npt.NDArray[Any], count: int = 0) -> None:
        self._binding, self._link, self._first, self._count = binding, link, np.asarray(first), count
        self.shape = (len(first), count) if len(LINKS[link]) == 2 else (len(first),)
        self.dtype = np.dtype(np.int64)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        place = self._first[key[0]].astype(np.uint64)
        if len(self.shape) == 2:
            place = np.add.outer(place * np.uint64(self._count), np.arange(self._count, dtype=np.uint64)[key[1]])
        return np.asarray(_scattered(place + self._binding.number(self._link)).astype(np.int64))


def has_events(data: xr.Dataset) -> bool:
    """Whether a population has its spikes as a list of events."""
    return set(EVENT_NAMES) <= set(data.variables)


def bare(data: xr.Dataset) -> xr.Dataset:
    """Return a population as it is stored: the list among its variables, without what ties it.

    Nothing is looked at: whoever has chosen something takes :func:`eiplatform.store.chosen.plain`.
    """
    if not has_events(data):
        return data
    untied = data.drop_vars([*LINKS, TRIAL], errors="ignore").reset_coords(
        [name for name in EVENT_NAMES if name in data.coords]
    )
    time = untied["spike_time"].variable
    kept = {key: value for key, value in time.attrs.items() if key not in _GRID}
    return untied.assign(spike_time=xr.Variable(time.dims, time._data, kept, fastpath=True))


def untied_because(data: xr.Dataset) -> str:
    """Return why the list of spikes cannot be tied to the dimensions, or "" if it can."""
    if not has_events(data):
        return ""
    absent = [name for name in ("duration", "n_neurons", "dt") if name not in data.attrs]
    if absent:
        return f"the attribute '{absent[0]}' is missing"
    dims = {name: data[name].dims for name in EVENT_NAMES}
    if any(found != ("spike",) for found in dims.values()):
        return f"its dimensions are {sorted(set(dims.values()))}"
    absent = [dim for dim in ("sample", "time", "neuron") if dim not in data.dims]
    if absent:
        return f"the dimension '{absent[0]}' is missing"
    dt, n_time, duration = float(data.attrs["dt"]), data.sizes["time"], float(data.attrs["duration"])
    if not (dt > 0 and n_time * dt <= duration + 1e-6 * dt and duration < (n_time + 1) * dt):
        return f"{n_time} intervals of {dt:g} do not cover its duration of {duration:g}"
    neuron = data["neuron"].to_numpy()
    if neuron.dtype.kind not in "iu" or len(np.unique(neuron)) < len(neuron):
        return "the neurons' indices are not whole numbers, each once"
    if neuron.size and (neuron.min() < 0 or neuron.max() >= data.attrs["n_neurons"]):
        return f"the neurons' indices lie outside 0 to {int(data.attrs['n_neurons']) - 1}"
    if len(np.unique(data["sample"])) < data.sizes["sample"]:
        return "samples repeat"
    return ""


def tie(data: xr.Dataset) -> xr.Dataset:
    """Tie the list of spikes to the samples, times and neurons of a population that is whole.

    Parameters
    ----------
    data : xarray.Dataset
        As it was recorded: every interval is there, and the coordinates ``sample`` and ``neuron`` are
        the ids that the list uses.

    Returns
    -------
    xarray.Dataset
        The list as coordinates, and :data:`LINKS` as variables.  Nothing is read.

    Raises
    ------
    StoreError
        If the list does not fit the coordinates.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> data = population_dataset(  # which ties
    ...     {}, sample=np.array([7, 9]), time=np.arange(4.0), neuron=np.arange(3), dt=1.0, time_units="ms",
    ...     current_units="mV", n_neurons=3, role="E", attrs={"duration": 4.0},
    ...     events={"spike_time": np.array([0.5, 2.5, 3.5]), "spike_neuron": np.array([0, 1, 1]),
    ...             "spike_sample": np.array([7, 9, 9])})
    >>> tie(bare(data)).isel(sample=[1, 1], time=slice(3, None)).ei.rate().values.tolist()
    [0.0, 1000.0, 0.0]
    """
    if not has_events(data):
        return data
    because = untied_because(data)
    if because:
        raise StoreError(
            f"the list of spikes does not fit the population: {because}",
            valid="a recording as it was made: every interval, and the ids that the list uses",
        )
    grid = {
        "n_intervals": int(data.sizes["time"]),
        "interval": float(data.attrs["dt"]),
        "n_recorded": int(data.sizes["neuron"]),
        "n_neurons": int(data.attrs["n_neurons"]),
        "duration": float(data.attrs["duration"]),
    }
    return link(data, data["sample"].to_numpy(), data["neuron"].to_numpy(), grid)


def link(
    data: xr.Dataset, trial: npt.NDArray[Any], identity: npt.NDArray[Any], grid: Mapping[str, float]
) -> xr.Dataset:
    """Tie the list to the dimensions: what :func:`tie` does, for whoever knows what each place stands for.

    Parameters
    ----------
    data : xarray.Dataset
    trial : array, shape (sample,)
        Id that the list uses for each place on the axis of samples, each once.
    identity : array, shape (neuron,)
        Index that the list uses for each place on the axis of neurons.
    grid : mapping
        ``n_intervals`` of length ``interval`` that cover ``duration``, ``n_neurons`` of the list, and
        ``n_recorded``, the length of the axis of neurons with which all of these are meant.
    """
    events = {name: data[name].variable for name in EVENT_NAMES}
    binding = _Binding(events, trial, grid)
    arrays = {
        INTERVAL: _Codes(binding, INTERVAL, np.arange(len(trial)), int(grid["n_intervals"])),
        IDENTITY: _Codes(binding, IDENTITY, identity),
    }
    texts = {
        INTERVAL: "sample and interval of the recording (coded): what ties the spikes to the dimensions",
        IDENTITY: "neuron of the recording (coded): what ties the spikes to the dimensions",
    }
    time = events["spike_time"]
    events["spike_time"] = xr.Variable(time.dims, time._data, {**time.attrs, **grid}, fastpath=True)
    links = {
        name: xr.Variable(LINKS[name], indexing.LazilyIndexedArray(array), {"long_name": texts[name]}, fastpath=True)
        for name, array in arrays.items()
    }
    told = {"long_name": "samples that the list of spikes covers"}
    return (
        data.drop_vars([*EVENT_NAMES, *LINKS, TRIAL], errors="ignore")
        .assign_coords({**events, TRIAL: ("trial", trial, told)})
        .assign(links)
    )


def read_events(data: xr.Dataset) -> dict[str, npt.NDArray[Any]]:
    """Read the list."""
    return {name: data[name].to_numpy() for name in EVENT_NAMES}


def events_of(data: xr.Dataset) -> tuple[npt.NDArray[Any], dict[str, Any], _Binding]:
    """Return the samples that the list covers, its grid and its binding, of a tied population; reads no list.

    Raises
    ------
    StoreError
        If something of it is missing or has other dimensions.
    """
    wanted = {**dict.fromkeys(EVENT_NAMES, ("spike",)), TRIAL: ("trial",)}
    absent = [name for name in (*wanted, *LINKS) if name not in data.variables]
    grid: dict[str, Any] = {}
    if not {TRIAL, *LINKS} & set(data.variables) and has_events(data):
        because = untied_because(data) or "it was not opened by eiplatform.open"
    elif absent:
        because = f"'{absent[0]}' is missing"
    else:
        grid = {name: data["spike_time"].attrs.get(name) for name in _GRID}
        odd = [name for name, dims in wanted.items() if data[name].dims != dims]
        odd += [name for name, dims in LINKS.items() if not set(dims) <= set(data[name].dims) <= _SIGNAL]
        because = f"'{odd[0]}' has the dimensions {data[odd[0]].dims}" if odd else ""
        if not odd and None in grid.values():
            because = "'spike_time' has lost its attributes"
    if because:
        raise _refused(because)
    trial = data[TRIAL].to_numpy()
    return trial, grid, _Binding({name: data[name].variable for name in EVENT_NAMES}, trial, grid)


def decoded(data: xr.Dataset, link: str, binding: _Binding, n: int, rows: slice = slice(None)) -> IntArray:
    """Return the numbers behind the codes of a link, each below `n`, in the order of :data:`LINKS`.

    Raises
    ------
    StoreError
        If one of them is not a code of this list of spikes.
    """
    codes = _repeated(data[link], LINKS[link])[rows].to_numpy()
    kind = codes.dtype.kind
    whole = kind in "iu" or (kind == "f" and bool(np.all(np.isfinite(codes)) and np.all(codes == np.floor(codes))))
    if whole and (not codes.size or (codes.min() >= 0 and codes.max() <= int(_MASK))):
        found = (_gathered(codes.astype(np.uint64)) - binding.number(link)) & _MASK
        if not found.size or found.max() < n:
            return found.astype(np.int64)
    raise _refused(f"'{link}' was computed with, or belongs to another list of spikes")


def _repeated(link: xr.DataArray, dims: tuple[str, ...]) -> xr.DataArray:
    """Return a link without the dimensions along which xarray has repeated it, as joining samples does."""
    for dim in [dim for dim in link.dims if dim not in dims]:
        if not link.sizes[dim]:
            raise _refused(f"'{link.name}' is empty along '{dim}'")
        first = link.isel({dim: 0}, drop=True)
        if not bool((link.variable == first.variable).all()):
            raise _refused(f"'{link.name}' differs along '{dim}'")
        link = first
    return link.transpose(*dims)


def _refused(because: str) -> StoreError:
    return StoreError(
        f"the spikes of these data are unknown: {because}",
        where="spikes",
        valid="samples, times and neurons chosen, repeated, reordered or joined, of a recording that eiplatform opened",
        remedy="choose first and compute with the signals afterwards; a Dataset from elsewhere, if it is whole: "
        "eiplatform.store.tie(data)",
    )
