"""How balanced is every layer, and is it more than initialisation gives?

High E-I correlation is built into the initialisation of E-I networks, and inputs that share their
brightness raise it further (methods: E-I Init gives 1/sqrt(2 (1 + 1/n_I)), about 0.7, on independent
inputs).  Every value of the trained network therefore stands beside a null: the same network
untrained (or with shuffled weights, or shown shuffled images), several seeds, on the same samples; or
surrogates of the recording itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from eiplatform.analyses.parts.analysis import Analysis, Result, defined
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
from eiplatform.analyses.parts.findings import listed, ways
from eiplatform.analyses.parts.inputs import (
    Nulls,
    OneRecording,
    describe_inputs,
    excitatory,
    label_of,
    open_kind,
    samples_of,
)
from eiplatform.analyses.parts.tables import NULLS, Table, cell_text, number_text
from eiplatform.errors import StatisticError
from eiplatform.statistics import against_null, null_from, summarise, summarise_seeds
from eiplatform.statistics.kernels.multiple import holm
from eiplatform.statistics.nulls import parse_surrogate
from eiplatform.statistics.seeds import ENOUGH
from eiplatform.statistics.spread import WORKERS

__all__ = ["Balance"]

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


LEVEL = 0.05
"""Corrected p up to which a difference is called one."""


GLOBAL_EXCESS = 0.01
"""Own minus other correlation below which inhibition is called global."""


class Balance(Analysis):
    """All balance statistics of every layer, with their nulls."""

    question = "How balanced is every layer, and is it more than initialisation gives?"
    place = 50

    def run(
        self,
        recording: OneRecording,
        nulls: Nulls = (),
        *,
        surrogates: str | None = None,
        statistics: Sequence[str] | None = None,
        n_bootstrap: int = 1000,
        seed: int = 0,
        method: str = "percentile",
        workers: int = WORKERS,
        scheduler: str | None = None,
    ) -> Result:
        """Compute all balance statistics of every layer, beside their null.

        Parameters
        ----------
        recording : str, Path or DataTree
            Of a trained network.
        nulls : sequence of str, Path or DataTree
            Null recordings of one kind (``eiplatform record --null``; untrained networks, one per
            seed) of the same layers and samples.
        surrogates : str, optional
            Surrogates of the recording as the null, e.g. ``"shift-time:20"``; see
            :func:`eiplatform.statistics.surrogate`.
        statistics : sequence of str, optional
            Keys of :data:`eiplatform.statistics.STATISTICS`; default: all that were recorded.
        n_bootstrap, seed : int
            Of the bootstrap over samples and neurons (and of the surrogates).
        method, workers, scheduler
            As for :func:`eiplatform.statistics.summarise`.

        Returns
        -------
        xarray.Dataset, dims (population, statistic)
            ``value`` with ``low`` and ``high``, counts and exclusions as in
            :func:`eiplatform.statistics.summarise`; with nulls also ``null`` (their mean),
            ``null_minimum``, ``null_maximum``, ``z``, ``p``, ``q``, ``p_rank``, ``n_below``, ``n_seeds`` and
            ``null_note``.

        Raises
        ------
        StatisticError
            If a null saw other samples, is given twice, or is the recording itself, nulls are of
            several kinds, or there are nulls and surrogates.
        """
        (tree,) = open_kind([recording], "network", purpose="the recording")
        null_trees = open_kind(nulls, "network", purpose="a null")
        ids = [found.attrs["id"] for found in (tree, *null_trees)]
        if len(set(ids)) < len(ids):
            raise StatisticError(
                "a recording stands for itself as a null, or a null is given twice",
                where="nulls",
                remedy="give recordings of differently seeded, untrained networks",
            )
        names = list(excitatory(tree))
        for null in null_trees:
            if not np.array_equal(samples_of(null), samples_of(tree)):
                raise StatisticError(
                    "the null saw other samples", where=null.attrs["path"], remedy="record it with the same spec"
                )
        kinds = {str(null.attrs["source"].get("null", {}).get("kind", "recordings")) for null in null_trees}
        if surrogates is not None:
            kinds.add(surrogates.partition(":")[0])
        if len(kinds) > 1:
            raise StatisticError(
                f"nulls of several kinds: {', '.join(sorted(kinds))}", remedy="compare with one kind at a time"
            )
        surrogate = None if surrogates is None else parse_surrogate(surrogates)
        options: dict[str, Any] = {"seed": seed, "populations": names, "workers": workers, "scheduler": scheduler}
        result = summarise(tree, statistics, n_bootstrap=n_bootstrap, method=method, **options)
        keys = result["statistic"].values.tolist()
        null_summary = None
        if surrogate is not None:
            null_summary = null_from(tree, *surrogate, keys, **options)
        elif null_trees:
            null_summary = summarise_seeds(null_trees, keys, n_bootstrap=1, **options)  # only their values count
        if null_summary is not None:
            beside = against_null(result, null_summary)
            for name in ("null", "null_minimum", "null_maximum", "z", "p", "q", "p_rank", "n_below", "n_seeds"):
                result[name] = beside[name]
                if name in beside.attrs:
                    result[name].attrs["long_name"] = beside.attrs[name]
            result["null_note"] = beside["note"]
            result.attrs["null"] = kinds.pop()
        return self.result(
            result.assign_attrs(
                label=label_of(tree),
                n_nulls=len(null_trees) if surrogate is None else surrogate[1],
                **describe_inputs([tree, *null_trees]),
            )
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the table."""
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
            f"Value [95 % interval], n = {int(result['n_samples'].max())} images, mean over neurons; percentile "
            "bootstrap "
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
            "A high correlation is no evidence of balance by itself: images share their brightness, and all "
            "neurons of a "
            "layer share their I neurons. The rows 'other neurons', 'own minus other' and 'common mode removed' "
            "separate "
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

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say what came out."""
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
                f"{who}: excitation exceeds inhibition in {listed(above)}, inhibition exceeds excitation in "
                f"{listed(below)} (the E/I ratio differs from 1 by its interval, corrected for the number of layers)."
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
            how = f"q at most {LEVEL:g}: Student t, which takes the nulls for normal, corrected for all tests of the"
            how += " table"
            if n < ENOUGH:
                how += f"; by rank alone {n} nulls give no p below {min(1.0, 2 / (n + 1)):.2g}"
            if not up and not down:
                sentences.append(f"{who}: the {one['label'].item()} was not found to differ from {null} ({how}).")
                continue
            sentences.append(f"{who}: the {one['label'].item()} differs from {null}: {ways(up, down)} ({how}).")
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
        where = f" in {listed(names[~alike].tolist())}" if alike.any() else ""
        sentences.append(
            f"{who}: a neuron's excitation correlates with its own inhibition and with that of other neurons alike"
            f"{where} (over {axis}; they differ by at most {largest:.1g}): inhibition is {kind}, "
            "as it is by construction before training."
        )
    if alike.any():
        sentences.append(
            f"{who}: nothing can be said for or against detailed balance in {listed(names[alike].tolist())} "
            f"(over {axis}): all neurons of a layer receive the same inhibition there, up to a factor."
        )
    return sentences
