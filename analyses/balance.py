"""How balanced is every layer, and is it more than initialisation gives?

High E-I correlation is built into the initialisation of E-I networks, and inputs that share their
brightness raise it further (methods: E-I Init gives 1/sqrt(2 (1 + 1/n_I)), about 0.7, on independent
inputs).  Every value of the trained network is therefore compared with a null: the same network
untrained (or with shuffled weights, or shown shuffled images), several seeds, on the same samples; or
surrogates of the recording itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result, defined
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
from eiplatform.analyses.parts.findings import clear_of_zero, flags, layers, p_of_zero, span, strongest
from eiplatform.analyses.parts.headlines import Headline, of_one
from eiplatform.analyses.parts.inputs import (
    Nulls,
    OneRecording,
    excitatory,
    label_of,
    open_kind,
    samples_of,
)
from eiplatform.analyses.parts.tables import NULLS, Table, cell_text, number_text
from eiplatform.errors import StatisticError
from eiplatform.statistics import STATISTICS, against_null, null_from, summarise, summarise_seeds
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
        statistics: str | Sequence[str] | None = None,
        n_bootstrap: int = 1000,
        seed: int = 0,
        method: str = "percentile",
        workers: int = WORKERS,
        scheduler: str | None = None,
    ) -> Result:
        """Compute all balance statistics of every layer, with their null.

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
        statistics : str or sequence of str, optional
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
            null_summary = summarise_seeds(null_trees, keys, n_bootstrap=0, **options)  # only their values count
        if null_summary is not None:
            compared = against_null(result, null_summary)
            for name in ("null", "null_minimum", "null_maximum", "z", "p", "q", "p_rank", "n_below", "n_seeds"):
                result[name] = compared[name]
                if name in compared.attrs:
                    result[name].attrs["long_name"] = compared.attrs[name]
            result["null_note"] = compared["note"]
            result.attrs["null"] = kinds.pop()
        return self.result(
            result,
            [tree, *null_trees],
            label=label_of(tree),
            n_nulls=len(null_trees) if surrogate is None else surrogate[1],
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the table."""
        populations = [str(name) for name in result["population"].values]
        keys = [str(key) for key in result["statistic"].values]
        own = [key for key in keys if key in STATISTICS and not STATISTICS[key].shipped]
        # The usual ones and the user's own; whatever was asked for if that is none of these.
        shown = defined(result, [*TRAINED_STATISTICS, *own]) or defined(result, keys)
        if not shown:
            return
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
            f"bootstrap over images and neurons; at most {excluded} neurons of a layer excluded as undefined. "
        )
        if "null" in result:
            n_nulls = int(result.attrs["n_nulls"])
            note += (
                f"null: range over {n_nulls} {NULLS[result.attrs.get('null', 'recordings')]}; z: distance from them in "
                "units of their spread. Student's p takes the nulls for normal; by rank alone, "
                f"{n_nulls} nulls give no p below {min(1.0, 2 / (n_nulls + 1)):.2g}. "
            )
        note += (
            "A high correlation alone is not evidence of balance: images share their brightness, and all neurons of "
            "a layer share their I neurons. The rows 'other neurons', 'own minus other' and 'common mode removed' "
            "separate that."
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
        """Say which way each layer's balance leans, what differs from the null, and what limits that."""
        who = f"'{result.attrs['label']}'"
        # Over time where the recording is long enough, else over samples.
        axis = "time" if defined(result, ["ei_correlation_time"]) else "samples"
        if defined(result, ["ei_ratio"]):
            yield _leaning(who, result.sel(statistic="ei_ratio"))
        keys = defined(result, ["ei_ratio", f"ei_correlation_{axis}"], "p") if "null" in result else []
        yield from _against_null(who, result, keys)
        for statistic in defined(result, [f"ei_correlation_{axis}_excess"]):
            yield from _detail(who, axis, result.sel(statistic=statistic))
        yield from flags(who, result)

    def headlines(self, result: xr.Dataset) -> Iterable[Headline]:
        """Say which way balance leans, what training changed, and what limits that."""
        who = f"'{result.attrs['label']}'"
        axis = "time" if defined(result, ["ei_correlation_time"]) else "samples"
        largest = {key: _largest(result.sel(statistic=key)) for key in defined(result, ["ei_ratio"])}
        if largest:
            n = int(result["n_samples"].max())
            yield of_one(
                who,
                _leaning(who, result.sel(statistic="ei_ratio")),
                "balance",
                largest["ei_ratio"],
                f"{who}, n = {n}; {{}}",
                _smallest(p_of_zero(*_log_ratio(result.sel(statistic="ei_ratio")))),
            )
        keys = defined(result, ["ei_ratio", f"ei_correlation_{axis}"], "p") if "null" in result else []
        how = f"q at most {LEVEL:g} over {int(np.isfinite(result['q']).sum())} tests, Student's t" if keys else ""
        sizes = [_largest(result.sel(statistic=key)) for key in keys]
        for sentence in _against_null(who, result, keys):
            found = "no layer was found" not in sentence
            size = max(sizes, key=np.nan_to_num) if found else np.nan
            p = _smallest(result["q"].sel(statistic=keys).values) if found else np.nan
            yield of_one(who, sentence, "null", size, how, p)
        for sentence in flags(who, result):
            yield of_one(who, sentence, "limit")


def _largest(one: xr.Dataset) -> float:
    """Return the largest distance from the null that passes the corrected test, in spreads of the null; else NaN."""
    if "z" not in one:
        return float("nan")
    clear = np.abs(one["z"].values[(one["q"] <= LEVEL).values])
    return float(clear.max()) if clear.size else float("nan")


def _smallest(p: np.ndarray) -> float:
    """Return the smallest corrected p that passes; else NaN."""
    clear = p[p <= LEVEL]
    return float(clear.min()) if clear.size else float("nan")


def _log_ratio(ratio: xr.Dataset) -> list[np.ndarray]:
    """Return the logarithm of a ratio with its interval, which is about symmetric there."""
    return [np.log(ratio[name].values) for name in ("value", "low", "high")]


def _leaning(who: str, ratio: xr.Dataset) -> str:
    """Say in which layers excitation or inhibition outweighs the other, the larger imbalance first."""
    names = ratio["population"].values.astype(str)
    held = ratio["value"].values
    value, low, high = _log_ratio(ratio)
    clear, how = clear_of_zero(value, low, high)
    parts = []
    for sign, words in ((1, "excitation outweighs inhibition"), (-1, "inhibition outweighs excitation")):
        if chosen := strongest(value, clear, sign):
            size = float(np.abs(value[chosen]).max())
            parts.append((size, f"{words} in {layers(names[chosen])} (E/I ratio {span(held[chosen])})"))
    if not parts:
        return f"{who}: no layer's E/I ratio was found to differ from 1 ({span(held)}; {how})."
    parts.sort(reverse=True)
    return (
        f"{who}: {' and '.join(text for _, text in parts)}; clear in {int(clear.sum())} of {len(names)} layers ({how})."
    )


def _against_null(who: str, result: xr.Dataset, keys: Sequence[str]) -> Iterable[str]:
    """Say which statistics differ from the null in which layers, the larger difference first."""
    if not keys:
        return
    n, tests = int(result.attrs["n_nulls"]), int(np.isfinite(result["q"]).sum())
    null = f"{n} {NULLS[result.attrs.get('null', 'recordings')]}"
    how = f"q at most {LEVEL:g}, corrected for all {tests} tests of the table; Student's t, which takes the nulls for "
    how += "normal" + (f"; by rank alone {n} nulls give no p below {min(1.0, 2 / (n + 1)):.2g}" if n < ENOUGH else "")
    found, nothing = [], []
    for key in keys:
        one = result.sel(statistic=key)
        names, z = one["population"].values.astype(str), one["z"].values
        label, clear = str(one["label"].item()), (one["q"] <= LEVEL).values
        ways = [(word, strongest(z, clear, sign)) for word, sign in (("higher", 1), ("lower", -1))]
        ways = sorted((way for way in ways if way[1]), key=lambda way: -abs(z[way[1][0]]))
        if ways:
            parts = [f"{word} in {layers(names[chosen])} (z {span(z[chosen])})" for word, chosen in ways]
            found.append((float(np.abs(z[ways[0][1][0]])), f"the {label} is {' and '.join(parts)}"))
        else:
            nothing.append(f"the {label}")
    if found:
        found.sort(reverse=True)
        yield f"{who}, compared with {null}: {'; '.join(text for _, text in found)} ({how})."
    if nothing:
        yield f"{who}: no layer was found to differ from {null} in {' or '.join(nothing)} ({how})."


def _detail(who: str, axis: str, excess: xr.Dataset) -> list[str]:
    """Say whether inhibition follows the excitation of its own neuron; homogeneous inhibition cannot show that."""
    names = excess["population"].values.astype(str)
    said = excess["caution"].values.astype(str) if "caution" in excess else np.full(names.shape, "")
    alike = said != ""
    value, low, high = (excess[name].values for name in ("value", "low", "high"))
    kinds = {
        "inhibition is partly detailed: a neuron's excitation correlates more with its own inhibition than with that "
        "of other neurons": ~alike & (low > 0) & (value >= GLOBAL_EXCESS),
        "inhibition is global, not detailed: a neuron's excitation correlates equally with its own inhibition and "
        "with that of other neurons": ~alike & (np.abs(value) < GLOBAL_EXCESS),
        "a neuron's excitation correlates less with its own inhibition than with that of other neurons": ~alike
        & (high < 0)
        & (value <= -GLOBAL_EXCESS),
    }
    sentences = [
        f"{who}: {words} in {layers(names[where])} (difference {span(value[where])}, over {axis})."
        for words, where in kinds.items()
        if where.any()
    ]
    if alike.any():
        sentences.append(
            f"{who}: nothing can be said for or against detailed balance in {layers(names[alike])} (over {axis}), "
            "because all neurons of these layers receive the same inhibition up to a factor."
        )
    return sentences
