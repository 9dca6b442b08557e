"""Whatever xarray does to a population, a statistic is that of the data that are left, or an error.

2 000 chains: ``EIPLATFORM_CHAINS=2000 python -m pytest -s tests/properties/test_selection.py``.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import eiplatform.statistics  # noqa: F401  (registers .ei)
from eiplatform.errors import EIPlatformError
from tests.examples import examples
from tests.properties.chains import PARTS, STEPS, circuit, network

CHAINS = int(os.environ.get("EIPLATFORM_CHAINS", "120"))
OUTCOMES: Counter[str] = Counter()


def dense(data: xr.Dataset, name: str, dims: tuple[str, ...]) -> np.ndarray | None:
    """Return one of the truths, or None if the data have no such truth any more."""
    if name not in data:
        return None
    values = data[name]
    for dim in sorted(set(values.dims) - set(dims)):  # repeated by xarray along another dimension
        first = values.isel({dim: 0}, drop=True)
        if not bool((values.variable == first.variable).all()):
            return None
        values = first
    if set(values.dims) != set(dims):
        return None
    array = values.transpose(*dims).values
    return array.astype(float) if array.dtype.kind in "biuf" else None


def spikes(data: xr.Dataset) -> np.ndarray | None:
    """Spikes per (sample, time, neuron, part): of all neurons, unless some of the recorded ones were left out."""
    if "spikes" in data:
        held = dense(data, "spikes", ("sample", "time", "neuron"))
        return None if held is None else held[..., None]
    who = dense(data, "who", ("neuron",))
    if who is None:
        return None
    if who.size == 4 and len(set(who.tolist())) == 4:
        return dense(data, "truth_all", ("sample", "time", "unit", "part"))
    return dense(data, "truth", ("sample", "time", "neuron", "part"))


def trains(counts: np.ndarray) -> list[list[list[float]]]:
    """Times of spikes by sample and neuron, one loop after the other."""
    found = []
    for sample in counts:
        found.append([])
        for neuron in range(counts.shape[2]):
            times = []
            for step in range(counts.shape[1]):
                for part in range(counts.shape[3]):
                    offset = (part + 0.5) / PARTS if counts.shape[3] > 1 else 0.0
                    times += [step + offset] * int(sample[step, neuron, part])
            found[-1].append(times)
    return found


def mean_or_nan(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def rate(data: xr.Dataset, counts: np.ndarray) -> np.ndarray:
    return counts.sum(axis=3).mean(axis=(0, 1)) * (1.0 if data.attrs["dt_units"] == "step" else 1000.0)


def dead(data: xr.Dataset, counts: np.ndarray) -> np.ndarray:
    return (counts == 0).all(axis=(0, 1, 3)).astype(float)  # spikes with signs do not cancel


def weighted_cv(x: np.ndarray, weight: np.ndarray) -> float:
    mean = np.average(x, weights=weight)
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.average((x - mean) ** 2, weights=weight)) / mean)


def lv(data: xr.Dataset, counts: np.ndarray) -> np.ndarray:
    terms: list[list[float]] = [[] for _ in range(counts.shape[2])]
    for sample in trains(counts):
        for neuron, times in enumerate(sample):
            x = np.diff(times) if len(times) >= 4 else np.zeros(0)
            for a, b in zip(x[:-1], x[1:], strict=True):
                terms[neuron] += [3 * ((a - b) / (a + b)) ** 2] if a + b > 0 else []
    return np.array([mean_or_nan(values) for values in terms])


def cv(data: xr.Dataset, counts: np.ndarray) -> np.ndarray:
    of_neuron: list[list[float]] = [[] for _ in range(counts.shape[2])]
    for sample in trains(counts):
        for neuron, times in enumerate(sample):
            if len(times) >= 4:
                x = np.diff(times)
                n, weight = len(x), counts.shape[1] / (counts.shape[1] - x)
                left_out = [weighted_cv(np.delete(x, k), np.delete(weight, k)) for k in range(n)]
                value = n * weighted_cv(x, weight) - (n - 1) * np.mean(left_out)
                # Without the only interval longer than 0 there is no CV, hence no jackknife.
                of_neuron[neuron] += [max(value, 0.0)] if np.isfinite(value) else []
    return np.array([mean_or_nan(values) for values in of_neuron])


def fano(data: xr.Dataset, counts: np.ndarray) -> np.ndarray:
    n = counts.shape[1] // 3
    found = []
    for neuron in range(counts.shape[2]):
        variance, mean = [], []
        for sample in counts:
            windows = [sample[3 * index : 3 * index + 3, neuron].sum() for index in range(n)]
            variance.append(np.var(windows, ddof=1))
            mean.append(np.mean(windows))
        found.append(np.mean(variance) / np.mean(mean) if np.mean(mean) > 0 else np.nan)
    return np.array(found)


def ratio(data: xr.Dataset, _: np.ndarray) -> np.ndarray:
    exc, inh = (dense(data, f"current_{sign}", ("sample", "time", "neuron")) for sign in ("exc", "inh"))
    means = [part.mean(axis=(0, 1)) for part in (exc, inh)]
    # A neuron without excitation, or without inhibition, has no ratio (docs/statistics/ei_ratio.md).
    return np.where((means[0] > 0) & (means[1] > 0), means[0] / means[1], np.nan)


def correlation(data: xr.Dataset, _: np.ndarray) -> np.ndarray:
    exc, inh = (dense(data, f"current_{sign}", ("sample", "time", "neuron")) for sign in ("exc", "inh"))
    of_sample = [
        [np.corrcoef(exc[sample, :, neuron], inh[sample, :, neuron])[0, 1] for neuron in range(exc.shape[2])]
        for sample in range(exc.shape[0])
    ]
    return np.array([mean_or_nan([r for r in column if np.isfinite(r)]) for column in zip(*of_sample, strict=True)])


STATISTICS = {
    "rate": (lambda d: d.ei.rate(), rate, "spikes"),
    "dead": (lambda d: d.ei.dead_fraction(), dead, "spikes"),
    "cv": (lambda d: d.ei.cv_isi(min_spikes=4), cv, "times of spikes"),
    "lv": (lambda d: d.ei.lv(min_spikes=4), lv, "times of spikes"),
    "fano": (lambda d: d.ei.fano_factor(window=3), fano, "times of spikes"),
    "ratio": (lambda d: d.ei.ei_ratio(), ratio, "currents"),
    "correlation": (lambda d: d.ei.ei_correlation(over="time"), correlation, "times"),
}


def gaps(data: xr.Dataset, kind: str) -> bool:
    """Whether the data say, or the recording knew, that the times do not follow one another."""
    time = np.asarray(data["time"].values, dtype=float) if "time" in data.coords else np.zeros(2)
    broken = time.size > 1 and bool((np.abs(np.diff(time) - 1) > 1e-3).any())
    if kind == "times" or "spikes" in data:
        return broken
    when = dense(data, "when", ("sample", "time"))
    return broken or when is None or (when.shape[1] > 1 and bool((np.diff(when, axis=1) != 1).any()))


def check(data: xr.Dataset, told: str) -> None:
    """Compare every statistic with the loops."""
    for name, (measure, truth, kind) in STATISTICS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                # A lazy cast to another type and back warns when it is read, not in its step of the chain.
                warnings.filterwarnings("ignore", category=np.exceptions.ComplexWarning)
                warnings.filterwarnings("ignore", ".* encountered in cast", RuntimeWarning)
                found = measure(data).values
        except EIPlatformError:
            OUTCOMES["refused"] += 1
            continue
        needed = (
            dense(data, "current_exc", ("sample", "time", "neuron")) if kind in ("currents", "times") else spikes(data)
        )
        where = f"{name} after {told}"
        assert needed is not None and np.isfinite(needed).all(), f"{where}: {found} of data that have no such value"
        if kind.startswith("times"):
            assert not gaps(data, kind), f"{where}: {found} across gaps"
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = truth(data, needed)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7, err_msg=where)
        OUTCOMES["right"] += 1


@pytest.mark.parametrize("make", [circuit, network])
@examples(CHAINS // 2)
@given(
    seed=st.integers(0, 20), steps=st.lists(st.tuples(st.sampled_from(list(STEPS)), st.integers(0, 2**20)), max_size=6)
)
def test_statistics_are_of_the_data_that_are_left(make, seed, steps):
    data, done = make(seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, drawn in steps:
            try:
                data = STEPS[name](data, np.random.default_rng(drawn))
            except Exception:  # noqa: BLE001, S112  (xarray refuses some steps; the chain goes on without)
                continue
            done.append(name)
    check(data, f"{make.__name__}({seed}) {', '.join(done) or 'nothing'}")


@pytest.mark.parametrize("make", [circuit, network])
@pytest.mark.parametrize("name", list(STEPS))
def test_every_step_alone(make, name):
    """Every step, thrice, so that none is left out of a quick run; and it does something to the data."""
    worked = 0
    for drawn in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                data = STEPS[name](make(drawn), np.random.default_rng(drawn))
            except Exception:  # noqa: BLE001, S112
                continue
        worked += 1
        check(data, f"{make.__name__}({drawn}) {name}")
    assert worked


@pytest.mark.parametrize("make", [circuit, network])
@pytest.mark.parametrize("dim", ["sample", "neuron"])
def test_repeats_count_as_often_as_they_are_chosen(make, dim):
    for chosen in ([0, 0], [2, 0, 2, 2], [1], [2, 1, 0]):
        before = OUTCOMES["right"]
        check(make(3).isel({dim: chosen}), f"{make.__name__} {dim} {chosen}")
        assert OUTCOMES["right"] - before == len(STATISTICS)


@pytest.mark.parametrize("make", [circuit, network])
@pytest.mark.parametrize("part", [slice(0, 55), slice(3, 57), slice(4, None)], ids=str)
def test_a_part_of_the_time_has_no_spikes_of_the_rest(make, part):
    before = OUTCOMES["right"]
    check(make(3).isel(time=part), f"{make.__name__} {part}")
    assert OUTCOMES["right"] - before == len(STATISTICS)


def test_most_selections_are_measured_not_refused():
    """An error for everything would pass: the steps that only choose must give values."""
    for make in (circuit, network):
        for name in ("slice", "drawn", "renumbered", "joined", "grouped", "sorted", "stored", "copied", "merged"):
            values = [np.isfinite(_rate(make, name, drawn)).all() for drawn in range(4)]
            assert any(values), name


def _rate(make, name, drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = STEPS[name](make(1), np.random.default_rng(drawn))
    try:
        return data.ei.rate().values
    except EIPlatformError:
        return np.array([np.nan])


@pytest.fixture(scope="module", autouse=True)
def _tell():
    yield
    print(f"\n{CHAINS} chains, values: {dict(OUTCOMES)}")
