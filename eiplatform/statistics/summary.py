"""All statistics of all populations of a recording in one table, with intervals and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import NotApplicableError, StatisticError, TooShortError, UnknownNameError, choose
from eiplatform.statistics.cautions import cautions
from eiplatform.statistics.checks import populations_of
from eiplatform.statistics.declare import Statistic
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.bootstrap import Interval, bootstrap_statistics, check_bootstrap
from eiplatform.statistics.kernels.intervals import share_interval
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import STATISTICS
from eiplatform.statistics.spread import WORKERS, spread

__all__ = ["SUMMARY_SCHEMA", "as_list", "keys_of", "summarise"]

SUMMARY_SCHEMA = "eiplatform-summary 1.0"

_NUMBERS = {
    "value": "mean over neurons (geometric for ratios)",
    "low": "lower end of the bootstrap interval of the value",
    "high": "upper end of the bootstrap interval of the value",
}
_COUNTS = {
    "n_samples": "samples",
    "n_neurons": "neurons considered",
    "n_used": "neurons with a value",
    "n_excluded": "neurons excluded by the rule",
}
_TEXTS = {
    "units": "unit of the value",
    "exclusion": "when a neuron is excluded",
    "note": "why a value or an interval is missing or partial",
    "caution": "what limits the meaning of the value in this population",
}


def as_list(names: str | Iterable[str]) -> list[str]:
    """Return names as a list, each once; one name may stand alone."""
    return [names] if isinstance(names, str) else list(dict.fromkeys(names))


def keys_of(statistics: str | Iterable[str] | None, *, where: str | None = "statistics") -> list[str]:
    """Return checked keys of statistics, each once; None stands for all, one key may stand alone.

    Raises
    ------
    UnknownNameError
        If no statistic has that name, or none is named.

    Examples
    --------
    >>> keys_of("ei_ratio"), keys_of(["rate", "rate"])
    (['ei_ratio'], ['rate'])
    """
    if statistics is None:
        return list(STATISTICS)
    keys = [choose(key, STATISTICS, "statistic", where=where) for key in as_list(statistics)]
    if not keys:
        raise UnknownNameError("no statistic is named", where=where, valid=STATISTICS, remedy="leave it out for all")
    return keys


def summarise(
    recording: xr.Dataset | xr.DataTree,
    statistics: str | Iterable[str] | None = None,
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    method: str = "percentile",
    populations: str | Iterable[str] | None = None,
    keep_draws: bool = False,
    workers: int = WORKERS,
    scheduler: str | None = None,
) -> xr.Dataset:
    """Compute statistics of every population, with bootstrap intervals.

    Parameters
    ----------
    recording : xarray.DataTree or xarray.Dataset
        What ``eiplatform.open(path)`` gives, or one population of it.
    statistics : iterable of str, optional
        Keys of :data:`STATISTICS`; default: all for which some population has the signals.
    n_bootstrap : int
        Draws; samples and neurons are resampled in each.  0: values alone, without intervals.
    seed : int
        Of the resampling.  An interval depends on the seed and the data only, not on what else
        is asked for.
    level : float
        Nominal coverage of the intervals.
    method : {"percentile", "bca"}
        Kind of interval, see :func:`~eiplatform.statistics.kernels.hierarchical_bootstrap`.
    populations : iterable of str, optional
        Full names, e.g. ``"fc1/E"``; default: all.
    keep_draws : bool
        Keep the bootstrap draws (variable ``draws``), which :func:`summarise_seeds` needs for
        its bootstrap over seeds.
    workers : int
        Populations that are computed at the same time, in threads; each takes up to some
        hundred megabytes, however large the recording is.
    scheduler : str, optional
        Address of a ``dask.distributed`` scheduler; its workers compute the populations and
        must see the recording under the same path.

    Returns
    -------
    xarray.Dataset, dims (population, statistic)
        ``value``, ``low``, ``high``; ``n_samples``, ``n_neurons``, ``n_used``, ``n_excluded``;
        ``units``, ``exclusion``, ``note``, why a value is NaN, and ``caution``,
        what limits its meaning here.  Coordinates ``role``, ``label``, ``over``, ``comparable``.

    Raises
    ------
    UnknownNameError
        For an unknown statistic or population.
    StatisticError
        If a signal has NaN, or no population has the signals of any statistic.
    MissingDependencyError
        If `scheduler` is given and ``distributed`` is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> rng = np.random.default_rng(0)
    >>> exc = rng.exponential(size=(60, 4, 20))
    >>> data = population_dataset(
    ...     {"current_exc": exc, "current_inh": 0.5 * exc}, sample=np.arange(60), time=np.arange(4),
    ...     neuron=np.arange(20), dt=1.0, time_units="step", current_units="1", n_neurons=20, role="E")
    >>> table = summarise(data, n_bootstrap=100)
    >>> round(float(table["value"].sel(population="E", statistic="balance_index")), 6)
    0.5
    >>> str(table["note"].sel(population="E", statistic="ei_correlation_time").item())[:38]
    'the E-I correlation over time: 4 recor'
    """
    check_bootstrap(n_bootstrap, level, method, least=0)
    if seed < 0:
        raise StatisticError(f"the seed of the bootstrap is {seed}", valid="an integer of at least 0")
    found = populations_of(recording)
    if populations is not None:
        found = {name: found[choose(name, found, "population")] for name in as_list(populations)}
    keys = keys_of(statistics)
    supported = {
        key for name, data in found.items() for key in keys if not Population(data, name).missing(STATISTICS[key].needs)
    }
    options = {"n_bootstrap": n_bootstrap, "seed": seed, "level": level, "method": method}
    make = partial(_row, keys=keys, options=options)
    rows = spread(make, list(found.items()), workers=workers, scheduler=scheduler)
    if statistics is None and not supported:
        reduced = any("n" in data.data_vars for data in found.values())
        raise StatisticError(
            "no statistic can be computed from what was recorded"
            + (": its signals were reduced while it was recorded" if reduced else ""),
            where=", ".join(found),
            remedy="record with keep: raw (beside the reductions, if you like), or read eiplatform.store.reduced"
            if reduced
            else "record current_exc and current_inh, or spikes",
        )
    columns = [index for index, key in enumerate(keys) if statistics is not None or key in supported]
    table = _table([[row[index] for index in columns] for row in rows], found, [keys[index] for index in columns])
    table.attrs = _attrs(recording, **options)
    return table if keep_draws else table.drop_vars("draws")


def _row(item: tuple[str, xr.Dataset], keys: Sequence[str], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compute all statistics of one population, or say why they cannot be computed."""
    name, data = item
    population = Population(data, name)
    cells: list[dict[str, Any]] = []
    estimates: list[Estimate] = []
    places: list[int] = []
    for place, key in enumerate(keys):
        entry = STATISTICS[key]
        cell: dict[str, Any] = {number: float("nan") for number in _NUMBERS} | dict.fromkeys(_COUNTS, 0)
        cell |= {"units": entry.units(population.units), "exclusion": "", "note": "", "caution": ""}
        cell |= {"draws": np.full(options["n_bootstrap"], np.nan), "n_samples": population.n_samples}
        cells.append(cell)
        missing = population.missing(entry.needs)
        if missing:
            cell["note"] = f"not recorded: {', '.join(missing)}"
            continue
        try:
            estimates.append(entry.estimate(population))
            places.append(place)
            cell["caution"] = cautions(population, entry)
        except TooShortError as error:
            cell["note"] = f"{error.what}; enough: {error.valid}"
        except NotApplicableError as error:
            cell["note"] = error.what
    population.forget(tables=False)
    intervals = bootstrap_statistics([estimate.kernel for estimate in estimates], **options)
    for place, estimate, interval in zip(places, estimates, intervals, strict=True):
        cells[place] |= _cell(STATISTICS[keys[place]], estimate, interval, options["n_bootstrap"], options["level"])
    population.forget()
    return cells


