"""Every registered statistic where there is no answer: a typed error, or NaN with its count, never a number."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import eiplatform.statistics as ei
from eiplatform.errors import EIPlatformError, NotApplicableError, StatisticError, TooShortError
from eiplatform.store.schema import population_dataset

KEYS = list(ei.STATISTICS)
SHARES = {"silent_share", "always_on_pairs", "always_on_spikes"}
"""Shares of what was recorded: one sample has them as well."""
SIGNALS = ("current_exc", "current_inh", "gain", "voltage", "spikes", "drive")


def population(samples: int = 31, steps: int = 140, neurons: int = 101, *, seed: int = 0, **given: float) -> xr.Dataset:
    """Return noise; `given` signals have one value everywhere."""
    rng, shape = np.random.default_rng(seed), (samples, steps, neurons)
    signals = {name: rng.gamma(3.0, 0.3, shape).astype(np.float32) for name in SIGNALS}
    # With a rhythm and a memory, so that every statistic has a value.
    slow = np.repeat(rng.gamma(2.0, 0.5, (samples, steps // 8 + 1, 1)), 8, axis=1)[:, :steps]
    signals["spikes"] = rng.random(shape) < 0.2 * (1 + 0.6 * np.sin(0.7 * np.arange(steps)))[:, None] * slow
    for name, value in given.items():
        signals[name] = np.full(shape, value, dtype=signals[name].dtype)
    return population_dataset(
        signals, sample=np.arange(samples), time=np.arange(steps), neuron=np.arange(neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=neurons, role="E",
        sample_coords={"label": np.arange(samples) % 6},
        attrs={"threshold": 1.0, "membrane_decay": 0.5, "reset": "soft"},
    )  # fmt: skip


def each(data: xr.Dataset) -> dict[str, xr.DataArray | EIPlatformError]:
    """Return what every statistic says of a population; anything but its own errors goes through, warnings too."""
    found: dict[str, xr.DataArray | EIPlatformError] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for key in KEYS:
            try:
                found[key] = ei.per_neuron(data, key)
            except EIPlatformError as error:
                found[key] = error
    return found


def numbers(found: dict[str, xr.DataArray | EIPlatformError]) -> set[str]:
    """Return those that gave a number, after checking that numbers and exclusions were counted right."""
    given = set()
    for key, values in found.items():
        if isinstance(values, EIPlatformError):
            assert str(values), key
            continue
        array = np.asarray(values)
        assert not np.isinf(array).any(), key
        if array.ndim:
            used = int(np.isfinite(array).sum())
            assert (values.attrs["n"], values.attrs["n_excluded"]) == (used, array.size - used), key
        if np.isfinite(array).any():
            given.add(key)
        else:
            assert values.attrs["n"] == 0 and values.attrs["n_excluded"] > 0 and values.attrs["exclusion"], key
    return given


def over(*axes: str) -> set[str]:
    return {key for key, entry in ei.STATISTICS.items() if entry.over in axes}


def needing(*signals: str) -> set[str]:
    return {key for key, entry in ei.STATISTICS.items() if set(signals) & set(entry.needs)}


def test_all_have_a_value_where_nothing_is_wrong() -> None:
    assert numbers(each(population())) == set(KEYS)


def test_one_sample_is_too_few_for_every_statistic_over_samples() -> None:
    found = each(population(samples=1))
    assert all(isinstance(found[key], TooShortError) for key in over("sample") - SHARES), found
    assert numbers(found) & over("sample") == SHARES


def test_one_step_is_too_few_for_every_statistic_over_time() -> None:
    found = each(population(steps=1))
    for key in over("time"):
        error = found[key]
        assert isinstance(error, TooShortError) and error.valid, key  # which says how long is enough


@pytest.mark.parametrize("dim", ["sample", "neuron"])
def test_nothing_selected_is_an_error_for_every_statistic(dim: str) -> None:
    found = each(population(4, 20, 5).isel({dim: []}))
    assert {key for key, said in found.items() if not (isinstance(said, StatisticError) and dim in str(said))} == set()


def test_one_neuron_has_no_statistic_of_several() -> None:
    found = each(population(neurons=1))
    of_several = over("neuron") | {key for key in KEYS if key.endswith(("_cross", "_excess"))}
    of_several |= {key for key, entry in ei.STATISTICS.items() if entry.level == "population"} - {
        "timescale_spikes", "spectrum_peak", "spectrum_height",  # one neuron has a memory and a rhythm
        "always_on_spikes",  # and a share of spikes
    }  # fmt: skip
    of_several |= {"count_correlation", "count_correlation_samples", "private_inhibition"}
    assert not numbers(found) & of_several
    for key in of_several:
        if isinstance(found[key], EIPlatformError):
            assert isinstance(found[key], TooShortError | NotApplicableError), key


def test_silence_has_a_rate_and_nothing_else() -> None:
    found = each(population(spikes=0))
    given = numbers(found)
    shares = {"dead_fraction", "saturated_fraction", "silent_share", "always_on_pairs"}
    assert given & needing("spikes") == {"rate", *shares}
    assert all(np.allclose(found[key], key in ("dead_fraction", "silent_share")) for key in shares)
    assert given - needing("spikes") == set(KEYS) - needing("spikes")


def test_constant_currents_have_means_and_no_fluctuations() -> None:
    given = numbers(each(population(current_exc=2.0, current_inh=1.5, drive=0.3)))
    means = {"ei_ratio", "balance_index", "imbalance_index", "ei_ratio_sd", "driven_above_threshold"}
    assert given & needing("current_exc", "current_inh") == means


@pytest.mark.parametrize(
    ("signal", "left"),
    [
        ("current_exc", {"imbalance_index", "mean_to_fluctuation_samples", "mean_to_fluctuation_time"}),
        (
            "current_inh",
            {"balance_index", "imbalance_index", "mean_to_fluctuation_samples", "mean_to_fluctuation_time"},
        ),
    ],
)
def test_without_one_current_only_its_absence_is_left(signal: str, left: set[str]) -> None:
    membrane = {"fluctuation_index", "driven_above_threshold", "gain_slope"}  # of the drive, and of excitation
    given = numbers(each(population(**{signal: 0.0})))
    assert (given & needing("current_exc")) - membrane == left


def test_a_constant_voltage_and_gain_have_no_variation() -> None:
    found = each(population(voltage=1.0, gain=0.5))
    assert not numbers(found) & needing("voltage")
    assert float(np.abs(found["gain_cv"]).max()) < 1e-12 and float(np.abs(found["gain_slope"]).max()) < 1e-12


def test_neurons_that_are_alike_have_nothing_of_their_own() -> None:
    """All share one excitation and one inhibition: rounding is no excess and has no lag."""
    data = population(neurons=101)
    alike = data.map(lambda x: x.isel(neuron=np.zeros(101, int)).assign_coords(neuron=data["neuron"]), keep_attrs=True)
    found = each(alike.assign_attrs(data.attrs))
    for key in KEYS:
        if key.endswith("_excess"):
            assert isinstance(found[key], xr.DataArray), key
            values = np.asarray(found[key])
            assert np.isnan(values).all() or np.abs(values).max() < 1e-9, key
    assert np.isnan(found["ei_lag_excess"]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_bad_value_is_an_error_that_names_the_signal(bad: float) -> None:
    for signal in SIGNALS:
        if signal == "spikes":
            continue
        data = population(samples=30, steps=128)
        data[signal][3, 5, 2] = bad
        found = each(data)
        wanted = {"fluctuation_index", "driven_above_threshold"} if signal == "drive" else needing(signal)
        if signal.startswith("current"):
            wanted -= {"fluctuation_index", "driven_above_threshold"}  # they read the drive
        for key in wanted:
            assert isinstance(found[key], StatisticError) and f"'{signal}' has 1 values" in str(found[key]), key
        assert not numbers(found) & wanted


def test_a_summary_says_why_for_every_value_that_is_missing() -> None:
    makers: list[Callable[[], xr.Dataset]] = [
        lambda: population(samples=1),
        lambda: population(steps=1),
        lambda: population(neurons=1),
        lambda: population(spikes=0),
        lambda: population(current_exc=0.0, gain=0.0, voltage=0.0),
    ]
    for make in makers:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = ei.summarise(make(), n_bootstrap=3).isel(population=0)
        for key in table["statistic"].values:
            cell = table.sel(statistic=key)
            assert np.isfinite(cell["value"]) or cell["note"].item(), key
            assert np.isfinite(cell["low"]) == np.isfinite(cell["high"]), key
            # Not always around the value: of a spread over neurons the interval leaves out the noise of few samples.
            assert not np.isfinite(cell["low"]) or cell["low"] <= cell["high"], key


def test_every_statistic_has_a_distance_from_its_null() -> None:
    """Five networks that differ, and one beside them: z, p and rank of all, with what they rest on."""
    nulls = []
    for seed in range(4):
        data = population(seed=seed)
        # Nothing is dead or saturated in noise.
        data["spikes"][:, :, : seed + 1], data["spikes"][:, :, 90 + seed :] = False, True
        nulls.append(data)
    null = ei.summarise_seeds(nulls[1:], n_bootstrap=2)
    found = ei.against_null(ei.summarise(nulls[0], n_bootstrap=2), null)
    assert set(found["statistic"].values.tolist()) == set(KEYS)
    assert np.isfinite(found["z"]).all() and np.isfinite(found["p_rank"]).all()
    assert all("z rests on 3 nulls" in str(note) for note in found["note"].values.ravel())
    assert np.isclose(found["p_rank"].min(), 0.5)  # three nulls cannot say more


def test_a_neuron_that_one_sample_excites_does_not_make_the_interval() -> None:
    """Draws without that sample leave its excitation at rounding: 1e-17 is nothing to divide by."""
    data = population(samples=31, steps=60, neurons=20)
    data["current_exc"][1:, :, :3] = 0.0
    data["current_exc"][0, :, :3] *= 100
    data["spikes"][1:, :, :3] = False
    for key in ("balance_index", "ei_ratio", "imbalance_index", "fano_factor_samples"):
        table = ei.summarise(data, [key], n_bootstrap=300, keep_draws=True).isel(population=0, statistic=0)
        assert np.abs(table["draws"]).max() < 10, key
        assert table["low"] < table["value"] < table["high"] and table["high"] - table["low"] < 5, key
