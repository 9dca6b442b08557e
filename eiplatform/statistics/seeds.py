"""Several seeds of one thing: a mean with its interval, and z of a value against a null."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics.cautions import over_seeds
from eiplatform.statistics.kernels.bootstrap import check_bootstrap
from eiplatform.statistics.kernels.intervals import combine_seeds, interval_of, student
from eiplatform.statistics.kernels.multiple import benjamini_hochberg
from eiplatform.statistics.registry import STATISTICS
from eiplatform.statistics.spread import WORKERS
from eiplatform.statistics.summary import SUMMARY_SCHEMA, as_list, summarise

__all__ = ["ENOUGH", "against_null", "summarise_seeds"]

_DIMS = ("population", "statistic")
_KEPT = ("role", "label", "over", "comparable")
ENOUGH = 39
"""Nulls with which a rank alone can reach p = 0.05, the default where nulls are cheap; with fewer the note says so."""
_ROUNDING = 1e-5  # a spread below this part of the values is rounding, not variation
_NOTHING = 1e-12  # and so is one below this, whatever the values
_INTERVALS = {
    "t": "Student t over seeds, given the samples",
    "bootstrap": "percentile bootstrap of seeds, samples and neurons, corrected for few seeds",
}


def summarise_seeds(
    seeds: Sequence[xr.Dataset | xr.DataTree],
    statistics: str | Iterable[str] | None = None,
    *,
    interval: str = "t",
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    populations: str | Iterable[str] | None = None,
    workers: int = WORKERS,
    scheduler: str | None = None,
) -> xr.Dataset:
    """Combine several seeds: networks initialised (or circuits realised) anew.

    Parameters
    ----------
    seeds : sequence
        Recordings (one per seed), or their summaries by :func:`summarise`.
    statistics, n_bootstrap, level, populations, workers, scheduler
        As for :func:`summarise`.
    interval : {"t", "bootstrap"}
        ``"t"``: Student's t over the seeds' values, honest for few seeds, given these samples.
        ``"bootstrap"``: seed > sample > neuron, for other samples too, corrected for few seeds
        (:func:`~eiplatform.statistics.kernels.combine_seeds`).  Summaries then need
        ``keep_draws=True``.
    seed : int
        Of the resampling.

    Returns
    -------
    xarray.Dataset, dims (population, statistic)
        ``value`` (mean over seeds), ``low``, ``high`` (within what the statistic can be), ``sd`` (ddof 1), ``minimum``,
        ``maximum``, ``n_seeds`` (seeds with a value), ``units``, ``note``, ``caution`` (that of
        :func:`summarise`, over the seeds), and ``seed_value`` with the further dimension ``seed``.

    Raises
    ------
    StatisticError
        If no seed is given, one is given twice, seeds differ in their populations or statistics,
        or draws are missing.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> def network(ratio):
    ...     exc = np.random.default_rng(0).exponential(size=(40, 4, 9))
    ...     return population_dataset(
    ...         {"current_exc": exc, "current_inh": exc / ratio}, sample=np.arange(40), time=np.arange(4),
    ...         neuron=np.arange(9), dt=1.0, time_units="step", current_units="1", n_neurons=9, role="E")
    >>> null = summarise_seeds([network(r) for r in (1.0, 2.0, 3.0)], ["ei_ratio"], n_bootstrap=10)
    >>> round(float(null["value"].item()), 6), int(null["n_seeds"].item())
    (2.0, 3)
    """
    choose(interval, _INTERVALS, "interval")
    check_bootstrap(n_bootstrap, level, least=int(interval == "bootstrap"))
    if not len(seeds):
        raise StatisticError("no seed was given", valid="at least one recording or summary")
    if len(set(map(id, seeds))) < len(seeds):
        raise StatisticError("a recording is given as more than one seed", where="seeds", remedy="give each once")
    keys = None if statistics is None else as_list(statistics)
    names = None if populations is None else as_list(populations)
    tables = [
        _selected(item, keys, names)
        if isinstance(item, xr.Dataset) and item.attrs.get("schema") == SUMMARY_SCHEMA
        else summarise(
            item,
            keys,
            n_bootstrap=n_bootstrap,
            seed=seed,
            level=level,
            populations=names,
            keep_draws=interval == "bootstrap",
            workers=workers,
            scheduler=scheduler,
        )
        for item in seeds
    ]
    first = tables[0]
    for dim in _DIMS:
        for table in tables[1:]:
            if table[dim].values.tolist() != first[dim].values.tolist():
                raise StatisticError(
                    f"the seeds differ in their {dim}s: {table[dim].values.tolist()}", valid=first[dim].values.tolist()
                )
    values = np.stack([table["value"].transpose(*_DIMS).values for table in tables])
    found = np.isfinite(values)
    n_seeds = found.sum(axis=0)
    shape = n_seeds.shape
    mean, low, high, sd, _ = student(values, level)
    result: dict[str, np.ndarray] = {"value": mean, "low": low, "high": high, "sd": sd}
    result |= {name: np.full(shape, np.nan) for name in ("minimum", "maximum")}
    notes = np.empty(shape, dtype=object)
    draws = _draws(tables) if interval == "bootstrap" else None
    for cell in np.ndindex(shape):
        here = values[(found[:, *cell], *cell)]
        note = "" if here.size == len(tables) else _first_note(tables, cell)
        notes[cell] = note if here.size != 1 else "; ".join(filter(None, [note, "one seed: no interval over seeds"]))
        if not here.size:
            continue
        result["minimum"][cell], result["maximum"][cell] = here.min(), here.max()
        if draws is not None:
            if here.size == 1:  # its own interval, which knows its degrees of freedom
                table = tables[int(np.flatnonzero(found[:, *cell])[0])]
                low[cell], high[cell] = (table[name].transpose(*_DIMS).values[cell] for name in ("low", "high"))
                continue
            n_samples = min(int(table["n_samples"].transpose(*_DIMS).values[cell]) for table in tables)
            kept = draws[found[:, *cell], *cell]
            centres = kept.mean(axis=1)  # the values, less their bias where few samples make one
            combined, parts = combine_seeds(kept, seed, estimates=centres, n_samples=n_samples)
            low[cell], high[cell] = interval_of(combined, float(centres.mean()), level, parts=parts, n_seeds=here.size)
    least, most = (np.array(ends) for ends in zip(*map(_bounds, first["statistic"].values.tolist()), strict=True))
    result["low"], result["high"] = np.maximum(low, least), np.minimum(high, most)
    variables: dict[str, Any] = {name: (_DIMS, array) for name, array in result.items()}
    variables["n_seeds"] = (_DIMS, n_seeds.astype(int))
    variables["units"] = (_DIMS, first["units"].transpose(*_DIMS).values)
    variables["note"] = (_DIMS, notes.astype(str))
    said = [table["caution"].transpose(*_DIMS).values for table in tables if "caution" in table]
    together = [over_seeds([str(one[cell]) for one in said]) for cell in np.ndindex(shape)]
    variables["caution"] = (_DIMS, np.array(together, dtype=str).reshape(shape))
    variables["seed_value"] = (("seed", *_DIMS), values)
    coords = {name: first[name] for name in (*_DIMS, *_KEPT)}
    attrs = {
        "schema": "eiplatform-seeds 1.0",
        "interval": _INTERVALS[interval],
        "n_seeds": len(tables),
        "level": level,
        "n_bootstrap": n_bootstrap,
        "seed": seed,
    }
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _selected(table: xr.Dataset, keys: list[str] | None, names: list[str] | None) -> xr.Dataset:
    for dim, wanted in (("statistic", keys), ("population", names)):
        if wanted is not None:
            valid = table[dim].values.tolist()
            table = table.sel({dim: [choose(name, valid, dim) for name in wanted]})
    return table


def _bounds(key: str) -> tuple[float, float]:
    """Return what a statistic cannot leave; a summary may be of one that is not ours."""
    return STATISTICS[key].bounds if key in STATISTICS else (-np.inf, np.inf)


def _draws(tables: Sequence[xr.Dataset]) -> np.ndarray:
    if any("draws" not in table for table in tables):
        raise StatisticError(
            "a summary has no bootstrap draws",
            remedy="make it with summarise(..., keep_draws=True), or use interval='t'",
        )
    lengths = {table.sizes["draw"] for table in tables}
    if len(lengths) > 1:
        raise StatisticError(f"the summaries differ in their number of draws: {sorted(lengths)}")
    return np.stack([table["draws"].transpose(*_DIMS, "draw").values for table in tables])


def _first_note(tables: Sequence[xr.Dataset], cell: tuple[int, ...]) -> str:
    """Return why a seed has no value, and how many have none."""
    missing = [table for table in tables if not np.isfinite(table["value"].transpose(*_DIMS).values[cell])]
    reason = str(missing[0]["note"].transpose(*_DIMS).values[cell])
    return reason if len(missing) == len(tables) else f"{len(missing)} of {len(tables)} seeds without a value: {reason}"


def against_null(summary: xr.Dataset, null: xr.Dataset) -> xr.Dataset:
    """Compare values with their null: difference, z and rank.

    Parameters
    ----------
    summary : xarray.Dataset
        Of :func:`summarise` (or of :func:`summarise_seeds`), e.g. of a trained network.
    null : xarray.Dataset
        Of :func:`summarise_seeds`, e.g. of the same network untrained, several seeds, or of
        :func:`~eiplatform.statistics.nulls.null_from`.

    Returns
    -------
    xarray.Dataset, dims (population, statistic)
        ``value``, ``null`` (mean over its seeds), ``null_minimum``, ``null_maximum``,
        ``difference``, ``z``, ``p`` and ``p_rank`` (two-sided), ``n_below``, ``n_seeds``,
        ``q``, ``note``, ``caution`` (of the summary).
        For k null seeds of standard deviation s, z = difference / (s sqrt(1 + 1/k)), the distance
        of one more seed; p refers it to Student's t with k - 1 degrees of freedom, which takes
        the null for normal: of skewed nulls 5 % are 8 to 9 % with 5, 6 % with 19.
        ``q`` is p corrected for all tests of this table (Benjamini & Hochberg 1995).  ``p_rank``
        assumes nothing: twice the share of nulls at
        least as far on the value's side, the value itself counted (Phipson & Smyth 2010, Stat
        Appl Genet Mol Biol 9:39); it is never below 2/(k + 1), 1/3 for 5 nulls, 0.05 for 39.
        ``n_below`` of ``n_seeds`` nulls lie below the value.  With fewer than 39 nulls the note
        says on how many z rests.

    Raises
    ------
    StatisticError
        If the null lacks a population or statistic of the summary, or is not of several seeds.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> def network(ratio):
    ...     exc = np.random.default_rng(0).exponential(size=(40, 4, 9))
    ...     return population_dataset(
    ...         {"current_exc": exc, "current_inh": exc / ratio}, sample=np.arange(40), time=np.arange(4),
    ...         neuron=np.arange(9), dt=1.0, time_units="step", current_units="1", n_neurons=9, role="E")
    >>> null = summarise_seeds([network(r) for r in (1.0, 2.0, 3.0)], ["ei_ratio"], n_bootstrap=10)
    >>> trained = summarise(network(4.0), ["ei_ratio"], n_bootstrap=10)
    >>> round(float(against_null(trained, null)["z"].item()), 3)  # (4 - 2) / sqrt(4/3)
    1.732
    """
    if not isinstance(null, xr.Dataset) or "seed_value" not in null:
        raise StatisticError("the null is not of several seeds", remedy="make it with summarise_seeds([...])")
    for dim in _DIMS:
        absent = [name for name in summary[dim].values.tolist() if name not in null[dim].values.tolist()]
        if absent:
            raise StatisticError(f"the null lacks the {dim} {', '.join(absent)}", valid=null[dim].values.tolist())
    null = null.sel({dim: summary[dim].values for dim in _DIMS})
    value, mean, sd = (array.transpose(*_DIMS).values for array in (summary["value"], null["value"], null["sd"]))
    k = null["n_seeds"].transpose(*_DIMS).values
    difference = value - mean
    scale = np.fmax(np.abs(value), np.abs(mean))
    # Of values that are 0 up to rounding, such as an excess where all neurons share one inhibition, so is the spread.
    varies = (sd > _ROUNDING * scale) & (sd > _NOTHING)
    z, p, notes = np.full(value.shape, np.nan), np.full(value.shape, np.nan), np.empty(value.shape, dtype=object)
    for cell in np.ndindex(value.shape):
        notes[cell] = ""
        if not np.isfinite(difference[cell]):
            side = summary if not np.isfinite(value[cell]) else null
            notes[cell] = str(side["note"].transpose(*_DIMS).values[cell])
        elif k[cell] < 3:
            notes[cell] = f"no z: {k[cell]} null seeds, at least 3 are needed"
        elif not varies[cell]:
            notes[cell] = "no z: the null does not vary over its seeds"
        else:
            z[cell] = difference[cell] / (sd[cell] * np.sqrt(1 + 1 / k[cell]))
            p[cell] = 2 * stats.t.sf(abs(z[cell]), k[cell] - 1)
            if k[cell] < ENOUGH:
                smallest = min(1.0, 2 / (k[cell] + 1))
                notes[cell] = (
                    f"z rests on {k[cell]} nulls and p takes them for normal; "
                    f"no rank among them gives p below {smallest:.2g}"
                )
    seeds = null["seed_value"].transpose("seed", *_DIMS).values
    below, above = (seeds < value).sum(axis=0), (seeds > value).sum(axis=0)
    known = np.isfinite(difference)
    # Nulls equal to the value count on both sides.
    rank = np.where(known, np.minimum(1.0, 2 * (k - np.maximum(below, above) + 1) / (k + 1)), np.nan)
    arrays: dict[str, Any] = {
        "value": value,
        "null": mean,
        "null_minimum": null["minimum"].transpose(*_DIMS).values,
        "null_maximum": null["maximum"].transpose(*_DIMS).values,
        "difference": difference,
        "z": z,
        "p": p,
        "q": benjamini_hochberg(p),
        "p_rank": rank,
        "n_below": np.where(known, below, 0),
        "n_seeds": k,
        "note": notes.astype(str),
    }
    if "caution" in summary:
        arrays["caution"] = summary["caution"].transpose(*_DIMS).values
    coords = {name: summary[name] for name in (*_DIMS, *_KEPT)}
    attrs = {
        "schema": "eiplatform-against-null 1.0",
        "z": "difference / (sd over null seeds * sqrt(1 + 1/k))",
        "p": "Student's t with k - 1 degrees of freedom; takes the nulls for normal",
        "q": "p corrected for all tests of this table (Benjamini & Hochberg 1995)",
        "p_rank": "rank among the nulls; assumes nothing, never below 2/(k + 1)",
    }
    return xr.Dataset({name: (_DIMS, array) for name, array in arrays.items()}, coords=coords, attrs=attrs)
