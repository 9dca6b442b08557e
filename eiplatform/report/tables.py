"""The scorecard: results as tables, the same ones on the terminal, in the report and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

__all__ = ["Table", "scorecard"]

TRAINED_STATISTICS = (
    "ei_ratio",
    "balance_index",
    "ei_correlation_samples",
    "ei_correlation_samples_cross",
    "ei_correlation_samples_excess",
    "ei_correlation_samples_partial",
    "rate",
    "gain",
)


@dataclass(frozen=True)
class Table:
    """A titled table of text cells.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuple of str
    note : str
        What the numbers are: interval, n, exclusions.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def _number(value: float) -> str:
    """Three significant digits without an exponent where that is readable."""
    if not np.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{min(digits, 3)}f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"


def _interval(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{_number(value)} [{_number(low)}, {_number(high)}]" if np.isfinite(low) else _number(value)


def scorecard(results: Mapping[str, xr.Dataset]) -> list[Table]:
    """Turn the results of a study into tables.

    Parameters
    ----------
    results : mapping of str to xarray.Dataset
        Results by analysis; each gives the tables that it can.

    Returns
    -------
    list of Table
    """
    makers = {
        "learning": _learning,
        "balance": _balance,
        "comparison": _comparison,
        "reference_check": _reference_check,
        "lesions": _lesions,
    }
    tables: list[Table] = []
    for name, make in makers.items():
        if name in results:
            tables += make(results[name])
    return tables


def _learning(result: xr.Dataset) -> Iterable[Table]:
    accuracy, low, high = (100 * float(result[name]) for name in ("test_accuracy", "test_low", "test_high"))
    row = (
        result.attrs["dataset"],
        f"{accuracy:.1f} % [{low:.1f}, {high:.1f}]",
        str(int(result["n_test"])),
        str(int(result["best_epoch"])),
    )
    note = "Wilson interval over images; the test images were read once, at the epoch that was best on validation."
    yield Table("Accuracy", ("data set", "test accuracy", "images", "epoch"), (row,), note)


def _balance(result: xr.Dataset) -> Iterable[Table]:
    rows = []
    for statistic in TRAINED_STATISTICS:
        if statistic not in result["statistic"].values:
            continue
        for population in result["population"].values:
            cell = result.sel(statistic=statistic, population=population)
            if not np.isfinite(cell["value"]):
                continue
            row = [
                str(cell["label"].item()),
                str(population),
                _interval(*(float(cell[name]) for name in ("value", "low", "high"))),
            ]
            if "null" in result:
                ends = f"{_number(float(cell['null_minimum']))} to {_number(float(cell['null_maximum']))}"
                row += [_number(float(cell["null"])), ends, _number(float(cell["z"]))]
            row.append(f"{int(cell['n_used'])} ({int(cell['n_excluded'])})")
            rows.append(tuple(row))
    columns = ["statistic", "population", "trained [95 % interval]"]
    if "null" in result:
        columns += ["untrained mean", "untrained range", "z"]
    columns.append("neurons (excluded)")
    note = (
        f"n = {int(result['n_samples'].max())} images. Percentile bootstrap over images and neurons. Untrained: E-I Init "
        f"only, {result.attrs['n_nulls']} seeds, the same images. z: distance from the untrained networks in units of their "
        "spread over seeds. High correlation over samples is no evidence of balance by itself: images share their "
        "brightness, which the rows 'other neurons', 'own minus other' and 'common mode removed' separate."
    )
    yield Table("Trained against untrained", tuple(columns), tuple(rows), note)


def _comparison(result: xr.Dataset) -> Iterable[Table]:
    rows = []
    for statistic in result["statistic"].values:
        one = result.sel(statistic=statistic)
        if not bool(one["comparable"]) or not np.isfinite(one["difference"]).any():
            continue
        for reference in result["reference"].values:
            circuit = one.sel(reference=reference)
            for population in result["population"].values:
                cell = circuit.sel(population=population)
                rows.append(
                    (
                        str(one["label"].item()),
                        str(population),
                        _interval(*(float(cell[name]) for name in ("value", "low", "high"))),
                        str(reference),
                        _interval(*(float(cell[f"reference_{name}"]) for name in ("value", "low", "high"))),
                        _interval(*(float(cell[f"difference{name}"]) for name in ("", "_low", "_high"))),
                        _number(float(cell["ceiling"])),
                    )
                )
    columns = ("statistic", "layer", "network", "circuit", "value", "difference [95 %]", "seed range")
    note = (
        f"Network: n = {int(result['n_samples'].max())} images shown for long. Circuit: "
        f"n = {int(result['reference_n_samples'].max())} seeds; 'seed range' is how much the circuit differs from itself. "
        "Currents of the circuit are averaged over one network step. E/I ratio and balance index depend on in-degree "
        "and on how constant drive is counted: read them beside both, not as a distance."
    )
    yield Table("Network against cortical circuit", columns, tuple(rows), note)
    left_out = []
    for statistic in result["statistic"].values:
        one = result.sel(statistic=statistic)
        if not bool(one["comparable"]):
            left_out.append((str(one["label"].item()), str(one["reason"].item())))
        elif not np.isfinite(one["difference"]).any():
            notes = sorted({str(note) for note in one["note"].values.ravel() if note})
            left_out.append((str(one["label"].item()), "; ".join(notes)))
    if left_out:
        yield Table("Not compared, and why", ("statistic", "reason"), tuple(left_out))


def _reference_check(result: xr.Dataset) -> Iterable[Table]:
    rows = []
    for reference in result["reference"].values:
        for quantity in result["quantity"].values:
            cell = result.sel(reference=reference, quantity=quantity)
            rows.append(
                (
                    str(reference),
                    f"{str(quantity).replace('_', ' ')} ({cell['units'].item()})",
                    _interval(*(float(cell[name]) for name in ("value", "low", "high"))),
                    _number(float(cell["theory"])),
                    f"{100 * float(cell['deviation']):+.1f} %",
                )
            )
    columns = ("circuit", "quantity", "simulated [95 %]", "closed form", "deviation")
    note = f"Mean over {int(result['n_seeds'].max())} seeds, Student t interval over seeds."
    yield Table("Reference circuit against its closed form", columns, tuple(rows), note)


def _lesions(result: xr.Dataset) -> Iterable[Table]:
    rows = []
    for dose in result["dose"].values:
        cell = result.sel(dose=dose)
        accuracy = _interval(*(100 * float(cell[name]) for name in ("accuracy", "accuracy_low", "accuracy_high")))
        rates = ", ".join(
            f"{population}: {_number(float(cell['value'].sel(population=population, statistic='rate')))}"
            for population in result["population"].values
        )
        rows.append((f"{dose:g}", accuracy, rates))
    note = f"n = {result.attrs['n_samples']} images; Wilson interval over images. One network."
    title = f"Lesion of {result.attrs['pathway']} in '{result.attrs['layers']}'"
    columns = ("fraction removed", "test accuracy % [95 %]", "spikes per neuron and step")
    yield Table(title, columns, tuple(rows), note)
