"""The scorecard: results as tables, the same ones on the terminal, in the report and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import xarray as xr

from eiplatform.analyses import defined, read_with_care
from eiplatform.report.cautioned import cautioned, cautions_of

__all__ = ["NULLS", "Table", "cell_text", "interval_text", "number_text", "scorecard", "told_in_order"]

T = TypeVar("T")

TRAINED_STATISTICS = (
    "ei_ratio",
    "balance_index",
    *(
        f"ei_correlation_{over}{pairs}"
        for over in ("samples", "time")
        for pairs in ("", "_cross", "_excess", "_partial")
    ),
    "rate",
    "cv_isi",
    "lv",
    "fano_factor",
    "silent_share",
    "always_on_spikes",
    "private_inhibition",
    "gain",
)


NULLS = {
    "recordings": "other networks on the same images",
    "reinit": "untrained networks on the same images",
    "shuffle-weights": "networks with weights shuffled within sign, on the same images",
    "shuffle-inputs": "sets of the same images with shuffled pixels",
    "shift-time": "surrogates with inhibition shifted in time",
    "shuffle-neurons": "surrogates with inhibition of another neuron",
    "poisson": "surrogates of random spikes of the same rates",
}
"""What stands behind the range, by kind of null."""


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


def number_text(value: float) -> str:
    """Return a number with three significant digits, without an exponent where that is readable."""
    if not np.isfinite(value):
        return "–"
    if abs(value) < 1e-12:  # rounding of an exact zero
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
        text = f"{value:.{min(digits, 3)}f}"
    else:
        text = f"{value:.1e}"
    return text.replace("-", "\N{MINUS SIGN}")  # which no browser breaks a line at


def interval_text(value: float, low: float, high: float) -> str:
    """Return a value with its interval, if it has one."""
    if not np.isfinite(value):
        return "–"
    return f"{number_text(value)} [{number_text(low)}, {number_text(high)}]" if np.isfinite(low) else number_text(value)


def cell_text(data: xr.Dataset, prefix: str = "", suffixes: tuple[str, str, str] = ("value", "low", "high")) -> str:
    """Return value and interval of one cell of a result."""
    return interval_text(*(float(data[prefix + name]) for name in suffixes))


def scorecard(results: Mapping[str, xr.Dataset]) -> list[Table]:
    """Turn the results of a study into tables.

    Parameters
    ----------
    results : mapping of str to xarray.Dataset
        Results by name; each gives the tables of its analysis.

    Returns
    -------
    list of Table
    """
    from eiplatform.report import profiles  # these build on this module
    from eiplatform.report.compared import comparison_tables
    from eiplatform.report.studies import circuit_tables, emergence_tables
    from eiplatform.report.systems import system_tables

    makers = {
        "learning": _learning,
        "ei_versus_bn": circuit_tables,
        "balance_emergence": emergence_tables,
        "systems": system_tables,
        "balance": _balance,
        "balance_across_depth": profiles.depth_tables,
        "gain_modulation": profiles.gain_tables,
        "timescales": profiles.timescale_tables,
        "comparison": comparison_tables,
        "regime_scorecard": profiles.regime_tables,
        "reference_check": _reference_check,
        "lesions": _lesions,
    }
    return told_in_order(results, makers)


def told_in_order(
    results: Mapping[str, xr.Dataset], makers: Mapping[str, Callable[[xr.Dataset], Iterable[T]]]
) -> list[T]:
    """Return what the makers, in their order, tell of the results of their analyses."""
    found: list[T] = []
    for analysis, make in makers.items():
        for result in results.values():
            if result.attrs["analysis"] == analysis:
                with read_with_care(result):
                    found += make(result)
    return found


def _learning(result: xr.Dataset) -> Iterable[Table]:
    accuracy, low, high = (100 * float(result[name]) for name in ("test_accuracy", "test_low", "test_high"))
    row = (
        result.attrs["dataset"],
        f"{accuracy:.1f} % [{low:.1f}, {high:.1f}]",
        str(int(result["n_test"])),
        str(int(result["best_epoch"])),
    )
    note = (
        "Wilson interval over images; the network is that of the epoch best on validation (the later of equals); the "
        "test images had no part in training or in choosing it."
    )
    yield Table("Accuracy", ("data set", "test accuracy", "images", "epoch"), (row,), note)


def _balance(result: xr.Dataset) -> Iterable[Table]:
    populations = [str(name) for name in result["population"].values]
    shown = defined(result, TRAINED_STATISTICS)
    marks, caution = cautioned(cautions_of(result, shown))
    rows = []
    for statistic in shown:
        one = result.sel(statistic=statistic)
        row = [str(one["label"].item()) + marks.get(statistic, "")]
        for population in populations:
            data = one.sel(population=population)
            text = cell_text(data)
            if "null" in result and np.isfinite(data["value"]) and np.isfinite(data["null_minimum"]):
                ends = f"{number_text(float(data['null_minimum']))} to {number_text(float(data['null_maximum']))}"
                z = float(data["z"])
                text += f"\nnull {ends}" + (f"\nz {number_text(z)}" if np.isfinite(z) else "")
            row.append(text)
        rows.append(tuple(row))
    excluded = int(result["n_excluded"].sel(statistic=shown).max())
    note = (
        f"Value [95 % interval], n = {int(result['n_samples'].max())} images, mean over neurons; percentile bootstrap "
        f"over images and neurons; at most {excluded} neurons of a layer excluded as undefined. "
    )
    if "null" in result:
        n_nulls = int(result.attrs["n_nulls"])
        note += (
            f"null: range over {n_nulls} {NULLS[result.attrs.get('null', 'recordings')]}; z: distance from them in "
            "units of their spread. Student's p takes the nulls for normal; by rank alone, "
            f"{n_nulls} nulls give no p below "
            f"{min(1.0, 2 / (n_nulls + 1)):.2g}. "
        )
    note += (
        "A high correlation is no evidence of balance by itself: images share their brightness, and all neurons of a "
        "layer share their I neurons. The rows 'other neurons', 'own minus other' and 'common mode removed' separate "
        "that."
    )
    note += caution
    missing = [key for key in TRAINED_STATISTICS if key in result["statistic"].values and key not in shown]
    if missing:
        reasons = sorted({str(text) for text in result["note"].sel(statistic=missing).values.ravel() if text})
        labels = ", ".join(str(result["label"].sel(statistic=key).item()) for key in missing)
        note += f" Not defined here: {labels} ({'; '.join(reasons)})."
    title = f"Balance of '{result.attrs['label']}'" + (" against its null" if "null" in result else "")
    yield Table(title, ("statistic", *populations), tuple(rows), note)


def _reference_check(result: xr.Dataset) -> Iterable[Table]:
    rows = []
    for reference in result["reference"].values:
        for quantity in result["quantity"].values:
            cell = result.sel(reference=reference, quantity=quantity)
            rows.append(
                (
                    str(reference),
                    f"{str(quantity).replace('_', ' ')} ({cell['units'].item()})",
                    cell_text(cell),
                    number_text(float(cell["theory"])),
                    f"{100 * float(cell['deviation']):+.1f} %",
                )
            )
    columns = ("circuit", "quantity", "simulated [95 %]", "closed form", "deviation")
    note = f"Mean over {int(result['n_seeds'].max())} seeds, Student t interval over seeds."
    yield Table("Reference circuit against its closed form", columns, tuple(rows), note)


def _lesions(result: xr.Dataset) -> Iterable[Table]:
    rows: list[tuple[str, ...]] = []
    n_controls = result.attrs["n_controls"]
    for dose in result["dose"].values:
        cell = result.sel(dose=dose)
        accuracy = interval_text(*(100 * float(cell[name]) for name in ("accuracy", "accuracy_low", "accuracy_high")))
        rates = ", ".join(
            f"{population}: {number_text(float(cell['value'].sel(population=population, statistic='rate')))}"
            for population in result["population"].values
        )
        random = 100 * cell["control_accuracy"] if n_controls and dose > 0 else None
        spread = "" if random is None else f"{float(random.min()):.1f} to {float(random.max()):.1f}"
        p = number_text(float(cell["accuracy_p_holm"])) if dose > 0 else ""
        rows.append((f"{dose:g}", accuracy, p, spread, rates) if n_controls else (f"{dose:g}", accuracy, p, rates))
    note = (
        f"n = {result.attrs['n_samples']} images; Wilson interval over images; p: exact one-sided test of lower "
        "accuracy on the same images (McNemar), corrected for the number of doses (Holm). One network. "
        f"Rates are of the recorded neurons ({result.attrs['neurons']})."
    )
    note += cautioned(cautions_of(result.sel(dose=result["dose"][0]), ["rate"]))[1]
    if inhibition := result.attrs.get("inhibition"):
        note += f" {inhibition}"
    title = f"Lesion of {result.attrs['pathway']} in '{result.attrs['layers']}'"
    columns: tuple[str, ...] = ("fraction removed", "test accuracy % [95 %]", "p", "spikes per neuron and step")
    if n_controls:
        columns = (*columns[:3], f"{n_controls} random losses of as much current, %", columns[3])
    yield Table(title, columns, tuple(rows), note)
