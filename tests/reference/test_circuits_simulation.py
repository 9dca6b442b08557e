"""The small circuits in simulation: exact recording, conservation of charge, closed forms, devices."""

import numpy as np
import pytest

import eiplatform
import eiplatform.statistics
from eiplatform.errors import SumRuleError
from eiplatform.microcircuits import load, simulate
from eiplatform.microcircuits.feedforward_inhibition import FeedforwardInhibition
from eiplatform.recording.circuit import record_protocol
from eiplatform.store.sumrules import check_sum_rules, sum_rule_residuals

SMALL = {"n_input": 60, "n_exc": 30, "n_inh": 12, "c_input_to_exc": 15, "c_input_to_inh": 12, "c_inh_to_exc": 5}
MOTIF = {**SMALL, "w_input_to_exc": 4.0, "w_input_to_inh": 5.0, "w_inh_to_exc": 3.0, "input_rate_hz": 20.0}


class EverythingAtOnce(FeedforwardInhibition):
    """The motif with external excitation, background inhibition, tonic conductances and a constant current."""

    parts = {"recurrent": "charge_rec", "external": "charge_ext"}
    has_constant = True

    def inputs(self):
        """Add to the inputs of E."""
        found = super().inputs()
        more = {"w_ext": 0.5, "ext_rate_hz": 800.0, "w_background": 1.0, "background_rate_hz": 300.0}
        tonic = {"tonic_exc_ns": 0.3, "tonic_inh_ns": 0.6, "constant_pa": 20.0}
        found["E"] = type(found["E"])(found["E"].w_exc, found["E"].w_inh, **more, **tonic)
        return found


def run(circuit, parameters=None, seed=1, **options):
    options = {"duration_ms": 100.0, "warmup_ms": 10.0, "n_recorded": 50, "device": "numpy", **options}
    return dict(simulate(circuit, parameters=parameters, seeds=(seed,), **options))[seed]


@pytest.fixture(scope="module")
def everything():
    """All kinds of input, all neurons, every step."""
    return run(EverythingAtOnce.from_parameters(MOTIF), record_dt_ms=0.1)


def at_rest(data, refractory_ms):
    """Steps (time, neuron) in which a neuron fires or is, or may be, refractory."""
    rest = np.zeros((data.sizes["time"] + 1, data.n_neurons), bool)
    rest[: round(refractory_ms / data.dt)] = True  # after spikes before the recording
    step = np.rint(data.spike_time.values / data.dt).astype(int)
    for lag in range(round(refractory_ms / data.dt) + 1):  # fires at the end of step k-1, rests from step k on
        rest[np.minimum(step - 1 + lag, len(rest) - 1), data.spike_neuron.values] = True
    return rest[: data.sizes["time"]]


def test_currents_move_exactly_the_charge_of_the_membrane(everything):
    """C dv = leak + E - I, in every step and neuron that is free, with the leak from the same mean potential."""
    for name, data in everything.items():
        p = load("feedforward-inhibition", MOTIF).parameters
        capacity = {"E": p.c_m_pf, "I": p.c_m_inh_pf}[name]
        synaptic = (data.current_exc - data.current_exc_constant).values[0].astype(float)
        conductance = data.conductance_exc.values[0].astype(float)
        known = conductance > 0.1
        v_mean = p.e_exc_mv - synaptic / np.where(known, conductance, 1.0)
        current = p.g_leak_ns * (p.e_leak_mv - v_mean) + data.current_net.values[0]
        dv = np.diff(data.voltage.values[0].astype(float), axis=0)
        free = (known & ~at_rest(data, p.refractory_ms))[:-1]
        assert free.mean() > 0.3
        np.testing.assert_allclose(dv[free] * capacity / 0.1, current[:-1][free], atol=0.1)
        assert np.abs(current[:-1][free]).max() > 100


