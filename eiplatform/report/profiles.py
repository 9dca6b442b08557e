"""Tables of the profiles: regimes, balance across depth, gain and time scales."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from eiplatform.report.cautioned import cautioned, cautions_of
from eiplatform.report.tables import Table, interval_text, number_text

__all__ = ["depth_tables", "gain_tables", "largest", "regime_tables", "timescale_tables"]


def _texts(values: xr.DataArray) -> list[str]:
    return [str(value) for value in values.values]


def _cell(data: xr.Dataset, name: str) -> str:
    return interval_text(*(float(data[part]) for part in (name, f"{name}_low", f"{name}_high")))


def largest(share: xr.DataArray, dim: str) -> str:
    """Return the kinds with at least a twentieth of the draws, the largest first."""
    if not np.isfinite(share).all():
        return "not determined"
    order = np.argsort(-share.values, kind="stable")
    kinds = [(str(share[dim].values[k]).split(": ", 1)[-1], float(share.values[k])) for k in order]
    return ", ".join(f"{kind} {100 * part:.0f} %" for kind, part in kinds if part >= 0.05)


def regime_tables(result: xr.Dataset) -> Iterable[Table]:
    """Give where each population sits, what that rests on, and what was left out."""
    families = _texts(result["family_name"])
    placed, rests = [], []
    for name in _texts(result["population"]):
        one = result.sel(population=name)
        row = [name]
        for family in families:
            share = one["share"].sel(regime=(result["family"] == family).values)
            row.append(largest(share, "regime"))
        row += [largest(one["tightness"], "residual"), largest(one["tracking"], "in_time")]
        falls = float(one["paradoxical"])
        row.append(f"paradoxical in {100 * falls:.0f} %" if np.isfinite(falls) else "not determined")
        placed.append(tuple(row))
        for family in families:
            cells = [name, family, number_text(float(one["step_ms"].sel(family_name=family)))]
            for feature in _texts(result["feature"]):
                here = one.sel(family_name=family, feature=feature)
                cells.append(str(here["reason"].item()) or _cell_of(here))
            rests.append(tuple(cells))
    columns = ("population", *families, "balance, residual", "balance, tracking", "inhibition-stabilised")
    note = (
        f"Shares of {result.attrs['n_bootstrap']} bootstrap draws nearest to a regime (below 5 % not listed); none: "
        "within tolerance of no regime; Poisson: like independent random spiking. Tight has two senses: a small "
        f"residual (|beta| < {result.attrs['cut_tight_residual']:g}) and inhibition that tracks excitation in time. "
        + "; ".join(sorted(set(_texts(result["isn_note"]))))
        + "."
        + cautioned(
            _of_spikes(result), cautions_of(result, ["ei_correlation_time_excess"], variable="balance_caution")
        )[1]
    )
    yield Table("Regime of every population", columns, tuple(placed), note)
    tolerances = ", ".join(
        f"{feature} {tolerance:.2g}"
        for feature, tolerance in zip(_texts(result["feature"]), result["tolerance"].values, strict=True)
    )
    absent = np.atleast_1d(result.attrs["absent"]).tolist()
    note = (
        f"Features [95 %] in the time of each family; tolerances: {tolerances}. Not used: {result.attrs['excluded']}."
        + (f" Not installed: {', '.join(map(str, absent))}." if absent else "")
        + cautioned(_of_spikes(result))[1]
    )
    yield Table(
        "What the regimes rest on",
        ("population", "family", "window ms", *_texts(result["feature"])),
        tuple(rests),
        note,
    )


def _of_spikes(result: xr.Dataset) -> dict[str, dict[str, str]]:
    """Return what limits the meaning of the spikes of each population; an earlier version does not say it."""
    said = _texts(result["caution"]) if "caution" in result else []
    return {"spikes": {name: text for name, text in zip(_texts(result["population"]), said, strict=False) if text}}


def _cell_of(data: xr.Dataset) -> str:
    return interval_text(*(float(data[f"feature_{part}"]) for part in ("value", "low", "high")))


def depth_tables(result: xr.Dataset) -> Iterable[Table]:
    """Give one table per recording: every layer, and the slope per layer."""
    for index, name in enumerate(_texts(result["recording"])):
        one = result.isel(recording=index)
        layers = [layer for layer in _texts(one["population"]) if layer]
        marks, caution = cautioned(cautions_of(one.isel(depth=slice(len(layers))), _texts(result["statistic"])))
        rows, undefined = [], []
        for statistic in _texts(result["statistic"]):
            here = one.sel(statistic=statistic)
            if not bool(here["value"].notnull().any()):
                undefined.append(str(here["label"].item()))
                continue
            cells = [
                interval_text(*(float(here[part].isel(depth=k)) for part in ("value", "low", "high")))
                for k in range(len(layers))
            ]
            rows.append((str(here["label"].item()) + marks.get(statistic, ""), *cells, _cell(here, "slope")))
        n = int(result.attrs["n_samples"])
        note = f"Slope per layer (least squares), interval from draws in which all layers see the same {n} samples."
        note += caution
        note += f" Without a value in any layer: {'; '.join(undefined)}." if undefined else ""
        yield Table(f"Balance across the depth of '{name}'", ("statistic", *layers, "slope"), tuple(rows), note)


def gain_tables(result: xr.Dataset) -> Iterable[Table]:
    """Give the shares of the gain's variance and its normalisation, layer by layer."""
    rows = []
    for layer in _texts(result["layer"]):
        one = result.sel(layer=layer)
        shares = [_cell(one.sel(part=part), "share") for part in _texts(result["part"])]
        normalisation = str(one["note"].item()) or _cell(one, "normalisation")
        rows.append(
            (layer, *shares, normalisation, number_text(float(one["half"])), number_text(float(one["r_squared"])))
        )
    columns = ("layer", *_texts(result["part"]), "normalisation index", "half at", "R squared")
    note = (
        "Shares of the variance of ln(gain), main effects and the rest; index: d ln(1/gain) / d ln(mean excitation of "
        "the population) over samples, 0 not at all, 1 in proportion; half at: excitation that halves the gain (none "
        "where the fit has no limit)."
    )
    yield Table("What the gain varies with", columns, tuple(rows), note)


def timescale_tables(result: xr.Dataset) -> Iterable[Table]:
    """Give time scales in recorded time and in membrane time constants."""
    rows = []
    for layer in _texts(result["layer"]):
        one = result.sel(layer=layer)
        cells = []
        for signal in _texts(result["signal"]):
            here = one.sel(signal=signal)
            text = str(here["note"].item()) or f"{_cell(here, 'timescale')} {one['time_units'].item()}"
            scaled = float(here["timescale_membrane"])
            cells.append(text + (f"\n{number_text(scaled)} tau" if np.isfinite(scaled) else ""))
        lag = f"{number_text(float(one['cross_lag_of_peak']))} (r {number_text(float(one['cross_peak']))})"
        rows.append((layer, *cells, lag))
    note = (
        "Integral of the autocorrelation to its first zero [95 % over samples]; tau: membrane time constants, which "
        "compare steps with ms. Lag of the peak of the population's E-I cross-correlation; positive: inhibition "
        "follows."
    )
    yield Table("Time scales", ("layer", *_texts(result["signal"]), "lag of inhibition"), tuple(rows), note)
