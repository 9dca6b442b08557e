"""How often the 95 % interval of every public statistic holds the truth, on synthetic recordings.

Each draw is one recording of a model of ``inference_models.py``; its intervals are those of
``summarise``.  The truth is a closed form where there is one, else the mean value of many
recordings of as many steps and neurons with 300 samples (3000 for co-tuning), as many as make its own error small
beside the spread of the estimates; the value of recordings of eight times the length is printed too.

Usage: python benchmarks/inference_coverage.py [--draws 400] [--bootstrap 400] [--seed 2] [--models currents ...]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from inference_models import MODELS, Model, images, write_rows
from scipy import stats

from eiplatform.statistics import STATISTICS, summarise

LEVEL = 0.95
_LONGER = 8
_SMALL = 0.05
"""Error of a truth, in standard deviations of the estimates: more of it would count as misses."""
_MOST = 200
LASTING = ("currents", "voltage", "spikes")
"""Models whose number of steps can be chosen; spike trains in ms have a length of their own."""


Truths = dict[str, tuple[float, float]]


def truths(name: str, model: Model, spreads: dict[str, float], repeats: int) -> tuple[Truths, Truths]:
    """Return what many samples of this length give, and what samples of eight times the length give, with errors.

    The first are closed forms where there are any, the second are of statistics over time only.
    """
    missing = {key: spread for key, spread in spreads.items() if key not in model.truth}
    here = {key: (value, 0.0) for key, value in model.truth.items()} | _means(model, missing, model.many, 1, repeats)
    over_time = [key for key in missing if STATISTICS[key].over == "time" and name in LASTING]
    longer = dict.fromkeys(over_time, np.inf)
    return here, _means(model, longer, model.n_samples, _LONGER, max(repeats // 3, 1))


def _means(model: Model, spreads: dict[str, float], n_samples: int, longer: int, repeats: int) -> Truths:
    """Average recordings until every error is small beside the spread of the estimates."""
    found: dict[str, list[float]] = {key: [] for key in spreads}
    keys = list(spreads)
    for repeat in range(_MOST):
        if repeat >= repeats:
            keys = [key for key in keys if _error(found[key]) > _SMALL * spreads[key]]
        if not keys:
            break
        rng = np.random.default_rng([1, repeat])
        data = model.make(rng, images(rng, n_samples, longer * model.n_times), model.n_neurons)
        values = summarise(data, keys, n_bootstrap=1, workers=1)["value"].values[0]
        for key, value in zip(keys, values.tolist(), strict=True):
            found[key].append(value)
    return {key: (float(np.mean(values)), _error(values)) for key, values in found.items()}


def _error(values: list[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.inf


def tried(model: Model, draws: int, n_bootstrap: int, seed: int) -> np.ndarray:
    """Return value, low and high of every draw, shape (draw, 3, statistic)."""
    rows = np.empty((draws, 3, len(model.statistics)))
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        data = model.make(rng, images(rng, model.n_samples, model.n_times), model.n_neurons)
        table = summarise(data, model.statistics, n_bootstrap=n_bootstrap, seed=draw, workers=1)
        rows[draw] = [table[part].values[0] for part in ("value", "low", "high")]
    return rows


def band(share: float, n: int) -> str:
    """Return the exact 95 % interval of a share of n draws, in per cent."""
    ends = stats.binomtest(round(share * n), n).proportion_ci(0.95)
    return f"{100 * ends.low:.1f} to {100 * ends.high:.1f}"


def lines(name: str, model: Model, rows: np.ndarray, truth: Truths, longer: Truths) -> list[str]:
    """Return one row of the table per statistic."""
    made = []
    for index, key in enumerate(model.statistics):
        value, low, high = rows[:, :, index].T
        true, error = truth[key]
        known = f"{true:.4g}{f' ± {error:.1g}' if error else ''} | {f'{longer[key][0]:.4g}' if key in longer else ''}"
        held = np.isfinite(low) & np.isfinite(high)
        n = int(held.sum())
        if not n:
            made.append(f"| `{key}` | {name} | {known} | {np.nanmean(value):.4g} | no interval | | | |")
            continue
        below, above = (low[held] > true).mean(), (high[held] < true).mean()
        covered = 1 - below - above
        made.append(
            f"| `{key}` | {name} | {known} | {np.nanmean(value):.4g} | {100 * covered:.1f} | "
            f"{band(covered, n)} | {100 * below:.1f} / {100 * above:.1f} | {n} |"
        )
    return made


HEAD = (
    "| statistic | model | truth | 8 times as long | mean estimate | covers, % | 95 % band of that, % | "
    "truth below / above, % | draws |",
    "|---|---|---|---|---|---|---|---|---|",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--bootstrap", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2, help="of the draws; another one gives draws of its own")
    parser.add_argument("--repeats", type=int, default=40, help="recordings behind a truth, at least")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--statistics", nargs="+", help="only these")
    parser.add_argument("--page", type=Path, help="page whose table gets these rows, e.g. docs/validation-inference.md")
    chosen = parser.parse_args(arguments)
    for name in chosen.models:
        start, model = time.perf_counter(), MODELS[name]
        kept = tuple(key for key in model.statistics if not chosen.statistics or key in chosen.statistics)
        if not kept:
            continue
        model = replace(model, statistics=kept)
        found = tried(model, chosen.draws, chosen.bootstrap, chosen.seed)
        spreads = dict(zip(model.statistics, np.nanstd(found[:, 0], axis=0).tolist(), strict=True))
        rows = lines(name, model, found, *truths(name, model, spreads, chosen.repeats))
        print("\n".join(rows), flush=True)
        if chosen.page:
            write_rows(chosen.page, HEAD, rows)
        print(f"({name}: {time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
