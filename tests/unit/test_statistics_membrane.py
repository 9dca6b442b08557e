"""The free membrane: closed forms for networks, current-based and conductance-based circuits."""

import numpy as np
import pytest
from scipy import signal, stats

import eiplatform.statistics as ei
from eiplatform.errors import NotApplicableError, TooShortError
from eiplatform.store.schema import population_dataset


def recording(signals, *, units="step", dt=1.0, current_units="1", parameters=None, **attrs):
    samples, steps, neurons = next(iter(signals.values())).shape
    return population_dataset(
        signals, sample=np.arange(samples), time=np.arange(steps) * dt, neuron=np.arange(neurons), dt=dt,
        time_units=units, current_units=current_units, potential_units="mV" if units == "ms" else None,
        n_neurons=neurons, role="E", attrs=attrs, parameters=parameters,
    )  # fmt: skip


def network(seed=0, mean=0.3, sd=0.2, decay=0.5, **changes):
    rng = np.random.default_rng(seed)
    net = rng.normal(mean, sd, size=(6, 2000, 5))
    return recording(
        {"current_exc": net + 1, "current_inh": np.ones_like(net), "drive": net, "spikes": np.zeros(net.shape, bool)},
        **{"threshold": 1.0, "membrane_decay": decay, "reset": "soft"} | changes,
    )


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_index_of_white_drive_has_its_closed_form(decay):
    """u[t] = d u[t-1] + drive: mean m/(1-d), variance s^2/(1-d^2)."""
    mean, sd = 0.3 * (1 - decay), 0.2
    index = (1 - mean / (1 - decay)) / (sd / np.sqrt(1 - decay**2))
    data = network(1, mean, sd, decay)
    assert float(data.ei.fluctuation_index().mean()) == pytest.approx(index, rel=0.05)
    # The free potential of a Gaussian drive is Gaussian.
    assert float(data.ei.driven_above_threshold().mean()) == pytest.approx(stats.norm.sf(index), abs=0.01)


def test_free_potential_equals_a_filter():
    data = network(2, decay=0.7)
    drive = data["drive"].values
    target = drive / 0.3
    start = target.mean(axis=1, keepdims=True)
    free = signal.lfilter([0.3], [1, -0.7], target - start, axis=1) + start
    want = (1 - free.mean(axis=(0, 1))) / np.sqrt(free.var(axis=1).mean(axis=0))
    np.testing.assert_allclose(data.ei.fluctuation_index(), want, rtol=1e-9)
    np.testing.assert_allclose(data.ei.driven_above_threshold(), (free >= 1).mean(axis=(0, 1)), atol=1e-12)


def test_drive_is_rebuilt_from_gain_and_bias():
    rng = np.random.default_rng(3)
    exc, inh, gain = (rng.gamma(3.0, size=(3, 100, 4)) for _ in range(3))
    bias = np.arange(4.0)
    signals = {"current_exc": exc, "current_inh": inh, "gain": gain}
    attrs = {"threshold": 2.0, "membrane_decay": 0.5, "reset": "soft"}
    rebuilt = recording(signals, parameters={"bias": bias}, **attrs)
    recorded = recording(signals | {"drive": gain * (exc - inh) + bias}, **attrs)
    np.testing.assert_allclose(rebuilt.ei.fluctuation_index(), recorded.ei.fluctuation_index(), rtol=1e-10)


def test_mean_driven_neurons_are_negative_and_above_threshold():
    found = network(4, mean=0.8)  # at rest at 1.6
    assert (found.ei.fluctuation_index() < 0).all() and (found.ei.driven_above_threshold() > 0.95).all()


def ou(rng, shape, tau, dt):
    keep = np.exp(-dt / tau)
    return signal.lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.normal(size=shape), axis=1)


@pytest.mark.parametrize("unit", ["mV", "pA"])
def test_current_based_circuits_filter_with_their_membrane(unit):
    """Input of time constant 5 ms through a membrane of 20 ms: variance s^2 5/(5 + 20)."""
    rng = np.random.default_rng(5)
    net = 12 + 3 * ou(rng, (4, 20000, 3), 5.0, 1.0)
    scale = 1.0 if unit == "mV" else 250.0 / 20.0  # pA that hold the membrane 1 mV higher
    attrs = {"threshold": 20.0, "tau_membrane": 20.0}
    if unit == "pA":
        attrs |= {"threshold": -45.0, "reversal_leak": -65.0, "capacitance_pf": 250.0}
    data = recording(
        {"current_exc": scale * (net + 30), "current_inh": np.full_like(net, 30 * scale)}, units="ms",
        current_units=unit, **attrs,
    )  # fmt: skip
    index = (20 - 12) / (3 * np.sqrt(5 / 25))
    assert float(data.ei.fluctuation_index().mean()) == pytest.approx(index, rel=0.05)


def test_conductances_shorten_the_membrane_and_pull_to_their_reversal():
    """Constant conductances, a constant current and a small noise: rest and time constant of the total conductance."""
    rng = np.random.default_rng(6)
    g_exc, g_inh = np.full((3, 8000, 2), 10.0), np.full((3, 8000, 2), 20.0)
    noise = 0.5 * rng.normal(size=g_exc.shape)
    data = recording(
        {"current_exc": g_exc, "current_inh": g_inh, "current_exc_constant": np.full_like(g_exc, 50.0),
         "conductance_exc": g_exc, "conductance_inh": g_inh + noise},
        units="ms", current_units="pA", threshold=-50.0, tau_membrane=20.0, g_leak=10.0, reversal_leak=-60.0,
        reversal_exc=0.0, reversal_inh=-80.0,
    )  # fmt: skip
    rest = (-600 + 0 - 1600 + 50) / 40
    keep = np.exp(-1.0 * 4 / 20)
    sd = 0.5 * abs(-80 - rest) / 40 * np.sqrt((1 - keep) ** 2 / (1 - keep**2))
    assert float(data.ei.fluctuation_index().mean()) == pytest.approx((-50 - rest) / sd, rel=0.03)


def test_constant_input_has_no_index_but_a_share():
    data = network(7, sd=0.0)
    index = data.ei.fluctuation_index()
    assert np.isnan(index).all() and index.attrs["n_excluded"] == 5 and "constant" in index.attrs["exclusion"]
    assert (data.ei.driven_above_threshold() == 0).all()


def test_unit_of_current_does_not_matter_if_the_threshold_goes_with_it():
    small, large = network(8), network(8)
    for name in ("current_exc", "current_inh", "drive"):
        large[name] = 1000 * large[name]
    large.attrs["threshold"] = 1000.0
    np.testing.assert_allclose(large.ei.fluctuation_index(), small.ei.fluctuation_index(), rtol=1e-9)


@pytest.mark.parametrize("missing", ["threshold", "membrane_decay"])
def test_what_the_membrane_needs_is_named(missing):
    data = network()
    del data.attrs[missing]
    with pytest.raises(NotApplicableError, match=f"attribute '{missing}'"):
        data.ei.fluctuation_index()
    table = ei.summarise(data, ["fluctuation_index", "balance_index"], n_bootstrap=5)
    assert missing in table["note"].sel(statistic="fluctuation_index").item()
    assert np.isfinite(table["value"].sel(statistic="balance_index")).all()


def test_unknown_drive_and_short_recordings_are_refused():
    with pytest.raises(NotApplicableError, match="drive, or gain and bias"):
        network().drop_vars("drive").ei.driven_above_threshold()
    with pytest.raises(TooShortError, match="at least 50"):
        network().isel(time=slice(49)).ei.fluctuation_index()
