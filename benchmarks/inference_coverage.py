"""How often the 95 % interval of every public statistic holds the truth, on synthetic recordings.

Each draw is one recording of a model of ``inference_models.py``; its intervals are those of
``summarise``.  The truth is a closed form where there is one, else the mean value of many
recordings of as many steps and neurons with 300 samples (3000 for co-tuning); the value of recordings of eight
times the length is printed too.

Usage: python benchmarks/inference_coverage.py [--draws 400] [--bootstrap 400] [--models currents ...] [--page PAGE.md]
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
LASTING = ("currents", "voltage", "spikes")
"""Models whose number of steps can be chosen; spike trains in ms have a length of their own."""


def truths(name: str, model: Model, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return what many samples of this length give, and what samples of eight times the length give.

    The first are closed forms where there are any, the second are of statistics over time only.
    """
    missing = [key for key in model.statistics if key not in model.truth]
    here = dict(model.truth) | _means(model, missing, model.many, 1, repeats)
    over_time = [key for key in missing if STATISTICS[key].over == "time" and name in LASTING]
    return here, _means(model, over_time, model.n_samples, _LONGER, max(repeats // 3, 1))


def _means(model: Model, keys: list[str], n_samples: int, longer: int, repeats: int) -> dict[str, float]:
    rows = []
    for repeat in range(repeats if keys else 0):
        rng = np.random.default_rng([1, repeat])
        data = model.make(rng, images(rng, n_samples, longer * model.n_times), model.n_neurons)
        rows.append(summarise(data, keys, n_bootstrap=1, workers=1)["value"].values[0])
    return dict(zip(keys, np.mean(rows, axis=0).tolist(), strict=True)) if rows else {}


def tried(model: Model, draws: int, n_bootstrap: int) -> np.ndarray:
    """Return value, low and high of every draw, shape (draw, 3, statistic)."""
    rows = np.empty((draws, 3, len(model.statistics)))
    for draw in range(draws):
        rng = np.random.default_rng([2, draw])
        data = model.make(rng, images(rng, model.n_samples, model.n_times), model.n_neurons)
        table = summarise(data, model.statistics, n_bootstrap=n_bootstrap, seed=draw, workers=1)
        rows[draw] = [table[part].values[0] for part in ("value", "low", "high")]
    return rows


def band(share: float, n: int) -> str:
    """Return the exact 95 % interval of a share of n draws, in per cent."""
    ends = stats.binomtest(round(share * n), n).proportion_ci(0.95)
    return f"{100 * ends.low:.1f} to {100 * ends.high:.1f}"


def lines(name: str, model: Model, rows: np.ndarray, truth: dict[str, float], longer: dict[str, float]) -> list[str]:
    """Return one row of the table per statistic."""
    made = []
    for index, key in enumerate(model.statistics):
        value, low, high = rows[:, :, index].T
        known = f"{truth[key]:.4g} | {f'{longer[key]:.4g}' if key in longer else ''}"
        held = np.isfinite(low) & np.isfinite(high)
        n = int(held.sum())
        if not n:
            made.append(f"| `{key}` | {name} | {known} | {np.nanmean(value):.4g} | no interval | | | |")
            continue
        below, above = (low[held] > truth[key]).mean(), (high[held] < truth[key]).mean()
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
    parser.add_argument(
        "--repeats", type=int, default=40, help="recordings behind a truth: with few, its own error counts as misses"
    )
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
        truth = truths(name, model, chosen.repeats)
        rows = lines(name, model, tried(model, chosen.draws, chosen.bootstrap), *truth)
        print("\n".join(rows), flush=True)
        if chosen.page:
            write_rows(chosen.page, HEAD, rows)
        print(f"({name}: {time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
