"""Analyses give known answers on recordings made from formulas."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import eiplatform
from eiplatform.analyses import Result, analysis_names, load_result
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.comparison import Comparison
from eiplatform.analyses.distributions import Distributions
from eiplatform.analyses.learning import Learning
from eiplatform.analyses.lesions import Lesions
from eiplatform.analyses.parts.running import analyse
from eiplatform.analyses.reference_check import ReferenceCheck
from eiplatform.analyses.traces import Traces
from eiplatform.errors import ConfigError, EIPlatformError, StatisticError, StoreError, UnknownNameError
from eiplatform.metrics import checked_metrics
from eiplatform.statistics import summarise
from eiplatform.store.steps import match_time
from tests.conftest import THEORY, circuit_population

Write = Callable[..., Path]
FAST = {"n_bootstrap": 50, "seed": 0}


def test_balance_stands_beside_its_null(network_recording: Write) -> None:
    nulls = [network_recording(f"null{k}", seed=100 + k, ratio=1.0) for k in range(3)]
    result = Balance().run(network_recording("trained", ratio=2.0), nulls, **FAST).data
    ratio = result.sel(statistic="ei_ratio", population="fc1/E")
    data = eiplatform.open(network_recording("again", ratio=2.0))["fc1/E"].ds
    exc, inh = (data[name].values.astype(float).mean((0, 1)) for name in ("current_exc", "current_inh"))
    assert float(ratio["value"]) == pytest.approx(np.exp(np.log(exc / inh).mean()), rel=1e-6)
    assert float(ratio["low"]) < float(ratio["value"]) < float(ratio["high"])
    assert float(ratio["null_maximum"]) < 1.3 < float(ratio["value"])
    assert float(ratio["z"]) > 10
    assert int(ratio["n_seeds"]) == 3 and result.attrs["n_nulls"] == 3
    assert result["population"].values.tolist() == ["fc1/E", "fc2/E", "readout/E"]


def test_a_null_on_other_samples_is_refused(network_recording: Write) -> None:
    with pytest.raises(StatisticError, match="the null saw other samples"):
        Balance().run(network_recording("trained"), [network_recording("null", samples=36)], **FAST)


def test_a_recording_is_not_its_own_null(network_recording: Write) -> None:
    trained, null = network_recording("trained"), network_recording("null", seed=5)
    for nulls in ([trained], [null, null]):
        with pytest.raises(StatisticError, match="stands for itself as a null, or a null is given twice"):
            Balance().run(trained, nulls, **FAST)


def test_a_circuit_is_no_network(circuit_recording: Write) -> None:
    with pytest.raises(ConfigError, match="must be of a network, this is of a circuit"):
        Balance().run(circuit_recording(), **FAST)


def test_matching_time_averages_currents_exactly() -> None:
    data = circuit_population(1)
    matched = match_time(data, 13.86)
    assert matched.attrs["dt"] == 14.0 and matched.sizes["time"] == 50
    expected = data["current_exc"].values[:, :700].reshape(1, 50, 14, 5).mean(2)
    np.testing.assert_allclose(matched["current_exc"].values, expected, rtol=1e-5)
    assert matched["time"].values.tolist() == (14.0 * np.arange(50)).tolist()
    assert matched.sizes["spike"] == data.sizes["spike"]


def test_comparison_compares_what_is_comparable(network_recording: Write, circuit_recording: Write) -> None:
    network = network_recording("long", samples=6, steps=120, ratio=2.0)
    result = Comparison().run(network, [circuit_recording()], **FAST).data
    assert result["reference"].values.tolist() == ["circuit: E"]
    assert float(result["interval_ms"][0]) == 14.0
    ratio = result.sel(statistic="ei_ratio", population="fc1/E", reference="circuit: E")
    assert float(ratio["reference_value"]) == pytest.approx(30 / 24, rel=0.01)
    assert 0 < float(ratio["ceiling"]) < 0.05
    # It depends on the in-degree: both values stand there, their difference does not.
    assert np.isnan(ratio["difference"]) and "in-degree" in ratio["reason"].item()
    left = result.sel(statistic="residual_variance_time", population="fc1/E", reference="circuit: E")
    assert float(left["difference"]) == pytest.approx(float(left["value"]) - float(left["reference_value"]))
    assert float(left["difference_low"]) < float(left["difference"]) < float(left["difference_high"])
    irregularity = result.sel(statistic="cv_isi")
    assert not bool(irregularity["comparable"]) and str(irregularity["reason"].item())
    assert np.isnan(irregularity["difference"]).all()
    assert (irregularity["verdict"] == "not compared").all()
    # rates are compared in Hz, a step being -20 ms ln(1/2)
    rate = result.sel(statistic="rate", population="fc1/E", reference="circuit: E")
    assert float(rate["converted"]) == pytest.approx(float(rate["value"]) * 1000 / (20 * np.log(2)))
    assert str(rate["units"].item()) == "spikes/step" and str(rate["reference_units"].item()) == "Hz"
    # what could not be computed says why
    excluded = result["note"].sel(statistic="ei_correlation_samples", population="fc1/E").values
    assert all("sample" in str(note) for note in excluded)


def test_interval_of_a_difference_joins_both_sides(circuit_recording: Write, network_recording: Write) -> None:
    """One network beside realisations of a circuit: its own bootstrap variance, and theirs over the realisations."""
    own, circuit = network_recording("long", samples=6, steps=120), circuit_recording()
    key = "residual_variance_time"
    result = Comparison().run(own, [circuit], **FAST).data
    cell = result.sel(statistic=key, population="fc2/E", reference="circuit: E")
    mine = summarise(eiplatform.open(own), [key], populations="fc2/E", keep_draws=True, n_bootstrap=500)
    matched = match_time(eiplatform.open(circuit)["E"].to_dataset(), 14.0)
    each = [
        float(matched.isel(sample=[k]).ei.residual_variance(over="time").mean()) for k in range(matched.sizes["sample"])
    ]
    n = len(each)
    error = np.sqrt(float(mine["draws"].var()) + np.var(each, ddof=1) / n)
    half = float(cell["difference_high"] - cell["difference"])
    assert float(cell["reference_value"]) == pytest.approx(np.mean(each), rel=1e-5)
    assert half == pytest.approx(float(cell["difference"] - cell["difference_low"]))
    assert 0.85 * stats.norm.ppf(0.975) * error < half < 1.15 * stats.t.ppf(0.975, n - 1) * error
    assert "seeds of the other side" in str(cell["unit"].item()) and int(cell["n_seeds"]) == n


def test_one_realisation_of_a_circuit_is_no_reference_for_a_test(
    circuit_recording: Write, network_recording: Write
) -> None:
    one = eiplatform.open(circuit_recording()).isel(sample=[0])
    result = Comparison().run(network_recording("long", samples=6, steps=120), [one], **FAST).data
    held = result.where(result["comparable"] & np.isfinite(result["difference"]), drop=True)
    assert held.sizes["statistic"] > 0 and np.isnan(result[["p", "p_distance", "p_equivalence"]].to_dataarray()).all()
    compared = result["verdict"].values[np.isfinite(result["difference"].transpose(*result["verdict"].dims).values)]
    assert set(compared) == {"no test"}


def test_distributions_are_densities(network_recording: Write) -> None:
    result = Distributions().run([network_recording("a"), network_recording("b", seed=9)], bins=30).data
    width = result["right"] - result["left"]
    inside = (result["density"] * width).sum("bin", min_count=1)
    np.testing.assert_allclose(inside, 1 - result["outside"], atol=1e-12)
    gain = result.sel(recording="a", population="fc1/E", quantity="gain")
    data = eiplatform.open(network_recording("c"))["fc1/E"].ds["gain"].values
    assert float(gain["mean"]) == pytest.approx(np.log10(data.astype(float)).mean(), rel=1e-6)
    assert int(gain["n"]) == data.size
    assert int(result["n"].sel(population="readout/E", quantity="gain").max()) == 0


def test_traces_choose_the_median_neuron(network_recording: Write, circuit_recording: Write) -> None:
    result = Traces().run([network_recording("long", samples=3, steps=120), circuit_recording()], points=60).data
    assert result["recording"].values.tolist() == ["long", "long", "circuit"]
    data = eiplatform.open(circuit_recording("again"))["E"].ds.isel(sample=0, time=slice(60))
    net = data["current_net"].mean("time").values
    chosen = int(np.argsort(net)[len(net) // 2])
    assert int(result["neuron"][2]) == chosen
    shown = result["current"].sel(signal="current_exc").values[2]
    np.testing.assert_allclose(shown, data["current_exc"].values[:, chosen], rtol=1e-6)
    spikes = result["spike_time"].values[result["spike_panel"].values == 2]
    assert len(spikes) and spikes.max() < 60


def test_reference_check_measures_rate_and_currents(circuit_recording: Write) -> None:
    result = ReferenceCheck().run([circuit_recording()]).data
    row = result.sel(reference="circuit: E")
    assert float(row["value"].sel(quantity="current_exc_external")) == pytest.approx(10, abs=0.02)
    assert float(row["theory"].sel(quantity="rate")) == THEORY["rate"]
    spikes = sum(circuit_population(seed).sizes["spike"] for seed in (1, 2, 3))
    assert float(row["value"].sel(quantity="rate")) == pytest.approx(spikes / (8 * 0.7 * 3))
    assert float(row["deviation"].sel(quantity="rate")) == pytest.approx(spikes / (8 * 0.7 * 3) / 20 - 1)


def _dose(dose: float, pathway: str = "I->E subtractive") -> list[dict[str, object]]:
    return [{"pathway": pathway, "layers": "fc*", "dose": dose}]


PLAN = {"id": "planned", "doses": [0.0, 0.5], "controls": 0}


def test_lesions_read_accuracy_from_the_recording(network_recording: Write) -> None:
    recordings = [
        network_recording("half", lesions=_dose(0.5), design=PLAN, correct=0.4, ratio=2.0),
        network_recording("intact", lesions=_dose(0.0), design=PLAN, correct=0.9),
    ]
    result = Lesions().run(recordings, **FAST).data
    assert result["dose"].values.tolist() == [0.0, 0.5]
    assert result["accuracy"].values.tolist() == [0.9, 0.4]
    # Wilson's interval for 36 of 40, from its formula
    z, p, n = 1.959964, 0.9, 40
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert float(result["accuracy_low"][0]) == pytest.approx(centre - half, abs=1e-6)
    assert float(result["accuracy_high"][0]) == pytest.approx(centre + half, abs=1e-6)
    # 36 right before, 16 after, all of them among the 36: 20 images lost, none gained, p = 2^-20.
    assert result["lost"].values.tolist() == [0, 20] and result["gained"].values.tolist() == [0, 0]
    assert float(result["accuracy_p"].sel(dose=0.5)) == pytest.approx(0.5**20)
    assert np.isnan(float(result["accuracy_p_holm"].sel(dose=0.0)))
    ratio = result["value"].sel(statistic="ei_ratio", population="fc1/E")
    assert float(ratio.sel(dose=0.5)) > float(ratio.sel(dose=0.0))


def test_lesions_refuse_what_is_no_dose_response(network_recording: Write) -> None:
    intact = network_recording("intact", lesions=_dose(0.0), design=PLAN)
    with pytest.raises(StatisticError, match="exactly one lesion"):
        Lesions().run([intact, network_recording("plain")], **FAST)
    with pytest.raises(StatisticError, match="different lesions"):
        Lesions().run([intact, network_recording("other", lesions=_dose(0.5, "input->E"))], **FAST)
    half = network_recording("half", lesions=_dose(0.5), design=PLAN)
    with pytest.raises(StoreError, match=r"the lesion design is incomplete, it lacks dose-0\.0"):
        Lesions().run([half], **FAST)
    with pytest.raises(StatisticError, match="dose 0"):
        Lesions().run([half], partial=True, **FAST)
    with pytest.raises(StatisticError, match="different lesion designs"):
        Lesions().run([intact, network_recording("unplanned", lesions=_dose(0.5))], **FAST)
    with pytest.raises(StoreError, match="the recordings lack their plan"):
        Lesions().run([network_recording("alone", lesions=_dose(0.0))], **FAST)
    with pytest.raises(StatisticError, match="different networks"):
        Lesions().run([intact, network_recording("foreign", lesions=_dose(0.5), seed=3)], **FAST)
    with pytest.raises(StatisticError, match="different samples"):
        Lesions().run([intact, network_recording("fewer", lesions=_dose(0.5), design=PLAN, samples=30)], **FAST)


def test_learning_reads_metrics(tmp_path: Path) -> None:
    lines = [
        {
            "epoch": epoch,
            "loss": None if epoch == 0 else 1.0 / epoch,
            "train_accuracy": None if epoch == 0 else 0.5,
            "validation_loss": 1.0,
            "validation_accuracy": 0.1 * epoch,
            "rates": {"fc1": 0.2},
            "silent": {"fc1": 0.0},
        }
        for epoch in range(4)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = {
        "test_accuracy": 0.9,
        "n_test": 40,
        "best_epoch": 3,
        "dataset": {"title": "toy"},
        "warnings": [],
        "config_hash": "0",
    }
    (tmp_path / "result.json").write_text(json.dumps(facts))
    result = Learning().run(tmp_path).data
    assert np.isnan(result["loss"].values[0]) and float(result["loss"].values[2]) == 0.5
    assert float(result["test_low"]) < 0.9 < float(result["test_high"])
    # These lines lack what only a training that goes on needs; what is shown must be there, and of its type.
    with pytest.raises(StoreError, match="it has no lines.0.learning_rate"):
        checked_metrics(lines, tmp_path, StoreError, resume=True)
    for wrong, message in (({"seconds": "long"}, "seconds: "), ({"rates": None}, "rates: ")):
        with pytest.raises(StoreError, match=message):
            checked_metrics([lines[0] | wrong], tmp_path, StoreError, resume=False)
    with pytest.raises(StoreError, match="does not exist"):
        Learning().run(tmp_path / "nowhere")


def test_results_survive_the_disk(network_recording: Write, tmp_path: Path) -> None:
    result = Distributions().run([network_recording("a")]).data
    path = Result(result).save(tmp_path / "deep" / "distributions.nc")
    xr.testing.assert_identical(load_result(path).data.drop_attrs(), result.drop_attrs())
    assert load_result(path).data.attrs["analysis"] == "distributions"
    (tmp_path / "text.nc").write_text("no netCDF")
    xr.Dataset(attrs={"analysis": "another"}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    for wrong, message in (
        ("text.nc", "damaged: not readable as HDF5"),
        ("absent.nc", "does not exist"),
        ("other.nc", "not the result of an analysis"),
    ):
        with pytest.raises(StoreError, match=message) as caught:
            load_result(tmp_path / wrong)
        assert caught.value.where == str(tmp_path / wrong)


@pytest.mark.parametrize("name", sorted(analysis_names()))
def test_every_analysis_has_a_name_for_the_command_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(EIPlatformError) as caught:
        analyse(name, [tmp_path])
    assert not isinstance(caught.value, UnknownNameError)  # the name is known; the empty folder is the mistake


def test_unknown_analysis_and_misplaced_null(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'balance'"):
        analyse("balence", [tmp_path])
    with pytest.raises(ConfigError, match="takes no nulls="):
        analyse("traces", [tmp_path], [tmp_path])
