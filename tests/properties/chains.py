"""What xarray can do to a population, one step at a time, and the dense truth that goes through the same steps.

The truth are ordinary arrays in the same Dataset (``truth``: spikes per sample, time, neuron and part of
an interval; ``truth_all`` for all neurons; ``when``: step of the recording; ``who``: neuron), so that xarray
itself says what was chosen.
"""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from eiplatform.store.schema import population_dataset

__all__ = ["PARTS", "STEPS", "circuit", "network"]

PARTS = 4
"""Parts of an interval: the spikes of a circuit are finer in time than its currents."""
Rng = np.random.Generator


def _with_truth(data: xr.Dataset, counts: np.ndarray, neuron: np.ndarray) -> xr.Dataset:
    when = np.broadcast_to(np.arange(data.sizes["time"], dtype=float), (data.sizes["sample"], data.sizes["time"]))
    return data.assign(
        truth=(("sample", "time", "neuron", "part"), counts[:, :, neuron].astype(float)),
        truth_all=(("sample", "time", "unit", "part"), counts.astype(float)),
        when=(("sample", "time"), when.copy()),
        who=("neuron", neuron.astype(float)),
    )


def circuit(seed: int, n_samples: int = 3, n_time: int = 60, n_all: int = 6) -> xr.Dataset:
    """Return a circuit with spikes as events of six neurons, the currents of four of which were recorded."""
    rng, neuron = np.random.default_rng(seed), np.array([1, 2, 3, 5])
    counts = rng.random((n_samples, n_time, n_all, PARTS)) < rng.choice([0.0, 0.1, 0.3], n_all)[:, None]
    counts[:, :, 1] = rng.random((n_samples, n_time, PARTS)) < 0.2
    sample, step, who, part = np.nonzero(counts)
    ids = np.array([7, 3, 9, 11][:n_samples])
    exc = rng.gamma(3.0, size=(n_samples, n_time, len(neuron)))
    order = rng.permutation(sample.size)
    data = population_dataset(
        {"current_exc": exc, "current_inh": 0.5 * exc + rng.gamma(1.0, size=exc.shape)},
        sample=ids, time=np.arange(n_time, dtype=float), neuron=neuron, dt=1.0, time_units="ms", current_units="mV",
        n_neurons=n_all, role="E", attrs={"duration": float(n_time), "refractory": 0.25},
        events={"spike_time": (step + (part + 0.5) / PARTS)[order], "spike_neuron": who[order],
                "spike_sample": ids[sample][order]},
    )  # fmt: skip
    return _with_truth(data, counts, neuron)


