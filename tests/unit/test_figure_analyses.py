"""Analyses that figures need give known answers: neurons, correlograms, tuning, weights, spectra, paradox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform as ei
from eiplatform.analyses.architecture import Architecture
from eiplatform.analyses.balance_across_depth import FACTS, BalanceAcrossDepth
from eiplatform.analyses.correlogram import Correlogram
from eiplatform.analyses.neurons import Neurons, relation
from eiplatform.analyses.paradox import Paradox
from eiplatform.analyses.parts.running import arranged
from eiplatform.analyses.spectra import Spectra
from eiplatform.analyses.traces import Traces
from eiplatform.analyses.tuning import Tuning
from eiplatform.analyses.weights import Weights
from eiplatform.errors import ConfigError, StatisticError, StoreError
from tests.conftest import write_circuit, write_network
from tests.unit.figure_results import results

Write = Callable[..., Path]
FAST = {"n_bootstrap": 200, "seed": 0}


def _own(exc: np.ndarray, inh: np.ndarray, spikes: np.ndarray | None = None, **options: object) -> xr.DataTree:
    return ei.from_arrays(exc, inh, spikes, **({"dt": 1.0, "time_units": "ms"} | options))


def test_a_relation_over_samples_and_its_control() -> None:
    rng = np.random.default_rng(1)
    inh = rng.gamma(9.0, 1.0, (200, 30))
    found = relation(2 * inh, inh, n_bootstrap=200, seed=0)
    assert (
        found["over"] == "samples" and found["slope"] == pytest.approx(2) and found["correlation"] == pytest.approx(1)
    )
    noisy = inh + rng.normal(0, inh.std(), inh.shape)  # half of the variance is noise: r = sqrt(1/2)
    found = relation(noisy, inh, n_bootstrap=200, seed=0)
    assert found["correlation"] == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert found["correlation_low"] < found["correlation"] < found["correlation_high"]
    assert found["shuffled_low"] < 0 < found["shuffled_high"] < 0.1
    few = relation(noisy[:3], inh[:3], n_bootstrap=50, seed=0)
    assert few["over"] == "neurons"
    alike = relation(noisy, np.ones_like(inh), n_bootstrap=20, seed=0)
    assert np.isnan([alike["slope"], alike["correlation"], alike["shuffled_high"]]).all()


def test_a_shuffle_of_samples_keeps_what_neurons_differ_in() -> None:
    """Neurons with strong E and strong I correlate over pairs even if no sample does: the control shows it."""
    rng = np.random.default_rng(2)
    strength = rng.gamma(4.0, 1.0, 40)
    exc, inh = (strength * (1 + 0.1 * rng.normal(size=(60, 40))) for _ in range(2))
    found = relation(exc, inh, n_bootstrap=50, seed=0)
    assert found["correlation"] > 0.9 and found["shuffled_low"] > 0.9


def test_silent_and_saturated_neurons_are_counted(tmp_path: Path) -> None:
    spikes = np.zeros((3, 200, 5), bool)
    spikes[:, :, 1] = True  # always on
    spikes[:, ::4, 2:4] = True
    rng = np.random.default_rng(0)
    own = _own(1 + rng.random((3, 200, 5)), 1 + rng.random((3, 200, 5)), spikes, time_units="step")
    one = Neurons().run([own], **FAST).data.isel(row=0)
    assert (int(one["n_silent"]), int(one["n_always"]), int(one["n_neurons"])) == (2, 1, 5)
    assert one["rate"].values[:5].tolist() == [0, 1, 0.25, 0.25, 0]
    in_ms = Neurons().run([_own(1 + rng.random((3, 200, 5)), 1 + rng.random((3, 200, 5)), spikes)], **FAST).data
    assert float(in_ms["hz"][0]) == 1.0 and int(in_ms["n_always"][0]) == 0


def test_a_steps_length_follows_from_the_membrane(network_recording: Write) -> None:
    one = Neurons().run([network_recording()], **FAST).data
    assert one["hz"].values == pytest.approx(1e3 / (20 * np.log(2)))  # decay 1/2


def test_a_correlogram_finds_the_lag_and_its_shift_predictor_is_flat() -> None:
    rng = np.random.default_rng(3)
    exc = rng.normal(10, 1, (6, 400, 8))
    inh = np.roll(exc, 3, axis=1) + rng.normal(0, 0.2, exc.shape)
    one = Correlogram().run([_own(exc, inh)], lags=10, **FAST).data.isel(row=0)
    own, cross, shift = one["correlation"].transpose("kind", "lag").values
    assert int(one["lag"][own.argmax()]) == 3 and own.max() == pytest.approx(0.98, abs=0.02)
    assert float(one["peak_lag"]) == pytest.approx(3, abs=0.1)
    assert float(one["peak_lag_low"]) <= float(one["peak_lag"]) <= float(one["peak_lag_high"])
    assert np.abs(shift).max() < 0.15 and np.abs(cross).max() < 0.15
    alone = Correlogram().run([_own(exc[:1], inh[:1])], lags=10, **FAST).data
    assert alone["correlation"].sel(kind="shift").isnull().all()  # no other sample


def test_what_cannot_be_measured_is_said() -> None:
    rng = np.random.default_rng(4)
    short = _own(rng.random((40, 20, 4)), rng.random((40, 20, 4)))
    with pytest.raises(StatisticError) as caught:
        Correlogram().run([short])
    assert "E (" in caught.value.what
    long = _own(rng.random((2, 300, 4)), rng.random((2, 300, 4)))
    found = Correlogram().run([short, long], lags=5, n_bootstrap=10).data
    assert found.sizes["row"] == 1 and len(found.attrs["skipped"]) == 1
    with pytest.raises(StatisticError):
        Tuning().run([long])
    with pytest.raises(StatisticError):
        Spectra().run([long])


def test_tuning_has_no_circularity(tmp_path: Path) -> None:
    """Of noise the ranks are chance: the curve is flat; of tuned excitation it falls, and inhibition stays flat."""
    rng = np.random.default_rng(5)
    noise = [1 + 0.5 * rng.random((80, 60, 1, 40)).mean(axis=1) for _ in range(2)]
    label = np.arange(80) % 8
    for tuned in (False, True):
        preference = rng.integers(0, 8, 40)
        exc = noise[0] + (0.8 * (label[:, None] == preference)[:, None] if tuned else 0)
        tree = _own(exc, noise[1])
        tree["E"].dataset = tree["E"].to_dataset().assign_coords(label=("sample", label))
        one = Tuning().run([tree], **FAST).data.isel(row=0)
        exc_curve, inh_curve = (one["by_class"].sel(part=part).values for part in ("exc", "inh"))
        assert np.ptp(inh_curve) < 0.02 and int(one["n_classes"]) == 8
        assert (np.ptp(exc_curve) < 0.02) is not tuned
        if tuned:
            assert exc_curve[0] == pytest.approx(exc_curve[1:].mean() + 0.8 / exc.mean(), rel=0.05)
            ratio = one["by_class"].sel(part="ratio").values
            low, high = (one[f"by_class_{end}"].sel(part="ratio").values for end in ("low", "high"))
            assert (low <= ratio).all() and (ratio <= high).all() and ratio.argmax() == 0


def test_the_ratio_over_strength_follows_the_input() -> None:
    strength = np.linspace(1, 3, 64)[:, None, None]
    one = (
        Tuning().run([_own(strength * np.ones((64, 5, 6)), strength**2 * np.ones((64, 5, 6)))], **FAST).data.isel(row=0)
    )
    np.testing.assert_allclose(one["by_strength"].sel(part="ratio"), 1 / one["strength"], rtol=0.02)


def test_weights_that_are_lognormal_are_near_it_and_others_are_not(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    rng = np.random.default_rng(6)
    lognormal = rng.lognormal(-2, 0.9, (100, 100))
    lognormal[:10] = 0.0
    tensors = {"layers.fc1.weight_exc": lognormal, "layers.fc2.weight": rng.normal(size=(100, 100))}
    save_file({**tensors, "layers.fc1.bias": np.ones(3)}, tmp_path / "best.safetensors")
    found = Weights().run(tmp_path).data
    names = list(zip(found["layer"].values.tolist(), found["pathway"].values.tolist(), strict=True))
    assert names == [("fc1", "input->E"), ("fc2", "weight (+)"), ("fc2", "weight (-)")]
    one = found.sel(state="trained").isel(row=0)
    assert float(one["sd"]) == pytest.approx(0.9, rel=0.03) and float(one["mean"]) == pytest.approx(-2, abs=0.03)
    assert float(one["zeros"]) == 0.1 and float(one["distance"]) < 0.015
    half = found.sel(state="trained").isel(row=1)  # a half-normal is not log-normal
    assert float(half["distance"]) > 0.05 and found["sd"].sel(state="untrained").isnull().all()
    width = one["right"] - one["left"]
    assert float((one["density"] * width).sum()) == pytest.approx(1, abs=0.01)
    with pytest.raises(StoreError):
        Weights().run(tmp_path / "none")


def test_a_rhythm_is_found() -> None:
    rng = np.random.default_rng(7)
    rate = 0.05 * (1 + 0.9 * np.sin(2 * np.pi * 40e-3 * np.arange(2000)))
    spikes = rng.random((2, 2000, 80)) < rate[None, :, None]
    one = Spectra().run([_own(np.ones(spikes.shape), np.ones(spikes.shape), spikes)]).data.isel(row=0)
    assert float(one["peak"]) == pytest.approx(40, abs=2) and str(one["units"].item()) == "Hz"


def test_architecture_is_that_of_the_recording(tmp_path: Path) -> None:
    found = Architecture().run([write_network(tmp_path / "net"), write_circuit(tmp_path / "circuit")]).data
    nodes = list(zip(*(found[name].values.tolist() for name in ("recording", "place", "role", "size")), strict=True))
    assert ("net", "fc1", "E", 6) in nodes and ("circuit", "", "E", 8) in nodes
    edges = {
        (nodes[source][1], nodes[target][1], sign)
        for source, target, sign in zip(*(found[name].values for name in ("source", "target", "sign")), strict=True)
        if nodes[source][0] == "net"
    }
    # I was not recorded here, and the configuration does not say how many: its currents show as a signed input
    assert ("input", "fc1", "+") in edges and ("fc1", "fc2", "+") in edges and ("fc1", "fc2", "-") in edges


def test_the_paradox_is_that_of_the_closed_form(tmp_path: Path) -> None:
    """A supralinear stabilised circuit at drive 5: -9.66 Hz per unit of drive of I, by its Jacobian."""
    from eiplatform.recording.circuit import record_protocol

    ssn = Paradox().run(record_protocol("ssn", tmp_path / "ssn", "perturb-I", levels=[0.001])).data
    assert float(ssn["slope"].sel(freezing="free", population="I")) == pytest.approx(-9.66, abs=0.02)
    assert ssn["slope_low"].isnull().all()  # one seed
    found = results()["paradox"]
    free, frozen = found.sel(freezing="free"), found.sel(freezing="E frozen")
    np.testing.assert_allclose(free["value"].sel(population="I"), [0, -0.1, -0.2], atol=1e-12)
    np.testing.assert_allclose(frozen["value"].sel(population="I"), [0, 0.3, 0.6], atol=1e-12)
    assert float(free["slope"].sel(population="I")) == pytest.approx(-1)
    half = 4.302653 * 0.1 / np.sqrt(3)  # Student's t with two degrees of freedom; sd 0.1 over seeds
    assert float(free["slope_high"].sel(population="I")) == pytest.approx(-1 + half, rel=1e-5)
    with pytest.raises(ConfigError):
        Paradox().run(xr.Dataset(attrs={"protocol": "lesion"}))


def test_traces_hold_the_neurons_own_spikes_and_sorted_rows(network_recording: Write) -> None:
    path = network_recording("long", samples=4, steps=120)
    found = Traces().run([path], points=50, raster_neurons=4, sample=1).data
    tree = ei.open(path)["fc1/E"].ds
    neuron = int(found["neuron"][0])
    steps = np.flatnonzero(tree["spikes"].sel(neuron=neuron).isel(sample=1, time=slice(50)).values)
    own = (found["spike_panel"].values == 0) & (found["spike_neuron"].values == -1)
    assert sorted(found["spike_time"].values[own].tolist()) == steps.tolist()
    np.testing.assert_allclose(found["voltage"][0], tree["voltage"].sel(neuron=neuron).isel(sample=1, time=slice(50)))
    rows = found["spike_neuron"].values[(found["spike_panel"].values == 0) & (found["spike_neuron"].values >= 0)]
    counts = np.bincount(rows, minlength=4)
    assert (np.diff(counts) >= 0).all() and int(found["raster_rows"][0]) == 4
    rate = tree["spikes"].isel(sample=1, time=slice(50)).mean("neuron").values
    np.testing.assert_allclose(found["rate_exc"][0], rate)


def test_clamped_currents_without_spikes_have_their_traces() -> None:
    rng = np.random.default_rng(8)
    found = Traces().run([_own(1 + rng.random(300), 1 + rng.random(300))], points=60).data
    assert found.sizes["spike"] == 0 and found["rate_exc"].isnull().all() and np.isfinite(found["current"]).all()


def test_depth_takes_circuits_as_references(network_recording: Write, circuit_recording: Write) -> None:
    long = network_recording("long", samples=6, steps=120)
    nulls = [network_recording(f"null{k}", seed=60 + k, samples=6, steps=120) for k in range(2)]
    asked = arranged(BalanceAcrossDepth(), [long, circuit_recording()], nulls)
    assert len(asked["recordings"]) == 1 and len(asked["references"]) == 1 and len(asked["nulls"]) == 2
    found = BalanceAcrossDepth().run(**asked, n_bootstrap=50).data
    assert found["statistic"].values.tolist() == list(FACTS)
    allowed = found["reference_value"].notnull().isel(reference=0)
    assert bool(allowed.sel(statistic="ei_correlation_time")) and not bool(allowed.sel(statistic="ei_ratio"))
    compared = ei.compare(long, circuit_recording("other"), statistics=["ei_correlation_time"], n_bootstrap=50).data
    expected = float(compared["reference_value"].sel(statistic="ei_correlation_time").item())
    assert float(found["reference_value"].sel(statistic="ei_correlation_time").item()) == pytest.approx(expected)
    assert found["null_value"].sizes["null_seed"] == 2
    points = found["points"].isel(recording=0, depth=0).sel(statistic="ei_ratio").values
    assert np.isfinite(points).sum() == int(found["n_points"].isel(recording=0, depth=0).sel(statistic="ei_ratio"))
