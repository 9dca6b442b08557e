"""Does the balance of excitation and inhibition tighten or loosen from layer to layer?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
from eiplatform.analyses.parts.inputs import (
    Nulls,
    Recordings,
    Reference,
    References,
    active,
    excitatory,
    label_of,
    open_kind,
    opened,
)
from eiplatform.analyses.parts.matching import comparability
from eiplatform.analyses.parts.measured import Side
from eiplatform.analyses.parts.sides import sides_of, sides_of_summary
from eiplatform.analyses.parts.tables import Table, interval_text, texts, value_text
from eiplatform.errors import NotApplicableError, StatisticError, TooShortError
from eiplatform.reference import CASES
from eiplatform.statistics import STATISTICS, per_neuron, summarise
from eiplatform.statistics.kernels.intervals import interval_of
from eiplatform.statistics.population import Population
from eiplatform.statistics.summary import keys_of

__all__ = ["FACTS", "BalanceAcrossDepth"]

LEVEL = 0.95
MIN_LAYERS = 3
"""Fewest layers for a slope."""


FACTS = (
    "ei_ratio",
    "ei_ratio_sd",
    *(
        f"{name}_{over}{pairs}"
        for over in ("samples", "time")
        for name, pairs in (("ei_correlation", ""), ("ei_correlation", "_excess"), ("residual_variance", ""))
    ),
    "gain",
    "rate",
    "silent_share",
    "always_on_pairs",
)
"""Statistics that do not follow from each other: the default.  E/I stands for all measures of the means."""
POINTS = 40
"""Values of single neurons that are kept of a layer, evenly over their ranks."""


class BalanceAcrossDepth(Analysis):
    """Balance statistics from the first layer to the last."""

    question = "Does balance tighten or loosen from layer to layer?"
    place = 60

    def run(
        self,
        recordings: Recordings,
        nulls: Nulls = (),
        references: References = (),
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
            Keys; default: :data:`FACTS`.
        references : sequence
            Recordings of circuits or own measurements, or names of shipped summaries; a circuit's time is matched to
            the network's steps.
        n_bootstrap, seed : int
            Of the bootstrap over samples and neurons.

        Returns
        -------
        xarray.Dataset, dims (recording, depth, statistic)
            ``value``, ``low``, ``high``, ``note``, ``caution`` and the layer's name ``population`` (recording,
            depth), depth counting from 0; ``slope`` with interval (recording, statistic): change
            per layer, least squares over the layers with a value, at least three; in each draw the
            layers see the same samples; ``points`` (recording, depth, statistic, point): values of at most
            :data:`POINTS` single neurons, ``n_points``, how many have one, ``n_excluded``.  With nulls ``null_value``
            (null_seed, depth, statistic), ``null``, ``null_minimum``, ``null_maximum`` (depth, statistic) over seeds,
            ``null_slope`` and ``null_slope_sd`` (statistic).  With references ``reference_value``,
            ``reference_low``, ``reference_high``, in the network's unit and NaN where it may not be compared, and
            ``reference_reason`` (reference, statistic).

        Raises
        ------
        StatisticError
            If no statistic can be computed for any layer, or a recording is given twice.
        """
        keys = list(FACTS) if statistics is None else keys_of(statistics)
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
        points, counts = np.full((*shape, POINTS), np.nan), np.zeros((2, *shape), dtype=np.int64)
        for index, tree in enumerate(trees):
            for place, data in enumerate(excitatory(tree).values()):
                points[index, place], counts[:, index, place] = _points(data, keys)
        result = xr.Dataset(
            {"points": ((*dims, "point"), points), "n_points": (dims, counts[0]), "n_excluded": (dims, counts[1])}
            | {name: (dims, values) for name, values in numbers.items()}
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
        groups = [
            reference if isinstance(reference, str) and reference in CASES else opened(_several(reference))
            for reference in references
        ]
        if groups:
            result = result.merge(_references(trees[0], groups, keys, n_bootstrap=n_bootstrap, seed=seed))
        return self.result(
            result,
            [*trees, *null_trees, *(tree for group in groups if not isinstance(group, str) for tree in group)],
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


def _several(reference: Reference) -> list[Any]:
    return list(reference) if isinstance(reference, list | tuple) else [reference]


def _points(data: xr.Dataset, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return values of single neurons, shape (statistic, point), and how many neurons have one, and none."""
    points, counts = np.full((len(keys), POINTS), np.nan), np.zeros((2, len(keys)), dtype=np.int64)
    population = Population(data)
    for index, key in enumerate(keys):
        entry = STATISTICS[key]
        if entry.level != "neuron" or population.missing(entry.needs):
            continue
        with suppress(TooShortError, NotApplicableError):
            values = per_neuron(data, key).values
            held = np.sort(values[np.isfinite(values)])
            counts[:, index] = held.size, values.size - held.size
            if held.size:
                places = np.unique(np.linspace(0, held.size - 1, min(POINTS, held.size)).round().astype(int))
                points[index, : places.size] = held[places]
    return points, counts


def _references(tree: xr.DataTree, groups: Sequence[Any], keys: Sequence[str], **options: Any) -> xr.Dataset:
    """Return what references have of the statistics, in the network's unit, with the time matched to its steps."""
    layers = active(tree)
    own = sides_of([tree], keys, None, **options)[0]
    sides: list[Side] = []
    for group in groups:
        layer = layers[own.population]
        sides += (
            sides_of_summary(group, keys, layer) if isinstance(group, str) else sides_of(group, keys, layer, **options)
        )
    names = ("value", "low", "high")
    values, reasons = np.full((3, len(sides), len(keys)), np.nan), np.full((len(sides), len(keys)), "", dtype=object)
    for place, side in enumerate(sides):
        for index, key in enumerate(keys):
            allowed, reason, factor = comparability(STATISTICS[key], own, side)
            reasons[place, index] = reason
            if allowed:
                values[:, place, index] = [getattr(side.cells[key], name) / factor for name in names]
    dims = ("reference", "statistic")
    return xr.Dataset(
        {f"reference_{name}": (dims, values[k]) for k, name in enumerate(names)}
        | {"reference_reason": (dims, reasons.astype(str))},
        coords={
            "reference": [side.name for side in sides],
            "reference_kind": ("reference", [side.kind for side in sides]),
        },
    )


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
        table = summarise(tree, keys, populations=found, n_bootstrap=0, seed=seed)
        rows.append(table["value"].transpose("population", "statistic").values)
    values = np.stack(rows)
    full = np.full((len(rows), len(layers), len(keys)), np.nan)
    full[:, : values.shape[1]] = values
    slopes = np.array([[float(_slope(row[:, column])) for column in range(len(keys))] for row in values])
    with np.errstate(invalid="ignore"):
        return xr.Dataset(
            {
                "null_value": (("null_seed", "depth", "statistic"), full),
                "null": (("depth", "statistic"), full.mean(axis=0)),
                "null_minimum": (("depth", "statistic"), full.min(axis=0)),
                "null_maximum": (("depth", "statistic"), full.max(axis=0)),
                "null_slope": ("statistic", slopes.mean(axis=0)),
                "null_slope_sd": ("statistic", slopes.std(axis=0, ddof=1) if len(rows) > 1 else slopes[0] * np.nan),
            }
        )
