"""How often ``compare`` calls two sides different that are draws of one distribution.

Both sides of every draw come from one model of ``inference_models.py``: networks that saw the same or other
images, one or five seeds a side (seeds that differ), and a network beside five realisations of
a circuit (for the statistics that a comparison with a circuit tests).
Counted are p < .05 of means and of distributions, verdicts "different" of a table of this
one cell, and verdicts "equivalent" where the true difference is the margin itself.

Usage: python benchmarks/inference_levels.py [--draws 300] [--seed 3] [--models ...] [--settings ...] [--page PAGE.md]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from inference_models import MODELS, Model, circuit, images, write_rows
from scipy import stats

from eiplatform.analyses.comparison import compare_cell, verdict_of
from eiplatform.analyses.parts.sides import Measured, resample
from eiplatform.statistics import STATISTICS
from eiplatform.statistics.kernels.comparison import spread
from eiplatform.statistics.kernels.multiple import benjamini_hochberg

SETTINGS = {
    "one-same": "1 network a side, same images",
    "one-other": "1 network a side, other images",
    "five-same": "5 seeds a side, same images",
    "five-other": "5 seeds a side, other images",
    "circuit": "1 network beside 5 realisations of a circuit",
}
_SIZES = {
    "one": {
        "currents": (30, 64, 30),
        "spikes": (30, 100, 100),
        "voltage": (20, 110, 100),
        "oscillation": (10, 10, 100),
        "drift": (10, 10, 40),
    },
    "five": {
        "currents": (30, 52, 16),
        "spikes": (30, 100, 100),
        "voltage": (10, 110, 100),
        "oscillation": (8, 10, 100),
        "drift": (8, 10, 30),
    },
}
"""Samples, times and neurons of a recording with one and with five seeds a side, where not those of the model."""
_SPREAD = 0.1
COLUMNS = ("p", "p_distance", "different", "equivalent")


def sides(
    setting: str, model: Model, keys: list[str], rng: np.random.Generator, n_bootstrap: int
) -> tuple[dict[str, Measured], dict[str, Measured], bool]:
    """Draw and measure both sides."""
    options = {"n_bootstrap": n_bootstrap, "seed": int(rng.integers(2**31))}
    number = 5 if setting.startswith("five") else 1
    spread = _SPREAD if number > 1 else 0.0
    seen = images(rng, model.n_samples, model.n_times)
    own = [model.make(rng, seen, model.n_neurons, spread) for _ in range(number)]
    mine = measured(own, keys, "network", **options)
    if setting == "circuit":
        return mine, measured(circuit(rng, model, 5), keys, "circuit", stream=1, **options), False
    same = setting.endswith("same")
    there = seen if same else images(rng, model.n_samples, model.n_times, model.n_samples)
    others = [model.make(rng, there, model.n_neurons, spread) for _ in range(number)]
    return mine, measured(others, keys, "network", stream=1, **options), same


def tested(setting: str, model: Model) -> list[str]:
    """Return the statistics of a model that a comparison tests in a setting."""
    entries = [STATISTICS[key] for key in model.statistics]
    if setting == "circuit":  # as eiplatform.analyses.parts.matching says, for values over time
        entries = [one for one in entries if one.over == "time" and (one.comparable or one.in_steps)]
        entries = [one for one in entries if "voltage" not in one.needs]
    return [one.key for one in entries]


def measured(parts: list[xr.Dataset], keys: list[str], kind: str, **options: int) -> dict[str, Measured]:
    """Measure as a comparison does, without the intervals of each side."""
    found = {}
    for key, (group, values, _) in resample(parts, keys, kind, **options).items():
        found[key] = Measured(group.mean, np.nan, np.nan, "1", seeds=values, sd_seeds=group.sd, group=group)
    return found


def tried(setting: str, model: Model, keys: list[str], draws: int, n_bootstrap: int, seed: int = 3) -> np.ndarray:
    """Return for every draw and statistic whether each of COLUMNS came out; NaN where it was not tested."""
    found = np.full((draws, len(keys), len(COLUMNS)), np.nan)
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        mine, other, same = sides(setting, model, keys, rng, n_bootstrap)
        for index, key in enumerate(keys):
            if not np.isfinite([mine[key].value, other[key].value]).all():
                continue
            cell, _, _ = compare_cell(
                mine[key], other[key], same_samples=same, n_bootstrap=n_bootstrap, seed=draw, margin=0.5
            )
            p, apart = cell["p"], cell.get("p_distance", np.nan)
            q, q_apart = benjamini_hochberg([p, apart])
            verdict = verdict_of(q, q_apart, cell["p_equivalence"], within=False)
            found[draw, index, 0] = p < 0.05 if np.isfinite(p) else np.nan
            found[draw, index, 1] = apart < 0.05 if np.isfinite(apart) else np.nan
            found[draw, index, 2] = (
                verdict in ("different", "small difference") if np.isfinite([p, apart]).any() else np.nan
            )
            found[draw, index, 3] = _at_margin(mine[key], other[key], same, draw, n_bootstrap)
    return found


def _at_margin(mine: Measured, other: Measured, same: bool, draw: int, n_bootstrap: int) -> float:
    """Say whether equivalence is found although the means differ by the margin, half the reference's spread."""
    if not other.seeds or other.seeds[0].size < 2 or mine.group is None:
        return float("nan")
    shift = 0.5 * spread(list(other.seeds))[0]
    moved = replace(mine, value=mine.value + shift, group=replace(mine.group, mean=mine.group.mean + shift))
    cell, _, _ = compare_cell(moved, other, same_samples=same, n_bootstrap=2, seed=draw, margin=0.5)
    return float(cell["p_equivalence"] < 0.05) if np.isfinite(cell["p_equivalence"]) else float("nan")


