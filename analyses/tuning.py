"""How do excitation, inhibition and their ratio change with the stimulus and with its strength?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Recordings, active, excitatory, label_of, opened
from eiplatform.analyses.parts.tables import Table, interval_text
from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.intervals import resample_counts
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import MIN_SAMPLES, Population

__all__ = ["Tuning"]

GROUPS = 8
"""Groups of samples by the strength of the population's excitation."""
PARTS = ("exc", "inh", "ratio")


class Tuning(Analysis):
    """Tuning of excitation and inhibition over classes of stimuli, and over the strength of the input."""

    question = "How do excitation, inhibition and their ratio change with the stimulus and with its strength?"
    place = 58

    def run(self, recordings: Recordings, *, n_bootstrap: int = 1000, seed: int = 0) -> Result:
        """Measure tuning curves.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            With excitation and inhibition of at least 30 samples; labels of the samples give the classes.
        n_bootstrap, seed : int
            Of the bootstrap over neurons.

        Returns
        -------
        xarray.Dataset, dims (row, part, rank) and (row, part, group)
            One row per recording and population.  ``by_class`` with ``_low``, ``_high``: excitation, inhibition (each
            over the neuron's mean) and their ratio, mean over neurons, over the classes in the order of the neuron's
            excitation; the order comes from one half of the samples, the values from the other.  ``by_strength``
            likewise over groups of samples by the mean excitation of the population (``strength``); the groups come
            from one half of the neurons, the values from the other.  ``n_neurons``, ``n_samples``, ``skipped``.

        Raises
        ------
        StatisticError
            If no population has excitation and inhibition of enough samples.
        """
        trees = opened(recordings)
        rows: list[dict[str, Any]] = []
        skipped = []
        for tree in trees:
            for name, data in (active(tree) or excitatory(tree)).items():
                about = f"{label_of(tree)}: {name}"
                population = Population(data, name)
                if population.missing(("current_exc", "current_inh")):
                    skipped.append(f"{about} (excitation or inhibition was not recorded)")
                elif population.n_samples < MIN_SAMPLES:
                    skipped.append(f"{about} ({population.n_samples} samples, {MIN_SAMPLES} are needed)")
                else:
                    rows.append({"recording": label_of(tree), "population": name} | _row(population, n_bootstrap, seed))
        if not rows:
            raise StatisticError(f"no tuning can be measured: {'; '.join(skipped) or 'nothing was recorded'}")
        ranks = max(row["by_class"].shape[-1] for row in rows)
        for row in rows:
            short = ranks - row["by_class"].shape[-1]
            row["by_class"] = np.pad(row["by_class"], ((0, 0), (0, 0), (0, short)), constant_values=np.nan)
        data = xr.Dataset(coords={"part": list(PARTS), "rank": np.arange(1, ranks + 1), "group": np.arange(GROUPS)})
        for name, dim in (("by_class", "rank"), ("by_strength", "group")):
            for index, end in enumerate(("", "_low", "_high")):
                data[name + end] = (("row", "part", dim), np.stack([row[name][index] for row in rows]))
        data["strength"] = (("row", "group"), np.stack([row["strength"] for row in rows]))
        plain = [name for name in rows[0] if name not in ("by_class", "by_strength", "strength")]
        data = data.assign({name: ("row", [row[name] for row in rows]) for name in plain})
        return self.result(data, trees, level=0.95, n_bootstrap=n_bootstrap, seed=seed, skipped=skipped)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the E/I ratio at the preferred class, at the least preferred, and at weak and strong input."""
        rows = []
        for index in range(result.sizes["row"]):
            one = result.isel(row=index).sel(part="ratio")
            n = int(one["n_classes"])
            cells = [_text(one.isel(rank=place), "by_class") if n else "–" for place in (0, n - 1)]
            cells += [_text(one.isel(group=place), "by_strength") for place in (0, -1)]
            rows.append((f"{one['recording'].item()}: {one['population'].item()}", *cells))
        note = "Geometric mean over neurons; 95 % bootstrap over neurons; strength: mean excitation of the population."
        columns = ("population", "E/I, preferred class", "least preferred", "E/I, weakest input", "strongest")
        yield Table("E/I ratio over stimuli", columns, tuple(rows), note)


def _text(one: xr.Dataset, name: str) -> str:
    return interval_text(*(float(one[f"{name}{end}"]) for end in ("", "_low", "_high")))


def _row(population: Population, n_bootstrap: int, seed: int) -> dict[str, Any]:
    exc, inh = (population.time_mean(f"current_{part}") for part in ("exc", "inh"))
    rng = np.random.default_rng(np.random.SeedSequence([seed, 22]))
    data = population.data
    by_class, n_classes = np.full((3, len(PARTS), 1), np.nan), 0
    if "label" in data.variables and data["label"].dims == ("sample",):
        labels = data["label"].values
        classes, counts = np.unique(labels, return_counts=True)
        if len(classes) > 1 and counts.min() > 1:
            n_classes = len(classes)
            by_class = _with_interval(*_by_rank(exc, inh, labels, classes), rng, n_bootstrap)
    guide, rest = exc[:, ::2].mean(axis=1), slice(1, None, 2) if exc.shape[1] > 1 else slice(None)
    groups = np.array_split(np.argsort(guide, kind="stable"), GROUPS)
    means = [np.stack([part[group][:, rest].mean(axis=0) for group in groups]) for part in (exc, inh)]
    return {
        "units": str(data["current_exc"].attrs.get("units", "1")),
        "n_samples": population.n_samples,
        "n_neurons": int(data.sizes["neuron"]),
        "n_classes": n_classes,
        "by_class": by_class,
        "by_strength": _with_interval(means[0], means[1], rng, n_bootstrap),
        "strength": np.array([guide[group].mean() for group in groups]),
    }


def _by_rank(
    exc: FloatArray, inh: FloatArray, labels: np.ndarray, classes: np.ndarray
) -> tuple[FloatArray, FloatArray]:
    """Return excitation and inhibition over classes in the order of each neuron's excitation, shape (rank, neuron)."""
    number = np.zeros(len(labels), dtype=int)
    for one in classes:
        here = labels == one
        number[here] = np.arange(here.sum())
    first = number % 2 == 0
    order = np.argsort(-np.stack([exc[first & (labels == one)].mean(axis=0) for one in classes]), axis=0, kind="stable")
    found = [np.stack([part[~first & (labels == one)].mean(axis=0) for one in classes]) for part in (exc, inh)]
    return np.take_along_axis(found[0], order, axis=0), np.take_along_axis(found[1], order, axis=0)


def _with_interval(exc: FloatArray, inh: FloatArray, rng: np.random.Generator, n_bootstrap: int) -> FloatArray:
    """Return value, low and high of the parts, from (place, neuron); neurons without a current are left out."""
    held = (exc.mean(axis=0) > 0) & (inh > 0).all(axis=0) & (exc > 0).all(axis=0)
    if not held.any():
        return np.full((3, len(PARTS), len(exc)), np.nan)
    exc, inh = exc[:, held], inh[:, held]
    table = np.stack([exc / exc.mean(axis=0), inh / inh.mean(axis=0), np.log(exc / inh)])  # (part, place, neuron)
    weights = resample_counts(rng, n_bootstrap, exc.shape[1]) / exc.shape[1]
    drawn = np.quantile(table @ weights.T, [0.025, 0.975], axis=-1)
    found: FloatArray = np.stack([table.mean(axis=-1), *drawn])
    found[:, 2] = np.exp(found[:, 2])
    return found