def _cell(entry: Statistic, estimate: Estimate, interval: Interval, n_bootstrap: int, level: float) -> dict[str, Any]:
    """Return what the table says of one statistic of one population."""
    used = estimate.n_used(estimate.kernel.per_neuron())
    alone = estimate.covers_samples_only and estimate.kernel.n_samples == 1
    notes = []
    if used == 0:
        notes.append(f"{'no neuron left' if estimate.level == 'neuron' else 'undefined'}: {estimate.rule}")
    elif estimate.kernel.without:
        notes.append(f"no interval: {estimate.kernel.without}")
    elif interval.failed:
        notes.append(f"no interval: undefined in {interval.failed} of {n_bootstrap} draws")
    if used and alone:
        notes.append("one sample: no interval, since this value has one over samples only")
    elif used and estimate.kernel.n_samples == 1:
        notes.append("one sample: the interval covers neurons only")
    least, most = entry.bounds
    low, high = interval.low, interval.high
    if entry.is_share and np.isfinite(low):
        low, high = share_interval(interval.estimate, float(interval.draws.var()), used, level)
    return {
        "value": interval.estimate,
        # NaN stays NaN: it is the first argument.
        "low": float("nan") if alone else max(low, least),
        "high": float("nan") if alone else min(high, most),
        "n_neurons": estimate.n_neurons,
        "n_used": used,
        "n_excluded": estimate.n_neurons - used,
        "exclusion": estimate.rule,
        "note": "; ".join(notes),
        "draws": interval.draws,
    }