def lines(setting: str, keys: list[str], found: np.ndarray) -> list[str]:
    """Return one row of the table per statistic: per cents, and the 95 % band of what a level of 5 % gives."""
    made = []
    for index, key in enumerate(keys):
        cells = []
        for column in range(len(COLUMNS)):
            values = found[:, index, column]
            held = values[np.isfinite(values)]
            cells.append(f"{100 * held.mean():.1f}" if held.size else "no test")
        n = int(np.isfinite(found[:, index, 0]).sum())
        low, high = (stats.binom.ppf(q, n, 0.05) / n for q in (0.025, 0.975)) if n else (np.nan, np.nan)
        made.append(f"| `{key}` | {setting} | {' | '.join(cells)} | {100 * low:.1f} to {100 * high:.1f} | {n} |")
    return made


HEAD = (
    "| statistic | setting | means, % | distributions, % | verdict different, % | equivalent at the margin, % | "
    "95 % band of 5 %, % | draws |",
    "|---|---|---|---|---|---|---|---|",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--bootstrap", type=int, default=199)
    parser.add_argument("--seed", type=int, default=3, help="of the draws; another one gives draws of its own")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--statistics", nargs="+", help="only these")
    parser.add_argument("--page", type=Path, help="page whose table gets these rows, e.g. docs/validation-inference.md")
    chosen = parser.parse_args(arguments)
    for setting in chosen.settings:
        for name in chosen.models:
            start, model = time.perf_counter(), MODELS[name]
            size = _SIZES["five" if setting.startswith("five") else "one"].get(name)
            if size is not None:
                model = replace(model, **dict(zip(("n_samples", "n_times", "n_neurons"), size, strict=True)))
            keys = [key for key in tested(setting, model) if not chosen.statistics or key in chosen.statistics]
            if not keys:
                continue
            rows = lines(setting, keys, tried(setting, model, keys, chosen.draws, chosen.bootstrap, chosen.seed))
            print("\n".join(rows), flush=True)
            if chosen.page:
                write_rows(chosen.page, HEAD, rows)
            print(f"({setting}, {name}: {time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
