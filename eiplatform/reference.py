"""Summaries of the reference circuits, small enough to ship: ``python -m eiplatform.reference``.

Each case is simulated for several seeds and reduced to every public statistic per population, under its
own key, to distributions, a correlation function and a spectrum, with their mean and spread over seeds.  A
user can then compare without simulating, and a test can tell whether a fresh simulation falls into the
seed-to-seed band.
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
from eiplatform.statistics import STATISTICS, summarise
from eiplatform.statistics.kernels import SpikeTrains, cv_isi, student
from eiplatform.store.hdf5 import load_netcdf
from eiplatform.store.references import read_reference, reference_file
from eiplatform.store.steps import match_time, step_in_ms

__all__ = ["CASES", "Case", "over_seeds", "shipped", "summarise_run", "write"]

# Half a hertz where most circuits fire; wider up to the limit that a refractory time of 2 ms sets.
_RATE_EDGES = np.concatenate([np.arange(0, 60, 0.5), np.arange(60, 505, 5)])
_CV_EDGES = np.arange(0, 2.05, 0.05)
_LAGS, _SEGMENT = np.arange(-50, 51), 512
INTERVALS = ("recorded", "step")
"""Intervals of the currents: as recorded, and a step of a network whose membranes keep half per step."""
_DECAY = 0.5


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
    xarray.Dataset, dims (population, interval, rate_bin, cv_bin, lag, frequency)
        Every public statistic under its key, as :func:`~eiplatform.statistics.summarise` gives it, at the
        recorded interval and, those of currents, at the one that matches a network's step
        (``interval_ms``; :func:`~eiplatform.store.steps.match_time`).  ``n_neurons``; mean currents;
        ``rate_histogram`` and ``cv_isi_histogram`` (at least 10 spikes); ``ei_correlogram`` of
        excitation and inhibition averaged over neurons (a positive lag: inhibition follows; NaN where a current is
        constant), with the excitation at a fixed voltage where conductances drive, else the recurrent
        one, else the whole; ``spectrum`` of the population's rate relative to that of as many Poisson neurons.
    """
    for name, data in populations.items():
        if data.attrs["duration"] < _SEGMENT:
            raise TooShortError(
                f"{data.attrs['duration']:g} ms are too short for a spectrum",
                where=name,
                valid=f"{_SEGMENT} ms or more",
            )
    rows = [_statistics(data).merge(_distributions(data)) for data in populations.values()]
    return xr.concat(rows, "population").assign_coords(
        population=list(populations),
        interval=list(INTERVALS),
        rate_bin=("rate_bin", _RATE_EDGES[:-1], {"units": "Hz", "long_name": "lower edge"}),
        cv_bin=("cv_bin", _CV_EDGES[:-1], {"long_name": "lower edge"}),
        lag=("lag", _LAGS, {"units": "ms"}),
        frequency=("frequency", np.fft.rfftfreq(_SEGMENT, 1e-3), {"units": "Hz"}),
    )


def _statistics(data: xr.Dataset) -> xr.Dataset:
    """Return every public statistic of one population."""
    keys = [key for key, entry in STATISTICS.items() if entry.shipped]
    parts = [data]
    if "current_exc" in data and "tau_membrane" in data.attrs:
        parts.append(match_time(data, step_in_ms(xr.Dataset(attrs={"membrane_decay": _DECAY}), data)))
    values = np.full((len(INTERVALS), len(keys)), np.nan)
    interval_ms = np.full(len(INTERVALS), np.nan)
    for place, part in enumerate(parts):
        values[place] = summarise(part, keys, n_bootstrap=1)["value"].values[0]
        interval_ms[place] = part.attrs["dt"]
    found = xr.Dataset({"interval_ms": ("interval", interval_ms)})
    for key, of_each in zip(keys, values.T, strict=True):
        found[key] = ((), of_each[0]) if "spikes" in STATISTICS[key].needs else ("interval", of_each)
    return found