def test_the_membrane_equation_is_solved(everything):
    """Each free step again with a Runge-Kutta method of twenty sub-steps and decaying conductances."""
    data, p = everything["E"], load("feedforward-inhibition", MOTIF).parameters

    def start(mean, tau, tonic):
        x = p.dt_ms / tau
        return (mean.values[0][:-1].astype(float) - tonic) * x / -np.expm1(-x)

    exc, inh = start(data.conductance_exc, p.tau_e_ms, 0.3), start(data.conductance_inh, p.tau_i_ms, 0.6)
    voltage = data.voltage.values[0].astype(float)

    def slope(t, v):
        g_e, g_i = exc * np.exp(-t / p.tau_e_ms) + 0.3, inh * np.exp(-t / p.tau_i_ms) + 0.6
        total = p.g_leak_ns * (p.e_leak_mv - v) + g_e * (p.e_exc_mv - v) + g_i * (p.e_inh_mv - v) + 20.0
        return total / p.c_m_pf

    v, h = voltage[:-1].copy(), p.dt_ms / 20
    for step in range(20):
        t = step * h
        first = slope(t, v)
        second = slope(t + h / 2, v + h / 2 * first)
        third = slope(t + h / 2, v + h / 2 * second)
        v = v + h / 6 * (first + 2 * second + 2 * third + slope(t + h, v + h * third))
    free = ~at_rest(data, p.refractory_ms)[:-1]
    np.testing.assert_allclose(voltage[1:][free], v[free], atol=5e-5)
    assert data.sizes["spike"] > 20


def test_conductances_are_exact_means_and_coarse_intervals_average(everything):
    """Inhibition from the spikes of I and the connectivity, in closed form; then 2 ms against 0.1 ms."""
    circuit = load("feedforward-inhibition", {**MOTIF, "volley_period_ms": 20.0})
    p = circuit.parameters
    coarse = run(circuit, warmup_ms=0.0, record_dt_ms=2.0)
    edges = dict(circuit.connectivity(1))["inh"]
    weight = np.zeros((p.n_exc, p.n_inh))
    weight[edges.post, edges.pre()] = p.w_inh_to_exc
    spikes = coarse["I"]
    arrival = spikes.spike_time.values + p.delay_ms
    expected = np.zeros((coarse["E"].sizes["time"], p.n_exc))
    for index, time in enumerate(coarse["E"].time.values):
        since, until = np.clip(time - arrival, 0, None), np.clip(time + 2.0 - arrival, 0, None)
        area = p.tau_i_ms * (np.exp(-since / p.tau_i_ms) - np.exp(-until / p.tau_i_ms)) / 2.0
        expected[index] = weight @ np.bincount(spikes.spike_neuron.values, weights=area, minlength=p.n_inh)
    assert expected.max() > 5
    np.testing.assert_allclose(coarse["E"].conductance_inh.values[0], expected, rtol=2e-6, atol=1e-6)
    assert float(coarse["I"].conductance_inh.max()) == 0

    again = run(EverythingAtOnce.from_parameters(MOTIF), record_dt_ms=2.0)["E"]
    fine = everything["E"]
    for signal in ("current_exc_external", "current_inh", "conductance_exc", "conductance_inh", "current_exc_fixed"):
        blocks = fine[signal].values[0].reshape(50, 20, -1).mean(axis=1)
        np.testing.assert_allclose(blocks, again[signal].values[0], rtol=2e-5)
    assert np.array_equal(fine.spike_time, again.spike_time)


def test_conductance_signals_obey_their_sum_rules_and_no_lie_is_stored(everything):
    data = everything["E"]
    residuals = sum_rule_residuals(data)
    assert set(residuals) == {"net", "excitation", "shunt", "conductance gain", "fixed voltage"}
    assert max(residuals.values()) < 1e-5
    assert (data.conductance_exc.attrs["units"], data.voltage.attrs["units"]) == ("nS", "mV")
    assert data.current_exc.attrs["units"] == "pA"
    total = 10.0 + data.conductance_exc + data.conductance_inh
    np.testing.assert_allclose(data.gain, 10.0 / total, rtol=1e-6)
    np.testing.assert_allclose(data.current_inh_fixed, data.conductance_inh * 10.0, rtol=1e-6)
    for signal in ("gain", "inhibition_div", "current_exc_fixed", "current_exc_recurrent"):
        false = data.copy(deep=True)
        false[signal][0, 50, 3] += 0.01 * float(data[signal].max())
        with pytest.raises(SumRuleError, match=r"sum rule violated"):
            check_sum_rules(false, "E")


