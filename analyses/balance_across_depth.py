"""Does the balance of excitation and inhibition tighten or loosen from layer to layer?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
from eiplatform.analyses.parts.inputs import Nulls, Recordings, excitatory, label_of, open_kind
from eiplatform.analyses.parts.tables import Table, interval_text, texts, value_text
from eiplatform.errors import StatisticError
from eiplatform.statistics import STATISTICS, summarise
from eiplatform.statistics.kernels.intervals import interval_of
from eiplatform.statistics.summary import keys_of

__all__ = ["default_statistics", "BalanceAcrossDepth"]

LEVEL = 0.95
MIN_LAYERS = 3
"""Fewest layers for a slope."""


def default_statistics() -> list[str]:
    """Return the keys of all statistics that need excitation and inhibition, and nothing else."""
    return [key for key, entry in STATISTICS.items() if set(entry.needs) == {"current_exc", "current_inh"}]


class BalanceAcrossDepth(Analysis):
    """Balance statistics from the first layer to the last."""

    question = "Does balance tighten or loosen from layer to layer?"
    place = 60

    def run(
        self,
        recordings: Recordings,
        nulls: Nulls = (),
        *,
        statistics: str | Sequence[str] | None = None,
        n_bootstrap: int = 1000,
        seed: int = 0,
    ) -> Result:
        """Follow balance statistics from the first layer to the last.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Of networks, e.g. several seeds, or trained with and without batch normalisation.
        nulls : sequence of str, Path or DataTree
            Of untrained networks; their range over seeds is the null of every layer.
        statistics : str or sequence of str, optional
            Keys; default: all that need excitation and inhibition only.
        n_bootstrap, seed : int
            Of the bootstrap over samples and neurons.

        Returns
        -------
        xarray.Dataset, dims (recording, depth, statistic)
            ``value``, ``low``, ``high``, ``note``, ``caution`` and the layer's name ``population`` (recording,
            depth), depth counting from 0; ``slope`` with interval (recording, statistic): change
            per layer, least squares over the layers with a value, at least three; in each draw the
            layers see the same samples.  With nulls ``null``, ``null_minimum``, ``null_maximum``
            (depth, statistic) over their seeds, ``null_slope`` and ``null_slope_sd`` (statistic).

        Raises
        ------
        StatisticError
            If no statistic can be computed for any layer, or a recording is given twice.
        """
        keys = default_statistics() if statistics is None else keys_of(statistics)
        trees = open_kind(recordings, "network", purpose="a recording")
        null_trees = open_kind(nulls, "network", purpose="a null")
        given = [tree.attrs["id"] for tree in (*trees, *null_trees)]
        if len(set(given)) < len(given):
            raise StatisticError("a recording stands for itself as a null, or is given twice", where="inputs and nulls")
        options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed, "keep_draws": True}
        tables = [summarise(tree, keys, populations=list(excitatory(tree)), **options) for tree in trees]
        if not any(np.isfinite(table["value"]).any() for table in tables):
            notes = sorted({str(note) for table in tables for note in table["note"].values.ravel() if note})
            raise StatisticError("no statistic of any layer can be computed", valid="; ".join(notes))
        depth = max(table.sizes["population"] for table in tables)
        shape = (len(tables), depth, len(keys))
        numbers = {name: np.full(shape, np.nan) for name in ("value", "low", "high")}
        texts = {"note": np.full(shape, "no such layer", dtype=object), "caution": np.full(shape, "", dtype=object)}
        names = np.full(shape[:2], "", dtype=object)
        slopes = np.full((3, len(tables), len(keys)), np.nan)
        for index, table in enumerate(tables):
            n = table.sizes["population"]
            for name, values in numbers.items():
                values[index, :n] = table[name].transpose("population", "statistic").values
            for name, said in texts.items():
                said[index, :n] = table[name].transpose("population", "statistic").values
            names[index, :n] = table["population"].values
            slopes[:, index] = _slopes(table)
        dims = ("recording", "depth", "statistic")
        result = xr.Dataset(
            {name: (dims, values) for name, values in numbers.items()}
            | {name: (dims, said.astype(str)) for name, said in texts.items()}
            | {
                name: (("recording", "statistic"), slopes[k])
                for k, name in enumerate(("slope", "slope_low", "slope_high"))
            },
            coords={
                "recording": [label_of(tree) for tree in trees],
                "depth": np.arange(depth),
                "population": (dims[:2], names.astype(str)),
                "statistic": keys,
                "label": ("statistic", [STATISTICS[key].label for key in keys]),
            },
        )
        if null_trees:
            result = result.merge(_null(null_trees, names[0], keys, seed))
        return self.result(
            result,
            [*trees, *null_trees],
            level=LEVEL,
            n_bootstrap=n_bootstrap,
            seed=seed,
            n_nulls=len(null_trees),
            n_samples=max(int(table["n_samples"].max()) for table in tables),
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give one table per recording: every layer, and the slope per layer."""
        for index, name in enumerate(texts(result["recording"])):
            one = result.isel(recording=index)
            layers = [layer for layer in texts(one["population"]) if layer]
            marks, caution = cautioned(cautions_of(one.isel(depth=slice(len(layers))), texts(result["statistic"])))
            rows, undefined = [], []
            for statistic in texts(result["statistic"]):
                here = one.sel(statistic=statistic)
                if not bool(here["value"].notnull().any()):
                    undefined.append(str(here["label"].item()))
                    continue
                cells = [
                    interval_text(*(float(here[part].isel(depth=k)) for part in ("value", "low", "high")))
                    for k in range(len(layers))
                ]
                rows.append((str(here["label"].item()) + marks.get(statistic, ""), *cells, value_text(here, "slope")))
            n = int(result.attrs["n_samples"])
            note = f"Slope per layer (least squares), interval from draws in which all layers see the same {n} samples."
            note += caution
            note += f" Without a value in any layer: {'; '.join(undefined)}." if undefined else ""
            yield Table(f"Balance across the depth of '{name}'", ("statistic", *layers, "slope"), tuple(rows), note)