def _table(rows: list[list[dict[str, Any]]], found: Mapping[str, xr.Dataset], keys: list[str]) -> xr.Dataset:
    dims = ("population", "statistic")
    shape = (len(rows), len(keys))

    def column(name: str, dtype: type) -> np.ndarray:
        return np.array([[cell[name] for cell in row] for row in rows], dtype=dtype).reshape(shape)

    variables: dict[str, Any] = {
        name: (dims, column(name, float), {"long_name": text}) for name, text in _NUMBERS.items()
    }
    variables |= {name: (dims, column(name, int), {"long_name": text}) for name, text in _COUNTS.items()}
    variables |= {name: (dims, column(name, str), {"long_name": text}) for name, text in _TEXTS.items()}
    draws = np.stack([cell["draws"] for row in rows for cell in row]).reshape(*shape, len(rows[0][0]["draws"]))
    variables["draws"] = ((*dims, "draw"), draws, {"long_name": "bootstrap draws of the value"})
    entries = [STATISTICS[key] for key in keys]
    return xr.Dataset(
        variables,
        coords={
            "population": ("population", np.array(list(found), dtype=str)),
            "statistic": ("statistic", np.array(keys, dtype=str)),
            "role": ("population", np.array([str(data.attrs["role"]) for data in found.values()], dtype=str)),
            "label": ("statistic", np.array([entry.label for entry in entries], dtype=str)),
            "over": ("statistic", np.array([entry.over for entry in entries], dtype=str)),
            "comparable": ("statistic", np.array([entry.comparable for entry in entries], dtype=bool)),
        },
    )


def _attrs(recording: xr.Dataset | xr.DataTree, **options: Any) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        "schema": SUMMARY_SCHEMA,
        "interval": "bootstrap of samples and neurons, recentred on the value",
        **options,
    }
    if isinstance(recording, xr.DataTree):
        attrs |= {f"recording_{key}": recording.root.attrs[key] for key in ("id",) if key in recording.root.attrs}
        if not recording.root.attrs.get("complete", True):
            attrs["recording_problems"] = str(recording.root.attrs.get("problems", ""))
    return attrs
