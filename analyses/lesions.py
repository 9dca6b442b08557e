"""What does removing an inhibition pathway do to accuracy, firing and balance?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.stats import binomtest

from analyses.inputs import Recording, describe_inputs, excitatory, open_kind, samples_of, spiking
from eiplatform.errors import StatisticError
from eiplatform.statistics import summarise

__all__ = ["STATISTICS", "accuracy", "run"]

_LESION = 0
"""Where controls have their seed, from 1."""
STATISTICS = ("rate", "ei_ratio", "balance_index", "gain")

INTERCHANGEABLE = 0.1
"""CV of the weights I->E between I neurons below which these cannot be ranked."""


def accuracy(readout: xr.Dataset, level: float = 0.95) -> tuple[float, float, float]:
    """Return the fraction of samples classified correctly, with its Wilson interval.

    Parameters
    ----------
    readout : xarray.Dataset
        The readout's E population; the class is the neuron with the largest mean net current,
        plus its bias if the readout has one; of a population vote (attribute ``votes``) the class
        whose neurons fire most.
    level : float

    Returns
    -------
    value, low, high : float
    """
    if readout.sizes["neuron"] != readout.attrs["n_neurons"]:
        raise StatisticError(
            "accuracy needs every neuron of the readout",
            where="readout/E",
            remedy=f"record {readout.attrs['n_neurons']} neurons or more",
        )
    votes = int(readout.attrs.get("votes", 0))
    logits = readout["output" if "output" in readout else "spikes" if votes else "current_net"].mean("time")
    if votes:
        predicted = logits.values.reshape(len(logits), -1, votes).mean(2).argmax(1)
    else:
        predicted = (logits + readout["bias"] if "bias" in readout else logits).argmax("neuron").values
    correct = int((predicted == readout["label"].values).sum())
    test = binomtest(correct, len(predicted)).proportion_ci(level, method="wilson")
    return correct / len(predicted), float(test.low), float(test.high)


def run(recordings: Sequence[Recording], *, n_bootstrap: int = 1000, seed: int = 0) -> xr.Dataset:
    """Compare recordings of one network under rising doses of one lesion.

    Parameters
    ----------
    recordings : sequence of str, Path or DataTree
        As made by ``eiplatform lesion``; the intact network (dose 0) among them.
    n_bootstrap, seed : int
        Of the intervals.

    Returns
    -------
    xarray.Dataset
        ``accuracy``, ``accuracy_low``, ``accuracy_high`` (dose), with Wilson intervals over
        samples; ``value``, ``low``, ``high``, ``n_excluded``, ``caution`` (dose, population, statistic),
        with bootstrap intervals over samples and neurons.  With controls (random losses of synapses
        that take as much current) also ``control_accuracy`` (control, dose) and ``control_value``
        (control, dose, population, statistic), NaN at dose 0.

    Raises
    ------
    StatisticError
        If the recordings are not one dose-response of one network on the same samples, or controls lack doses.
    """
    trees = open_kind(recordings, "network", purpose="recordings of a lesion")
    found = [tree.attrs["source"]["lesions"] for tree in trees]
    if any(len(lesions) != 1 for lesions in found):
        raise StatisticError(
            "a recording was not made under exactly one lesion", where="lesions", remedy="use 'eiplatform lesion'"
        )
    kinds = {(lesion["pathway"], lesion["layers"]) for (lesion,) in found}
    if len(kinds) != 1:
        raise StatisticError(f"the recordings are of different lesions: {sorted(kinds)}", where="lesions")
    if any(tree.attrs["config"] != trees[0].attrs["config"] for tree in trees):
        raise StatisticError("the recordings are of different networks", where="lesions")
    samples = [samples_of(tree) for tree in trees]
    if any(not np.array_equal(ids, samples[0]) for ids in samples):
        raise StatisticError("the recordings hold different samples", where="lesions")
    measured: dict[int, dict[float, xr.DataTree]] = {}
    for tree, (lesion,) in zip(trees, found, strict=True):
        measured.setdefault(lesion.get("control", {}).get("seed", _LESION), {})[lesion["dose"]] = tree
    doses = sorted(measured.get(_LESION, {}))
    if doses[:1] != [0.0]:
        raise StatisticError("the intact network (dose 0) is missing", where="lesions", valid="doses from 0 upwards")
    controls = sorted(set(measured) - {_LESION})
    for control in controls:
        if sorted(measured[control]) != doses[1:]:
            raise StatisticError(
                f"control {control} was recorded at the doses {sorted(measured[control])}",
                where="lesions",
                valid=str(doses[1:]),
                remedy="give the whole directory that 'eiplatform lesion' made",
            )

    result = _by_dose([measured[_LESION][dose] for dose in doses], doses, n_bootstrap, seed)
    if controls:
        rows = [_by_dose([measured[control][dose] for dose in doses[1:]], doses[1:], 1, 0) for control in controls]
        joined = xr.concat(rows, dim=xr.Variable("control", controls), join="exact")
        result["control_accuracy"] = joined["accuracy"].reindex(dose=doses)
        result["control_value"] = joined["value"].reindex(dose=doses)
    (pathway, layers) = kinds.pop()
    result.attrs = {
        "analysis": "lesions",
        "pathway": pathway,
        "layers": layers,
        "n_samples": len(samples[0]),
        "n_controls": len(controls),
        "neurons": ", ".join(
            f"{name}: {part.sizes['neuron']} of {part.attrs['n_neurons']}"
            for name, part in excitatory(trees[0]).items()
        ),
        "n_bootstrap": n_bootstrap,
        "seed": seed,
        **_inhibition(trees[0]),
        **describe_inputs(trees),
    }
    return result


def _inhibition(tree: xr.DataTree) -> dict[str, str]:
    """Return what the weights say of single I neurons, if they were recorded and cannot be ranked."""
    spread = {name: data.attrs.get("inhibitory_weight_cv", np.inf) for name, data in excitatory(tree).items()}
    alike = [f"{name.rpartition('/')[0]} (CV {value:.2g})" for name, value in spread.items() if value < INTERCHANGEABLE]
    if not alike:
        return {}
    told = "Homogeneous inhibition: the weights I->E of a layer hardly differ between its I neurons, in"
    return {"inhibition": f"{told} {', '.join(alike)}. Single I neurons are interchangeable: no ranking of them holds."}


def _by_dose(trees: Sequence[xr.DataTree], doses: Sequence[float], n_bootstrap: int, seed: int) -> xr.Dataset:
    """Return accuracy and statistics of recordings, by dose."""
    summaries, correct = [], []
    for tree in trees:
        populations = spiking(tree) or excitatory(tree)  # rates have no spikes
        summary = summarise(tree, STATISTICS, populations=populations, n_bootstrap=n_bootstrap, seed=seed)
        summaries.append(summary[["value", "low", "high", "n_excluded", "caution"]])
        correct.append(accuracy(tree["readout/E"].to_dataset()))
    result = xr.concat(summaries, dim=xr.Variable("dose", doses), join="exact")
    for index, name in enumerate(("accuracy", "accuracy_low", "accuracy_high")):
        result[name] = ("dose", [row[index] for row in correct])
    return result
