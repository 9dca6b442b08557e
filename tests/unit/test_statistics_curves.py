"""Gain against activity, input-output curves, division and subtraction, responses to perturbation."""

import numpy as np
import pytest
from scipy import optimize

import eiplatform.statistics as ei
from eiplatform.errors import NotApplicableError, StatisticError, TooShortError, UnknownNameError
from eiplatform.microcircuits.theory.diffusion import siegert_rate
from eiplatform.statistics import kernels
from eiplatform.store.schema import population_dataset


def recording(signals, *, first=0, role="E", **attrs):
    samples, steps, neurons = next(iter(signals.values())).shape
    return population_dataset(
        signals, sample=first + np.arange(samples), time=np.arange(steps), neuron=np.arange(neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=neurons, role=role, attrs=attrs,
    )  # fmt: skip


def constant(table, steps=2):
    return np.repeat(np.asarray(table, dtype=float)[:, None], steps, axis=1)


# ---- gain and population activity


def gains(exponent, *, samples=200, neurons=12, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    activity = rng.gamma(3.0, size=(samples, 1))
    exc = activity * rng.gamma(50.0, 1 / 50, size=(samples, neurons))
    gain = rng.gamma(4.0, size=neurons) * exc.mean(axis=1, keepdims=True) ** exponent
    return recording(
        {"current_exc": constant(exc), "gain": constant(gain * np.exp(noise * rng.normal(size=exc.shape)))}
    )


@pytest.mark.parametrize("exponent", [-1.0, -0.4, 0.0])
def test_slope_of_a_power_law_is_its_exponent(exponent):
    data = gains(exponent)
    table = ei.summarise(data, ["gain_slope"], n_bootstrap=200)
    assert float(table["low"].item()) - 1e-9 <= exponent <= float(table["high"].item()) + 1e-9
    x, y = np.log(data["current_exc"].mean(("time", "neuron"))), np.log(data["gain"].mean("time"))
    np.testing.assert_allclose(data.ei.gain_slope(), [np.polyfit(x, y[:, n], 1)[0] for n in range(12)], rtol=1e-9)


def test_slope_leaves_out_silent_samples_and_counts_them():
    data = gains(-0.5, noise=0.0)
    data["current_exc"][:7] = 0.0
    found = data.ei.gain_slope()
    np.testing.assert_allclose(found, -0.5, atol=1e-9)
    assert found.attrs["samples_left_out"] == 7
    data["gain"][20, :, 3] = 0.0
    assert np.isnan(data.ei.gain_slope()[3]) and data.ei.gain_slope().attrs["n_excluded"] == 1


def test_spikes_may_stand_for_the_activity():
    active = np.random.default_rng(1).gamma(3.0, size=(50, 1)) * np.ones((1, 4))
    data = recording({key: constant(active**p) for key, p in (("current_exc", 1), ("spikes", 2), ("gain", -1))})
    np.testing.assert_allclose(data.ei.gain_slope(), -1.0, rtol=1e-9)
    np.testing.assert_allclose(data.ei.gain_slope(activity="spikes"), -0.5, rtol=1e-9)
    with pytest.raises(UnknownNameError, match="population activity"):
        data.ei.gain_slope(activity="spike")


def test_normalisation_is_recovered_and_equals_scipy():
    rng = np.random.default_rng(2)
    exc = rng.gamma(3.0, 2.0, size=(300, 1)) * np.ones((1, 15))
    top, sigma = rng.gamma(5.0, size=15), rng.gamma(20.0, 0.1, size=15)
    gain = top / (1 + exc / sigma) * (1 + 0.02 * rng.normal(size=exc.shape))
    data = recording({"current_exc": constant(exc), "gain": constant(gain)})
    found = data.ei.gain_normalisation(n_bootstrap=100)
    truth = np.exp(np.mean(np.log(exc.mean() / sigma)))
    assert float(found["saturation_low"]) < truth < float(found["saturation_high"])
    for n in range(15):
        (a, b), _ = optimize.curve_fit(lambda p, a, b: a / (1 + p / b), exc[:, n], gain[:, n], p0=(top[n], sigma[n]))
        np.testing.assert_allclose([found["maximum"][n], found["sigma"][n]], [a, b], rtol=2e-3)
    assert (found["r2"] > 0.95).all() and found.attrs["n_excluded"] == 0


def test_normalisation_that_the_data_do_not_tell_is_nan():
    data = gains(-1.0, noise=0.0)
    data["gain"][:, :, 0] = 2.0
    data["gain"][:, :, 1] = 1 + data["current_exc"].mean("neuron").values  # rises
    found = data.ei.gain_normalisation(n_bootstrap=5)
    assert (
        np.isnan(found["saturation"]) and np.isnan(found["sigma"]).all() and found.attrs["n_excluded"] == 12
    )  # 1/P throughout: any small sigma fits
    weak = gains(-1.0, noise=0.3).ei.gain_normalisation(n_bootstrap=40)
    assert not weak["saturation_low"] <= 0
    assert weak.attrs["n"] > 0 and (np.isfinite(weak["saturation_low"]) or "no interval" in weak.attrs["note"])
    silent = data.assign(current_exc=0 * data["current_exc"])
    with pytest.raises(StatisticError, match="not active"):
        silent.ei.gain_normalisation()
    with pytest.raises(NotApplicableError, match="not active"):
        silent.ei.gain_slope()


# ---- input-output curves


def explicit_fit(x, y):
    """Search the kink on a fine grid, with the best slope for each."""
    kinks = np.linspace(x.min() - 2 * np.ptp(x), x.max() - 1e-9, 200001)
    best = np.inf, np.nan, np.nan
    for part in np.array_split(kinks, 200):
        over = np.maximum(x - part[:, None], 0)
        slope = np.maximum(over @ y / (over**2).sum(axis=1), 0)
        error = ((y - slope[:, None] * over) ** 2).sum(axis=1)
        at = error.argmin()
        best = min(best, (error[at], slope[at], part[at]))
    return best


def test_the_kink_is_the_best_one():
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 10, size=(25, 8))
    y = np.maximum(x - rng.uniform(0, 6, 8), 0) * rng.uniform(1, 3, 8) + 1.0 * rng.normal(size=x.shape)
    gain, threshold = kernels.RectifiedFit(x, y, floor=0.0).fit(np.ones(25))
    for n in range(8):
        error, slope, kink = explicit_fit(x[:, n], y[:, n])
        over = np.maximum(x[:, n] - threshold[n], 0)
        assert ((y[:, n] - gain[n] * over) ** 2).sum() <= error * (1 + 1e-9)
        np.testing.assert_allclose([gain[n], threshold[n]], [slope, kink], rtol=1e-2)


def test_weights_are_repetitions():
    rng = np.random.default_rng(4)
    x = rng.uniform(0, 10, size=(40, 5))
    y = 2 * np.maximum(x - 4, 0) + rng.normal(size=x.shape)
    drawn = rng.integers(0, 40, 40)
    got = kernels.RectifiedFit(x, y).fit(np.bincount(drawn, minlength=40))
    np.testing.assert_allclose(got, kernels.RectifiedFit(x[drawn], y[drawn]).fit(np.ones(40)), rtol=1e-9)


def test_curves_without_a_line_are_nan():
    x = np.linspace(0, 10, 30)[:, None] * np.ones((1, 4))
    y = np.stack([np.zeros(30), 5 - 0.5 * x[:, 0], np.maximum(x[:, 0] - 9, 0), x[:, 0]], axis=1)
    x[:, 3] = 2.0
    gain, threshold = kernels.RectifiedFit(x, y).fit(np.ones(30))
    assert np.isnan(gain).all() and np.isnan(threshold).all()  # silent, falling, too few points, constant input


def curves(gain, threshold, *, noise=0.02, seed=0, samples=120, neurons=20, first=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 10, size=(samples, neurons))
    rate = np.maximum(gain * np.maximum(x - threshold, 0) + noise * rng.normal(size=x.shape), 0)
    return recording({"current_exc": constant(x), "spikes": constant(rate)}, first=first)


@pytest.mark.parametrize(("ratio", "shift"), [(1.0, 2.0), (0.6, 0.0), (0.7, 1.5)])
def test_division_and_subtraction_are_told_apart(ratio, shift):
    off, on = curves(0.1, 3.0, seed=1), curves(0.1 * ratio, 3.0 + shift, seed=2)
    found = off.ei.inhibition_split(on, n_bootstrap=100)
    assert float(found["mean_gain_ratio_low"]) < ratio < float(found["mean_gain_ratio_high"])
    assert float(found["mean_threshold_shift_low"]) < shift < float(found["mean_threshold_shift_high"])
    assert found.attrs["n"] == 20
    for name in ("mean_gain_ratio", "mean_threshold_shift"):
        assert float(found[f"{name}_high"] - found[f"{name}_low"]) < 0.3


def test_regression_of_responses_reads_a_pure_subtraction_as_division():
    """The trap: the line of on on off responses has slope 0.8 although only 4 mV were subtracted (LIF neuron)."""
    cell = {"std": 4.0, "tau_ms": 20.0, "threshold_mv": 20.0, "reset_mv": 10.0, "refractory_ms": 2.0}
    mu = np.linspace(8, 34, 27)
    off, on = (np.array([_rate(m - less, cell) for m in mu])[:, None] for less in (0.0, 4.0))
    signals = [{"current_exc": constant(mu[:, None]), "spikes": constant(rate)} for rate in (off, on)]
    found = recording(signals[0]).ei.inhibition_split(recording(signals[1]), n_bootstrap=20)
    assert found["response_slope"].item() < 0.85 and found["response_offset"].item() < 0
    assert found["gain_ratio"].item() == pytest.approx(1.0, abs=0.06)
    assert found["threshold_shift"].item() == pytest.approx(4.0, abs=0.4)
    slope, offset = np.polyfit(off[:, 0], on[:, 0], 1)
    np.testing.assert_allclose([found["response_slope"][0], found["response_offset"][0]], [slope, offset], rtol=1e-8)


def _rate(mu, cell):
    """White-noise LIF rate in spikes per step of 1 ms."""
    return 1e-3 * siegert_rate(float(mu), **cell)


def test_several_conditions_make_one_curve():
    whole = curves(0.1, 3.0, samples=60)
    parts = [whole.isel(sample=slice(a, a + 20)) for a in (0, 20, 40)]
    on = curves(0.05, 3.0, seed=5, samples=60)
    together, apart = ei.inhibition_split(whole, on, n_bootstrap=20), ei.inhibition_split(parts, on, n_bootstrap=20)
    np.testing.assert_allclose(together["gain_ratio"], apart["gain_ratio"])
    assert "response_slope" not in apart and float(apart["mean_gain_ratio_low"]) < 0.5 < float(
        apart["mean_gain_ratio_high"]
    )
    np.testing.assert_allclose(ei.naka_rushton(parts)["half"], ei.naka_rushton(whole)["half"])


def test_silent_neurons_are_nan_and_counted():
    off = curves(0.1, 3.0, samples=40, neurons=6)
    on = curves(0.1, 4.0, samples=40, neurons=6)
    on["spikes"][:, :, [1, 4]] = 0.0
    found = off.ei.inhibition_split(on, n_bootstrap=20)
    assert np.isnan(found["gain_ratio"][[1, 4]]).all() and (found.attrs["n"], found.attrs["n_excluded"]) == (4, 2)
    assert np.isfinite(found["mean_threshold_shift_low"])
    fit = on.ei.naka_rushton()
    assert np.isnan(fit["half"][[1, 4]]).all() and fit.attrs["n_excluded"] >= 2
    on["spikes"][:] = 0.0
    silent = off.ei.inhibition_split(on, n_bootstrap=5)
    assert np.isnan(silent["mean_gain_ratio"]) and silent.attrs["n_excluded"] == 6


def test_curves_that_do_not_fit_together_are_refused():
    off = curves(0.1, 3.0)
    with pytest.raises(StatisticError, match="same recorded neurons"):
        off.ei.inhibition_split(off.isel(neuron=[0, 1]))
    with pytest.raises(TooShortError, match="at least 10 samples"):
        off.ei.inhibition_split(off.isel(sample=slice(9)))
    with pytest.raises(TooShortError, match="at least 10 samples"):
        off.isel(sample=slice(9)).ei.naka_rushton()
    with pytest.raises(StatisticError, match="from 0 to below 1"):
        off.ei.inhibition_split(off, floor=1.0)
    with pytest.raises(StatisticError, match="no recording"):
        ei.naka_rushton([])
    with pytest.raises(StatisticError, match="needs drive"):
        off.ei.naka_rushton(drive="drive")
    with pytest.raises(StatisticError, match="'current_exc' is a magnitude but has negative values"):
        off.assign(current_exc=off["current_exc"] - 5).ei.naka_rushton()
    with pytest.raises(StatisticError, match="'drive' is negative in"):
        off.assign(drive=off["current_exc"] - 5).ei.naka_rushton(drive="drive")


@pytest.mark.parametrize("baseline", [False, True])
def test_naka_rushton_equals_scipy_on_noisy_data(baseline):
    rng = np.random.default_rng(6)
    n = 8
    x = rng.uniform(0, 12, size=(150, n))
    top, half, power = rng.uniform(10, 50, n), rng.uniform(2, 6, n), rng.uniform(1, 3.5, n)
    rate = top * x**power / (x**power + half**power) + (5.0 if baseline else 0.0) + 0.5 * rng.normal(size=x.shape)

    def curve(x, r, c, p, b=0.0):
        return r * x**p / (x**p + c**p) + b

    fit = kernels.fit_naka_rushton(x, rate, baseline=baseline)
    for k in range(n):
        start = [top[k], half[k], power[k]] + ([5.0] if baseline else [])
        want, _ = optimize.curve_fit(curve, x[:, k], rate[:, k], p0=start, maxfev=20000)
        got = [fit.maximum[k], fit.half[k], fit.exponent[k]] + ([fit.baseline[k]] if baseline else [])
        np.testing.assert_allclose(got, want, rtol=2e-3)
    assert (fit.r2 > 0.95).all() and (baseline or (fit.baseline == 0).all())


def test_naka_rushton_weights_are_repetitions():
    rng = np.random.default_rng(7)
    x = rng.uniform(0, 12, size=(60, 3))
    y = 20 * x**2 / (x**2 + 16) + rng.normal(size=x.shape)
    drawn = rng.integers(0, 60, 60)
    got = kernels.fit_naka_rushton(x, y, np.bincount(drawn, minlength=60))
    want = kernels.fit_naka_rushton(x[drawn], y[drawn])
    np.testing.assert_allclose([got.half, got.exponent, got.r2], [want.half, want.exponent, want.r2], rtol=1e-5)


def test_naka_rushton_that_the_data_do_not_tell_is_nan():
    x = np.linspace(0.1, 5, 60)[:, None] * np.ones((1, 4))
    y = np.stack([np.zeros(60), 5 - x[:, 0], x[:, 0] ** 2, 3 * x[:, 0] / (x[:, 0] + 1)], axis=1)
    fit = kernels.fit_naka_rushton(x, y)
    assert np.isnan(fit.half[:3]).all() and fit.half[3] == pytest.approx(1.0, rel=1e-4)


# ---- perturbations


def rates(per_sample, *, seed, steps=200, role="I"):
    rng = np.random.default_rng(seed)
    return recording(
        {"spikes": rng.random((len(per_sample), steps, 40)) < np.asarray(per_sample)[:, None, None]}, role=role
    )


def test_paradoxical_index_has_its_closed_form_and_interval():
    control, perturbed = rates([0.30] * 6, seed=1), rates([0.24] * 6, seed=2)
    found = control.ei.paradoxical_index(perturbed, change=0.01, n_bootstrap=300)
    r_off, r_on = (float(x["spikes"].mean()) for x in (control, perturbed))
    assert float(found["index"]) == pytest.approx((r_off - r_on) / (r_on + r_off), rel=1e-10)
    assert float(found["index_low"]) < 0.06 / 0.54 < float(found["index_high"])
    assert float(found["slope"]) == pytest.approx((r_on - r_off) / 0.01)
    assert found["response"].item() == "paradoxical"
    less = control.ei.paradoxical_index(perturbed, change=-0.01, n_bootstrap=300)
    assert float(less["index"]) == pytest.approx(-float(found["index"])) and less["response"].item() == "ordinary"
    same = control.ei.paradoxical_index(rates([0.30] * 6, seed=3), change=0.01, n_bootstrap=300)
    assert same["response"].item() == "undecided"


def test_threshold_linear_theory_of_an_inhibition_stabilised_network():
    """r = W r + s with loop gain of E above 1: more drive to I lowers I; with weak E it raises I."""
    for w_ee, paradoxical in ((1.8, True), (0.4, False)):
        w = np.array([[w_ee, -1.5], [1.6, -1.0]])
        response = np.linalg.solve(np.eye(2) - w, [0.0, 0.02])[1]
        assert (response < 0) == paradoxical
        found = rates([0.3] * 8, seed=4, steps=2000).ei.paradoxical_index(
            rates([0.3 + response] * 8, seed=5, steps=2000), change=0.02, n_bootstrap=200
        )
        assert (found["response"].item() == "paradoxical") == paradoxical


def test_response_is_the_difference_within_samples():
    """Seeds differ widely, their response little: pairing keeps the interval narrow."""
    base_rates = np.linspace(0.1, 0.6, 8)
    control, perturbed = rates(base_rates, seed=6, steps=1000), rates(base_rates + 0.03, seed=7, steps=1000)
    found = control.ei.perturbation_response(perturbed, n_bootstrap=300)
    assert float(found["mean_response_low"]) < 0.03 < float(found["mean_response_high"])
    assert float(found["mean_response_high"] - found["mean_response_low"]) < 0.02
    np.testing.assert_allclose(
        found["response"], perturbed["spikes"].mean(("sample", "time")) - control["spikes"].mean(("sample", "time"))
    )
    one = control.isel(sample=[0]).ei.perturbation_response(perturbed.isel(sample=[0]), n_bootstrap=10)
    assert "neurons only" in one.attrs["note"]


def test_any_statistic_may_be_what_responds():
    rng = np.random.default_rng(8)
    exc = rng.gamma(5.0, size=(4, 3, 6))
    control, perturbed = (recording({"current_exc": exc, "current_inh": k * exc}) for k in (0.5, 0.8))
    found = control.ei.perturbation_response(perturbed, statistic="balance_index", n_bootstrap=50)
    assert float(found["mean_response"]) == pytest.approx(-0.3)
    ratio = control.ei.perturbation_response(perturbed, statistic="ei_ratio", n_bootstrap=50)
    assert float(ratio["mean_response"]) == pytest.approx(np.log(0.5 / 0.8))
    with pytest.raises(UnknownNameError, match="statistic"):
        control.ei.perturbation_response(perturbed, statistic="balance")


def test_recordings_that_do_not_pair_are_refused():
    control = rates([0.3] * 4, seed=9)
    for other, what in (
        (control.assign_coords(sample=np.arange(4) + 1), "samples"),
        (control.isel(neuron=slice(5)), "neurons"),
        (rates([0.3] * 4, seed=1, role="E"), "role"),
    ):
        with pytest.raises(StatisticError, match=f"differ in .*{what}"):
            control.ei.perturbation_response(other)
        with pytest.raises(StatisticError, match=f"differ in .*{what}"):
            control.ei.paradoxical_index(other, change=1.0)
    with pytest.raises(StatisticError, match="not 0"):
        control.ei.paradoxical_index(control, change=0.0)
    silent = rates([0.0] * 4, seed=1)
    with pytest.raises(StatisticError, match="nothing fires"):
        silent.ei.paradoxical_index(silent, change=1.0)
