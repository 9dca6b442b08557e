"""Synthetic recordings with known structure, on which intervals and tests are tried.

Every model gives the populations of one network (or of one realisation of a circuit) from three
independent sources of chance: its **images** (latent values per sample, and the noise that the
input of a sample has in time), its **neurons**, and its **seed** (shifts that all neurons of a network
share).  Two networks of one distribution differ in neurons and seed; they may share the images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.signal import lfilter
from scipy.special import gammaln

from eiplatform.store.schema import population_dataset

__all__ = ["MODELS", "Images", "Model", "circuit", "images", "write_rows"]

Array = np.ndarray
LAG = 2
_MEMORY = 0.6
_CLASSES = 10


@dataclass(frozen=True)
class Images:
    """What all neurons of all networks that see these samples share.

    Attributes
    ----------
    ids, label : array of int, shape (sample,)
    bright : array, shape (sample,)
    course, quick : array, shape (sample, time)
        Two fluctuations of the input, of variance 1; the second forgets faster.
    """

    ids: Array
    label: Array
    bright: Array
    course: Array
    quick: Array


def _smooth(noise: Array, memory: float, axis: int) -> Array:
    """Give white noise an exponential memory and keep its variance; it starts in its stationary state."""
    scale = np.sqrt(1 - memory**2)
    first = np.take(noise, [0], axis=axis)
    made, _ = lfilter([scale], [1, -memory], noise, axis=axis, zi=memory * first)
    # The first value was drawn with variance 1, which the filter continues.
    return np.concatenate([first, np.delete(made, -1, axis=axis)], axis=axis)


def images(rng: np.random.Generator, n_samples: int, n_times: int, first: int = 0) -> Images:
    """Draw samples: their brightness, class and input in time."""
    course, quick = (_smooth(rng.normal(size=(n_samples, n_times + LAG)), memory, 1) for memory in (_MEMORY, 0.2))
    return Images(
        first + np.arange(n_samples), np.arange(n_samples) % _CLASSES, rng.normal(size=n_samples), course, quick
    )


def _shifts(rng: np.random.Generator, spread: float) -> Callable[[], float]:
    return lambda: spread * float(rng.normal())


def _dataset(seen: Images, n_neurons: int, signals: dict[str, Array], **attrs: float) -> xr.Dataset:
    n_times = next(iter(signals.values())).shape[1]
    return population_dataset(
        {name: values if values.dtype == bool else values.astype(np.float32) for name, values in signals.items()},
        sample=seen.ids,
        time=np.arange(n_times),
        neuron=np.arange(n_neurons),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=n_neurons,
        role="E",
        sample_coords={"label": seen.label},
        attrs=attrs,
    )


def currents(rng: np.random.Generator, seen: Images, n_neurons: int, spread: float = 0.0) -> xr.Dataset:
    """E and I that share brightness, tuning and time course, I two steps later; a gain that follows activity."""
    shift = _shifts(rng, spread)
    n_samples, n_times = seen.course.shape[0], seen.course.shape[1] - LAG
    tuning, other = (0.25 * rng.normal(size=(_CLASSES, n_neurons)) for _ in range(2))
    e_j, i_j, g_j = rng.normal(size=(3, n_neurons))
    joint = 0.6 + 0.5 * shift()
    own, apart = (
        _smooth(rng.normal(size=(n_samples, n_times + LAG, n_neurons)), _MEMORY, 1).astype(np.float32) for _ in range(2)
    )
    common = seen.course[:, :, None].astype(np.float32)
    bright = seen.bright[:, None]
    level = (0.3 + 0.1 * shift()) * bright + (0.2 + 0.1 * shift()) * e_j + tuning[seen.label] + 1 + shift()
    inh_level = 0.25 * bright + 0.1 * e_j + 0.15 * i_j + joint * tuning[seen.label] + 0.8 * other[seen.label] + 0.7
    inh_level = inh_level + 0.25 * rng.normal(size=inh_level.shape) + shift()
    level = level + 0.15 * rng.normal(size=level.shape)
    strength = 0.2 + 0.1 * shift()
    follow = (0.8 + shift()) * common[:, :-LAG] + (0.5 + shift()) * own[:, :-LAG] + 0.5 * apart[:, LAG:]
    exc = np.exp(level[:, None] + strength * (common[:, LAG:] + own[:, LAG:]))
    inh = np.exp(inh_level[:, None] + 0.2 * follow)
    active = exc.mean(axis=(1, 2))[:, None]
    # Less what the neurons drawn make of it, which would be a property of the network.
    follows = np.log(active) - 1 - np.log(np.exp(0.2 * e_j + tuning).mean())
    gain = np.exp((-0.5 + 0.5 * shift()) * follows + 0.1 * g_j + 0.05 * rng.normal(size=level.shape) + shift())
    gain = np.repeat(gain[:, None], n_times, axis=1) * np.exp(0.1 * own[:, LAG:])
    drive = gain * (exc - inh)
    return _dataset(
        seen,
        n_neurons,
        {"current_exc": exc, "current_inh": inh, "gain": gain, "drive": drive},
        threshold=1.0,
        membrane_decay=0.5,
    )


def voltage(rng: np.random.Generator, seen: Images, n_neurons: int, spread: float = 0.0) -> xr.Dataset:
    """Membranes with a shared part, each with a memory of its own."""
    shift = _shifts(rng, spread)
    n_samples, n_times = seen.course.shape[0], seen.course.shape[1] - LAG
    memory = np.clip(rng.uniform(0.5, 0.7, size=n_neurons) + 0.3 * shift(), 0.1, 0.85)
    share = 0.2 + 0.3 * shift()
    own = rng.normal(size=(n_neurons, n_samples, n_times))
    own = np.stack([_smooth(noise, float(m), 1) for noise, m in zip(own, memory, strict=True)], axis=2)
    values = np.sqrt(max(share, 0.01)) * seen.course[:, LAG:, None] + np.sqrt(1 - share) * own
    return _dataset(seen, n_neurons, {"voltage": values})


def spikes(rng: np.random.Generator, seen: Images, n_neurons: int, spread: float = 0.0) -> xr.Dataset:
    """At most one spike per step, whose chance depends on neuron, brightness, class and a shared course."""
    shift = _shifts(rng, spread)
    shape = (seen.course.shape[0], seen.course.shape[1] - LAG, n_neurons)
    likes = 0.3 * rng.normal(size=(_CLASSES, n_neurons))[seen.label]
    level = -0.9 + shift() + 0.35 * (1 + shift()) * rng.normal(size=n_neurons) + 0.2 * seen.bright[:, None] + likes
    drive = level[:, None] + 0.4 * (1 + shift()) * seen.quick[:, LAG:, None]
    return _dataset(seen, n_neurons, {"spikes": drive + rng.normal(size=shape) > 0})


def silent(rng: np.random.Generator, seen: Images, n_neurons: int, spread: float = 0.0) -> xr.Dataset:
    """One neuron of ten never fires, one of ten always does."""
    shift = _shifts(rng, spread)
    shape = (seen.course.shape[0], seen.course.shape[1] - LAG, n_neurons)
    kind = rng.random(n_neurons)
    never, always = 0.1 + 0.2 * shift(), 0.1 + 0.2 * shift()
    chance = np.where(kind < never, 0.0, np.where(kind > 1 - always, 1.0, 0.3))
    return _dataset(seen, n_neurons, {"spikes": rng.random(shape) < chance})


def _events(seen: Images, n_neurons: int, duration: float, time: Array, neuron: Array, sample: Array) -> xr.Dataset:
    return population_dataset(
        {},
        sample=seen.ids,
        time=np.arange(duration),
        neuron=np.arange(n_neurons),
        dt=1.0,
        time_units="ms",
        current_units="mV",
        n_neurons=n_neurons,
        role="E",
        events={"spike_time": time, "spike_neuron": neuron, "spike_sample": seen.ids[sample]},
        attrs={"duration": float(duration)},
    )


def renewal(rng: np.random.Generator, seen: Images, n_neurons: int, spread: float = 0.0) -> xr.Dataset:
    """Trains of a circuit with gamma intervals of order 3 at 30 Hz, for 4 s, in their stationary state."""
    shift = _shifts(rng, spread)
    order, duration, before = 3.0 * np.exp(0.5 * shift()), 4000.0, 400.0
    mean = 1000.0 / 30.0 * np.exp(shift())
    shape = (seen.ids.size, n_neurons, int(1.6 * (duration + before) / mean) + 30)
    time = np.cumsum(rng.gamma(order, mean / order, size=shape), axis=2) - before
    sample, neuron, kept = np.nonzero((time >= 0) & (time < duration))
    return _events(seen, n_neurons, duration, time[sample, neuron, kept], neuron, sample)


def oscillation(rng: np.random.Generator, seen: Images, n_neurons: int, spread: float = 0.0) -> xr.Dataset:
    """Poisson neurons of a circuit whose common rate of 20 Hz oscillates at about 40 Hz, for 2 s."""
    shift = _shifts(rng, spread)
    n_samples, duration = seen.ids.size, 2048
    turn, keep = 2 * np.pi * 0.04 * np.exp(0.2 * shift()), 0.97
    noise = rng.normal(size=(n_samples, duration + 300))
    wave = lfilter([1.0], [1, -2 * keep * np.cos(turn), keep**2], noise, axis=1)[:, 300:]
    wave *= 0.3 * np.exp(shift()) / wave.std()
    rate = 0.02 * np.maximum(1 + wave, 0) * np.exp(shift())
    number = rng.poisson(n_neurons * rate)
    sample, step = np.nonzero(number)
    count = number[sample, step]
    sample, step = np.repeat(sample, count), np.repeat(step, count)
    time = step + rng.random(step.size)
    return _events(seen, n_neurons, float(duration), time, rng.integers(0, n_neurons, step.size), sample)


def drift(rng: np.random.Generator, seen: Images, n_neurons: int, spread: float = 0.0) -> xr.Dataset:
    """Poisson neurons of a circuit whose common rate of 30 Hz drifts with a time constant of 20 ms, for 3 s."""
    shift = _shifts(rng, spread)
    duration, memory = 3000, float(np.exp(-1 / (20.0 * np.exp(shift()))))
    wave = _smooth(rng.normal(size=(seen.ids.size, duration)), memory, 1)
    number = rng.poisson(n_neurons * 0.03 * np.exp(0.5 * wave - 0.125))
    sample, step = np.nonzero(number)
    count = number[sample, step]
    sample, step = np.repeat(sample, count), np.repeat(step, count)
    time = step + rng.random(step.size)
    return _events(seen, n_neurons, float(duration), time, rng.integers(0, n_neurons, step.size), sample)


@dataclass(frozen=True)
class Model:
    """One model and the statistics that are tried on it.

    Attributes
    ----------
    make : callable
        Of a generator, images, the number of neurons and the spread of seeds, a population.
    statistics : tuple of str
    n_samples, n_times, n_neurons : int
        Size of one recording in the tables.
    truth : dict of str to float
        Closed forms; of the other statistics the truth is the mean value of larger recordings.
    many : int
        Samples of such a recording.
    """

    make: Callable[..., xr.Dataset]
    statistics: tuple[str, ...]
    n_samples: int
    n_times: int
    n_neurons: int
    truth: dict[str, float]
    many: int = 300


_SHAPE = 3.0
_COTUNING = ("ei_cotuning", "ei_cotuning_cross", "ei_cotuning_excess")
MODELS: dict[str, Model] = {
    "currents": Model(
        currents,
        (
            *("ei_ratio", "balance_index", "imbalance_index", "ei_ratio_sd"),
            *(f"ei_correlation_samples{kind}" for kind in ("", "_cross", "_excess", "_partial")),
            *(f"ei_correlation_time{kind}" for kind in ("", "_cross", "_excess", "_partial")),
            *("mean_to_fluctuation_samples", "mean_to_fluctuation_time"),
            *(f"residual_variance_{over}{kind}" for over in ("samples", "time") for kind in ("", "_cross", "_excess")),
            *(f"ei_correlation_neurons{kind}" for kind in ("", "_cross", "_excess")),
            *("ei_lag", "ei_lag_excess", "ei_peak", "ei_peak_excess"),
            *_COTUNING,
            *("fluctuation_index", "driven_above_threshold", "private_inhibition", "gain", "gain_cv", "gain_slope"),
        ),
        50,
        100,
        50,
        {"gain_slope": -0.5},
    ),
    "classes": Model(currents, _COTUNING, 150, 10, 30, {}, 3000),
    "voltage": Model(voltage, ("chi_voltage", "timescale_voltage"), 40, 200, 110, {"chi_voltage": np.sqrt(0.208)}),
    "spikes": Model(
        spikes,
        (
            *("rate", "fano_factor", "fano_factor_samples", "rate_cv", "rate_gini", "rate_log_sd"),
            *("rate_log_skewness", "sparseness_lifetime", "sparseness_population"),
            *("count_correlation", "count_correlation_samples", "chi_spikes", "synchrony"),
            *("participation_ratio", "participation_ratio_samples"),
        ),
        60,
        128,
        110,
        {},
    ),
    "silent": Model(
        silent,
        ("dead_fraction", "saturated_fraction", "silent_share", "always_on_pairs", "always_on_spikes"),
        30,
        60,
        100,
        {
            **dict.fromkeys(("dead_fraction", "saturated_fraction", "silent_share", "always_on_pairs"), 0.1),
            "always_on_spikes": 0.1 / (0.1 + 0.8 * 0.3),
        },
    ),
    "renewal": Model(
        renewal,
        ("cv_isi", "lv", "lvr", "cv2", "fano_factor"),
        10,
        10,
        20,
        {
            "cv_isi": 1 / np.sqrt(_SHAPE),
            "lv": 3 / (2 * _SHAPE + 1),
            "lvr": 3 / (2 * _SHAPE + 1) * (1 + 4 * 0.005 * 30 * _SHAPE / (2 * _SHAPE - 1)),
            "cv2": 2 * float(np.exp(gammaln(2 * _SHAPE) - 2 * gammaln(_SHAPE)) * 4.0**-_SHAPE * 4 / _SHAPE / 2),
        },
    ),
    "drift": Model(drift, ("timescale_spikes",), 20, 10, 60, {}),
    "oscillation": Model(oscillation, ("spectrum_peak", "spectrum_height"), 40, 10, 100, {}),
}
"""Models by name; together they hold every public statistic."""


def circuit(
    rng: np.random.Generator, model: Model, n_seeds: int, spread: float = 0.0, first: int = 0
) -> list[xr.Dataset]:
    """Draw realisations of a circuit: each has neurons, input in time and a seed of its own."""
    return [
        model.make(rng, images(rng, 1, model.n_times, first + index), model.n_neurons, spread)
        for index in range(n_seeds)
    ]


def write_rows(page: Path, head: Sequence[str], rows: Sequence[str]) -> None:
    """Put rows into the table of a page that has this head, in the place of rows of the same two first cells or last.

    Raises
    ------
    ValueError
        If the page has no such table.
    """
    text = page.read_text().split("\n")
    start = text.index(head[0]) + len(head)
    end = next((line for line in range(start, len(text)) if not text[line].startswith("|")), len(text))

    def key(row: str) -> tuple[str, ...]:
        return tuple(row.split("|")[1:3])

    table = {key(row): row for row in text[start:end]} | {key(row): row for row in rows}
    page.write_text("\n".join([*text[:start], *table.values(), *text[end:]]))
