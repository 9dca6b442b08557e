"""What does removing an inhibition pathway do to accuracy, firing and balance?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from scipy.stats import binomtest

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
from eiplatform.analyses.parts.design import LESION, control_of, whole_design
from eiplatform.analyses.parts.findings import flags
from eiplatform.analyses.parts.headlines import Headline, plain
from eiplatform.analyses.parts.inputs import (
    Recordings,
    describe_inputs,
    excitatory,
    open_kind,
    require,
    samples_of,
    spiking,
)
from eiplatform.analyses.parts.tables import Table, interval_text, number_text
from eiplatform.errors import StatisticError
from eiplatform.statistics import summarise
from eiplatform.statistics.kernels.multiple import holm, mcnemar

__all__ = ["STATISTICS", "accuracy", "correct", "Lesions"]

STATISTICS = ("rate", "ei_ratio", "balance_index", "gain")

INTERCHANGEABLE = 0.1
"""CV of the weights I->E between I neurons below which these cannot be ranked."""


def correct(readout: xr.Dataset) -> np.ndarray:
    """Return whether each sample was classified correctly, shape (sample,).

    Parameters
    ----------
    readout : xarray.Dataset
        The readout's E population; the class is the neuron with the largest mean net current,
        plus its bias if the readout has one; of a population vote (attribute ``votes``) the class
        whose neurons fire most.
    """
    if readout.sizes["neuron"] != readout.attrs["n_neurons"]:
        raise StatisticError(
            "accuracy needs every neuron of the readout",
            where="readout/E",
            remedy=f"record {readout.attrs['n_neurons']} neurons or more",
        )
    votes = int(readout.attrs.get("votes", 0))
    shown = "output" if "output" in readout else "spikes" if votes else "current_net"
    logits = require(readout, (shown, "label"), "readout/E")[shown].mean("time")
    if votes:
        predicted = logits.values.reshape(len(logits), -1, votes).mean(2).argmax(1)
    else:
        predicted = (logits + readout["bias"] if "bias" in readout else logits).argmax("neuron").values
    return np.asarray(predicted == readout["label"].values)


def accuracy(readout: xr.Dataset, level: float = 0.95) -> tuple[float, float, float]:
    """Return the fraction of samples classified correctly (:func:`correct`), with its Wilson interval.

    Parameters
    ----------
    readout : xarray.Dataset
    level : float

    Returns
    -------
    value, low, high : float
    """
    right = correct(readout)
    test = binomtest(int(right.sum()), len(right)).proportion_ci(level, method="wilson")
    return float(right.mean()), float(test.low), float(test.high)


LEVEL = 0.05
"""Corrected p up to which a difference is called one."""


class Lesions(Analysis):
    """One network under rising doses of one lesion."""

    question = "What does removing an inhibition pathway do to accuracy, firing and balance?"
    place = 120

    def run(self, recordings: Recordings, *, n_bootstrap: int = 1000, seed: int = 0, partial: bool = False) -> Result:
        """Compare recordings of one network under rising doses of one lesion.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            As made by ``eiplatform lesion``; the intact network (dose 0) among them.
        n_bootstrap, seed : int
            Of the intervals.
        partial : bool
            Take a design that lacks doses or controls; ``partial`` in the attributes then names what is missing.

        Returns
        -------
        xarray.Dataset
            ``accuracy``, ``accuracy_low``, ``accuracy_high`` (dose), with Wilson intervals over
            samples; ``value``, ``low``, ``high``, ``n_excluded``, ``caution`` (dose, population, statistic),
            with bootstrap intervals over samples and neurons; ``lost``, ``gained`` (dose), images that only the
            intact network, and that only the lesioned one classifies correctly; ``accuracy_p``, exact
            and one-sided, of lower accuracy on the same images (McNemar 1947), and ``accuracy_p_holm``,
            corrected for the number of doses (Holm 1979), NaN at dose 0.  With controls (random losses of synapses
            that take as much current) also ``control_accuracy`` (control, dose) and ``control_value``
            (control, dose, population, statistic), NaN at dose 0.

        Raises
        ------
        StatisticError
            If the recordings are not one dose-response of one network on the same samples.
        StoreError
            If doses or controls that were planned are missing, and `partial` is false.
        """
        trees = open_kind(recordings, "network", purpose="recordings of a lesion")
        found = [tree.attrs["source"]["lesions"] for tree in trees]
        if any(len(lesions) != 1 or "dose" not in lesions[0] for lesions in found):
            raise StatisticError(
                "a recording was not made under exactly one lesion", where="lesions", remedy="use 'eiplatform lesion'"
            )
        kinds = {(lesion["pathway"], lesion["layers"]) for (lesion,) in found}
        if len(kinds) != 1:
            raise StatisticError(f"the recordings are of different lesions: {sorted(kinds)}", where="lesions")
        same = [(tree.attrs["config"], tree.attrs["source"].get("weights")) for tree in trees]
        if any(found != same[0] for found in same):
            raise StatisticError("the recordings are of different networks", where="lesions")
        trees, missing = whole_design(trees, partial=partial)
        samples = [samples_of(tree) for tree in trees]
        if any(not np.array_equal(ids, samples[0]) for ids in samples):
            raise StatisticError("the recordings hold different samples", where="lesions")
        measured: dict[int, dict[float, xr.DataTree]] = {}
        for tree in trees:
            measured.setdefault(control_of(tree), {})[tree.attrs["source"]["lesions"][0]["dose"]] = tree
        doses = sorted(measured.get(LESION, {}))
        if doses[:1] != [0.0]:
            raise StatisticError(
                "the intact network (dose 0) is missing", where="lesions", valid="doses from 0 upwards"
            )
        controls = sorted(control for control in set(measured) - {LESION} if set(measured[control]) & set(doses))
        result = _by_dose([measured[LESION][dose] for dose in doses], doses, n_bootstrap, seed)
        answers = [correct(measured[LESION][dose]["readout/E"].to_dataset()) for dose in doses]
        p, lost, gained = (
            np.array(parts) for parts in zip(*(mcnemar(answers[0], one) for one in answers), strict=True)
        )
        p[0] = np.nan  # the intact network itself
        for name, values in (("lost", lost), ("gained", gained), ("accuracy_p", p), ("accuracy_p_holm", holm(p))):
            result[name] = ("dose", values)
        if controls:
            rows = []
            for control in controls:
                held = [dose for dose in doses if dose in measured[control]]
                rows.append(_by_dose([measured[control][dose] for dose in held], held, 1, 0).reindex(dose=doses))
            joined = xr.concat(rows, dim=xr.Variable("control", controls), join="exact")
            result["control_accuracy"] = joined["accuracy"]
            result["control_value"] = joined["value"]
        (pathway, layers) = kinds.pop()
        result.attrs = {
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
            **({"partial": missing} if missing else {}),
        }
        return self.result(result)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the table."""
        rows: list[tuple[str, ...]] = []
        n_controls = result.attrs["n_controls"]
        for dose in result["dose"].values:
            cell = result.sel(dose=dose)
            accuracy = interval_text(
                *(100 * float(cell[name]) for name in ("accuracy", "accuracy_low", "accuracy_high"))
            )
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

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say from which dose on accuracy falls, what random losses do, and what limits the rates."""
        intact = float(result["accuracy"].sel(dose=0.0))
        tested = int(np.isfinite(result["accuracy_p"]).sum())
        how = f"exact paired test on the same images, corrected for {tested} dose{'s' if tested != 1 else ''} (Holm)"
        lower = result["dose"].values[(result["accuracy_p_holm"] <= LEVEL).values].tolist()
        where = f"{result.attrs['pathway']} in '{result.attrs['layers']}'"
        if not lower:
            yield (
                f"No dose of the lesion of {where} was found to lower accuracy below the intact "
                f"{100 * intact:.1f} % ({how})."
            )
        else:
            after = float(result["accuracy"].sel(dose=lower[0]))
            text = (
                f"Removing {100 * lower[0]:g} % of {where} is the smallest dose tried that lowers accuracy: "
                f"{100 * intact:.1f} % to {100 * after:.1f} %"
            )
            if result.attrs["n_controls"]:
                random = 100 * result["control_accuracy"].sel(dose=lower[0])
                text += (
                    f"; {random.size} random losses of synapses that take as much current leave "
                    f"{float(random.min()):.1f} to {float(random.max()):.1f} %"
                )
            yield f"{text} ({how})."
        yield from flags("In the intact network", result.sel(dose=0.0))

    def headlines(self, result: xr.Dataset) -> Iterable[Headline]:
        """Say from which dose on accuracy falls, and how far below random losses that is."""
        lower = result["dose"].values[(result["accuracy_p_holm"] <= LEVEL).values].tolist()
        effect = float("nan")
        if lower and result.attrs["n_controls"]:
            random = result["control_accuracy"].sel(dose=lower[0])
            effect = float(random.mean() - result["accuracy"].sel(dose=lower[0])) / (
                float(random.std(ddof=1)) or np.nan
            )
        p = float(result["accuracy_p_holm"].min()) if lower else float("nan")
        yield replace(plain(next(iter(self.findings(result)))), topic="lesion", effect=effect, p=p)


def _inhibition(tree: xr.DataTree) -> dict[str, str]:
    """Return what the weights say of single I neurons, if they were recorded and cannot be ranked."""
    spread = {name: data.attrs.get("inhibitory_weight_cv", np.inf) for name, data in excitatory(tree).items()}
    alike = [f"{name.rpartition('/')[0]} (CV {value:.2g})" for name, value in spread.items() if value < INTERCHANGEABLE]
    if not alike:
        return {}
    words = "Homogeneous inhibition: the weights I->E of a layer hardly differ between its I neurons, in"
    return {
        "inhibition": f"{words} {', '.join(alike)}. Single I neurons are interchangeable: no ranking of them holds."
    }


def _by_dose(trees: Sequence[xr.DataTree], doses: Sequence[float], n_bootstrap: int, seed: int) -> xr.Dataset:
    """Return accuracy and statistics of recordings, by dose."""
    summaries, rates = [], []
    for tree in trees:
        populations = spiking(tree) or excitatory(tree)  # rates have no spikes
        summary = summarise(tree, STATISTICS, populations=populations, n_bootstrap=n_bootstrap, seed=seed)
        summaries.append(summary[["value", "low", "high", "n_excluded", "caution"]])
        rates.append(accuracy(tree["readout/E"].to_dataset()))
    result = xr.concat(summaries, dim=xr.Variable("dose", doses), join="exact")
    for index, name in enumerate(("accuracy", "accuracy_low", "accuracy_high")):
        result[name] = ("dose", [row[index] for row in rates])
    return result