def _slope(values: np.ndarray) -> np.ndarray:
    """Return the least-squares slope along the first axis, shape of the others; NaN with too few layers."""
    held = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if held.sum() < MIN_LAYERS:
        return np.full(values.shape[1:], np.nan)
    depth = np.flatnonzero(held) - np.flatnonzero(held).mean()
    slope: np.ndarray = np.tensordot(depth, values[held], axes=1) / (depth**2).sum()
    return slope


def _slopes(table: xr.Dataset) -> np.ndarray:
    """Return slope, low and high of every statistic, shape (3, statistic)."""
    values = table["value"].transpose("population", "statistic").values
    draws = table["draws"].transpose("population", "statistic", "draw").values
    found = np.full((3, values.shape[1]), np.nan)
    for column in range(values.shape[1]):
        slope = float(_slope(values[:, column]))
        found[:, column] = (slope, *interval_of(_slope(draws[:, column]), 0.0, LEVEL))
    return found


def _null(trees: Sequence[xr.DataTree], layers: np.ndarray, keys: list[str], seed: int) -> xr.Dataset:
    """Return mean and range of every layer over untrained networks, and of their slopes."""
    rows = []
    for tree in trees:
        found = list(excitatory(tree))
        if found != [name for name in layers if name]:
            raise StatisticError(
                f"the null has other layers: {', '.join(found)}",
                where=tree.attrs["path"],
                valid=[n for n in layers if n],
            )
        table = summarise(tree, keys, populations=found, n_bootstrap=1, seed=seed)
        rows.append(table["value"].transpose("population", "statistic").values)
    values = np.stack(rows)
    full = np.full((len(rows), len(layers), len(keys)), np.nan)
    full[:, : values.shape[1]] = values
    slopes = np.array([[float(_slope(row[:, column])) for column in range(len(keys))] for row in values])
    with np.errstate(invalid="ignore"):
        return xr.Dataset(
            {
                "null": (("depth", "statistic"), full.mean(axis=0)),
                "null_minimum": (("depth", "statistic"), full.min(axis=0)),
                "null_maximum": (("depth", "statistic"), full.max(axis=0)),
                "null_slope": ("statistic", slopes.mean(axis=0)),
                "null_slope_sd": ("statistic", slopes.std(axis=0, ddof=1) if len(rows) > 1 else slopes[0] * np.nan),
            }
        )
