"""How often the 95 % interval of every public statistic holds the truth, on synthetic recordings.

Each draw is one recording of a model of ``inference_models.py``; its intervals are those of
``summarise``.  The truth is a closed form where there is one, else the mean value of large
recordings: eight times as long for statistics over time, many times as many samples for the others.

Usage: python benchmarks/inference_coverage.py [--draws 400] [--bootstrap 400] [--models currents ...] [--page PAGE.md]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from inference_models import MODELS, Model, images, write_rows
from scipy import stats

from eiplatform.statistics import STATISTICS, summarise

LEVEL = 0.95
_LARGE = {"currents": (600, 150), "spikes": (1200, 300), "voltage": (200, 200)}


def truths(name: str, model: Model, repeats: int) -> dict[str, float]:
    """Return closed forms, and means over large recordings of what has none."""
    found = dict(model.truth)
    missing = [key for key in model.statistics if key not in found]
    many, neurons = _LARGE.get(name, (400, model.n_neurons))
    # The models of spike trains in ms have a length of their own: more samples take its place.
    lasting = name in ("currents", "voltage", "spikes")
    over_time = [key for key in missing if STATISTICS[key].over == "time" and lasting]
    for keys, n_samples, factor in (
        (over_time, model.n_samples, 8),
        ([key for key in missing if key not in over_time], many, 1),
    ):
        rows = []
        for repeat in range(repeats if keys else 0):
            rng = np.random.default_rng([1, repeat])
            data = model.make(rng, images(rng, n_samples, factor * model.n_times), neurons)
            rows.append(summarise(data, keys, n_bootstrap=1, workers=1)["value"].values[0])
        found |= dict(zip(keys, np.mean(rows, axis=0).tolist(), strict=True)) if rows else {}
    return found


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


def lines(name: str, model: Model, rows: np.ndarray, truth: dict[str, float]) -> list[str]:
    """Return one row of the table per statistic."""
    made = []
    for index, key in enumerate(model.statistics):
        value, low, high = rows[:, :, index].T
        held = np.isfinite(low) & np.isfinite(high)
        n = int(held.sum())
        if not n:
            made.append(f"| `{key}` | {name} | {truth[key]:.4g} | {np.nanmean(value):.4g} | no interval | | | |")
            continue
        below, above = (low[held] > truth[key]).mean(), (high[held] < truth[key]).mean()
        covered = 1 - below - above
        made.append(
            f"| `{key}` | {name} | {truth[key]:.4g} | {np.nanmean(value):.4g} | {100 * covered:.1f} | "
            f"{band(covered, n)} | {100 * below:.1f} / {100 * above:.1f} | {n} |"
        )
    return made


HEAD = (
    "| statistic | model | truth | mean estimate | covers, % | 95 % band of that, % | truth below / above, % | draws |",
    "|---|---|---|---|---|---|---|---|",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--bootstrap", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=10, help="large recordings behind a truth")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--page", type=Path, help="page whose table gets these rows, e.g. docs/validation-inference.md")
    chosen = parser.parse_args(arguments)
    for name in chosen.models:
        start, model = time.perf_counter(), MODELS[name]
        truth = truths(name, model, chosen.repeats)
        rows = lines(name, model, tried(model, chosen.draws, chosen.bootstrap), truth)
        print("\n".join(rows), flush=True)
        if chosen.page:
            write_rows(chosen.page, HEAD, rows)
        print(f"({name}: {time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
