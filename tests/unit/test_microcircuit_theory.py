"""Closed forms for Brunel's network, against published values and independent integration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.brunel_2000 import theory
from eiplatform.microcircuits.theory.diffusion import brunel_network, isi_cv, self_consistent_rates, siegert_rate
from tests.examples import examples
from tests.refusals import refusing

CELL = {"tau_ms": 20.0, "threshold_mv": 20.0, "reset_mv": 10.0, "refractory_ms": 2.0}


@pytest.mark.parametrize(
    ("state", "rate", "cv", "mu", "sigma"),
    [("B", 55.84, 0.736, 24.16, 10.94), ("C", 37.95, 0.675, 21.03, 7.68), ("D", 6.52, 0.776, 16.37, 3.12)],
)
def test_states_match_the_published_theory(state, rate, cv, mu, sigma):
    values = theory(state=state)
    assert values["rate"] == pytest.approx(rate, abs=0.005)
    assert values["cv"] == pytest.approx(cv, abs=0.0006)
    assert values["mu"] == pytest.approx(mu, abs=0.006)
    assert values["sigma"] == pytest.approx(sigma, abs=0.006)
    assert values["n_rates"] == 1


def test_reset_to_rest_gives_the_rates_of_codes_that_differ_from_the_paper():
    assert theory(state="C", reset_mv=0.0)["rate"] == pytest.approx(32.03, abs=0.01)
    assert theory(state="B", reset_mv=0.0)["rate"] == pytest.approx(49.15, abs=0.01)


def test_mean_currents_follow_from_the_rate():
    values = theory(state="C")
    assert values["current_exc_external"] == pytest.approx(0.1 * 1000 * 20 * 0.020)
    assert values["current_exc_recurrent"] == pytest.approx(0.1 * 1000 * values["rate"] * 0.020)
    assert values["current_inh"] == pytest.approx(5 * 0.1 * 250 * values["rate"] * 0.020)
    assert values["current_exc"] == pytest.approx(values["current_exc_external"] + values["current_exc_recurrent"])
    assert values["current_net"] == pytest.approx(values["mu"])
    assert values["current_net"] / values["current_exc"] == pytest.approx(0.181, abs=0.0006)


@examples(30)
@given(st.floats(5, 40), st.floats(0.5, 15))
def test_siegert_against_the_form_of_brunel_and_hakim(mean, std):
    """Brunel & Hakim 1999: int_0^inf exp(-u^2) (exp(2 b u) - exp(2 a u))/u du is the same integral."""
    a, b = (10 - mean) / std, (20 - mean) / std
    if b > 5:  # the integrand's exp(b^2) then leaves nothing of the tolerance
        return

    def integrand(u):
        return (np.exp(2 * b * u - u * u) - np.exp(2 * a * u - u * u)) / u

    scale = 1 / max(1.0, abs(a), abs(b))
    edges = [1e-12, *np.geomspace(1e-3 * scale, max(b, 0) + 9, 30)]
    integral = sum(quad(integrand, low, high)[0] for low, high in zip(edges[:-1], edges[1:], strict=True))
    assert siegert_rate(mean, std, **CELL) == pytest.approx(1e3 / (2 + 20 * integral), rel=1e-6)


def test_little_noise_approaches_the_deterministic_neuron():
    exact = 1e3 / (2 + 20 * np.log((30 - 10) / (30 - 20)))
    assert siegert_rate(30, 0, **CELL) == pytest.approx(exact)
    assert siegert_rate(30, 1e-3, **CELL) == pytest.approx(exact, rel=1e-6)
    assert siegert_rate(19.9, 0, **CELL) == 0
    assert siegert_rate(10, 0.1, **CELL) == 0
    assert isi_cv(30, 0.2, **CELL) == pytest.approx(0.2 / 0.1 * isi_cv(30, 0.1, **CELL), rel=0.01)  # linear response


def test_rare_spikes_are_poisson():
    # Mean far below threshold: escape over a barrier, exponential intervals.
    assert isi_cv(8, 4, **CELL) == pytest.approx(1, abs=0.02)


def test_coexisting_rates_are_all_found():
    rates = self_consistent_rates(lambda rate: 50 * (1 + np.tanh((rate - 50) / 10)), 200)
    assert rates[0] < 1
    assert rates[1] == pytest.approx(50, abs=0.01)
    assert rates[2] == pytest.approx(100, abs=0.1)
    # Strong excitation and hardly any drive: rest and high activity are both self-consistent.
    values = brunel_network(j_mv=0.1, g=2.0, c_exc=1000, c_inh=250, c_ext=1000, ext_rate_hz=5.0, **CELL)
    assert values["n_rates"] == 3
    assert values["rate"] < 0.1


def test_no_input_is_silence():
    values = theory(state=None, eta=0.0)
    assert values["rate"] == 0
    assert values["current_exc"] == values["current_inh"] == 0
    assert np.isnan(values["cv"])


def test_scaling_keeps_the_mean_input_and_adds_noise():
    full, small = theory(state="C"), theory(scale=0.25)
    assert small["current_exc_external"] == pytest.approx(full["current_exc_external"])
    ratio = small["current_inh"] / small["rate"] / (full["current_inh"] / full["rate"])
    assert ratio == pytest.approx(1, abs=0.01)  # 62.5 synapses are rounded
    assert small["rate"] > full["rate"]


def test_impossible_neurons_are_refused():
    with pytest.raises(ConfigError, match="reset"):
        siegert_rate(10, 1, **{**CELL, "reset_mv": 20.0})
    with pytest.raises(ConfigError, match="noise amplitude"):
        siegert_rate(10, -1, **CELL)
    with refusing(ConfigError, valid="positive"):
        isi_cv(10, 0, **CELL)
