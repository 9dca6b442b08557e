"""Protocols: their conditions, the responses they report, and what they refuse."""

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.cli import main
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.microcircuits import load, names
from eiplatform.microcircuits.protocols import PROTOCOLS, plan, run_protocol, threshold_linear
from eiplatform.recording.circuit import record_circuit, record_protocol
from tests.refusals import refusing

SMALL = {"n_cells": 20}


def test_conditions_change_one_parameter():
    circuit = load("isn")
    assert plan("spontaneous", circuit).conditions[0].changes == {}
    perturbed = plan("perturb-I", circuit, levels=[0.02, -0.01], freeze="E")
    assert [(c.level, c.frozen, c.changes) for c in perturbed.conditions] == [
        (level, frozen, {"drive_inh": 1 + level}) for frozen in (False, True) for level in (0.0, -0.01, 0.02)
    ]
    lesioned = plan("lesion", circuit, target="I->E")
    assert [c.changes["inh_to_exc"] for c in lesioned.conditions] == [1.0, 0.75, 0.5, 0.25, 0.0]
    stepped = plan("step-input", load("chance-2002"), levels=[300, 100])
    assert [c.changes["current_pa"] for c in stepped.conditions] == [100, 300]
    # A drive that is zero by default is changed by amounts, not by fractions.
    assert [c.changes["drive_inh_pa"] for c in plan("perturb-I", load("vogels-abbott-2005")).conditions] == [0, 1, 2]


@pytest.mark.parametrize("name", sorted(names()))
def test_every_circuit_can_be_stepped_and_lesioned_as_it_declares(name):
    circuit = load(name)
    assert plan("spontaneous", circuit).conditions
    for target in circuit.drives:
        planned = plan("step-input", circuit, target=target)
        assert len({tuple(c.changes.items()) for c in planned.conditions}) == len(planned.conditions) > 3
    for pathway in circuit.pathways:
        removed = plan("lesion", circuit, target=pathway, levels=[1]).conditions[-1]
        assert list(removed.changes.values()) == [0.0]


@pytest.mark.parametrize(
    ("circuit", "arguments", "error", "words"),
    [
        ("isn", {"name": "perturb"}, UnknownNameError, "perturb-E"),
        ("isn", {"name": "spontaneous", "levels": [1]}, ConfigError, "takes no levels"),
        ("isn", {"name": "perturb-I", "target": "E"}, ConfigError, "takes no target"),
        ("isn", {"name": "perturb-I", "levels": []}, ConfigError, "different finite numbers"),
        ("isn", {"name": "perturb-I", "levels": [0.1, 0.1]}, ConfigError, "different finite numbers"),
        ("isn", {"name": "perturb-I", "levels": [float("nan")]}, ConfigError, "different finite numbers"),
        ("isn", {"name": "perturb-I", "levels": [-2.0]}, ConfigError, "drive_inh"),
        ("isn", {"name": "perturb-I", "freeze": "I"}, UnknownNameError, "population to freeze"),
        ("isn", {"name": "lesion"}, ConfigError, "needs a pathway.*E->E"),
        ("isn", {"name": "lesion", "target": "I-E"}, UnknownNameError, "did you mean 'I->E'"),
        ("isn", {"name": "lesion", "target": "I->E", "levels": [1.5]}, ConfigError, "from 0 .intact. to 1"),
        ("isn", {"name": "step-input", "target": "X"}, UnknownNameError, "driven population"),
        ("isn", {"name": "step-input", "freeze": "E"}, ConfigError, "takes no freeze"),
        ("chance-2002", {"name": "perturb-I"}, UnknownNameError, "driven population 'I'"),
        ("chance-2002", {"name": "perturb-E", "freeze": "E"}, ConfigError, "cannot be frozen"),
    ],
)
def test_bad_protocols(circuit, arguments, error, words):
    with pytest.raises(error, match=words):
        plan(circuit=load(circuit), **arguments)


def test_a_drive_of_zero_has_no_relative_change():
    with refusing(ConfigError, what="'drive_inh'"):
        plan("perturb-I", load("isn", {"drive_inh": 0.0}))
    with refusing(ConfigError, what="'inh_to_exc'"):
        plan("lesion", load("isn", {"inh_to_exc": 0.0}), target="I->E")


def test_threshold_linear_tells_shift_from_division():
    levels = np.arange(0.0, 11.0)

    def curve(gain, threshold):
        return gain * np.maximum(levels - threshold, 0)

    assert threshold_linear(levels, curve(4, 2)) == pytest.approx((4, 2))
    assert threshold_linear(levels, curve(4, 5)) == pytest.approx((4, 5))
    assert threshold_linear(levels, curve(2, 2)) == pytest.approx((2, 2))
    for rates in (np.zeros(11), np.full(11, 3.0), np.eye(1, 11, 4)[0]):
        with pytest.raises(ConfigError):
            threshold_linear(levels, rates)


