"""Summaries of the reference circuits, small enough to ship: ``python -m eiplatform.reference``.

Each case is simulated for several seeds and reduced to statistics per population, distributions, a
correlation function and a spectrum, with their mean and spread over seeds.  A user can then compare
without simulating, and a test can tell whether a fresh simulation falls into the seed-to-seed band.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import signal

from eiplatform.errors import StoreError, TooShortError, choose
from eiplatform.files import content_hash, write_bytes
from eiplatform.microcircuits import load, simulate
from eiplatform.progress import stage
from eiplatform.statistics import STATISTICS
from eiplatform.statistics.kernels import SharedSums, SpikeTrains, count_synchrony, cv_isi, lv, student
from eiplatform.store.hdf5 import load_netcdf
from eiplatform.store.references import read_reference, reference_file

__all__ = ["CASES", "Case", "over_seeds", "shipped", "summarise_run", "write"]

SYNCHRONY_BIN_MS, SYNCHRONY_NEURONS = 3.0, 1000
# Half a hertz where most circuits fire; wider up to the limit that a refractory time of 2 ms sets.
_RATE_EDGES = np.concatenate([np.arange(0, 60, 0.5), np.arange(60, 505, 5)])
_CV_EDGES = np.arange(0, 2.05, 0.05)
_LAGS, _SEGMENT = np.arange(-50, 51), 512
_SAME = {"rate": "rate", "cv": "cv_isi", "lv": "lv", "synchrony": "synchrony"}
"""Variables and the public statistics whose values they are: they cannot leave the same bounds."""


@dataclass(frozen=True)
class Case:
    """One shipped summary.

    Attributes
    ----------
    circuit : str
    parameters : mapping
    seeds : int
        Seeds 1 to this.
    duration_ms, warmup_ms : float
    """

    circuit: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 10
    duration_ms: float = 10_000.0
    warmup_ms: float = 500.0


CASES: dict[str, Case] = {
    "brunel-2000-A": Case("brunel-2000", {"state": "A"}, warmup_ms=200.0),
    "brunel-2000-B": Case("brunel-2000", {"state": "B"}, warmup_ms=200.0),
    "brunel-2000-C": Case("brunel-2000", {"state": "C"}, warmup_ms=200.0),
    "brunel-2000-D": Case("brunel-2000", {"state": "D"}, warmup_ms=200.0),
    "chance-2002": Case("chance-2002", {"current_pa": 200.0}),
    "feedforward-inhibition": Case("feedforward-inhibition"),
    "isn": Case("isn"),
    "potjans-diesmann-2014-10": Case("potjans-diesmann-2014", {"scale": 0.1}),
    "potjans-diesmann-2014-100": Case("potjans-diesmann-2014"),
    "van-vreeswijk-sompolinsky": Case("van-vreeswijk-sompolinsky"),
    "vogels-abbott-2005-coba": Case("vogels-abbott-2005"),
    "vogels-abbott-2005-cuba": Case("vogels-abbott-2005", {"variant": "cuba"}),
}
"""Summaries by name; published parameters, but that Chance's cell needs a current to fire."""


