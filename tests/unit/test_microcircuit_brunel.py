"""Parameters of the circuit and everything that is refused before a simulation starts."""

import os
import subprocess
import sys

import pytest

from eiplatform.errors import ConfigError, DeviceError, MissingDependencyError, UnknownNameError
from eiplatform.microcircuits import estimate_memory, load, names, runner, simulate
from eiplatform.microcircuits.brunel_2000 import STATES, Brunel2000
from tests.refusals import refusing


def test_names_and_states():
    assert "brunel-2000" in names()
    for state, values in STATES.items():
        parameters = load("brunel-2000", {"state": state}).parameters
        assert (parameters.g, parameters.eta) == (values["g"], values["eta"])
    assert load("brunel-2000").parameters == load("brunel-2000", {"state": "C"}).parameters


def test_external_rate_is_relative_to_the_threshold_rate():
    assert load("brunel-2000", {"eta": 1.0}).parameters.ext_rate_hz == pytest.approx(10.0)
    assert load("brunel-2000", {"eta": 1.0, "scale": 0.1}).parameters.ext_rate_hz == pytest.approx(10.0)


def test_parameters_survive_the_way_to_the_worker():
    circuit = load("brunel-2000", {"state": "D", "scale": 0.3, "delay_ms": 2.0})
    assert Brunel2000.from_parameters(circuit.to_mapping()).parameters == circuit.parameters


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"nu_ext": 1}, UnknownNameError, "unknown parameter 'nu_ext'"),
        ({"delay": 1}, UnknownNameError, "did you mean 'delay_ms'"),
        ({"state": "E"}, UnknownNameError, "A, B, C, D"),
        ({"state": "B", "g": 4}, ConfigError, "given together"),
        ({"scale": 0.5, "n_exc": 10}, ConfigError, "given together"),
        ({"scale": 0.001}, ConfigError, "without neurons or synapses"),
        ({"scale": 2}, ConfigError, "at most 1"),
        ({"n_exc": 0}, ConfigError, "n_exc"),
        ({"n_exc": 10.5}, ConfigError, "integer"),
        ({"n_exc": True}, ConfigError, "integer"),
        ({"g": "5"}, ConfigError, "not a number"),
        ({"g": float("nan")}, ConfigError, "finite"),
        ({"g": -1}, ConfigError, "at least 0"),
        ({"c_inh": 2500}, ConfigError, "fewer than n_inh"),
        ({"reset_mv": 20}, ConfigError, "reset_mv"),
        ({"delay_ms": 0.0}, ConfigError, "multiple of dt_ms"),
        ({"delay_ms": 1.55}, ConfigError, "multiple of dt_ms"),
        ({"eta": 1000}, ConfigError, "external spikes per neuron and step"),
    ],
)
def test_bad_parameters(parameters, error, words):
    with pytest.raises(error, match=words):
        load("brunel-2000", parameters)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"circuit": "brunel2000"}, UnknownNameError, "did you mean 'brunel-2000'"),
        ({"device": "gpu"}, UnknownNameError, "cpp_standalone, cython, numpy"),
        ({"seeds": []}, ConfigError, "seeds"),
        ({"seeds": [1, 1]}, ConfigError, "repeat"),
        ({"seeds": [-1]}, ConfigError, "from 0 to"),
        ({"seeds": [1.5]}, ConfigError, "integers"),
        ({"duration_ms": 0}, ConfigError, "duration_ms"),
        ({"duration_ms": 10.5}, ConfigError, "record_dt_ms, which is 1 ms"),
        ({"warmup_ms": -1}, ConfigError, "warmup_ms"),
        ({"record_dt_ms": 0.25}, ConfigError, "time step, which is 0.1 ms"),
        ({"record_dt_ms": float("inf")}, ConfigError, "number of milliseconds"),
        ({"n_recorded": 0}, ConfigError, "n_recorded"),
        ({"jobs": 0}, ConfigError, "jobs"),
        ({"memory_budget": 10**6}, ConfigError, "GiB may be used"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(arguments, error, words):
    with pytest.raises(error, match=words):
        simulate(**{"circuit": "brunel-2000", **arguments})


def test_a_circuit_that_the_worker_cannot_find():
    class Local(Brunel2000):
        pass

    with refusing(ConfigError, remedy="importable module"):
        simulate(Local())
    with pytest.raises(ConfigError, match="already has its parameters"):
        simulate(Brunel2000(), parameters={"g": 5})


@pytest.mark.parametrize("device", ["cpp_standalone", "cython"])
def test_without_a_compiler(device, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with refusing(DeviceError, remedy='device="numpy"'):
        simulate("brunel-2000", device=device)
    simulate("brunel-2000", device="numpy")


def test_the_compiler_of_the_environment_is_not_replaced_by_another(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with refusing(DeviceError, what="CXX=no-such-compiler"):
        simulate("brunel-2000")


def test_without_a_usable_brian2(monkeypatch):
    monkeypatch.setattr(runner, "find_spec", lambda name: None)
    with refusing(MissingDependencyError, remedy="eiplatform[simulate]"):
        simulate("brunel-2000")
    monkeypatch.undo()
    monkeypatch.setattr(runner, "version", lambda name: {"brian2": "2.9.0", "numpy": "2.4.6"}[name])
    with refusing(MissingDependencyError, remedy="numpy<2.4"):
        simulate("brunel-2000")


def test_memory_grows_with_what_is_asked_for():
    circuit, small = load("brunel-2000"), load("brunel-2000", {"scale": 0.1})
    base = estimate_memory(circuit, duration_ms=1000)
    assert estimate_memory(small, duration_ms=1000) < base < estimate_memory(circuit, duration_ms=1000, device="numpy")
    # One more neuron per population and millisecond: four signals of eight bytes, twice, kept thrice at most.
    finer = estimate_memory(circuit, duration_ms=1000, n_recorded=101) - base
    assert 2 * 4 * 8 * 1000 <= finer <= 3 * 2 * 4 * 8 * 1000


def test_importing_does_not_import_brian2():
    code = "import sys, eiplatform.microcircuits as m; m.load('brunel-2000').theory(); print('brian2' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.strip() == "False"
