"""Firing beside measured cortex: known distributions, the measured definition of synchrony, refusals."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import eiplatform as ei
from eiplatform.analyses.parts.cortex_values import hz_per_spike
from eiplatform.errors import ConfigError, StatisticError, UnknownNameError
from eiplatform.store.measured import Distribution, measured
from tests.conftest import write_circuit

NAME = "mouse-v1-neuropixels"
ROOT = Path(__file__).parents[2]


def spikes(rng: np.random.Generator, rates: np.ndarray, *, samples: int = 1, seconds: float = 10.0) -> np.ndarray:
    """Return the counts per ms of independent Poisson neurons, shape (sample, time, neuron)."""
    return rng.poisson(rates * 1e-3, (samples, round(1000 * seconds), len(rates))).astype(np.int8)


def lognormal(rng: np.random.Generator, n: int, median: float, sd: float) -> np.ndarray:
    return np.exp(rng.normal(np.log(median), sd, n))


def rows(result: ei.Result) -> pd.DataFrame:
    return result.data.to_dataframe()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("made", ROOT / "data" / "measured" / "mouse_v1_neuropixels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def poisson() -> ei.Result:
    """A population that fires as one class was measured to, and an inhibitory one four times as fast."""
    rng = np.random.default_rng(3)
    there = next(one for one in measured(NAME).chosen("spontaneous", "rate", "E") if one.layer == "L4")
    assert there.log_sd is not None
    exc, inh = (lognormal(rng, n, there.median * times, there.log_sd) for n, times in ((400, 1.0), (150, 4.0)))
    made = {"E": {"spikes": spikes(rng, exc, seconds=30)}, "I": {"spikes": spikes(rng, inh, seconds=30)}}
    return ei.compare(ei.from_arrays(populations=made, dt=1.0), NAME)


def test_the_very_class_shows_no_difference_and_others_do(poisson: ei.Result) -> None:
    found = rows(poisson)
    own = found[(found["population"] == "E") & (found["condition"] == "spontaneous")].set_index(["statistic", "layer"])
    assert own.loc[("rate", "L4"), "verdict"] == "within the band"
    assert own.loc[("rate_log_sd", "L4"), "verdict"] == "no difference found"
    assert own.loc[("rate", "L4"), "share_within"] == pytest.approx(0.9, abs=0.06)
    assert own.loc[("rate", "L4"), "low"] < own.loc[("rate", "L4"), "reference_value"] < own.loc[("rate", "L4"), "high"]
    assert own.loc[("rate_log_sd", "L6"), "verdict"] == "smaller"
    ratio = found[(found["statistic"] == "rate_ratio") & (found["condition"] == "spontaneous")].set_index("layer")
    assert ratio.loc["L4", "value"] == pytest.approx(4, rel=0.3)
    assert ratio["verdict"].to_dict() == {
        "L2/3": "smaller",
        "L4": "no difference found",
        "L5": "larger",
        "L6": ratio.loc["L6", "verdict"],
    }


def test_independent_neurons_have_the_fano_factor_of_windows_with_ddof_zero(poisson: ei.Result) -> None:
    found = rows(poisson)
    own = found[(found["statistic"] == "synchrony") & (found["condition"] == "spontaneous")].set_index("bin_ms")
    bins = (1800 // own.index).to_numpy()
    error = (own["high"] - own["low"]).to_numpy()
    assert (np.abs(own["value"] - (bins - 1) / bins) < error).all()
    assert set(own["verdict"]) == {"within the band"}


def test_the_fano_factor_is_that_of_counts_drawn_by_hand() -> None:
    rng = np.random.default_rng(5)
    drive = 1 + 0.8 * np.sin(np.arange(5400) / 60)  # shared by all neurons
    made = (rng.random((1, 5400, 70)) < 0.01 * drive[None, :, None]).astype(np.int8)
    own = ei.from_arrays(spikes=made, dt=1.0, population="E")
    found = rows(ei.compare(own, NAME))
    for width in (26, 78, 234):
        n = 1800 // width
        counts = made[0].sum(axis=1).reshape(3, 1800)[:, : n * width].reshape(3, n, width).sum(axis=2)
        by_hand = counts.var(axis=1).mean() / counts.mean()
        value = found[(found["statistic"] == "synchrony") & (found["bin_ms"] == width)]["value"].iloc[0]
        assert value == pytest.approx(by_hand, rel=1e-9)
        assert value > 2


def test_a_homogeneous_population_is_narrower_and_a_fast_one_lies_above() -> None:
    rng = np.random.default_rng(1)
    found = rows(ei.compare(ei.from_arrays(spikes=spikes(rng, np.full(100, 40.0)), dt=1.0, population="E"), NAME))
    assert set(found.loc[found["statistic"] == "rate", "verdict"]) == {"above the band"}
    assert set(found.loc[found["statistic"] == "rate_log_sd", "verdict"]) == {"smaller"}
    assert set(found.loc[found["statistic"] == "rate_log_sd", "caution"]) == {""}


def test_equal_populations_are_called_different_as_rarely_as_the_level_says() -> None:
    there = measured(NAME).chosen("spontaneous", "rate", "E")[1]
    assert there.log_sd is not None
    assert there.log_sd_interval is not None
    width = there.log_sd_interval[1] - there.log_sd_interval[0]
    different = 0
    for draw in range(30):
        rng = np.random.default_rng([7, draw])
        rates = lognormal(
            rng, 300, there.median, rng.normal(there.log_sd, 0.033)
        )  # the measured value has an error too
        events = [np.linspace(0, 1e5, round(rate * 100) + 2)[1:-1] for rate in rates]
        own = ei.from_arrays(spikes=events, dt=1e4, duration=1e5, population="E")
        found = rows(ei.compare(own, NAME, n_bootstrap=200))
        one = found[(found["statistic"] == "rate_log_sd") & (found["reference"] == there.name)].iloc[0]
        different += abs(one["value"] - there.log_sd) > np.hypot(one["high"] - one["low"], width) / 2
        assert one["verdict"] == "no difference found" or one["p"] <= 0.05
    assert different <= 5  # of 30 at 5 %: more has a chance of 1 in 300


def test_rare_and_silent_neurons_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(2)
    rates = np.concatenate([np.full(40, 5.0), np.zeros(7)])
    made = spikes(rng, rates, seconds=100)
    made[:, :, 47 - 7] = 0
    made[0, [5, 500, 900], 40] = 1  # 0.03 Hz
    found = rows(ei.compare(ei.from_arrays(spikes=made, dt=1.0, population="E"), NAME))
    one = found[found["statistic"] == "rate"].iloc[0]
    assert (one["n"], one["n_below_floor"]) == (40, 7)


def test_a_network_is_compared_by_the_length_of_its_step_and_not_in_bins() -> None:
    made = (np.random.default_rng(0).random((20, 50, 80)) < np.linspace(0.01, 0.5, 80)).astype(np.int8)
    network = ei.from_arrays(spikes=made, dt=1, time_units="step", population="E", membrane_decay=0.5)
    short, long = (rows(ei.analyse("measured_cortex", [network], membrane_ms=ms)) for ms in (10.0, 20.0))
    rate = [one[one["statistic"] == "rate"]["value"].iloc[0] for one in (short, long)]
    assert rate[0] == pytest.approx(2 * rate[1], rel=1e-6)
    spread = [one[one["statistic"] == "rate_log_sd"]["value"].iloc[0] for one in (short, long)]
    assert spread[0] == pytest.approx(spread[1], rel=1e-9)
    assert set(long[long["statistic"] == "synchrony"]["verdict"]) == {"not compared"}
    population = network["E"].to_dataset()
    assert hz_per_spike(population.assign_attrs(dt=4.0), 20.0) == hz_per_spike(population, 20.0)


def test_realisations_of_a_circuit_have_neurons_of_their_own(tmp_path: Path) -> None:
    found = rows(ei.compare(write_circuit(tmp_path / "c"), NAME))
    one = found[found["statistic"] == "rate"].iloc[0]
    data = ei.open(tmp_path / "c")["E"].to_dataset()
    assert one["n"] + one["n_below_floor"] == 3 * int(data.attrs["n_neurons"])


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    own = ei.from_arrays(spikes=spikes(np.random.default_rng(0), np.full(20, 9.0), seconds=1), dt=1.0, population="E")
    found = rows(ei.compare(own, NAME))
    reasons = found[found["statistic"] == "synchrony"]["reason"].unique()
    assert len(reasons) == 1
    assert "70" in reasons[0]
    with pytest.raises(UnknownNameError) as unknown:
        ei.analyse("measured_cortex", [own], to="mouse-v1")
    assert NAME in unknown.value.valid
    with pytest.raises(UnknownNameError) as condition:
        ei.analyse("measured_cortex", [own], condition="asleep")
    assert condition.value.valid == "drifting gratings, spontaneous"
    with pytest.raises(StatisticError):
        ei.analyse("measured_cortex", [own], membrane_ms=0.0)
    with pytest.raises(ConfigError):
        ei.compare(own, [NAME, "brunel-2000-C"])


def test_the_script_gives_quantiles_of_what_is_above_the_floor(script: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rates = np.concatenate([lognormal(rng, 200, 2.0, 1.0), [0.01, 0.0]])
    lines = [f'{n} "L4 Exc" {rate} {2 * rate}' for n, rate in enumerate(rates)]
    lines += [f'{n} "L4 SST" 1.0 1.0' for n in range(29)]  # too few
    (tmp_path / "units.csv").write_text("\n".join(['id cell_type firing_rate_sp "Ave_Rate(Hz)"', *lines]))
    gratings, spontaneous = (Distribution.model_validate(one) for one in script.rates(tmp_path / "units.csv"))
    kept = rates[rates >= 0.05]
    assert (spontaneous.n, spontaneous.n_below_floor) == (200, 2)
    assert spontaneous.median == pytest.approx(np.median(kept), abs=1e-4)
    assert spontaneous.band == pytest.approx(np.quantile(kept, [0.05, 0.95]), abs=1e-4)
    assert gratings.log_sd == pytest.approx(np.log(kept).std(ddof=1), abs=1e-4)
    low, high = spontaneous.log_sd_interval or (0, 0)
    assert high - low == pytest.approx(3.92 / np.sqrt(400), rel=0.25)  # of a normal distribution


def test_the_script_refuses_other_files(script: ModuleType, tmp_path: Path) -> None:
    for name in script.FILES:
        (tmp_path / name).write_text("other")
    with pytest.raises(SystemExit):
        script.checked(tmp_path)


def test_the_shipped_file_names_the_files_of_the_script(script: ModuleType) -> None:
    told = json.loads((ROOT / "data" / "measured" / f"{NAME}.json").read_text(encoding="utf-8"))
    assert told["files"] == script.FILES
    assert told["detection_floor_hz"] == script.FLOOR_HZ
    for one in measured(NAME).entries:
        values = list(one.quantiles.values())
        assert values == sorted(values)
        assert one.n >= script.FEWEST


def test_the_list_and_the_description_name_it() -> None:
    assert ei.list("measurements")[NAME] == "mouse V1, awake"
    told = ei.describe(NAME)
    assert told.sections["species"] == "mouse"
    assert "L4 E, spontaneous: median 2.1" in told.sections["rates of single units"]