def test_shot_noise_has_the_mean_and_variance_of_campbell():
    options = {"duration_ms": 120.0, "warmup_ms": 50.0, "n_recorded": 200, "record_dt_ms": 0.1}
    for parameters in ({"level": 2.0}, {"level": 2.0, "tonic": 0.5}):
        theory = load("chance-2002", parameters).theory()
        data = run("chance-2002", parameters, **options)["E"]
        for name in ("conductance_exc", "conductance_inh"):
            values = data[name].values.astype(float)
            assert values.mean() == pytest.approx(theory[f"E/{name}"], rel=0.01)
            # Averaging over a step of 0.1 ms takes less than 1 % of the standard deviation.
            assert values.std() == pytest.approx(theory[f"E/{name}_sd"], rel=0.04)


def test_without_noise_the_cell_rests_where_the_conductances_say():
    parameters = {"level": 1.0, "tonic": 1.0, "n_cells": 3}
    data = run("chance-2002", parameters, warmup_ms=100.0, duration_ms=10.0)["E"]
    theory = load("chance-2002", parameters).theory()
    np.testing.assert_allclose(data.voltage, theory["E/mean_voltage"], rtol=1e-6)
    np.testing.assert_allclose(data.gain, 1 / theory["E/total_over_leak"], rtol=1e-6)
    assert theory["E/mean_voltage"] == pytest.approx(-61.14, abs=0.01)


def test_cuba_follows_its_currents_and_its_bias():
    """The potential again from the recorded mean currents: exact for a constant, second order otherwise."""
    parameters = {"variant": "cuba", "n_exc": 160, "n_inh": 40, "p_connect": 0.2}
    populations = run("vogels-abbott-2005", parameters, record_dt_ms=0.1, duration_ms=100.0, warmup_ms=0.0)
    p = load("vogels-abbott-2005", parameters).parameters
    edges = dict(load("vogels-abbott-2005", parameters).connectivity(1))["inh"]
    data, spikes = populations["E"], populations["I"]
    arrived = np.zeros(200)
    early = spikes.spike_time.values + p.delay_ms <= 100.0
    np.add.at(arrived, edges.post, np.bincount(spikes.spike_neuron.values[early], minlength=40)[edges.pre()])
    # All charge that ever arrives is the weight times the time constant, less what has not yet flowed.
    charge = data.current_inh.values[0].astype(float).sum(axis=0) * 0.1
    most = arrived[data.neuron.values] * p.w_inh_to_exc * p.tau_i_ms
    assert (charge <= most * (1 + 1e-6)).all()
    assert charge.sum() > 0.5 * most.sum()
    voltage = data.voltage.values[0].astype(float)
    drive = data.current_net.values[0].astype(float) / p.g_leak_ns + p.rest_mv
    decay = np.exp(-0.1 * p.g_leak_ns / p.c_m_pf)
    expected = drive[:-1] + (voltage[:-1] - drive[:-1]) * decay
    step = np.rint(data.spike_time.values / 0.1).astype(int)
    chosen = {neuron: index for index, neuron in enumerate(data.neuron.values)}
    rest = np.zeros((len(voltage) + 60, len(chosen)), bool)
    for k, neuron in zip(step, data.spike_neuron.values, strict=True):
        if neuron in chosen:
            rest[max(k - 1, 0) : k + 50, chosen[neuron]] = True
    free = ~rest[: len(expected)]
    assert data.sizes["spike"] > 30
    np.testing.assert_allclose(voltage[1:][free], expected[free], atol=2e-3)


