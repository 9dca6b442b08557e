"""How long do excitation, inhibition, their sum and spikes remember, and does inhibition follow excitation?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
from eiplatform.analyses.parts.findings import clear_of_zero, flags, layers, span, strongest
from eiplatform.analyses.parts.inputs import Recordings, label_of, opened, spiking
from eiplatform.analyses.parts.regime_features import counts_in_windows
from eiplatform.analyses.parts.tables import Table, number_text, texts, value_text
from eiplatform.errors import StatisticError, TooShortError
from eiplatform.statistics import STATISTICS, summarise
from eiplatform.statistics.cautions import cautions
from eiplatform.statistics.kernels.intervals import interval_of, resample_counts
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population

__all__ = ["SIGNALS", "autocovariance", "cross_covariance", "Timescales", "timescale"]

LEVEL = 0.95
SIGNALS = ("current_exc", "current_inh", "current_net", "spikes")
MOST_LAGS = 100
SPIKING_NEURONS = 200
"""Neurons of a circuit whose spikes are counted per interval."""
_CALLED = ("excitation", "inhibition", "the net current", "spiking")
_WORDS = ("autocorrelation", "timescale", "lag", "frequency")


class Timescales(Analysis):
    """Autocorrelations, their time scales, and the lag of inhibition."""

    question = "How long do currents and spikes remember, and does inhibition follow excitation?"
    place = 80

    def run(self, recordings: Recordings, *, n_bootstrap: int = 1000, seed: int = 0) -> Result:
        """Measure autocorrelation functions, their time scales, and the lag of inhibition.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Networks or circuits, of at least 50 recorded intervals a sample.
        n_bootstrap, seed : int
            Of the intervals, over samples (over neurons where there is one sample).

        Returns
        -------
        xarray.Dataset, dims (layer, signal, lag)
            ``autocorrelation`` (layer, signal, lag), mean over neurons and samples of their
            autocovariance over its value at lag 0; ``timescale`` with interval (layer, signal), the
            integral of the autocorrelation up to its first zero, in recorded time, and
            ``timescale_membrane``, in membrane time constants, which compares steps with ms;
            ``cross_correlation`` (layer, cross_lag) of the mean excitation and inhibition of the
            population, ``cross_peak`` and ``cross_lag_of_peak`` (positive: inhibition follows);
            ``value``, ``low``, ``high`` (layer, statistic) of public statistics of time scales;
            ``caution`` (layer, statistic) and ``signal_caution`` (layer, signal), what limits their meaning;
            ``lag_time`` (layer, lag), ``time_units``, ``dt``, ``tau_membrane`` (layer), ``note``
            (layer, signal).  Lags beyond a quarter of the recording are NaN.

        Raises
        ------
        StatisticError
            If no layer is long enough or has any of the signals; the message says which and why.
        """
        trees = opened(recordings)
        keys = [key for key in STATISTICS if any(word in key for word in _WORDS)]
        rows: list[dict[str, Any]] = []
        for tree in trees:
            for name, data in spiking(tree).items():
                rows.append(_layer(f"{label_of(tree)}: {name}", name, data, keys, n_bootstrap, seed))
        reasons = {note for row in rows for note in row["note"] if note}
        if not any(np.isfinite(row["timescale"]).any() for row in rows):
            why = "; ".join(sorted(reasons)) or "no layer fires"
            raise StatisticError(
                f"no time scale can be measured ({why})", remedy="record these signals, over more steps"
            )
        dims = {
            "autocorrelation": ("layer", "signal", "lag"),
            "lag_time": ("layer", "lag"),
            "cross_correlation": ("layer", "cross_lag"),
            **{name: ("layer", "signal") for name in ("timescale", "timescale_low", "timescale_high", "note")},
            "signal_caution": ("layer", "signal"),
            **{
                name: ("layer",)
                for name in ("population", "dt", "time_units", "tau_membrane", "n_samples", "n_neurons")
            },
            **{name: ("layer",) for name in ("cross_peak", "cross_lag_of_peak")},
            **{name: ("layer", "statistic") for name in ("value", "low", "high", "caution")},
        }
        result = xr.Dataset(
            {name: (dim, np.array([row[name] for row in rows])) for name, dim in dims.items()},
            coords={
                "layer": [row["layer"] for row in rows],
                "signal": list(SIGNALS),
                "lag": np.arange(MOST_LAGS + 1),
                "cross_lag": np.arange(-MOST_LAGS, MOST_LAGS + 1),
                "statistic": np.array(keys, dtype=str),
                "label": ("statistic", np.array([STATISTICS[key].label for key in keys], dtype=str)),
            },
        )
        result["timescale_membrane"] = result["timescale"] / result["tau_membrane"]
        return self.result(
            result,
            trees,
            level=LEVEL,
            n_bootstrap=n_bootstrap,
            seed=seed,
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give time scales in recorded time and in membrane time constants."""
        rows = []
        for layer in texts(result["layer"]):
            one = result.sel(layer=layer)
            cells = []
            for signal in texts(result["signal"]):
                here = one.sel(signal=signal)
                text = str(here["note"].item()) or f"{value_text(here, 'timescale')} {one['time_units'].item()}"
                scaled = float(here["timescale_membrane"])
                cells.append(text + (f"\n{number_text(scaled)} tau" if np.isfinite(scaled) else ""))
            lag = f"{number_text(float(one['cross_lag_of_peak']))} (r {number_text(float(one['cross_peak']))})"
            rows.append((layer, *cells, lag))
        note = (
            "Integral of the autocorrelation to its first zero [95 % over samples]; tau: membrane time constants, "
            "which compare steps with ms. Lag of the peak of the population's E-I cross-correlation; positive: "
            "inhibition follows."
        )
        signals = texts(result["signal"])
        said = cautions_of(result, signals, "layer", "signal_caution", over="signal")
        marks, caution = cautioned(said)
        named = [signal + marks.get(signal, "") for signal in signals]
        yield Table("Time scales", ("layer", *named, "lag of inhibition"), tuple(rows), note + caution)

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say how long signals stay alike, the longest first, whether inhibition lags, and what limits that."""
        names = result["layer"].values.astype(str)
        found, missing = [], []
        for signal, words in zip(SIGNALS, _CALLED, strict=True):
            one = result.sel(signal=signal)
            for units in dict.fromkeys(texts(result["time_units"])):
                here = ((one["time_units"] == units) & one["timescale"].notnull()).values
                if here.any():
                    order = strongest(np.where(here, one["timescale"], 0.0), here, 1)
                    values = one["timescale"].values[order]
                    longest = f", longest in {layers(names[order[:1]])}" if len(order) > 1 else ""
                    found.append((float(values.max()), f"{words} for {span(values)} {_unit(units)}{longest}"))
            notes: dict[str, list[str]] = {}
            for name, note in zip(names, texts(one["note"]), strict=True):
                if note and not note.startswith("not recorded"):
                    notes.setdefault(note, []).append(name)
            missing += [f"{words} in {layers(without)} ({note})" for note, without in notes.items()]
            short = (one["timescale"] <= 0.55 * one["dt"]).values
            if short.any():
                missing.append(f"{words} in {layers(names[short])} (not above half the recorded interval)")
        found.sort(reverse=True)
        n = f"mean over neurons, {100 * result.attrs['level']:.0f} % intervals in the table"
        yield f"Activity stays alike: {'; '.join(text for _, text in found)} ({n})."
        yield from _lags(names, result)
        if missing:
            yield f"These time scales are not resolved: {'; '.join(missing)}."
        spikes = {"variable": "signal_caution", "over": "signal"}
        yield from flags("In these layers", result, ["spikes"], "layer", **spikes)


def _lags(names: np.ndarray, result: xr.Dataset) -> Iterable[str]:
    """Say in which layers inhibition follows excitation or precedes it, the longest lag first."""
    if "ei_lag" not in result["statistic"].values:
        return
    one = result.sel(statistic="ei_lag")
    lag = one["value"].values
    if not np.isfinite(lag).any():
        return
    clear, how = clear_of_zero(lag, one["low"].values, one["high"].values)
    ways = [(word, strongest(lag, clear, sign)) for word, sign in (("follows", 1), ("precedes", -1))]
    parts = []
    for word, chosen in ways:
        for units in dict.fromkeys(one["time_units"].values[chosen].astype(str).tolist()):
            held = [index for index in chosen if str(one["time_units"].values[index]) == units]
            parts.append(f"{word} excitation in {layers(names[held])} (by {span(np.abs(lag[held]))} {_unit(units)})")
    if parts:
        n = f"{int(clear.sum())} of {len(names)} layers"
        yield f"Inhibition {' and '.join(parts)}: mean over neurons; clear in {n} ({how})."
    else:
        yield f"Inhibition was not found to lag excitation in any layer (lag {span(lag)}; {how})."


def _unit(units: str) -> str:
    return "steps" if units == "step" else units


def _layer(label: str, name: str, data: xr.Dataset, keys: list[str], n_bootstrap: int, seed: int) -> dict[str, Any]:
    population = Population(data, name)
    dt, units = population.dt, population.units
    lags = np.arange(MOST_LAGS + 1)
    row: dict[str, Any] = {
        "layer": label,
        "population": name,
        "dt": dt,
        "time_units": units,
        "tau_membrane": _membrane(data),
        "n_samples": population.n_samples,
        "n_neurons": int(data.sizes["neuron"]),
        "lag_time": lags * dt,
        "autocorrelation": np.full((len(SIGNALS), MOST_LAGS + 1), np.nan),
        "note": [""] * len(SIGNALS),
        "caution": [""] * len(keys),
        "signal_caution": [cautions(population, STATISTICS["rate"]) if name == "spikes" else "" for name in SIGNALS],
        **{part: np.full(len(SIGNALS), np.nan) for part in ("timescale", "timescale_low", "timescale_high")},
        "cross_correlation": np.full(2 * MOST_LAGS + 1, np.nan),
        **dict.fromkeys(("cross_peak", "cross_lag_of_peak"), np.nan),
        **{part: np.full(len(keys), np.nan) for part in ("value", "low", "high")},
    }
    if keys:
        table = summarise(data, keys, n_bootstrap=n_bootstrap, seed=seed).isel(population=0)
        row |= {part: table[part].values for part in ("value", "low", "high", "caution")}
    signals: dict[str, FloatArray] = {}
    for index, signal in enumerate(SIGNALS):
        if population.missing((signal,)):
            row["note"][index] = f"not recorded: {signal}"
            continue
        try:
            if signal == "spikes":
                signals[signal] = counts_in_windows(population, dt, "the autocorrelation of spikes", SPIKING_NEURONS)
            else:
                population.require_time("the autocorrelation", population.n_intervals)
                signals[signal] = population.array(signal).astype(np.float64)
        except TooShortError as error:
            row["note"][index] = f"{error.what}; enough: {error.valid}"
            continue
        found = _with_interval(signals[signal], n_bootstrap, seed)
        if found is None:
            row["note"][index] = "constant in time"
            continue
        curve, scale, low, high = found
        row["autocorrelation"][index, : len(curve)] = curve
        for part, number in (("timescale", scale), ("timescale_low", low), ("timescale_high", high)):
            row[part][index] = number * dt
    if {"current_exc", "current_inh"} <= set(signals):
        row |= _lagged(signals["current_exc"].mean(axis=2), signals["current_inh"].mean(axis=2), dt)
    return row


def _membrane(data: xr.Dataset) -> float:
    """Return the membrane time constant in the recording's unit of time."""
    if "tau_membrane" in data.attrs:
        return float(data.attrs["tau_membrane"])
    decay = float(data.attrs.get("membrane_decay", np.nan))
    return -1.0 / float(np.log(decay)) if 0 < decay < 1 else float("nan")


