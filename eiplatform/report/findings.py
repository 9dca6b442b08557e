"""What came out, in sentences that the numbers alone decide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy import stats

from eiplatform.analyses import defined
from eiplatform.report.studies import circuit_told, emergence_told
from eiplatform.report.tables import NULLS, told_in_order
from eiplatform.statistics.kernels.multiple import holm
from eiplatform.statistics.seeds import ENOUGH

__all__ = ["findings_of"]

LEVEL = 0.05
"""Corrected p up to which a difference is called one."""
_PAIRED = "exact paired test on the same images, corrected for the number of doses"
GLOBAL_EXCESS = 0.01
"""Own minus other correlation below which inhibition is called global."""


def findings_of(results: Mapping[str, xr.Dataset]) -> list[str]:
    """Say what the results show, each sentence by a stated rule.

    Parameters
    ----------
    results : mapping of str to xarray.Dataset
        Results by name.

    Returns
    -------
    list of str
    """
    makers = {
        "learning": _learning,
        "ei_versus_bn": circuit_told,
        "balance_emergence": emergence_told,
        "balance": _balance,
        "comparison": _comparison,
        "reference_check": _reference_check,
        "lesions": _lesions,
    }
    return told_in_order(results, makers)


def _names(names: list[str]) -> str:
    return ", ".join(names) if names else "no layer"


def _ways(up: list[str], down: list[str]) -> str:
    """Name the layers that lie above and below; only those that there are."""
    return ", ".join(f"{way} in {', '.join(names)}" for way, names in (("higher", up), ("lower", down)) if names)


def _learning(result: xr.Dataset) -> list[str]:
    accuracy, low, high = (100 * float(result[name]) for name in ("test_accuracy", "test_low", "test_high"))
    return [
        f"The network classifies {accuracy:.1f} % of {int(result['n_test'])} unseen images "
        f"(95 % interval {low:.1f} to {high:.1f} %)."
    ]


def _balance(result: xr.Dataset) -> list[str]:
    who = f"'{result.attrs['label']}'"
    sentences = []
    if defined(result, ["ei_ratio"]):
        one = result.sel(statistic="ei_ratio")
        names = one["population"].values.astype(str)
        # The interval of a ratio is about symmetric in logarithms.
        value, low, high = (np.log(one[name].values) for name in ("value", "low", "high"))
        error = (high - low) / (2 * stats.norm.ppf(0.975))
        clear = holm(2 * stats.norm.sf(np.abs(value) / np.where(error > 0, error, np.nan))) <= LEVEL
        above, below = names[clear & (value > 0)].tolist(), names[clear & (value < 0)].tolist()
        sentences.append(
            f"{who}: excitation exceeds inhibition in {_names(above)}, inhibition exceeds excitation in "
            f"{_names(below)} (the E/I ratio differs from 1 by its interval, corrected for the number of layers)."
        )
    # Over time where the recording is long enough, else over samples.
    axis = "time" if defined(result, ["ei_correlation_time"]) else "samples"
    for statistic in defined(result, ["ei_ratio", f"ei_correlation_{axis}"], "p") if "null" in result else []:
        one = result.sel(statistic=statistic)
        names = one["population"].values.astype(str)
        # With enough nulls a clear one lies beyond nearly all of them; with few that alone says little.
        clear = (one["q"] <= LEVEL).values
        up = names[clear & (one["z"] > 0).values].tolist()
        down = names[clear & (one["z"] < 0).values].tolist()
        n = int(result.attrs["n_nulls"])
        null = f"its null, {n} {NULLS[result.attrs.get('null', 'recordings')]}"
        how = f"q at most {LEVEL:g}: Student t, which takes the nulls for normal, corrected for all tests of the table"
        if n < ENOUGH:
            how += f"; by rank alone {n} nulls give no p below {min(1.0, 2 / (n + 1)):.2g}"
        if not up and not down:
            sentences.append(f"{who}: the {one['label'].item()} was not found to differ from {null} ({how}).")
            continue
        sentences.append(f"{who}: the {one['label'].item()} differs from {null}: {_ways(up, down)} ({how}).")
    for statistic in defined(result, [f"ei_correlation_{axis}_excess"]):
        sentences += _detail(who, axis, result.sel(statistic=statistic))
    return sentences


def _detail(who: str, axis: str, excess: xr.Dataset) -> list[str]:
    """Say whether inhibition follows the excitation of its own neuron; homogeneous inhibition cannot show that."""
    names = excess["population"].values.astype(str)
    said = excess["caution"].values.astype(str) if "caution" in excess else np.full(names.shape, "")
    alike = said != ""
    sentences = []
    if not alike.all() and np.isfinite(excess["value"].values[~alike]).any():
        largest = float(np.nanmax(np.abs(excess["value"].values[~alike])))
        kind = "global, not detailed" if largest < GLOBAL_EXCESS else "partly detailed"
        where = f" in {_names(names[~alike].tolist())}" if alike.any() else ""
        sentences.append(
            f"{who}: a neuron's excitation correlates with its own inhibition and with that of other neurons alike"
            f"{where} (over {axis}; they differ by at most {largest:.1g}): inhibition is {kind}, "
            "as it is by construction before training."
        )
    if alike.any():
        sentences.append(
            f"{who}: nothing can be said for or against detailed balance in {_names(names[alike].tolist())} "
            f"(over {axis}): all neurons of a layer receive the same inhibition there, up to a factor."
        )
    return sentences


def _comparison(result: xr.Dataset) -> list[str]:
    sentences = []
    for reference in result["reference"].values:
        parts = []
        for statistic in defined(result, ("ei_correlation_time",), "difference"):
            one = result.sel(statistic=statistic, reference=reference)
            names = one["population"].values.astype(str)
            differs = (one["q"] <= result.attrs["fdr"]).values
            up = names[differs & (one["difference"] > 0).values].tolist()
            down = names[differs & (one["difference"] < 0).values].tolist()
            if up or down:
                parts.append(f"{one['label'].item()} {_ways(up, down)}")
            else:
                tested = np.isfinite(one["q"]).any()
                parts.append(f"{one['label'].item()}: {'no difference found' if tested else 'no test is possible'}")
        verdicts, counts = np.unique(result["verdict"].sel(reference=reference).values, return_counts=True)
        told = {str(verdict): int(count) for verdict, count in zip(verdicts, counts, strict=True)}
        told.pop("not compared", None)
        parts.append(", ".join(f"{count} {verdict}" for verdict, count in told.items()) or "nothing is comparable")
        parts += _weak(result.sel(reference=reference))
        rate = f"{100 * result.attrs['fdr']:g} %"
        sentences.append(f"Against {reference} (false discovery rate {rate}; layers x statistics): {'; '.join(parts)}.")
    return sentences


def _weak(one: xr.Dataset) -> list[str]:
    """Say how many verdicts rest on values with a caution."""
    if "caution" not in one:  # of an earlier version
        return []
    reached = one["verdict"] != "not compared"
    n = int((reached & ((one["caution"] != "") | (one["reference_caution"] != ""))).sum())
    return [f"{n} of {int(reached.sum())} with a caution: see the table"] if n else []


def _reference_check(result: xr.Dataset) -> list[str]:
    worst = float(np.abs(result["deviation"]).max())
    return [
        f"The simulated circuit differs from its closed form by at most {100 * worst:.1f} % "
        f"(rate {float(result['value'].sel(quantity='rate')[0]):.2f} Hz, "
        f"closed form {float(result['theory'].sel(quantity='rate')[0]):.2f} Hz)."
    ]


def _lesions(result: xr.Dataset) -> list[str]:
    intact = float(result["accuracy"].sel(dose=0.0))
    hurt = result["dose"].values[(result["accuracy_p_holm"] <= LEVEL).values].tolist()
    where = f"{result.attrs['pathway']} in '{result.attrs['layers']}'"
    if not hurt:
        return [
            f"No dose of the lesion of {where} was found to lower accuracy below the intact {100 * intact:.1f} % "
            f"({_PAIRED})."
        ]
    after = float(result["accuracy"].sel(dose=hurt[0]))
    told = (
        f"Removing {100 * hurt[0]:g} % of {where} is the smallest dose tried that lowers accuracy: "
        f"{100 * intact:.1f} % to {100 * after:.1f} % ({_PAIRED})"
    )
    if not result.attrs["n_controls"]:
        return [f"{told}."]
    random = 100 * result["control_accuracy"].sel(dose=hurt[0])
    return [
        f"{told}; {random.size} random losses of synapses that take as much current leave "
        f"{float(random.min()):.1f} to {float(random.max()):.1f} %."
    ]
