"""Balance across depth, gain modulation and time scales on signals of known truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.analyses import Result
from eiplatform.analyses.balance_across_depth import BalanceAcrossDepth
from eiplatform.analyses.gain_modulation import GainModulation, normalisation, variance_shares
from eiplatform.analyses.parts.running import analyse
from eiplatform.analyses.timescales import Timescales, autocovariance, cross_covariance, timescale
from eiplatform.cli import main
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.store.schema import population_dataset
from eiplatform.store.writer import RecordingWriter
from tests.conftest import layer

Write = Callable[..., Path]
FAST = {"n_bootstrap": 100, "seed": 0}


def _population(signals: dict[str, np.ndarray], **attrs: float) -> xr.Dataset:
    samples, steps, neurons = next(iter(signals.values())).shape
    return population_dataset(
        signals,
        sample=np.arange(samples),
        time=np.arange(steps),
        neuron=np.arange(neurons),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=neurons,
        role="E",
        attrs={"threshold": 1.0, "membrane_decay": 0.5, "reset": "soft"} | attrs,
    )


def _written(path: Path, populations: dict[str, xr.Dataset]) -> Path:
    source = {"kind": "network", "label": path.name, "name": "made"}
    with RecordingWriter(path, source=source, config={}) as writer:
        writer.append(populations)
    return path


def _deep(path: Path, ratios: tuple[float, ...], seed: int = 0) -> Path:
    return _written(
        path, {f"fc{k}/E": layer(np.arange(40), seed=7 * seed + k, ratio=ratio) for k, ratio in enumerate(ratios)}
    )


def test_slope_across_depth_is_that_of_least_squares(tmp_path: Path) -> None:
    path = _deep(tmp_path / "deep", (1.2, 1.7, 1.9, 2.6))
    result = BalanceAcrossDepth().run([path], statistics=["balance_index", "ei_ratio"], **FAST).data
    tree = eiplatform.open(path)
    values = [float(tree[f"fc{k}/E"].ds.ei.balance_index().mean()) for k in range(4)]
    one = result.sel(recording="deep", statistic="balance_index")
    np.testing.assert_allclose(one["value"], values)
    assert float(one["slope"]) == pytest.approx(np.polyfit(range(4), values, 1)[0])
    assert float(one["slope_low"]) < float(one["slope"]) < float(one["slope_high"])
    assert float(one["slope_low"]) > 0  # balance loosens, and that is sure


def test_null_across_depth(tmp_path: Path) -> None:
    nulls = [_deep(tmp_path / f"null{k}", (1.0, 1.0, 1.0), seed=50 + k) for k in range(3)]
    deep = _deep(tmp_path / "deep", (1.0, 2.0, 3.0))
    result = BalanceAcrossDepth().run([deep], nulls, statistics=["ei_ratio"], **FAST).data
    last = result.sel(statistic="ei_ratio", depth=2, recording="deep")
    assert float(last["null_minimum"]) < float(last["null"]) < float(last["null_maximum"]) < float(last["value"])
    one = result.sel(statistic="ei_ratio", recording="deep")
    assert abs(float(one["null_slope"])) < 5 * float(one["null_slope_sd"]) < float(one["slope"])
    with pytest.raises(StatisticError, match="the null has other layers"):
        BalanceAcrossDepth().run([deep], [_deep(tmp_path / "shallow", (1.0,))], **FAST)


def test_few_layers_have_no_slope_and_missing_signals_are_said(network_recording: Write, tmp_path: Path) -> None:
    deep = _deep(tmp_path / "deep", (1.0, 2.0, 3.0))
    result = BalanceAcrossDepth().run([_deep(tmp_path / "two", (1.0, 2.0)), deep], statistics=["ei_ratio"], **FAST).data
    assert (
        np.isnan(result["slope"].sel(recording="two")).all()
        and np.isfinite(result["slope"].sel(recording="deep")).all()
    )
    assert result["population"].sel(recording="two").values.tolist() == ["fc0/E", "fc1/E", ""]
    assert str(result["note"].sel(recording="two", depth=2, statistic="ei_ratio").item()) == "no such layer"
    bare = _written(tmp_path / "bare", {"fc1/E": _population({"spikes": np.ones((3, 9, 4), np.uint8)})})
    with pytest.raises(StatisticError, match="not recorded: current_exc, current_inh"):
        BalanceAcrossDepth().run([bare], statistics=["ei_ratio"], **FAST)


def test_variance_shares_are_main_effects() -> None:
    rng = np.random.default_rng(0)
    neuron, sample, time = rng.normal(0, 1, 200), rng.normal(0, 2, 300), rng.normal(0, 0.5, 60)
    values = sample[:, None, None] + time[None, :, None] + neuron + rng.normal(0, 1, (300, 60, 200))
    (shares,) = variance_shares(values, np.ones((1, 300)))
    parts = np.array([neuron.var(), sample.var(), time.var(), 1.0])
    np.testing.assert_allclose(shares, parts / parts.sum(), atol=0.01)
    # weights of samples are repetitions of them
    weights = rng.integers(0, 3, (1, 20))
    repeated = np.repeat(values[:20], weights[0], axis=0)
    np.testing.assert_allclose(
        variance_shares(values[:20], weights), variance_shares(repeated, np.ones((1, len(repeated)))), atol=1e-9
    )
    assert np.isnan(variance_shares(np.ones((4, 3, 2)), np.ones((1, 4)))).all()


def test_divisive_normalisation_is_recovered(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    activity = rng.uniform(1, 4, 60)
    exc = activity[:, None, None] * np.ones((60, 4, 6))
    gain = 5.0 / (1 + activity / 2.0)[:, None, None] * np.exp(rng.normal(0, 0.02, (60, 4, 6)))
    result = (
        GainModulation()
        .run([_written(tmp_path / "g", {"fc1/E": _population({"current_exc": exc, "gain": gain})})], **FAST)
        .data
    )
    one = result.sel(layer="g: fc1/E")
    mean = activity.mean()
    assert float(one["half"]) == pytest.approx(2.0, rel=0.05)
    assert float(one["normalisation"]) == pytest.approx(mean / 2 / (1 + mean / 2), rel=0.02)
    assert float(one["normalisation_low"]) < float(one["normalisation"]) < float(one["normalisation_high"])
    assert float(one["share"].sel(part="samples")) > 0.9 and float(one["r_squared"]) > 0.99
    assert (np.diff(one["gain"]) < 0).all() and float(one["value"].sel(statistic="gain")) == pytest.approx(gain.mean())
    first, falls, *_ = Result(result).findings()
    assert "between inputs in g: fc1" in first
    assert "the gain falls in g: fc1" in falls and "clear in 1 of 1 layers" in falls


def test_gain_without_normalisation_covers_zero() -> None:
    rng = np.random.default_rng(2)
    index, _, fit = normalisation(rng.uniform(1, 2, 300), rng.uniform(1, 2, 300), np.ones((1, 300)))
    assert abs(index[0]) < 0.2 and fit[0] < 0.05
    index, half, _ = normalisation(np.linspace(1, 2, 9), np.full(9, 3.0), np.ones((1, 9)))
    assert np.isnan(index[0]) and np.isnan(half[0])


def test_gain_that_is_missing_or_impossible(tmp_path: Path, circuit_recording: Write) -> None:
    with pytest.raises(StatisticError, match="no population has a gain"):
        GainModulation().run([circuit_recording()], **FAST)
    bad = _written(tmp_path / "bad", {"fc1/E": _population({"gain": np.zeros((4, 3, 2))})})
    with pytest.raises(StatisticError, match="24 gains are not positive"):
        GainModulation().run([bad], **FAST)
    lonely = _written(
        tmp_path / "only", {"fc1/E": _population({"gain": np.random.default_rng(0).gamma(9, size=(4, 3, 2))})}
    )
    result = GainModulation().run([lonely], **FAST).data
    assert "current_exc was not recorded" in str(result["note"].values[0]) and np.isnan(result["normalisation"]).all()
    assert any(text.startswith("In only: fc1: no normalisation") for text in Result(result).findings())


def test_a_gain_that_does_not_follow_activity_is_said_not_to(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    exc = rng.uniform(1, 4, 60)[:, None, None] * np.ones((60, 4, 6))
    gain = np.exp(rng.normal(0, 0.1, 6)) * np.exp(rng.normal(0, 0.02, (60, 4, 6)))
    path = _written(tmp_path / "g", {"fc1/E": _population({"current_exc": exc, "gain": gain})})
    first, follows, *_ = Result(GainModulation().run([path], **FAST).data).findings()
    assert "between neurons in g: fc1" in first and follows.startswith("No layer's gain was found to change")


def _autoregressive(rng: np.random.Generator, tau: float, shape: tuple[int, int, int]) -> np.ndarray:
    values, factor = rng.normal(size=shape), np.exp(-1 / tau)
    for step in range(1, shape[1]):
        values[:, step] = factor * values[:, step - 1] + np.sqrt(1 - factor**2) * values[:, step]
    return values


def test_autocovariance_is_its_definition() -> None:
    values = np.random.default_rng(3).normal(size=(2, 30, 3))
    found = autocovariance(values, 7)
    centred = values - values.mean(axis=1, keepdims=True)
    for lag in (0, 1, 7):
        expected = (centred[:, : 30 - lag] * centred[:, lag:]).mean(axis=1)
        np.testing.assert_allclose(found[:, lag], expected, atol=1e-12)
    assert float(timescale(np.array([1.0, 0.5, 0.25, -0.1, 0.9]))) == 1.25
    assert np.isnan(timescale(np.array([1.0, np.nan])))


def test_time_scales_and_lag_of_autoregressive_currents(tmp_path: Path) -> None:
    """AR(1) currents of tau 4 steps; inhibition is excitation three steps later."""
    rng = np.random.default_rng(4)
    wave = _autoregressive(rng, 4.0, (30, 603, 5))
    exc, inh = 9 + wave[:, 3:], 8 + wave[:, :-3]
    data = _population({"current_exc": exc, "current_inh": inh, "current_net": exc - inh})
    data["spikes"] = (("sample", "time", "neuron"), (rng.uniform(size=exc.shape) < 0.2).astype(np.uint8))
    path = _written(tmp_path / "ar", {"fc1/E": data})
    result = Timescales().run([path], **FAST)
    stays, lags, unresolved, *_ = result.findings()
    assert "excitation for 4." in stays and "steps" in stays
    assert lags.startswith("Inhibition follows excitation in ar: fc1 (by 3.00 steps)")
    assert "spiking in ar: fc1 (not above half the recorded interval)" in unresolved
    one = result.data.sel(layer="ar: fc1/E")
    exact = 1 / (2 * np.tanh(1 / 8))
    scale = one.sel(signal="current_exc")
    assert float(scale["timescale"]) == pytest.approx(exact, rel=0.1)
    assert float(scale["timescale_low"]) < float(scale["timescale"]) < float(scale["timescale_high"])
    assert float(scale["timescale_membrane"]) == pytest.approx(float(scale["timescale"]) * np.log(2))
    assert float(one.sel(signal="spikes")["timescale"]) == pytest.approx(0.5, abs=0.05)  # white
    assert float(one["cross_lag_of_peak"]) == 3.0 and float(one["cross_peak"]) > 0.95
    np.testing.assert_allclose(scale["autocorrelation"][:6], np.exp(-np.arange(6) / 4), atol=0.05)


def test_cross_covariance_is_its_definition() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(3, 20)), rng.normal(size=(3, 20))
    found = cross_covariance(a, b, 4)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    assert found[4 + 3] == pytest.approx((a[:, :-3] * b[:, 3:]).mean())
    assert found[4 - 2] == pytest.approx((a[:, 2:] * b[:, :-2]).mean())


def test_time_scales_of_what_is_short_or_constant(
    network_recording: Write, circuit_recording: Write, tmp_path: Path
) -> None:
    with pytest.raises(StatisticError, match="4 recorded steps per sample are too few"):
        Timescales().run([network_recording()], **FAST)
    flat = np.ones((3, 60, 4))
    spikes = np.random.default_rng(0).integers(0, 2, (3, 60, 4)).astype(np.uint8)
    path = _written(tmp_path / "flat", {"fc1/E": _population({"current_exc": flat, "spikes": spikes})})
    result = Timescales().run([path, circuit_recording()], **FAST).data
    one = result.sel(layer="flat: fc1/E")
    assert str(one["note"].sel(signal="current_exc").item()) == "constant in time"
    assert str(one["note"].sel(signal="current_inh").item()) == "not recorded: current_inh"
    assert np.isnan(one["cross_lag_of_peak"])
    circuit = result.sel(layer="circuit: E")  # white currents of 1 ms, Poisson spikes; tau 20 ms
    assert float(circuit["timescale"].sel(signal="current_exc")) == pytest.approx(0.5, abs=0.1)
    assert float(circuit["timescale_membrane"].sel(signal="spikes")) == pytest.approx(0.025, abs=0.01)


@pytest.mark.parametrize("name", ["balance_across_depth", "gain_modulation", "timescales"])
def test_command_line_profiles(
    name: str, network_recording: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = network_recording("long", samples=40, steps=60)
    out = ["--out", str(tmp_path / "x.nc"), "--bootstrap", "20"]
    assert main(["analyse", name, str(long), *out]) == 0
    assert "fc1/E" in capsys.readouterr().out
    assert main(["analyse", name, str(tmp_path / "nowhere"), *out, "--overwrite"]) == 2
    assert "does not exist" in capsys.readouterr().err
    result = analyse(name, [long], n_bootstrap=20).data
    for table in Result(result).tables():
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
    if name != "balance_across_depth":
        with pytest.raises(ConfigError, match="takes no nulls="):
            analyse(name, [long], [long], n_bootstrap=20)