def test_recordings_and_responses_of_a_protocol(tmp_path):
    out = tmp_path / "out"
    result = record_protocol(
        "chance-2002", out, "step-input", parameters=SMALL, levels=[100, 400], seeds=(1, 2),
        duration_ms=40.0, warmup_ms=10.0, n_recorded=5, device="numpy",
    )  # fmt: skip
    assert dict(result.sizes) == {"condition": 2, "seed": 2, "population": 1}
    kept = xr.load_dataset(out / "protocol.nc", engine="h5netcdf")
    assert kept.identical(result) or np.array_equal(kept["rate"], result["rate"])
    assert kept.attrs["parameter"] == "current_pa"
    for condition, level in zip(result.condition.values, (100, 400), strict=True):
        tree = eiplatform.open(out / str(condition))
        assert float(tree["E"].ds["current_exc_constant"].mean()) == pytest.approx(level, rel=1e-6)
        spikes = tree["E"].ds.sizes["spike"] / (2 * 20 * 0.04)
        assert float(result["rate"].sel(condition=condition).mean()) == pytest.approx(spikes)
    assert float(result["response_mean"][1, 0]) > 20
    expected = result["rate"][1] - result["rate"][0]
    assert np.array_equal(result["response"][1], expected)
    assert result["response_low"][1] < result["response_mean"][1] < result["response_high"][1]


def test_everything_is_checked_before_the_directory_is_touched(tmp_path):
    for arguments in ({"levels": [-5]}, {"seeds": (1, 1)}, {"duration_ms": -1.0}):
        with pytest.raises(ConfigError):
            record_protocol("chance-2002", tmp_path / "out", "perturb-E", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_silent_population_cannot_be_frozen(monkeypatch):
    silent = {"ext_rate_hz": 1.0, "threshold_mv": 30.0, "n_exc": 20, "n_inh": 10, "c_exc": 2, "c_inh": 2}
    circuit = load("isn", silent)
    with refusing(ConfigError, what="'E'"):
        run_protocol(
            plan("perturb-I", circuit, freeze="E", levels=[0.5]),
            circuit,
            duration_ms=5.0,
            warmup_ms=30.0,
            device="numpy",
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["isn", "--protocol", "perturb-X"], "valid: " + ", ".join(PROTOCOLS)),
        (["isn", "--levels", "1", "2"], "--levels without a protocol"),
        (["isn", "--protocol", "lesion", "--target", "E->X"], "unknown pathway"),
        (["brunel-2000", "--protocol", "perturb-I"], "driven population"),
    ],
)
def test_the_command_line_refuses_in_one_line(arguments, words, capsys, tmp_path):
    assert main(["simulate", *arguments, "--out", str(tmp_path / "x")]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message
    assert not (tmp_path / "x").exists()


def test_the_command_line_runs_a_protocol(capsys, tmp_path):
    command = ["simulate", "chance-2002", "--set", "n_cells=5", "--protocol", "lesion", "--levels", "1"]
    command += ["--target", "background->E inhibitory", "--duration-ms", "10", "--warmup-ms", "0"]
    assert main([*command, "--device", "numpy", "--out", str(tmp_path / "x")]) == 0
    assert "2 recordings" in capsys.readouterr().out
    shunt = [eiplatform.open(path)["E"].ds["conductance_inh"] for path in sorted((tmp_path / "x").glob("unit*"))]
    assert len(shunt) == 2
    assert float(shunt[0].max()) == 0 < float(shunt[1].max())


def test_a_pulse_is_seen_in_time_and_only_after_it_began(tmp_path):
    small = {"n_scaling": 0.01, "k_scaling": 0.05, "thalamic_start_ms": 40.0}
    arguments = {"duration_ms": 60.0, "warmup_ms": 10.0, "n_recorded": 2, "device": "numpy"}
    result = record_protocol(
        "potjans-diesmann-2014", tmp_path / "out", "pulse", parameters=small, levels=[20.0], seeds=(1,), **arguments
    )
    assert result.condition.values.tolist() == ["thalamic_duration_ms=0", "thalamic_duration_ms=20"]
    assert result.time.values.tolist() == list(range(-30, 30))
    quiet, driven = result["rate_in_time"].values
    before = result.time.values < 0
    assert before.sum() == 30
    assert quiet[..., before].any()
    assert np.array_equal(quiet[..., before], driven[..., before])
    layer4 = driven.mean(0)[result.population.values.tolist().index("L4E"), ~before]
    assert layer4[2:20].mean() > 3 * quiet.mean(0)[2].mean()
    # The mean over time is the rate; the result on disk is the one that was returned.
    np.testing.assert_allclose(result["rate_in_time"].mean("time"), result["rate"], rtol=1e-12)
    assert np.array_equal(xr.load_dataset(tmp_path / "out" / "protocol.nc")["rate_in_time"], result["rate_in_time"])


@pytest.mark.parametrize("start", [5.0, 65.0])
def test_a_pulse_outside_the_recording_is_refused_before_anything_is_written(start, tmp_path):
    with pytest.raises(ConfigError, match="the pulse lasts from"):
        record_protocol(
            "potjans-diesmann-2014", tmp_path / "out", "pulse",
            parameters={"scale": 0.01, "thalamic_start_ms": start}, duration_ms=60.0, warmup_ms=10.0,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_circuit_without_pulses_has_no_such_protocol():
    with pytest.raises(ConfigError, match="no pulsed input"):
        plan("pulse", load("isn"))


def test_a_silent_circuit_can_be_recorded(tmp_path):
    """Its theory has no CV, its currents decay until they are nothing but rounding."""
    sizes = {"n_exc": 20, "n_inh": 10, "c_exc": 5, "c_inh": 5, "c_ext": 5}
    path = record_circuit(
        "brunel-2000", tmp_path / "silent", parameters={**sizes, "eta": 0.0, "threshold_mv": 30.0},
        duration_ms=20.0, warmup_ms=20.0, device="numpy",
    )  # fmt: skip
    tree = eiplatform.open(path)
    assert tree["E"].ds.sizes["spike"] == 0
    assert "cv" not in tree.attrs["source"]["theory"]
