"""Populations of known kind are placed where they belong, and those of no kind nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.analyses.parts.regime_features import (
    FAMILIES,
    FEATURES,
    Feature,
    features_of_population,
    features_of_summary,
    local_variation_of_random_steps,
    own_fano,
    place,
    shared_variance,
    templates,
)
from eiplatform.analyses.parts.running import analyse
from eiplatform.analyses.parts.stabilisation import responses
from eiplatform.analyses.regime_scorecard import RegimeScorecard
from eiplatform.cli import main
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.reference import shipped
from eiplatform.statistics import lv
from eiplatform.statistics.counts import FIXED_NEURONS
from eiplatform.statistics.population import Population
from eiplatform.store.schema import population_dataset
from eiplatform.store.writer import RecordingWriter
from tests.conftest import write_network

Write = Callable[..., Path]
FAST = {"n_bootstrap": 100, "seed": 0}


def _network(spikes: np.ndarray) -> xr.Dataset:
    samples, steps, neurons = spikes.shape
    return population_dataset(
        {"spikes": spikes},
        sample=np.arange(samples),
        time=np.arange(steps),
        neuron=np.arange(neurons),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=neurons,
        role="E",
        attrs={"threshold": 1.0, "membrane_decay": 0.5, "reset": "soft"},
    )


def _circuit(trains: list[list[np.ndarray]], duration: float) -> xr.Dataset:
    """Spike times by seed and neuron, in ms."""
    n = len(trains[0])
    events = [(time, i, s) for s, seed in enumerate(trains) for i, train in enumerate(seed) for time in train]
    time, neuron, sample = (np.array(part) for part in zip(*events, strict=True))
    return population_dataset(
        {},
        sample=np.arange(len(trains)),
        time=np.arange(duration),
        neuron=np.arange(n),
        dt=1.0,
        time_units="ms",
        current_units="pA",
        n_neurons=n,
        role="E",
        events={"spike_time": time, "spike_neuron": neuron.astype(int), "spike_sample": sample.astype(int)},
        attrs={"duration": duration, "tau_membrane": 10.0, "threshold": 15.0},
    )


def _written(path: Path, data: xr.Dataset, kind: str) -> Path:
    source = {"kind": kind, "label": path.name, "name": "made"}
    with RecordingWriter(path, source=source, config={}) as writer:
        writer.append({"E": data})
    return path


def _gamma_trains(rng: np.random.Generator, rate_hz: float, shape: float, duration: float, n: int) -> list[np.ndarray]:
    """Independent renewal trains, whose local variation is 3 / (2 shape + 1)."""
    count = int(3 * rate_hz * duration / 1e3) + 60
    gaps = rng.gamma(shape, 1e3 / rate_hz / shape, (n, count))
    times = np.cumsum(gaps, axis=1) - rng.uniform(0, 2e3 / rate_hz, (n, 1))
    return [row[(row >= 0) & (row < duration)] for row in times]


def test_local_variation_of_random_steps_is_that_of_random_steps() -> None:
    rng = np.random.default_rng(0)
    for p in (0.05, 0.3, 0.8):
        measured = float(lv(_network((rng.uniform(size=(1, 20_000, 20)) < p).astype(np.uint8))).mean())
        assert float(local_variation_of_random_steps(p)) == pytest.approx(measured, rel=0.02)


def test_shared_variance_is_the_mean_over_pairs() -> None:
    counts = np.random.default_rng(1).poisson(1.0, (2, 60, 5))
    found = shared_variance(counts)
    for sample in range(2):
        covariance = np.cov(counts[sample].T, bias=True)
        np.testing.assert_allclose(found[sample], (covariance.sum(axis=1) - np.diag(covariance)) / 4)


def test_synchrony_does_not_depend_on_the_number_of_neurons() -> None:
    """Trains that share a modulation of CV s have a covariance per spike of p s^2."""
    rng = np.random.default_rng(2)
    p, s = 0.2, 0.5
    level = p * (1 + s * rng.choice([-1.0, 1.0], size=(20, 400, 1)))
    for neurons in (20, 150):
        data = _network((rng.uniform(size=(20, 400, neurons)) < level).astype(np.uint8))
        found = features_of_population(Population(data), step_ms=10, window_ms=10, n_bootstrap=50, seed=0)
        assert found["synchrony"].value == pytest.approx(np.sqrt(p) * s, rel=0.05)
        assert found["log_rate"].value == pytest.approx(np.log(20), rel=0.02)


def test_fano_factor_of_one_neuron_is_that_of_a_gamma_train() -> None:
    rng = np.random.default_rng(6)
    for rate, shape, window in ((20.0, 2.0, 10.0), (8.0, 3.0, 40.0), (20.0, 2.0, 400.0)):
        trains = _gamma_trains(rng, rate, shape, 40_000.0, 40)
        counts = np.stack([np.histogram(train, np.arange(2000, 40_001, window))[0] for train in trains])
        measured = (counts.var(axis=1) / counts.mean(axis=1)).mean()
        assert float(own_fano(rate, 3 / (2 * shape + 1), window)) == pytest.approx(measured, abs=0.07)


def test_summary_and_spikes_agree_on_synchrony() -> None:
    """The covariance in 3 ms from the shipped spectrum is that from the shipped synchrony index, n r + 1."""
    for name, population in (("potjans-diesmann-2014-100", "L5E"), ("brunel-2000-C", "E"), ("brunel-2000-D", "E")):
        one = shipped(name).sel(population=population)
        mean = one.sel(over_seeds="mean")
        own = float(own_fano(float(mean["rate"]), float(mean["lv"]), 3.0))
        direct = (float(mean["synchrony"]) - own) / (FIXED_NEURONS - 1)
        found = features_of_summary(one, window_ms=3.0)["synchrony"].value ** 2
        assert found == pytest.approx(direct, rel=0.06)


def test_every_shipped_population_comes_out_as_itself() -> None:
    result = (
        RegimeScorecard()
        .run(["potjans-diesmann-2014-100", "brunel-2000-B", "brunel-2000-C", "brunel-2000-D"], **FAST)
        .data
    )
    for name in result["population"].values.astype(str):
        summary, population = name.split(": ")
        share = result["share"].sel(population=name)
        if summary.startswith("potjans"):
            itself = f"potjans-diesmann-2014: 100 %, {population}"
        else:
            itself = f"brunel-2000: state {summary[-1]}"
        family = share.sel(regime=result["family"] == itself.split(": ")[0])
        assert str(family["regime"].values[int(np.argmax(family.values))]) == itself
        assert float(share.sel(regime=itself)) > 0.75
        assert float(family.sum()) == pytest.approx(1.0)
    foreign = result["share"].sel(population="brunel-2000-C: E", regime="potjans-diesmann-2014: none")
    assert float(foreign) == 1.0


def test_made_trains_come_out_as_the_layer_they_imitate(tmp_path: Path) -> None:
    """Trains with the rate and LV of L6E (and as good as no synchrony) are L6E, not another layer."""
    rng = np.random.default_rng(3)
    look = shipped("potjans-diesmann-2014-100").sel(population="L6I", over_seeds="mean")
    shape = (3 / float(look["lv"]) - 1) / 2
    trains = [_gamma_trains(rng, float(look["rate"]), shape, 4000.0, 150) for _ in range(2)]
    path = _written(tmp_path / "made", _circuit(trains, 4000.0), "circuit")
    result = RegimeScorecard().run([path], **FAST).data
    share = result["share"].isel(population=0)
    family = share.sel(regime=result["family"] == "potjans-diesmann-2014")
    best = str(family["regime"].values[int(np.argmax(family.values))])
    assert best in ("potjans-diesmann-2014: 100 %, L6I", "potjans-diesmann-2014: 100 %, L5I")  # alike in rate and LV
    assert float(family.sel(regime=["potjans-diesmann-2014: Poisson", "potjans-diesmann-2014: none"]).sum()) < 0.05


def test_random_spiking_is_poisson_and_a_clock_is_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    random = (rng.uniform(size=(20, 200, 40)) < 0.2).astype(np.uint8)
    clock = np.zeros((20, 200, 40), np.uint8)
    clock[:, (np.arange(200)[:, None] + rng.integers(0, 5, 40)) % 5 == 0] = 1
    for name, spikes, expected in (("random", random, "Poisson"), ("clock", clock, "none")):
        result = RegimeScorecard().run([_written(tmp_path / name, _network(spikes), "network")], **FAST).data
        for family in ("brunel-2000", "potjans-diesmann-2014"):
            assert float(result["share"].sel(regime=f"{family}: {expected}")[0]) > 0.9, (name, family)


def test_a_missing_feature_places_nothing_and_says_why(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    short = _written(tmp_path / "short", _network((rng.uniform(size=(20, 12, 9)) < 0.3).astype(np.uint8)), "network")
    result = RegimeScorecard().run([short], **FAST).data
    assert np.isnan(result["share"]).all()
    assert "too few" in str(result["reason"].sel(feature="irregularity").values[0, 0])
    assert not bool(result["used"].sel(feature="synchrony").any()) and bool(
        result["used"].sel(feature="log_rate").all()
    )
    assert "not recorded: current_exc" in str(result["balance_note"].values[0, 0])
    assert np.isnan(result["tightness"]).all() and "perturb-I" in str(result["isn_note"].values[0])


def test_a_summary_of_one_or_silent_neurons_has_no_features() -> None:
    one = shipped("brunel-2000-C").sel(population="E").copy(deep=True)
    one["n_neurons"].loc[{"over_seeds": "mean"}] = 1
    found = features_of_summary(one, window_ms=10.0, n_draws=5)
    assert np.isnan(found["synchrony"].value) and np.isnan(found["synchrony"].draws).all()
    one["rate"].loc[{"over_seeds": "mean"}] = 0
    assert np.isnan(features_of_summary(one, window_ms=10.0)["log_rate"].value)


def test_uncertainty_is_a_share() -> None:
    """Draws that straddle the border of two regimes are split between them."""
    draws = np.linspace(-0.5, 0.5, 1000)

    def regime(rate: float) -> dict[str, Feature]:
        return {
            name: Feature(value, np.full(1000, value)) for name, value in zip(FEATURES, (rate, 0.5, 0.2), strict=True)
        }

    own = regime(0.0) | {"log_rate": Feature(0.1, 0.1 + draws)}
    share, deviation, used = place(own, [regime(-0.5), regime(0.5)])
    assert share[0] == pytest.approx(0.4, abs=0.01) and share[1] == pytest.approx(0.6, abs=0.01)
    assert deviation[1] == pytest.approx(0.4 / np.log(2)) and used == list(FEATURES)


def test_balance_kinds_in_both_senses(network_recording: Write) -> None:
    """E = 2 I leaves half: loose; E = I plus a little: tight."""
    loose = network_recording("loose", samples=6, steps=120, ratio=2.0)
    tight = network_recording("tight", samples=6, steps=120, ratio=0.9)
    result = RegimeScorecard().run([loose, tight], **FAST).data
    kind = result["tightness"]
    assert float(kind.sel(population="loose: fc1/E", residual="loose")) == 1.0
    assert float(kind.sel(population="tight: fc1/E", residual="tight")) > 0.5
    assert float(result["tracking"].sel(population="loose: fc1/E", in_time="detailed tracking")) == 1.0  # own noise


def _protocol(free: list[float], frozen: list[float], **attrs: str) -> xr.Dataset:
    response = np.array([[0.0] * 3, free, [0.0] * 3, frozen])[:, :, None]
    return xr.Dataset(
        {"response": (("condition", "seed", "population"), response)},
        coords={
            "condition": list("abcd"),
            "level": ("condition", [0.0, 0.02, 0.0, 0.02]),
            "frozen": ("condition", [False, False, True, True]),
            "seed": [1, 2, 3],
            "population": ["I"],
        },
        attrs={"protocol": "perturb-I", "circuit": "toy-circuit", "target": "I"} | attrs,
    )


def test_paradoxical_response_is_a_share_of_draws(circuit_recording: Write) -> None:
    circuit = circuit_recording(seeds=(1, 2))
    stabilised = (
        RegimeScorecard().run([circuit], perturbation=_protocol([-7.0, -7.3, -6.9], [0.4, 0.5, 0.3]), **FAST).data
    )
    assert float(stabilised["paradoxical"][0]) > 0.99 and float(stabilised["paradoxical_lost"][0]) > 0.9
    ordinary, _, _ = responses(_protocol([0.5, 0.6, 0.4], [0.4, 0.5, 0.3]), 400, 0)
    assert (ordinary < 0).mean() < 0.05
    unsure, frozen, told = responses(_protocol([-1.0, 1.2, 0.1], [0.0, 0.1, -0.1]), 400, 0)
    assert 0.1 < (unsure < 0).mean() < 0.9 and frozen is not None and "+0.10 Hz" in told
    for wrong, says in (
        (_protocol([1.0] * 3, [1.0] * 3, circuit="isn"), "of 'isn'"),
        (xr.Dataset(), "protocol 'None'"),
    ):
        with pytest.raises(ConfigError, match=says):
            RegimeScorecard().run([circuit], perturbation=wrong, **FAST)


def test_command_line_places(circuit_recording: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "r.nc")
    command = [
        "analyse",
        "regime_scorecard",
        str(circuit_recording()),
        "brunel-2000-C",
        "--out",
        out,
        "--bootstrap",
        "30",
    ]
    assert main(command) == 0
    assert "brunel-2000" in capsys.readouterr().out
    assert main(["analyse", "regime_scorecard", "brunel-2000-X", "--out", str(tmp_path / "x.nc")]) == 2
    assert "did you mean" in capsys.readouterr().err
    result = analyse("regime_scorecard", [Path("brunel-2000-C")], n_bootstrap=30).data
    assert result["population"].values.tolist() == ["brunel-2000-C: E", "brunel-2000-C: I"]


def test_a_recording_without_spikes_is_refused_beside_others(tmp_path: Path) -> None:
    fires = write_network(tmp_path / "fires", samples=6, steps=120)
    currents = eiplatform.open(write_network(tmp_path / "currents", samples=6, steps=120, seed=2))
    for layer in ("fc1/E", "fc2/E"):
        currents[layer] = currents[layer].to_dataset().drop_vars("spikes")
    with pytest.raises(StatisticError, match="no firing population"):
        RegimeScorecard().run([fires, currents], **FAST)


def test_templates_are_the_shipped_circuits() -> None:
    found, absent = templates()
    families = [template.family for template in found]
    assert families.count("potjans-diesmann-2014") == 8 and set(families) == set(FAMILIES)
    assert {template.regime for template in found if template.family == "brunel-2000"} >= {
        "state B",
        "state C",
        "state D",
    }
    assert not {"brunel-2000-B", "brunel-2000-C", "brunel-2000-D", "potjans-diesmann-2014-100"} & set(absent)