def network(seed: int, n_samples: int = 3, n_time: int = 60, n_neurons: int = 4) -> xr.Dataset:
    """Return a network with dense spikes."""
    rng = np.random.default_rng(seed)
    spikes = rng.random((n_samples, n_time, n_neurons)) < rng.choice([0.05, 0.3, 0.6], n_neurons)
    exc = rng.gamma(3.0, size=spikes.shape)
    data = population_dataset(
        {"current_exc": exc, "current_inh": 0.5 * exc + rng.gamma(1.0, size=exc.shape), "spikes": spikes},
        sample=np.array([7, 3, 9, 11][:n_samples]), time=np.arange(n_time), neuron=10 + np.arange(n_neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=64, role="E",
    )  # fmt: skip
    return _with_truth(data, spikes[..., None], np.arange(n_neurons))


def _dim(rng: Rng) -> str:
    return str(rng.choice(["sample", "time", "neuron"]))


def _some(data: xr.Dataset, rng: Rng, dim: str, replace: bool = True) -> np.ndarray:
    n = data.sizes[dim]
    return rng.choice(n, rng.integers(1, n + 1), replace=replace)


def _slice(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dim = _dim(rng)
    start = int(rng.integers(0, max(1, data.sizes[dim] // 3)))
    return data.isel({dim: slice(start, None if rng.random() < 0.5 else data.sizes[dim] - int(rng.integers(0, 2)))})


def _stride(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    return data.isel({_dim(rng): slice(None, None, int(rng.choice([2, 3, -1])))})


def _drawn(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dim = _dim(rng)
    return data.isel({dim: _some(data, rng, dim)})


def _cut(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    low, high = sorted(rng.choice(data["time"].values, 2))
    return data.sel(time=slice(low, max(high, low + 50)))


def _renumbered(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dim = _dim(rng)
    return data.assign_coords({dim: rng.permutation(data.sizes[dim]) if dim != "time" else np.arange(data.sizes[dim])})


def _joined(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dim = _dim(rng)
    parts = [data.isel({dim: [int(index)]}) for index in _some(data, rng, dim)[:5]]
    options = [{}, {"data_vars": "minimal", "coords": "minimal", "compat": "override"}, {"data_vars": "all"}]
    return xr.concat(parts, dim, **options[rng.integers(3)])


def _pieces_of_time(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    at = int(rng.integers(1, data.sizes["time"]))
    parts = [data.isel(time=slice(0, at)), data.isel(time=slice(at + int(rng.integers(0, 2)), None))]
    return xr.concat(parts if rng.random() < 0.7 else parts[::-1], "time")


def _where(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dim = _dim(rng)
    condition = xr.DataArray(rng.random(data.sizes[dim]) < 0.9, dims=dim)
    return data.where(condition, drop=bool(rng.random() < 0.6))


def _where_all(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    return data.where(data["current_exc"] > (-1 if rng.random() < 0.5 else 1))


def _grouped(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    grouped = data.assign_coords(label=("sample", rng.integers(0, 2, data.sizes["sample"]))).groupby("label")
    return grouped.map(lambda part: part) if rng.random() < 0.5 else next(iter(grouped))[1]


def _coarse(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    coarse = data.coarsen({_dim(rng): int(rng.integers(1, 4))}, boundary="trim")
    return coarse.mean() if rng.random() < 0.5 else coarse.sum()


def _computed(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    with xr.set_options(keep_attrs=True):
        made = [
            lambda: data * 2,
            lambda: data + 1,
            lambda: data * 1,
            lambda: -data,
            lambda: data + data,
            lambda: data.fillna(0),
            lambda: data.clip(0, 1),
            lambda: data.round(),
            lambda: data.cumsum("time"),
            lambda: data.diff("time"),
            lambda: data.rolling(time=3, min_periods=1).sum(),
            lambda: data.rank("time"),
            lambda: data.map(np.abs),
            lambda: data.mean(_dim(rng)),
        ]
        return made[rng.integers(len(made))]()


def _typed(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    return data.astype(str(rng.choice(["float64", "float32", "float16", "int64", "int32", "bool", "complex128"])))


def _moved(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dim, by = _dim(rng), int(rng.integers(-3, 4))
    return data.shift({dim: by}) if rng.random() < 0.4 else data.roll({dim: by}, roll_coords=bool(rng.random() < 0.5))


def _sorted(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    return data.sortby(_dim(rng), ascending=bool(rng.random() < 0.5))


def _padded(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    mode = str(rng.choice(["constant", "edge", "wrap", "reflect"]))
    return data.pad({_dim(rng): int(rng.integers(0, 3))}, mode=mode)


def _interpolated(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dim = _dim(rng)
    values = data[dim].values
    places = values[: max(1, len(values) - 1)] + rng.choice([0.0, 0.5])
    return data.interp({dim: places}) if rng.random() < 0.5 else data.reindex({dim: places}, method="nearest")


def _reindexed(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dim = _dim(rng)
    values = rng.permutation(data[dim].values)
    return data.reindex({dim: values if rng.random() < 0.7 else np.append(values, 999)})


def _shaped(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    made = [
        lambda: data.transpose(*rng.permutation(["sample", "time", "neuron"]), ...),
        lambda: data.stack(z=("sample", "time")).unstack("z"),
        lambda: data.stack(z=("neuron", "time")),
        lambda: data.isel(sample=[0]).squeeze("sample").expand_dims("sample"),
        lambda: data.isel(sample=0).expand_dims(sample=2),
        lambda: data.rename(sample="trials").rename(trials="sample"),
        lambda: data.rename(time="t"),
        lambda: xr.broadcast(data, exclude=["spike", "trial", "unit", "part"])[0],
        lambda: (
            data.assign_coords(other=("sample", rng.permutation(data.sizes["sample"])))
            .swap_dims(sample="other")
            .drop_vars("sample")
            .rename(other="sample")
        ),
    ]
    return made[rng.integers(len(made))]()


def _dropped(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    names = ["sample", "time", "neuron", "spike_interval", "spike_identity", "spike_time", "spike_trial", "current_exc"]
    return data.drop_vars(str(rng.choice(names)), errors="ignore")


def _few(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    dims = {
        dim: max(1, data.sizes[dim] - 1) for dim in ("sample", "time", "neuron", "spike", "trial") if dim in data.dims
    }
    dim = str(rng.choice(list(dims)))
    return data.head({dim: dims[dim]}) if rng.random() < 0.5 else data.thin({dim: 2})


def _merged(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    names = rng.permutation(list(data.data_vars))
    half = len(names) // 2
    merged = xr.merge([data[list(names[:half])], data[list(names[half:])], data])
    return merged.assign_attrs(data.attrs)


def _stored(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    with tempfile.TemporaryDirectory() as place:
        if rng.random() < 0.5:
            data.to_netcdf(Path(place) / "data.nc", engine="h5netcdf")
            return xr.load_dataset(Path(place) / "data.nc", engine="h5netcdf")
        data.to_zarr(Path(place) / "data.zarr", consolidated=False)
        return xr.open_zarr(Path(place) / "data.zarr", consolidated=False).load()


def _copied(data: xr.Dataset, rng: Rng) -> xr.Dataset:
    made = [
        lambda: pickle.loads(pickle.dumps(data)),
        lambda: copy.deepcopy(data),
        lambda: data.chunk({"time": 20}),
        lambda: data.load(),
        lambda: data.copy(),
        lambda: xr.DataTree.from_dict({"E": data})["E"].to_dataset(),
        lambda: xr.Dataset(dict(data.data_vars), dict(data.coords), data.attrs),
    ]
    return made[rng.integers(len(made))]()


STEPS: dict[str, Callable[[xr.Dataset, Rng], xr.Dataset]] = {
    step.__name__.strip("_"): step
    for step in (
        *(_slice, _stride, _drawn, _cut, _renumbered, _joined, _pieces_of_time, _where, _where_all, _grouped),
        *(_coarse, _computed, _typed, _moved, _sorted, _padded, _interpolated, _reindexed, _shaped, _dropped),
        *(_few, _merged, _stored, _copied),
    )
}
