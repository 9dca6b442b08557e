"""The small circuits: parameters, closed forms, connectivity, and what they refuse."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.microcircuits import load, names, simulate
from eiplatform.microcircuits.balanced_network import balanced_rates, binary_activity
from eiplatform.microcircuits.connectivity import independent
from eiplatform.microcircuits.protocols import plan
from eiplatform.store.sumrules import sum_rule_residuals
from tests.examples import examples

OURS = ("chance-2002", "feedforward-inhibition", "isn", "van-vreeswijk-sompolinsky", "vogels-abbott-2005")


@pytest.mark.parametrize("name", OURS)
def test_every_circuit_is_found_documented_and_survives_the_way_to_the_worker(name):
    assert name in names()
    circuit = load(name)
    again = type(circuit).from_parameters(circuit.to_mapping())
    assert (type(again), again.parameters) == (type(circuit), circuit.parameters)
    page = Path(__file__).parents[2] / "docs" / "circuits" / f"{name}.md"
    text = page.read_text()
    assert "doi" in text
    for field in circuit.drives.values():
        assert isinstance(getattr(circuit.parameters, field.parameter), float)
    for pathway, parameter in circuit.pathways.items():
        assert getattr(circuit.parameters, parameter) > 0, pathway
    documented = type(circuit.parameters).__doc__ or ""
    inherited = "".join(base.__doc__ or "" for base in type(circuit.parameters).__mro__[1:-1])
    for parameter in circuit.to_mapping():
        assert parameter == "variant" or parameter in documented + inherited, parameter


def test_variants_of_vogels_and_abbott():
    coba, cuba = load("vogels-abbott-2005"), load("vogels-abbott-2005", {"variant": "cuba"})
    assert coba.to_mapping()["variant"] == "coba"
    assert load("vogels-abbott-2005", cuba.to_mapping()).parameters == cuba.parameters
    # The benchmark's 1.62 mV and -9 mV, and its rest at -49 mV, on a leak of 10 nS.
    assert cuba.parameters.w_exc_to_exc / cuba.parameters.g_leak_ns == pytest.approx(1.62)
    assert cuba.parameters.w_inh_to_exc / cuba.parameters.g_leak_ns == pytest.approx(9.0)
    assert cuba.parameters.rest_mv + cuba.parameters.bias_pa / cuba.parameters.g_leak_ns == pytest.approx(-49.0)
    assert {signal.signal for signal in coba.signals} > {"conductance_exc", "conductance_inh"}
    assert not {signal.signal for signal in cuba.signals} & {"conductance_exc", "conductance_inh"}


@pytest.mark.parametrize(
    ("name", "parameters", "error", "words"),
    [
        ("isn", {"drive_I": 1}, UnknownNameError, "drive_inh"),
        ("isn", {"drive_inh": -1}, ConfigError, "drive_inh: -1.0 is not possible"),
        ("isn", {"drive_inh": 1e6}, ConfigError, "per neuron and step"),
        ("isn", {"c_inh": 1000}, ConfigError, "fewer than n_inh"),
        ("isn", {"delay_ms": 0.05}, ConfigError, "multiple of dt_ms"),
        ("van-vreeswijk-sompolinsky", {"k": 4000}, ConfigError, "below n_exc"),
        ("van-vreeswijk-sompolinsky", {"K": 100}, UnknownNameError, "did you mean 'k'"),
        ("vogels-abbott-2005", {"variant": "cobahh"}, UnknownNameError, "valid: coba, cuba"),
        ("vogels-abbott-2005", {"variant": "cuba", "e_exc_mv": 0}, UnknownNameError, "unknown parameter"),
        ("vogels-abbott-2005", {"p_connect": 1.5}, ConfigError, "from 0 to 1"),
        ("vogels-abbott-2005", {"w_inh_to_exc": -67}, ConfigError, "at least 0"),
        ("vogels-abbott-2005", {"reset_mv": -90}, ConfigError, "between e_inh_mv"),
        ("vogels-abbott-2005", {"variant": "cuba", "tau_e_ms": 20.0}, ConfigError, "other than the membrane"),
        ("feedforward-inhibition", {"c_inh_to_exc": 101}, ConfigError, "from 0 to n_inh"),
        ("feedforward-inhibition", {"input_rate_hz": 1e4}, ConfigError, "one spike in 10 time steps"),
        ("feedforward-inhibition", {"volley_period_ms": 10.0, "volley_delay_ms": 10.0}, ConfigError, "volley_delay"),
        ("chance-2002", {"tonic": 2}, ConfigError, "from 0 to 1"),
        ("chance-2002", {"current_pa": -1}, ConfigError, "at least 0"),
        ("chance-2002", {"level": 1e4}, ConfigError, "spikes per step"),
        ("chance-2002", {"n_cells": 0}, ConfigError, "positive"),
    ],
)
def test_bad_parameters(name, parameters, error, words):
    with pytest.raises(error, match=words):
        load(name, parameters)


def test_all_circuits_pass_the_checks_of_the_runner():
    for name in names():
        simulate(name, device="numpy", memory_budget=2**40)  # checks at the call, runs when iterated
    with pytest.raises(ConfigError, match="GiB may be used"):
        simulate("vogels-abbott-2005", memory_budget=10**6)


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (100, [(0.0, 0.0), (0.037, 0.068), (0.124, 0.163), (0.212, 0.250)]),
        (1000, [(0.014, 0.029), (0.059, 0.079), (0.155, 0.177), (0.253, 0.273)]),
        (10000, [(0.033, 0.040), (0.082, 0.091), (0.181, 0.190), (0.281, 0.289)]),
        (np.inf, [(0.05, 0.05), (0.1, 0.1), (0.2, 0.2), (0.3, 0.3)]),
    ],
)
def test_the_binary_network_at_finite_k(k, expected):
    """Values computed independently of this code, at m0 = 0.05, 0.1, 0.2, 0.3."""
    for m0, (exc, inh) in zip((0.05, 0.1, 0.2, 0.3), expected, strict=True):
        assert binary_activity(k, m0) == pytest.approx((exc, inh), abs=0.001)


def test_the_binary_network_against_a_simulation_of_threshold_units():
    """Asynchronous updates of 2 x 1000 units, 150 inputs each; the theory neglects correlations."""
    n, k, m0 = 1000, 150, 0.3
    rng = np.random.default_rng(3)
    weight = np.where(rng.random((2 * n, 2 * n)) < k / n, 1 / np.sqrt(k), 0.0)
    weight[:n, n:] *= -2.0
    weight[n:, n:] *= -1.8
    external = np.sqrt(k) * m0 * np.repeat([1.0, 0.8], n) - np.repeat([1.0, 0.7], n)
    state = rng.random(2 * n) < 0.2
    field = weight @ state + external
    active = np.zeros(2)
    updates = 40 * 2 * n
    for step, unit in enumerate(rng.integers(0, 2 * n, updates)):
        new = field[unit] > 0
        if new != state[unit]:
            field += weight[:, unit] * (1.0 if new else -1.0)
            state[unit] = new
        if step % 200 == 0 and step >= updates // 4:
            active += [state[:n].mean(), state[n:].mean()]
    active /= len(range(updates // 4, updates, 200))
    assert active == pytest.approx(binary_activity(k, m0), rel=0.08)


def test_balance_equations():
    weights, external = np.array([[1.0, -2.0], [1.0, -1.8]]), np.array([3.0, 2.4])
    rates = balanced_rates(weights, external)
    assert weights @ rates + external == pytest.approx(0, abs=1e-12)
    with pytest.raises(ConfigError, match=r"drive_exc/drive_inh > "):
        balanced_rates([[1, -1.8], [1, -2.0]], [1.0, 0.8])
    with pytest.raises(ConfigError, match="no balanced state"):
        balanced_rates([[1, -1], [1, -1]], [1.0, 0.8])


def test_the_lif_network_approaches_balance_as_one_over_the_root_of_k():
    def theory(k):
        return load("van-vreeswijk-sompolinsky", {"k": k, "n_exc": 10**6, "n_inh": 10**6, "rate_ext_hz": 20.0}).theory()

    ks = np.array([400, 1600, 6400, 25600, 102400])
    values = [theory(int(k)) for k in ks]
    beta = [abs(v["E/current_net"] / v["E/current_exc"]) for v in values]
    assert values[-1]["E/rate"] == pytest.approx(20, rel=0.02)
    slope = np.polyfit(np.log(ks), np.log([v["E/current_exc"] for v in values]), 1)[0]
    assert slope == pytest.approx(0.5, abs=0.02)
    assert beta[-1] < beta[0]
    net = [abs(v["E/current_net"]) for v in values]
    assert max(net) < 20  # of the order of the threshold at every K, while excitation reaches 16 thresholds
    assert "E/rate" not in load("van-vreeswijk-sompolinsky", {"inh_to_exc": 0.0}).theory()


def test_isn_theory_is_brunels_when_the_populations_do_not_differ():
    isn = load("isn").theory()
    p = load("isn").parameters
    mean = p.tau_ms * 1e-3 * (p.ext_rate_hz * p.j_ext_mv + p.j_mv * (p.c_exc - p.g * p.c_inh) * isn["E/rate"])
    assert isn["E/rate"] == isn["I/rate"]
    assert isn["E/current_net"] == pytest.approx(mean)
    assert isn["loop_gain"] > 5
    # The linear response from the loop gains alone: (1 - W) dr = G dmu for I.
    p_percent = 0.01 * p.ext_rate_hz * p.j_ext_mv * p.tau_ms * 1e-3
    w = isn["loop_gain"]
    slope = w / (p.tau_ms * 1e-3 * p.j_mv * p.c_exc)
    gamma_g = p.g * p.c_inh / p.c_exc
    jacobian = np.array([[w, -gamma_g * w], [w, -gamma_g * w]])
    response = np.linalg.solve(np.eye(2) - jacobian, [0, slope * p_percent])
    measured = [isn["E/rate_per_percent_to_I"], isn["I/rate_per_percent_to_I"]]
    assert response == pytest.approx(measured, rel=0.2)  # without the change of the noise
    assert max(measured) < 0


def test_only_strong_recurrence_is_paradoxical_and_freezing_ends_it():
    frozen = load("isn", load("isn").frozen("E", 40.0)).theory()
    assert frozen["I/rate_per_percent_to_I"] > 0 > frozen["E/rate_per_percent_to_I"]
    assert frozen["loop_gain"] == 0
    pathways = {"exc_to_exc": 0.1, "exc_to_inh": 0.3, "inh_to_exc": 0.3, "inh_to_inh": 0.3}
    weak = load("isn", {**pathways, "drive_exc": 0.8, "drive_inh": 0.8}).theory()
    assert weak["loop_gain"] < 1
    assert weak["I/rate_per_percent_to_I"] > 0 > weak["E/rate_per_percent_to_I"]
    with pytest.raises(UnknownNameError, match="population to freeze"):
        load("isn").frozen("I", 40.0)
    with pytest.raises(ConfigError, match="cannot be frozen"):
        load("chance-2002").frozen("E", 40.0)


@examples(30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.booleans())
def test_independent_pairs_are_different_sorted_and_never_a_neuron_with_itself(seed, sources, extra, p, own):
    targets = sources + extra
    edges = independent(np.random.default_rng(seed), sources, p, targets, first_own=extra if own else None)
    pre = edges.pre()
    assert len(edges.post) == edges.degree.sum() == len(pre)
    pairs = list(zip(pre.tolist(), edges.post.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert all(0 <= post < targets for post in edges.post.tolist())
    if own:
        assert all(post != pre + extra for pre, post in pairs)
    if p == 1:
        assert len(pairs) == sources * (targets - own)


def test_independent_pairs_have_binomial_degrees():
    n, p = 2000, 0.05
    edges = independent(np.random.default_rng(5), n, p, n, first_own=0)
    for degree in (edges.degree, np.bincount(edges.post, minlength=n)):
        cuts = binom.ppf([0.1, 0.3, 0.5, 0.7, 0.9], n - 1, p)
        observed = np.bincount(np.searchsorted(cuts, degree), minlength=6)
        expected = np.diff([0, *binom.cdf(cuts, n - 1, p), 1]) * n
        assert chisquare(observed, expected).pvalue > 1e-3
    with pytest.raises(ConfigError, match="from 0 to 1"):
        independent(np.random.default_rng(0), 3, -0.1, 3)


def test_the_template_of_the_guide_is_a_circuit(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "extending" / "circuit.md").read_text()
    template = page.split("```python\n")[1].split("```")[0]
    (tmp_path / "circuit_of_the_guide.py").write_text(template)
    monkeypatch.syspath_prepend(tmp_path)
    circuit = importlib.import_module("circuit_of_the_guide").CIRCUIT.from_parameters({"drive_pa": 150.0})
    assert plan("lesion", circuit, target="I->E+I").conditions[-1].changes == {"w_inh": 0.0}
    ((_, run),) = simulate(circuit, device="numpy", duration_ms=20.0, warmup_ms=0.0, n_recorded=10)
    assert run["E"].sizes["spike"] > 10
    assert float(run["E"].current_exc_constant.mean()) == pytest.approx(150.0)
    assert max(sum_rule_residuals(run["E"]).values()) < 1e-5
    with pytest.raises(UnknownNameError, match="did you mean 'w_exc'"):
        type(circuit).from_parameters({"w_ex": 1.0})