def summarise_run(populations: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Reduce one run (one seed) to statistics per population.

    Parameters
    ----------
    populations : mapping of str to xarray.Dataset
        As :func:`~eiplatform.microcircuits.simulate` yields them, recorded at 1 ms.  Without signals
        (spikes only, from another simulator) the statistics of currents are left out.

    Returns
    -------
    xarray.Dataset, dims (population, rate_bin, cv_bin, lag, frequency)
        ``rate`` (Hz), ``cv`` (neurons with at least 50 spikes; fewer bias it) and ``lv`` (at least
        10), ``synchrony`` (variance over mean of counts in 3 ms of at most 1000 neurons, their
        number in ``n_synchrony``), mean currents, ``balance`` (net over excitatory), correlation over
        time of a neuron's excitation and inhibition (``ei_own``) and of different neurons'
        (``ei_cross``), NaN where a current is constant; the excitation is that at a fixed voltage
        where conductances drive, else the recurrent one, else (no recurrent one) the
        whole; histograms of rates and of CV (at least 10 spikes), the correlation function of the same
        two averaged over neurons (a positive lag: inhibition follows) and the spectrum
        of the population's rate relative to that of as many Poisson neurons.
    """
    for name, data in populations.items():
        if data.attrs["duration"] < _SEGMENT:
            raise TooShortError(
                f"{data.attrs['duration']:g} ms are too short for a spectrum",
                where=name,
                valid=f"{_SEGMENT} ms or more",
            )
    rows = {name: _population(data) for name, data in populations.items()}
    coords = {
        "population": list(rows),
        "rate_bin": ("rate_bin", _RATE_EDGES[:-1], {"units": "Hz", "long_name": "lower edge"}),
        "cv_bin": ("cv_bin", _CV_EDGES[:-1], {"long_name": "lower edge"}),
        "lag": ("lag", _LAGS, {"units": "ms"}),
        "frequency": ("frequency", np.fft.rfftfreq(_SEGMENT, 1e-3), {"units": "Hz"}),
    }
    dims = {"rates": "rate_bin", "cvs": "cv_bin", "ei_correlation": "lag", "spectrum": "frequency"}
    variables = {
        name: (
            ("population", dims[name]) if name in dims else ("population",),
            np.array([row[name] for row in rows.values()]),
        )
        for name in next(iter(rows.values()))
    }
    return xr.Dataset(variables, coords=coords)


def _population(data: xr.Dataset) -> dict[str, Any]:
    duration, n = float(data.attrs["duration"]), int(data.attrs["n_neurons"])
    time, neuron = data["spike_time"].values, data["spike_neuron"].values
    trains = SpikeTrains.from_events(
        time, neuron, np.zeros(len(time), int), n_neurons=n, n_samples=1, duration=duration, units="ms"
    )
    one = np.ones((1, 1))
    rates = 1e3 * trains.counts[0] / duration
    with np.errstate(invalid="ignore"):
        cvs = cv_isi(trains, one, min_spikes=10)[0]
    some = min(n, SYNCHRONY_NEURONS)
    kept = neuron < some
    subset = SpikeTrains.from_events(
        time[kept], neuron[kept], np.zeros(kept.sum(), int), n_neurons=some, n_samples=1, duration=duration, units="ms"
    )
    activity = trains.population_counts(1.0)[0]
    _, power = signal.welch(activity, fs=1e3, nperseg=min(_SEGMENT, len(activity)), detrend="constant")
    row: dict[str, Any] = {
        "n_neurons": n,
        "rate": rates.mean(),
        "cv": _mean(cv_isi(trains, one, min_spikes=50)[0]),
        "n_cv": int((trains.counts[0] >= 50).sum()),
        "lv": _mean(lv(trains, one, min_spikes=10)[0]),
        "synchrony": count_synchrony(one, SharedSums.from_trains(subset, SYNCHRONY_BIN_MS), some).mean(),
        "n_synchrony": some,
        "rates": np.histogram(rates, _RATE_EDGES)[0] / n,
        "cvs": np.histogram(cvs[np.isfinite(cvs)], _CV_EDGES)[0] / max(np.isfinite(cvs).sum(), 1),
        # A Poisson process of rate r has the one-sided density 2 r at all frequencies.
        "spectrum": power / max(2 * activity.mean() * 1e-3, 1e-30),
    }
    if "current_exc" in data:
        row |= _currents(data)
    return row


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else np.nan


def _pair(data: xr.Dataset) -> tuple[str, str]:
    """Return the names of the excitation and inhibition that are correlated, see :func:`summarise_run`."""
    if "current_exc_fixed" in data:
        return "current_exc_fixed", "current_inh_fixed"
    return "current_exc_recurrent" if "current_exc_recurrent" in data else "current_exc", "current_inh"


def _currents(data: xr.Dataset) -> dict[str, Any]:
    row: dict[str, Any] = {
        str(name): float(values.mean(dtype=np.float64))
        for name, values in data.data_vars.items()
        if "current" in str(name)
    }
    row["balance"] = row["current_net"] / row["current_exc"] if row["current_exc"] else np.nan
    exc, inh = (data[name].values[0].astype(float) for name in _pair(data))
    exc, inh = exc - exc.mean(axis=0), inh - inh.mean(axis=0)
    for name, shift in (("ei_own", 0), ("ei_cross", 1)):
        other = np.roll(inh, shift, axis=1)
        scale = np.sqrt((exc**2).mean(axis=0) * (other**2).mean(axis=0))
        varies = scale > 0
        row[name] = _mean((exc * other).mean(axis=0)[varies] / scale[varies])
    a, b = exc.mean(axis=1), inh.mean(axis=1)
    size = len(a)
    norm = np.sqrt((a**2).mean() * (b**2).mean()) or np.nan
    row["ei_correlation"] = np.array(
        [
            (a[max(0, -lag) : size - max(0, lag)] * b[max(0, lag) : size - max(0, -lag)]).mean() / norm
            for lag in _LAGS.tolist()
        ]
    )
    return row


def over_seeds(runs: Sequence[xr.Dataset], *, level: float = 0.95) -> xr.Dataset:
    """Return mean, interval of the mean (Student t) and standard deviation over seeds.

    Parameters
    ----------
    runs : sequence of xarray.Dataset
        From :func:`summarise_run`, at least two.
    level : float

    Returns
    -------
    xarray.Dataset
        Each variable with a dimension ``over_seeds``: mean, low (not below 0 where the variable cannot
        be), high, std, and n, the number of seeds with a value (a network that fell silent has no CV); NaN
        where n < 2.  And each statistic, with ``_seeds`` after its name, per seed (dims seed, population).
    """
    stacked = xr.concat(list(runs), dim="seed")
    mean, low, high, std, n = xr.apply_ufunc(
        lambda values: tuple(student(values, level, axis=-1)),
        stacked,
        input_core_dims=[["seed"]],
        output_core_dims=[[]] * 5,
    )
    low.update({name: low[name].clip(min=STATISTICS[key].bounds[0]) for name, key in _SAME.items() if name in low})
    parts = {"mean": mean.where(n > 1), "low": low, "high": high, "std": std, "n": n}
    result: xr.Dataset = xr.concat(list(parts.values()), dim="over_seeds").assign_coords(over_seeds=list(parts))
    for name, values in stacked.data_vars.items():
        if set(values.dims) == {"seed", "population"}:
            result[f"{name}_seeds"] = values.transpose("seed", "population")
    result.attrs |= {"n_seeds": len(runs), "level": level}
    return result


def shipped(name: str) -> xr.Dataset:
    """Return a shipped summary.

    Parameters
    ----------
    name : str
        One of :data:`CASES`.

    Returns
    -------
    xarray.Dataset
        See :func:`over_seeds`; attributes say how it was simulated.

    Raises
    ------
    UnknownNameError
        For another name.
    StoreError
        If the file is not there.

    Examples
    --------
    >>> rates = shipped("potjans-diesmann-2014-10").rate
    >>> low, high = rates.sel(population="L4E", over_seeds=["low", "high"]).values
    >>> bool(3.8 < low < high < 4.1)
    True
    """
    return read_reference(reference_file(choose(name, CASES, "summary")))


def write(name: str, case: Case, folder: Path, *, jobs: int = 1, keep: Path | None = None) -> Path:
    """Simulate a case and write its summary.

    Parameters
    ----------
    name : str
        Name of the file, without ending.
    case : Case
    folder : Path
    jobs : int
        Simulations at the same time.
    keep : Path, optional
        Folder for the statistics of each seed as soon as it is done; seeds that are there already are
        not simulated again, so that a long case can be stopped at any time.

    Raises
    ------
    StoreError
        If a kept seed is of another circuit, other parameters or times.
    """
    circuit = load(case.circuit, case.parameters)
    identity = content_hash([circuit.name, circuit.to_mapping(), case.duration_ms, case.warmup_ms])
    seeds = range(1, case.seeds + 1)
    places = {seed: keep / f"{name}-{seed}.nc" for seed in seeds} if keep else {}
    summaries = {seed: _kept(place, identity) for seed, place in places.items() if place.exists()}
    if missing := [seed for seed in seeds if seed not in summaries]:
        with stage(f"simulating {name}") as update:
            runs = simulate(
                circuit,
                seeds=missing,
                duration_ms=case.duration_ms,
                warmup_ms=case.warmup_ms,
                jobs=jobs,
                progress=lambda fraction, message: update(round(1000 * fraction), 1000, message),
            )
            for seed, populations in runs:
                summaries[seed] = summarise_run(populations).assign_attrs(identity=identity)
                if seed in places:
                    write_bytes(places[seed], summaries[seed].to_netcdf(engine="h5netcdf"))
    result = over_seeds([summaries[seed].drop_attrs(deep=False) for seed in seeds])
    result.attrs |= {
        "circuit": circuit.name,
        "reference": circuit.reference,
        "parameters": json.dumps(circuit.to_mapping()),
        "duration_ms": case.duration_ms,
        "warmup_ms": case.warmup_ms,
        "seeds": f"1 to {case.seeds}",
        "current_units": circuit.current_units,
    }
    path = folder / f"{name}.nc"
    folder.mkdir(parents=True, exist_ok=True)
    encoding = {
        str(variable): {"dtype": "float32", "zlib": True, "complevel": 9, "shuffle": True}
        for variable in result.data_vars
    }
    result.to_netcdf(path, engine="h5netcdf", encoding=encoding)
    return path


def _kept(place: Path, identity: str) -> xr.Dataset:
    summary = load_netcdf(place)
    if summary.attrs.get("identity") != identity:
        raise StoreError(
            "a kept seed is of another circuit, other parameters or other times",
            where=str(place),
            remedy=("delete it", "name another folder with --keep"),
        )
    return summary


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the chosen summaries."""
    parser = argparse.ArgumentParser(
        prog="python -m eiplatform.reference", description="Simulate circuits and write their summaries."
    )
    parser.add_argument("--out", type=Path, default=Path("data/reference"))
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", type=int, help="number of seeds instead of the case's own")
    parser.add_argument("--duration-ms", type=float, help="recorded time instead of the case's own")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the statistics of each seed, from which to go on")
    chosen = parser.parse_args(arguments)
    for name in chosen.cases:
        case = CASES[name]
        case = Case(
            case.circuit,
            case.parameters,
            chosen.seeds or case.seeds,
            chosen.duration_ms or case.duration_ms,
            case.warmup_ms,
        )
        write(name, case, chosen.out, jobs=chosen.jobs, keep=chosen.keep)


if __name__ == "__main__":
    main()