def test_more_drive_to_i_lowers_both_rates_and_with_e_frozen_raises_i(tmp_path):
    """In the rates of the protocol, and in the statistics of the recordings that it leaves."""
    small = {"n_exc": 400, "n_inh": 100, "c_exc": 80, "c_inh": 20, "j_mv": 1.25}
    theory = load("isn", small).theory()
    assert theory["loop_gain"] > 2
    result = record_protocol(
        "isn", tmp_path / "isn", "perturb-I", parameters=small, levels=[0.5], freeze="E", seeds=(1,),
        duration_ms=90.0, warmup_ms=30.0, n_recorded=5,
    )  # fmt: skip
    free, frozen = result["response_mean"].values[1], result["response_mean"].values[3]
    assert free[0] < -5
    assert free[1] < -5
    assert frozen[0] < -5
    assert frozen[1] > 3
    trees = [eiplatform.open(tmp_path / "isn" / str(name)) for name in result["condition"].values]
    pairs = {"free": trees[:2], "frozen": trees[2:]}
    found = {
        name: off["I"].ds.ei.paradoxical_index(on["I"].ds, change=0.5, n_bootstrap=200)
        for name, (off, on) in pairs.items()
    }
    for (name, index), first in zip(found.items(), (0, 2), strict=True):
        off, on = result["rate"].sel(population="I").values[first : first + 2, 0]
        np.testing.assert_allclose([index["rate_control"], index["rate_perturbed"]], [off, on], err_msg=name)
        np.testing.assert_allclose([index["index"], index["slope"]], [-(on - off) / (on + off), 2 * (on - off)])
    assert found["free"]["response"].item() == "paradoxical"
    assert found["frozen"]["response"].item() != "paradoxical" and float(found["frozen"]["index"]) < 0
    # The theory's slope is that of a small step: a large one saturates.
    assert 100 * theory["I/rate_per_percent_to_I"] < float(found["free"]["slope"]) < 0
    response = trees[0]["E"].ds.ei.perturbation_response(trees[1]["E"].ds, n_bootstrap=200)
    np.testing.assert_allclose(response["mean_response"], free[0])
    assert float(response["mean_response_high"]) < 0


def test_balance_of_the_strongly_coupled_network():
    parameters = {"n_exc": 500, "n_inh": 500, "k": 100, "rate_ext_hz": 40.0}
    theory = load("van-vreeswijk-sompolinsky", parameters).theory()
    data = run("van-vreeswijk-sompolinsky", parameters, warmup_ms=50.0, duration_ms=200.0)
    for name in ("E", "I"):
        population = data[name]
        assert population.sizes["spike"] / 500 / 0.2 == pytest.approx(theory[f"{name}/rate"], rel=0.15)
        assert float(population.current_inh.mean()) == pytest.approx(theory[f"{name}/current_exc"], rel=0.15)
        cancelled = abs(float(population.current_net.mean() / population.current_exc.mean()))
        assert cancelled == pytest.approx(theory[f"{name}/current_net"] / theory[f"{name}/current_exc"], rel=0.3)
        assert set(sum_rule_residuals(population)) == {"net", "excitation"}


def test_the_compiled_program_gives_the_spikes_of_numpy():
    circuit = EverythingAtOnce.from_parameters({**MOTIF, "volley_period_ms": 30.0, "volley_delay_ms": 2.0})
    compiled = run(circuit, device="cpp_standalone")
    numpys = run(circuit)
    for name, ours in compiled.items():
        assert ours.sizes["spike"] > 20
        for variable in ("spike_time", "spike_neuron", "voltage"):
            assert np.array_equal(ours[variable], numpys[name][variable]), variable
        for signal in ("current_exc", "current_inh", "conductance_exc", "gain"):
            np.testing.assert_allclose(ours[signal], numpys[name][signal], rtol=1e-6, atol=1e-6)
