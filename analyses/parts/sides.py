"""What stands on either side of a comparison: populations with values per neuron and per seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.inputs import Recording, Reference, active, label_of, nothing_fires
from eiplatform.analyses.parts.measured import Measured, Side
from eiplatform.errors import ConfigError, NotApplicableError, StatisticError, TooShortError, UnknownNameError, suggest
from eiplatform.reference import CASES, shipped
from eiplatform.statistics import STATISTICS, summarise, summarise_seeds
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.evidence import Group, Seed, evidence
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.store.reader import open_recording, recordings_below
from eiplatform.store.references import at_step, shipped_references
from eiplatform.store.steps import match_time, step_in_ms

__all__ = [
    "as_seeds",
    "measure",
    "open_references",
    "resample",
    "sides_of",
    "sides_of_summary",
]

_NOT_KEPT = "not in this summary; simulate the circuit and give its recording"


def _one_sample(data: xr.Dataset, index: int) -> xr.Dataset:
    return data.isel(sample=[index])


def _estimates(part: xr.Dataset, keys: Sequence[str]) -> dict[str, Estimate]:
    """Return what can be estimated of a population."""
    population = Population(part)
    found = {}
    for key in keys:
        if not population.missing(STATISTICS[key].needs):
            with suppress(TooShortError, NotApplicableError):
                found[key] = STATISTICS[key].estimate(population)
    population.forget(tables=False)
    return found


def _values(estimate: Estimate | None) -> FloatArray:
    """Return the defined values per neuron; empty where neurons have none of their own."""
    if estimate is None or estimate.level == "population":
        return np.zeros(0)
    values = estimate.kernel.per_neuron()
    return np.asarray(values[np.isfinite(values)])


def resample(
    pieces: Sequence[xr.Dataset],
    keys: Sequence[str],
    kind: str,
    *,
    stream: int = 0,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[Group, tuple[FloatArray, ...], str]]:
    """Return by statistic what a test of one side rests on, values per neuron of each seed, and the window.

    Parameters
    ----------
    pieces : sequence of xarray.Dataset
        One population in every seed.
    keys : sequence of str
    kind : {"network", "circuit"}
    stream, n_bootstrap, seed : int
        As for :func:`measure`.
    """
    estimates = [_estimates(piece, keys) for piece in pieces]
    held: dict[str, list[Seed]] = {key: [] for key in keys}
    options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed}
    valued = Counter(
        key for made in estimates for key, one in made.items() if np.isfinite(one.kernel.per_neuron()).any()
    )
    for number, made in enumerate(estimates):
        for alone in (True, False):  # of several seeds, one alone may have a value
            chosen = {key: one for key, one in made.items() if (valued[key] < 2) is alone}
            distributed = [estimate.level == "neuron" for estimate in chosen.values()]
            units = [estimate.kernel for estimate in chosen.values()]
            if not units:
                continue
            found = evidence(units, distributed, alone=alone, stream=1000 * stream + number, **options)
            for key, one in zip(chosen, found, strict=True):
                held[key].append(one)
    return {
        key: (
            Group.of(kind, held[key]),
            tuple(values for made in estimates if (values := _values(made.get(key))).size),
            next(
                (str(made[key].attrs["window"]) for made in estimates if key in made and "window" in made[key].attrs),
                "",
            ),
        )
        for key in keys
    }


def measure(
    parts: Sequence[xr.Dataset],
    keys: Sequence[str],
    *,
    per_sample: bool = False,
    stream: int = 0,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Measured]:
    """Measure statistics of one population that was recorded in one or several seeds.

    Parameters
    ----------
    parts : sequence of xarray.Dataset
        The population in every recording; several are seeds of one thing.
    keys : sequence of str
    per_sample : bool
        The samples of the one recording are its seeds (a circuit's realisations): each has a value
        of its own, and the value of all is their mean.
    stream : int
        Of the draws of neurons; another one on the other side.
    n_bootstrap, seed, level
        Of the intervals.
    """
    options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed, "level": level}
    pieces = [_one_sample(parts[0], k) for k in range(parts[0].sizes["sample"])] if per_sample else list(parts)
    draws = n_bootstrap if len(pieces) == 1 else 0  # the interval of several is over them
    tables = [summarise(part, keys, **options | {"n_bootstrap": draws}) for part in pieces]
    table = tables[0] if len(tables) == 1 else summarise_seeds(tables, **options)
    kind = "circuit" if per_sample else "network"
    rested = resample(pieces, keys, kind, stream=stream, n_bootstrap=n_bootstrap, seed=seed)
    found = {}
    columns, of_each = _columns(table), [_columns(one) for one in tables]
    for place, key in enumerate(keys):
        row, rows = columns[place], [one[place] for one in of_each]
        group, values, window = rested[key]
        found[key] = Measured(
            value=float(row["value"]),
            low=float(row["low"]),
            high=float(row["high"]),
            units=str(rows[0]["units"]),
            n_samples=len(pieces) if per_sample else int(rows[0]["n_samples"]),
            n_neurons=sum(int(one["n_neurons"]) for one in rows),
            n_excluded=sum(int(one["n_excluded"]) for one in rows),
            note=str(row["note"]),
            caution=str(row["caution"]),
            seeds=values,
            seed_values=np.array([one.value for one in group.seeds]),
            sd_seeds=group.sd,
            window=window,
            group=group,
        )
    return found


def _columns(table: xr.Dataset) -> list[dict[str, Any]]:
    """Return what a table of one population says of each statistic, by the names of its variables."""
    wanted = ("value", "low", "high", "units", "note", "caution", "n_samples", "n_neurons", "n_excluded")
    held = {name: table[name].values[0] for name in wanted if name in table}
    return [{name: values[place] for name, values in held.items()} for place in range(table.sizes["statistic"])]


def sides_of(trees: Sequence[xr.DataTree], keys: Sequence[str], layer: xr.Dataset | None, **options: Any) -> list[Side]:
    """Return the firing excitatory populations (or those of rates) of a recording, or of the seeds of one network.

    Parameters
    ----------
    trees : sequence of DataTree
        Recordings; several are seeds of one network with the same layers.
    keys : sequence of str
    layer : xarray.Dataset or None
        Layer of the network on the other side, whose step a circuit's time is matched to.
    **options
        ``n_bootstrap``, ``seed``.

    Raises
    ------
    StatisticError
        If nothing fires or has a rate, or seeds differ in their layers.
    """
    first = trees[0]
    populations = [active(tree) for tree in trees]
    if not populations[0]:
        raise nothing_fires([first], first.attrs["path"])
    for tree, found in zip(trees, populations, strict=True):
        if list(found) != list(populations[0]):
            raise StatisticError(
                f"the seeds of one network differ in their layers: {', '.join(found)}",
                where=tree.attrs["path"],
                valid=populations[0],
            )
    kind = "network" if first.attrs["source"]["kind"] == "network" else "circuit"  # own measurements count as one
    label = label_of(first) if len(trees) == 1 else f"{label_of(first)} and {len(trees) - 1} more"
    sides = []
    for name, data in populations[0].items():
        parts = [found[name] for found in populations]
        interval = step = float("nan")
        facts = {"time_units": str(data.attrs["dt_units"]), "n_time": int(data.sizes["time"])}
        if kind == "circuit" and layer is not None:
            step = step_in_ms(layer, data)
            parts = [match_time(data, step)]
            interval = float(parts[0].attrs["dt"])
        else:
            facts |= {"sample": data["sample"].values.tolist(), "dt": float(data.attrs["dt"])}
            facts |= {"sizes": {name: int(one.attrs["n_neurons"]) for name, one in populations[0].items()}}
            spec = first.attrs["source"].get("spec", {})
            facts |= {"input": str(spec.get("input", "")), "shown": _shown(first, spec)}
        cells = measure(parts, keys, per_sample=kind == "circuit", stream=int(layer is not None), **options)
        sides.append(Side(f"{label}: {name}", kind, name, interval, step, cells, facts))
    return sides


def _shown(tree: xr.DataTree, spec: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what else must agree for equal ids to be the same samples: data, split, and noise of the input."""
    source = tree.attrs["source"]
    config = tree.attrs.get("config") or {}
    data = source.get("data") or (config.get("dataset", {}).get("name", "") if isinstance(config, Mapping) else "")
    noise = "" if spec.get("input", "constant") == "constant" else str(spec.get("seed", ""))
    return json.dumps(data, sort_keys=True, default=str), str(source.get("split", "")), noise


def sides_of_summary(name: str, keys: Sequence[str], layer: xr.Dataset) -> list[Side]:
    """Return the excitatory populations of a shipped summary.

    Each statistic has a value in every seed, but only the rates have a distribution over neurons (a histogram).

    Parameters
    ----------
    name : str
        One of :data:`eiplatform.reference.CASES`.
    keys : sequence of str
    layer : xarray.Dataset
        Layer of the network on the other side.
    """
    data = shipped(name)
    parameters = json.loads(data.attrs["parameters"])
    if "tau_ms" not in parameters:
        raise StatisticError(
            "this summary states no membrane constant, so that no step can be matched to it",
            where=name,
            remedy="simulate the circuit and give its recording",
        )
    circuit = xr.Dataset(attrs={"tau_membrane": parameters["tau_ms"]})
    step = step_in_ms(layer, circuit)
    sides = []
    for population in data["population"].values.astype(str):
        if not population.endswith("E"):
            continue
        one = data.sel(population=population)
        interval = float(one["interval_ms"].sel(interval="step"))
        other = (
            ""
            if interval == max(1, round(step))
            else f"this summary keeps currents of {interval:g} ms, and a step of this network lasts {step:.3g} ms"
        )
        cells = {key: _shipped_cell(one, key, other) for key in keys}
        if "rate" in cells:
            cells["rate"] = _shipped_rate(one, cells["rate"])
        facts = {"time_units": "ms"}
        sides.append(Side(f"{name}: {population}", "summary", population, interval, step, cells, facts))
    return sides


def _shipped_cell(one: xr.Dataset, key: str, other: str) -> Measured:
    units = STATISTICS[key].units("ms")
    if key not in one:
        return Measured(np.nan, np.nan, np.nan, units, note=_NOT_KEPT)
    held = at_step(one[key])
    mean, low, high, sd = (float(held.sel(over_seeds=part)) for part in ("mean", "low", "high", "std"))
    n = int(held.sel(over_seeds="n"))
    return Measured(
        mean,
        low,
        high,
        units,
        n,
        round(float(one["n_neurons"].sel(over_seeds="mean"))),
        note="" if key == "rate" else "no distribution over neurons in this summary",
        seed_values=at_step(one[f"{key}_seeds"]).values,
        sd_seeds=sd,
        not_comparable=other if "interval" in one[key].dims else "",
        group=Group("summary", (), mean, sd, n),
    )


def _shipped_rate(one: xr.Dataset, cell: Measured) -> Measured:
    edges = one["rate_bin"].values
    width = float(edges[1] - edges[0])
    share = one["rate_histogram"].sel(over_seeds="mean").values.astype(float)
    outside = 1.0 - share.sum()
    if outside > 1e-3:
        note = f"no distribution: {100 * outside:.0f} % of the neurons fire faster than its histogram reaches"
        return replace(cell, note=note)
    counts = np.rint(share * cell.n_neurons * cell.n_samples).astype(np.int64)
    held = counts > 0
    return replace(cell, seeds=(edges[held] + width / 2,), counts=counts[held], bin_width=width)


def open_references(to: Sequence[str | Path], *, partial: bool = False) -> list[Recording]:
    """Turn what a user names into references.

    Parameters
    ----------
    to : sequence of str or Path
        Each a recording, a directory of recordings, or the name of a shipped summary.
    partial : bool
        Take what is complete of interrupted recordings.

    Returns
    -------
    list of str or DataTree
        Names of summaries, and open recordings.

    Raises
    ------
    StoreError, UnknownNameError
        If no recording or summary has that name.
    """
    found: list[Recording] = []
    for place in to:
        name = str(place)
        if name in CASES and not Path(place).exists():
            shipped(name)  # now, not after an hour of computing
            found.append(name)
        elif not Path(place).exists() and len(Path(place).parts) == 1 and suggest(name, CASES):
            known = shipped_references()
            raise UnknownNameError(f"no recording and no shipped summary '{name}'{suggest(name, known)}", valid=known)
        else:
            found += [open_recording(recording, partial=partial) for recording in recordings_below(place)]
    return found


def as_seeds(references: Sequence[Recording]) -> list[Reference]:
    """Join all networks among references into one, whose seeds they are; summaries stay.

    Raises
    ------
    ConfigError
        If one is of a circuit, whose seeds are its samples, or none is of a network.
    """
    trees: list[Recording] = []
    for reference in references:
        if isinstance(reference, xr.DataTree):
            if reference.attrs["source"]["kind"] != "network":
                where = reference.attrs["path"]
                raise ConfigError("only networks are given as seeds; a circuit's seeds are its samples", where=where)
            trees.append(reference)
    if not trees:
        raise ConfigError("only networks are given as seeds, and there is none", where=", ".join(map(str, references)))
    return [*(reference for reference in references if isinstance(reference, str)), trees]
