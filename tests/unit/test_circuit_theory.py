"""Closed forms of the linear and the supralinear network, against independent solutions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import eiplatform as ei
from eiplatform.errors import ConfigError
from eiplatform.microcircuits import load
from eiplatform.microcircuits.theory import linear_isn, supralinear
from eiplatform.microcircuits.theory.linear_isn import TSODYKS
from eiplatform.microcircuits.theory.supralinear import HENNEQUIN, steady_rates
from eiplatform.recording.circuit import circuit_in_memory

TABLE = {  # drive: r_E, r_I, net/E, effective w_EE, dr_I/dh_I
    0.5: (0.092, 0.095, 0.900, 0.41, 0.256),
    1: (0.475, 0.516, 0.789, 0.94, 0.082),
    2: (3.261, 4.276, 0.543, 2.47, -9.41),
    3: (5.973, 9.237, 0.426, 3.35, -11.2),
    5: (8.454, 15.784, 0.341, 3.98, -9.66),
    10: (10.667, 26.725, 0.256, 4.47, -7.87),
    15: (11.209, 35.229, 0.211, 4.58, -6.93),
    20: (11.087, 42.738, 0.180, 4.56, -6.26),
    30: (9.911, 56.370, 0.136, 4.31, -5.24),
}


@pytest.mark.parametrize("h", sorted(TABLE))
def test_the_supralinear_network_has_its_published_phenomena(h):
    """Supralinear, then sublinear gain; net/E falls; the sign of dr_I/dh_I flips between 1 and 2; supersaturation."""
    w = np.array(HENNEQUIN)
    rates = steady_rates(w, [h, h])
    exc, inh = w[0, 0] * rates[0] + h, -w[0, 1] * rates[1]
    effective = supralinear.effective_weights(w, rates)[0, 0]
    response = supralinear.responses(w, rates)[1, 1]
    expected = TABLE[h]
    assert rates == pytest.approx(expected[:2], abs=5.1e-4)
    assert (exc - inh) / exc == pytest.approx(expected[2], abs=5.1e-4)
    assert effective == pytest.approx(expected[3], abs=5.1e-3)
    assert response == pytest.approx(expected[4], abs=5.1e-4 if abs(expected[4]) < 1 else 5.1e-2)
    assert (response < 0) == (effective > 1)


def test_the_response_is_the_derivative_of_the_integrated_rates():
    w, h, step = np.array(HENNEQUIN), np.array([3.0, 3.0]), 1e-3
    rates = steady_rates(w, h)
    moved = [steady_rates(w, h + sign * np.array([0, step])) for sign in (1, -1)]
    assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(supralinear.responses(w, rates)[:, 1], rel=1e-4)


def lesioned(dose, also_inh=False):
    w = np.array(HENNEQUIN)
    w[: 2 if also_inh else 1, 1] *= 1 - dose
    return w


def test_the_supralinear_network_runs_away_at_its_critical_lesion():
    critical = supralinear.critical_lesion(HENNEQUIN)
    assert critical == pytest.approx(0.199, abs=5e-4)
    assert np.linalg.det(lesioned(critical)) == pytest.approx(0, abs=1e-12)
    for h in (2.0, 20.0):
        assert np.isfinite(steady_rates(lesioned(0.18), [h, h])).all()
        assert np.isnan(steady_rates(lesioned(0.20), [h, h])).all()
    assert np.isfinite(steady_rates(lesioned(0.28), [1.0, 1.0])).all()  # below the drive that makes it an ISN
    assert np.isnan(steady_rates(lesioned(0.30), [1.0, 1.0])).all()
    raised = [steady_rates(lesioned(0.1), [h, h])[0] / TABLE[h][0] for h in (1, 2, 3, 5, 10, 20)]
    assert raised == pytest.approx([1.17, 10.6, 6.0, 4.5, 3.8, 3.8], rel=0.02)


def test_blocking_inhibition_of_both_targets_is_another_lesion():
    """The fixed point stays and loses its stability: steady, then oscillating, then running away."""
    assert supralinear.critical_lesion(HENNEQUIN, also_inh=True) == 1
    assert np.isfinite(steady_rates(lesioned(0.56, also_inh=True), [20.0, 20.0])).all()
    ends = {}
    for dose in (0.60, 0.62):
        w = lesioned(dose, also_inh=True)
        assert np.isnan(steady_rates(w, [20.0, 20.0])).all()

        def change(_, rates, w=w):
            return (supralinear.power_law(w @ rates + 20) - rates) / np.array([20.0, 10.0])

        def far(_, rates):
            return 1e8 - rates.max()

        far.terminal = True
        ends[dose] = solve_ivp(change, (0, 1000), np.zeros(2), "LSODA", events=far, rtol=1e-8, atol=1e-8)
    assert ends[0.60].status == 0
    assert ends[0.60].y[0].mean() < 1e5
    assert ends[0.62].status == 1


def test_linear_responses_against_the_solved_equations():
    w = np.array(TSODYKS)
    d = (1 - 2.5) * (1 + 0.7) + 2.5 * 1.5
    assert linear_isn.determinant(w) == pytest.approx(d) == pytest.approx(1.2)
    by_hand = [[(1 + 0.7) / d, -2.5 / d], [1.5 / d, (1 - 2.5) / d]]
    assert linear_isn.responses(w) == pytest.approx(np.array(by_hand))
    for drive in range(2):
        change = np.linalg.solve(np.eye(2) - w, np.eye(2)[drive])
        assert linear_isn.responses(w)[:, drive] == pytest.approx(change)


@pytest.mark.parametrize("fraction", [0.2, 0.4, 0.5, 1.0])
def test_partial_stimulation_in_a_random_network_of_many_units(fraction):
    """N units with random weights of the right means, solved as they are."""
    rng, n = np.random.default_rng(1), 400
    means = np.repeat(np.repeat(np.array(TSODYKS) / n, n, 0), n, 1)
    matrix = means * rng.uniform(0.9, 1.1, means.shape)
    drive = np.zeros(2 * n)
    stimulated = n + np.arange(round(fraction * n))
    drive[stimulated] = 1
    change = np.linalg.solve(np.eye(2 * n) - matrix, drive)
    found = linear_isn.partial_stimulation(TSODYKS, fraction)
    assert change[stimulated].mean() == pytest.approx(found.stimulated, abs=0.02)
    assert change[n:].mean() == pytest.approx(found.mean, abs=0.02)
    assert change[:n].mean() == pytest.approx(found.exc, abs=0.02)
    if fraction < 1:
        assert np.delete(change[n:], np.arange(len(stimulated))).mean() == pytest.approx(found.others, abs=0.02)
    assert (found.stimulated < 0) == (fraction > linear_isn.partial_threshold(TSODYKS))


def test_the_threshold_of_partial_stimulation():
    threshold = linear_isn.partial_threshold(TSODYKS)
    assert threshold == pytest.approx(4 / 9)
    assert linear_isn.partial_stimulation(TSODYKS, threshold).stimulated == pytest.approx(0, abs=1e-12)
    assert linear_isn.partial_stimulation(TSODYKS, 0.2)[:2] == pytest.approx((0.55, -0.45))
    assert linear_isn.partial_stimulation(TSODYKS, 0.5)[:2] == pytest.approx((-0.125, -1.125))
    assert np.isnan(linear_isn.partial_threshold([[0.5, -2.5], [1.5, -0.7]]))


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_the_simulated_circuit_does_what_the_closed_form_says(fraction):
    options = {"duration_ms": 10.0, "warmup_ms": 3000.0}
    before = circuit_in_memory("linear-isn", **options)
    after = circuit_in_memory("linear-isn", interventions=[ei.Add("I", 0.1, fraction=fraction)], **options)
    found = linear_isn.partial_stimulation(TSODYKS, fraction)
    change = {name: (after[name].ds["activity"] - before[name].ds["activity"])[0, -1].values / 0.1 for name in "EI"}
    cut = round(fraction * 10)
    assert change["E"] == pytest.approx(found.exc, abs=1e-4)
    assert change["I"][:cut] == pytest.approx(found.stimulated, abs=1e-4)
    assert change["I"][cut:] == pytest.approx(found.others, abs=1e-4)


def test_the_linear_network_runs_away_at_its_critical_lesion():
    critical = linear_isn.critical_lesion(TSODYKS)
    assert critical == pytest.approx(0.32)
    options = {"duration_ms": 10.0, "warmup_ms": 20_000.0}
    trees = [
        circuit_in_memory("linear-isn", interventions=[ei.Scale("I->E", 1 - d)], **options) for d in (0, 0.28, 0.36)
    ]
    rates = [float(tree["E"].ds["activity"][0, -1, 0]) for tree in trees]
    assert rates[0] == pytest.approx(10, abs=1e-6)
    w = np.array(TSODYKS)
    w[0, 1] *= 0.72
    assert rates[1] == pytest.approx((linear_isn.responses(w) @ [7.5, 0.3])[0], rel=1e-3)
    assert rates[2] > 1e5


def test_theories_say_what_does_not_exist():
    assert load("linear-isn").theory()["partial_threshold"] == pytest.approx(4 / 9)
    away = load("linear-isn", {"w_inh_to_exc": 1.0}).theory()
    assert "E/rate" not in away and away["critical_lesion_inh_to_exc"] < 0
    assert "E/rate" not in load("ssn", {"w_inh_to_exc": 0.4}).theory()
    for weights in ([[1, 1], [1, -1]], [[1, -1]]):
        with pytest.raises(ConfigError, match="weights of E and I"):
            linear_isn.responses(weights)
    with pytest.raises(ConfigError, match="from 0 to 1"):
        linear_isn.partial_stimulation(TSODYKS, 1.5)