def _distributions(data: xr.Dataset) -> xr.Dataset:
    """Return the distributions, the spectrum and the currents of one population."""
    duration, n = float(data.attrs["duration"]), int(data.attrs["n_neurons"])
    time, neuron = data["spike_time"].values, data["spike_neuron"].values
    trains = SpikeTrains.from_events(
        time, neuron, np.zeros(len(time), int), n_neurons=n, n_samples=1, duration=duration, units="ms"
    )
    rates = 1e3 * trains.counts[0] / duration
    with np.errstate(invalid="ignore"):
        cvs = cv_isi(trains, np.ones((1, 1)), min_spikes=10)[0]
    activity = trains.population_counts(1.0)[0]
    _, power = signal.welch(activity, fs=1e3, nperseg=_SEGMENT, detrend="constant")
    found = xr.Dataset(
        {
            "n_neurons": n,
            "rate_histogram": ("rate_bin", np.histogram(rates, _RATE_EDGES)[0] / n),
            "cv_isi_histogram": (
                "cv_bin",
                np.histogram(cvs[np.isfinite(cvs)], _CV_EDGES)[0] / max(np.isfinite(cvs).sum(), 1),
            ),
            # A Poisson process of rate r has the one-sided density 2 r at all frequencies.
            "spectrum": ("frequency", power / max(2 * activity.mean() * 1e-3, 1e-30)),
        }
    )
    if "current_exc" not in data:
        return found
    for name, values in data.data_vars.items():
        if "current" in str(name):
            found[name] = values.mean(dtype=np.float64)
    return found.assign(ei_correlogram=("lag", _correlogram(*(data[name].values[0] for name in _pair(data)))))


def _pair(data: xr.Dataset) -> tuple[str, str]:
    """Return the names of the excitation and inhibition of the correlogram, see :func:`summarise_run`."""
    if "current_exc_fixed" in data:
        return "current_exc_fixed", "current_inh_fixed"
    return "current_exc_recurrent" if "current_exc_recurrent" in data else "current_exc", "current_inh"


def _correlogram(exc: np.ndarray, inh: np.ndarray) -> np.ndarray:
    """Return the correlation of two currents (time, neuron), averaged over neurons first, at every lag."""
    a, b = (values.mean(axis=1, dtype=np.float64) for values in (exc, inh))
    a, b = a - a.mean(), b - b.mean()
    size, norm = len(a), np.sqrt((a**2).mean() * (b**2).mean()) or np.nan
    return np.array(
        [
            (a[max(0, -lag) : size - max(0, lag)] * b[max(0, lag) : size - max(0, -lag)]).mean() / norm
            for lag in _LAGS.tolist()
        ]
    )


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
        where n < 2.  And each statistic, with ``_seeds`` after its name, per seed (dims seed, population and,
        where it has one, interval).  Statistics without a value anywhere are left out.
    """
    stacked = xr.concat(list(runs), dim="seed")
    stacked = stacked.drop_vars([name for name, values in stacked.data_vars.items() if bool(values.isnull().all())])
    intervals = stacked.get("interval_ms")
    stacked = stacked.drop_vars("interval_ms", errors="ignore")
    mean, low, high, std, n = xr.apply_ufunc(
        lambda values: tuple(student(values, level, axis=-1)),
        stacked,
        input_core_dims=[["seed"]],
        output_core_dims=[[]] * 5,
    )
    for name in (name for name in low if name in STATISTICS):
        least, most = STATISTICS[name].bounds
        low[name], high[name] = low[name].clip(min=least), high[name].clip(max=most)
    parts = {"mean": mean.where(n > 1), "low": low, "high": high, "std": std, "n": n}
    result: xr.Dataset = xr.concat(list(parts.values()), dim="over_seeds").assign_coords(over_seeds=list(parts))
    for name, values in stacked.data_vars.items():
        if set(values.dims) <= {"seed", "population", "interval"}:
            result[f"{name}_seeds"] = values.transpose("seed", "population", ...)
    if intervals is not None:
        result["interval_ms"] = intervals.isel(seed=0, drop=True)
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
