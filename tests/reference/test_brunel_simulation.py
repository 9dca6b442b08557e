"""Brunel's network against its closed form, and the compiled program against the numpy device."""

import numpy as np
import pytest

from eiplatform.microcircuits import load, simulate

# Small jumps and weak recurrence: the assumptions of the diffusion theory hold in a small network.
# docs/microcircuits.md shows the full-size states.
DIFFUSIVE = {
    "n_exc": 800,
    "n_inh": 200,
    "c_exc": 80,
    "c_inh": 20,
    "c_ext": 1000,
    "j_mv": 0.2,
    "g": 5.0,
    "eta": 0.08,
}
TINY = {"n_exc": 100, "n_inh": 25, "c_exc": 20, "c_inh": 5, "c_ext": 20, "j_mv": 1.0, "g": 4.0}


def theory_of_the_time_step(parameters):
    """Closed form with the threshold that a potential seen only every dt crosses as rarely.

    A barrier watched at steps acts like one further away by -zeta(1/2)/sqrt(2 pi) standard
    deviations of a step (Broadie, Glasserman & Kou 1997), here 0.5826 sigma sqrt(dt/tau).
    """
    p = load("brunel-2000", parameters).parameters
    values = load("brunel-2000", parameters).theory()
    for _ in range(10):
        threshold = p.threshold_mv + 0.5826 * values["sigma"] * np.sqrt(p.dt_ms / p.tau_ms)
        # The external rate is relative to the threshold; keep it.
        eta = p.eta * p.threshold_mv / threshold
        values = load("brunel-2000", {**parameters, "threshold_mv": threshold, "eta": eta}).theory()
    return values


def test_rates_and_currents_reach_the_closed_form():
    """1 000 neurons, 0.8 s, within 3 %; the step of 0.1 ms alone lowers the rate by 4 %."""
    theory, ideal = theory_of_the_time_step(DIFFUSIVE), load("brunel-2000", DIFFUSIVE).theory()
    assert ideal["n_rates"] == 1
    assert theory["rate"] == pytest.approx(0.963 * ideal["rate"], rel=0.003)
    ((_, run),) = simulate("brunel-2000", parameters=DIFFUSIVE, seeds=(1,), duration_ms=800.0)
    for name in ("E", "I"):
        assert run[name].sizes["spike"] / run[name].n_neurons / 0.8 == pytest.approx(theory["rate"], rel=0.03)
        for signal in ("current_exc_recurrent", "current_exc_external", "current_exc", "current_inh"):
            assert float(run[name][signal].mean()) == pytest.approx(theory[signal], rel=0.03), signal


def test_more_input_more_spikes():
    """With the program of the test before."""

    def rate(**changes):
        ((_, run),) = simulate("brunel-2000", parameters={**DIFFUSIVE, **changes}, seeds=(1,), duration_ms=200.0)
        return run["E"].sizes["spike"]

    base = rate()
    assert rate(eta=0.16) > 1.3 * base
    assert rate(g=8.0) < 0.9 * base


def test_one_program_serves_all_seeds_and_parameters_with_the_spikes_of_numpy(monkeypatch, tmp_path):
    monkeypatch.setenv("EIPLATFORM_CACHE", str(tmp_path))
    messages = []

    def run(device, parameters=TINY, seeds=(1,), **options):
        return dict(
            simulate(
                "brunel-2000",
                parameters=parameters,
                seeds=seeds,
                device=device,
                warmup_ms=20.0,
                n_recorded=10,
                progress=lambda fraction, message: messages.append(message),
                **{"duration_ms": 100.0, "record_dt_ms": 1.0, **options},
            )
        )

    # Both processes find no program; one builds it, the other waits for it.
    compiled = run("cpp_standalone", seeds=(1, 2), jobs=2)
    assert sum(message.endswith("build") for message in messages) == 1
    messages.clear()
    changed = {**TINY, "g": 3.0, "eta": 3.0, "c_exc": 15, "delay_ms": 2.0, "tau_f_ms": 10.0, "refractory_ms": 1.0}
    other = run("cpp_standalone", changed, (3,), duration_ms=60.0, record_dt_ms=0.5)
    assert not any(message.endswith("build") for message in messages)
    assert any("simulate" in message for message in messages)
    assert len([path for path in (tmp_path / "circuits").iterdir() if path.is_dir()]) == 1

    pairs = [
        (compiled[1], run("numpy")[1]),
        (other[3], run("numpy", changed, (3,), duration_ms=60.0, record_dt_ms=0.5)[3]),
    ]
    for ours, numpys in pairs:
        for name in ("E", "I"):
            assert ours[name].sizes["spike"] > 20
            for variable in ("spike_time", "spike_neuron", "voltage"):
                assert np.array_equal(ours[name][variable], numpys[name][variable]), variable
            for signal in ("current_exc_recurrent", "current_exc_external", "current_inh"):
                np.testing.assert_allclose(ours[name][signal], numpys[name][signal], rtol=1e-6, atol=1e-6)
    assert not np.array_equal(compiled[1]["E"].spike_time, compiled[2]["E"].spike_time)