def _with_interval(values: FloatArray, n_bootstrap: int, seed: int) -> tuple[FloatArray, float, float, float] | None:
    """Return autocorrelation, time scale in intervals, and its ends; None where nothing varies."""
    covariance = autocovariance(values, min(MOST_LAGS, values.shape[1] // 4))
    units = covariance.mean(axis=2) if len(values) > 1 else covariance[0].T  # (sample or neuron, lag)
    mean = units.mean(axis=0)
    if mean[0] <= 1e-12 * (values**2).mean():
        return None
    rng = np.random.default_rng(np.random.SeedSequence([seed, 9]))
    drawn = resample_counts(rng, n_bootstrap, len(units)) @ units
    scale = float(timescale(mean[None] / mean[0])[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        scales = timescale(drawn / drawn[:, :1])
    low, high = interval_of(scales, 0.0, LEVEL) if len(units) > 1 else (np.nan, np.nan)
    return mean / mean[0], scale, low, high


def autocovariance(values: FloatArray, lags: int) -> FloatArray:
    """Autocovariance over time of every neuron in every sample, about the sample's mean.

    Parameters
    ----------
    values : array, shape (sample, time, neuron)
    lags : int
        Largest lag.

    Returns
    -------
    array, shape (sample, lag, neuron)
        Divided by the number of pairs.  About the sample's own mean, hence too low by about the
        variance of that mean: by 2 tau / T of the variance for a time scale tau.
    """
    length = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    padded = np.fft.rfft(centred, n=2 * length, axis=1)
    raw = np.fft.irfft(padded * padded.conj(), n=2 * length, axis=1)[:, : lags + 1]
    found: FloatArray = raw / (length - np.arange(lags + 1))[None, :, None]
    return found


def timescale(correlation: FloatArray) -> FloatArray:
    """Integrate an autocorrelation to its first zero, by the trapezium rule from minus to plus.

    Parameters
    ----------
    correlation : array, shape (..., lag)
        With the value 1 at lag 0.

    Returns
    -------
    array, shape (...)
        In lags: 1/2 + the sum over lags from 1 up to the last before the first that is not
        positive.  exp(-k / tau) gives 1 / (2 tanh(1 / (2 tau))), about tau; white noise 1/2.

    Examples
    --------
    >>> import numpy as np
    >>> timescale(np.exp(-np.arange(400) / 10)).round(3)
    np.float64(10.008)
    """
    positive = np.cumprod(correlation > 0, axis=-1, dtype=bool)
    total: FloatArray = np.where(positive, correlation, 0.0).sum(axis=-1) - 0.5
    return np.where(np.isfinite(correlation).all(axis=-1), total, np.nan)


def cross_covariance(first: FloatArray, second: FloatArray, lags: int) -> FloatArray:
    """Covariance of first(t) with second(t + lag), mean over samples, shape (2 lags + 1,).

    Parameters
    ----------
    first, second : array, shape (sample, time)
    lags : int
    """
    length = first.shape[1]
    a, b = (part - part.mean(axis=1, keepdims=True) for part in (first, second))
    spectra = np.fft.rfft(a, n=2 * length, axis=1).conj() * np.fft.rfft(b, n=2 * length, axis=1)
    raw = np.fft.irfft(spectra, n=2 * length, axis=1)
    at = np.arange(-lags, lags + 1)
    found: FloatArray = (raw[:, at] / (length - np.abs(at))).mean(axis=0)
    return found


def _lagged(exc: FloatArray, inh: FloatArray, dt: float) -> dict[str, Any]:
    """Return the cross-correlation of the population's mean excitation and inhibition, and its peak."""
    lags = min(MOST_LAGS, exc.shape[1] // 4)
    scale = np.sqrt(exc.var(axis=1).mean() * inh.var(axis=1).mean())
    curve = np.full(2 * MOST_LAGS + 1, np.nan)
    if scale > 0:
        found = cross_covariance(exc, inh, lags) / scale
        curve[MOST_LAGS - lags : MOST_LAGS + lags + 1] = found
        peak = int(np.argmax(found))
        return {"cross_correlation": curve, "cross_peak": float(found[peak]), "cross_lag_of_peak": (peak - lags) * dt}
    return {}
