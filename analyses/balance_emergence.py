"""When in training does the balance of every layer tighten or loosen, and how fast?

Networks recorded while they are trained, several seeds.  Every moment is compared with the same network before
training (epoch 0, the null), seed by seed, and with summaries of cortical circuits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result, defined
from eiplatform.analyses.parts.findings import layers
from eiplatform.analyses.parts.inputs import (
    Series,
    Summaries,
    excitatory,
    require,
    samples_of,
)
from eiplatform.analyses.parts.seed_tables import (
    about,
    approach_findings,
    changed,
    reference_tables,
    tightness_findings,
    tightness_table,
    type_name,
)
from eiplatform.analyses.parts.seeds import (
    approach,
    axes_of,
    changes,
    coordinates,
    place_of,
    seed_values,
    stacked,
    tightness,
)
from eiplatform.analyses.parts.tables import Table, value_text
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.statistics.kernels.contrasts import paired
from eiplatform.statistics.references import reference_table
from eiplatform.statistics.summary import keys_of
from eiplatform.store.reader import open_recording
from eiplatform.store.series import is_series, iterations_per_epoch, steps_of

__all__ = ["half_way", "BalanceEmergence"]

_DIMS = ("setting", "layer_type", "epoch", "population", "statistic")


class BalanceEmergence(Analysis):
    """The statistics of every layer over training."""

    question = "When in training does the balance of every layer tighten or loosen?"
    place = 30

    def run(
        self,
        series: Series,
        references: Summaries = (),
        *,
        statistics: str | Sequence[str] | None = None,
        level: float = 0.95,
    ) -> Result:
        """Follow the statistics of every layer over training.

        Parameters
        ----------
        series : sequence of path
            Recordings made while training (:mod:`eiplatform.store.series`), one per seed and setting (input and
            steps), with one or more types of layers, all at the same moments, the untrained network among them.
        references : sequence of path
            Summaries of circuits.
        statistics : str or sequence of str, optional
            Keys of :data:`eiplatform.statistics.STATISTICS`; default: all that were recorded.
        level : float
            Nominal coverage of all intervals.

        Returns
        -------
        xarray.Dataset, dims (setting, layer_type, epoch, population, statistic)
            ``seed_value`` (with seed); ``value``, the mean over seeds with Student's interval (``_low``,
            ``_high``); ``change`` from epoch 0, paired by seed, with ``_low``, ``_high``, ``_p``, ``_p_exact``,
            ``_n`` and ``_q`` (false discovery rate over all cells); ``tightness`` likewise per ``sense``;
            ``half`` (without epoch): after how many epochs half of the final change was reached for the first
            time, mean over seeds with interval, where the final change differs from zero (q < 0.05);
            ``accuracy`` (setting, layer_type, epoch) of the recorded samples, where the readout was recorded whole;
            references, ``distance`` and ``approach`` as in :class:`~eiplatform.analyses.ei_versus_bn.EIVersusBN`.

        Raises
        ------
        ConfigError
            If something is not a series, or a series is given twice.
        StatisticError
            If the moments or seeds differ, epoch 0 is missing, or there is a single seed.
        """
        found: dict[tuple[str, str, int], dict[float, xr.DataTree]] = {}
        for path in map(Path, series):
            if not is_series(path):
                raise ConfigError("not a series of recordings made while training", where=str(path))
            per_epoch = iterations_per_epoch(path)
            moments: dict[float, xr.DataTree] = {
                step / per_epoch: open_recording(part) for step, part in steps_of(path).items()
            }
            first = next(iter(moments.values()), None)
            if first is None or 0.0 not in moments:
                raise StatisticError("the untrained network (epoch 0) was not recorded", where=str(path))
            found[place_of(first, found, "a series", str(path))] = moments
        if not found:
            raise ConfigError("no series was given", where="inputs")
        settings, layer_types, seeds = axes_of(found)
        epochs = list(next(iter(found.values())))
        _check(found, settings, layer_types, seeds, epochs)
        keys = keys_of(statistics)
        trees = [tree for moments in found.values() for tree in moments.values()]
        populations = list(dict.fromkeys(name for tree in trees for name in excitatory(tree)))
        values = stacked(
            [
                [
                    [[found[setting, layer_type, seed][e] for e in epochs] for layer_type in layer_types]
                    for setting in settings
                ]
                for seed in seeds
            ],
            populations,
            keys,
        )
        kept = [index for index, _ in enumerate(keys) if np.isfinite(values[..., index]).any()]
        keys, values = [keys[index] for index in kept], values[..., kept]
        null = np.broadcast_to(values[:, :, :, :1], values.shape)
        change = changes("change", paired(values[:, :, :, 1:], null[:, :, :, 1:], level=level), _DIMS)
        tighter = tightness(values[:, :, :, 1:], null[:, :, :, 1:], keys, _DIMS, level)
        coords = coordinates(populations, keys, setting=settings, layer_type=layer_types, epoch=epochs, seed=seeds)
        result = xr.Dataset(
            {
                "seed_value": (("seed", *_DIMS), values),
                **seed_values("value", values, _DIMS, level),
                "accuracy": (
                    ("setting", "layer_type", "epoch"),
                    [
                        [
                            [
                                np.mean([_accuracy(found[setting, layer_type, seed][e]) for seed in seeds])
                                for e in epochs
                            ]
                            for layer_type in layer_types
                        ]
                        for setting in settings
                    ],
                ),
            },
            coords=coords,
        )
        later = xr.Dataset({**change, **tighter}, coords={**coords, "epoch": epochs[1:]})
        result = result.merge(later.reindex(epoch=epochs), compat="no_conflicts")
        final = later["change_q"].isel(epoch=-1).values
        halves = np.where(final < 0.05, half_way(np.array(epochs), values), np.nan)
        half = xr.Dataset(
            seed_values("half", halves, tuple(dim for dim in _DIMS if dim != "epoch"), level), coords=coords
        )
        result = result.merge(half, compat="no_conflicts")
        result = result.merge(reference_table(references or (), keys), compat="no_conflicts")
        result = result.merge(approach(values, null, result, _DIMS, level), compat="no_conflicts")
        return self.result(
            result,
            trees,
            level=level,
            n_seeds=len(seeds),
            n_samples=[len(samples_of(found[setting, layer_types[0], seeds[0]][0.0])) for setting in settings],
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Yield the tables of ``balance_emergence``: every statistic over training, tightness, distances."""
        layers = [str(name) for name in result["population"].values]
        epochs = [f"{epoch:.3g}" for epoch in result["epoch"].values]
        for setting in result["setting"].values:
            for layer_type in result["layer_type"].values:
                one = result.sel(setting=setting, layer_type=layer_type)
                rows = []
                for key in defined(one, one["statistic"].values.tolist()):
                    for layer in layers:
                        cell = one.sel(statistic=key, population=layer)
                        if not bool(cell["value"].notnull().any()):
                            continue
                        texts = [value_text(cell.isel(epoch=index)) for index in range(len(epochs))]
                        final = changed(cell.isel(epoch=-1), "change")
                        half = value_text(cell, "half")
                        rows.append((f"{cell['label'].item()}, {layer}", *texts, final, half))
                if bool(one["accuracy"].notnull().any()):
                    accuracy = [f"{100 * float(value):.1f} %" for value in one["accuracy"].values]
                    rows.append(("accuracy on the recorded samples, mean of seeds", *accuracy, "", ""))
                yield Table(
                    f"{type_name(layer_type)} over training ({setting})",
                    ("statistic, layer", *(f"epoch {epoch}" for epoch in epochs), "change", "half after (epochs)"),
                    tuple(rows),
                    "half after: epochs until half of the final change was reached for the first time, where q < 0.05. "
                    + about(result),
                )
        yield tightness_table(result.isel(epoch=-1), "By how much training tightened balance, at the end")
        yield from reference_tables(result)

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say what training changes, how soon, and how it moves networks to cortex."""
        last = result.isel(epoch=-1)
        yield from tightness_findings(last)
        for setting, layer_type in product(result["setting"].values, result["layer_type"].values):
            one = result.sel(setting=setting, layer_type=layer_type)
            for key in defined(one, ["ei_ratio", "ei_correlation_time", "ei_correlation_samples"], "half"):
                half = one.sel(statistic=key)
                names = half["population"].values[np.isfinite(half["half"].values)]
                times = [f"{layers([name])} {value_text(half.sel(population=name), 'half')}" for name in names]
                yield (
                    f"{type_name(layer_type)} ({setting}): half of the final change of the {half['label'].item()} is "
                    f"reached after this number of epochs: {', '.join(times)}."
                )
        yield from approach_findings(last)


def _check(
    found: dict[tuple[str, str, int], dict[float, xr.DataTree]],
    settings: list[str],
    layer_types: list[str],
    seeds: list[int],
    epochs: list[float],
) -> None:
    for setting in settings:
        for layer_type in layer_types:
            for seed in seeds:
                if (setting, layer_type, seed) not in found:
                    raise StatisticError(
                        f"no series with layers of type {layer_type}, seed {seed}, {setting}", where="inputs"
                    )
                moments = list(found[setting, layer_type, seed])
                if moments != epochs:
                    raise StatisticError(
                        f"seed {seed} with layers of type {layer_type} was recorded at other moments: {moments}",
                        valid=map(str, epochs),
                    )


def _accuracy(tree: xr.DataTree) -> float:
    """Return the part of the recorded samples that the readout classifies rightly; NaN without a whole readout."""
    if "readout" not in tree.children:
        return np.nan
    data = tree["readout/E"].to_dataset()
    if data.sizes["neuron"] < data.attrs["n_neurons"] or "label" not in data.coords:
        return np.nan
    require(data, ("current_net",), "readout/E")
    return float((data["current_net"].mean("time").argmax("neuron") == data["label"]).mean())


def half_way(epochs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return when half of the final change was reached for the first time, by linear interpolation.

    Parameters
    ----------
    epochs : array, shape (epoch,)
    values : array, shape (seed, setting, layer_type, epoch, ...)

    Returns
    -------
    array, shape (seed, setting, layer_type, ...)
        NaN where a value is missing.

    Examples
    --------
    >>> values = np.array([0.0, 1.0, 4.0, 4.0]).reshape(1, 1, 1, 4, 1)
    >>> half_way(np.array([0.0, 1.0, 2.0, 3.0]), values).item()
    1.3333333333333333
    """
    part = np.moveaxis(values, 3, -1)
    change = part - part[..., :1]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = change / change[..., -1:]
    found = np.full(share.shape[:-1], np.nan)
    for cell in np.ndindex(found.shape):
        one = share[cell]
        if np.isfinite(one).all():
            index = int(np.flatnonzero(one >= 0.5)[0])
            step = (0.5 - one[index - 1]) / (one[index] - one[index - 1])
            found[cell] = epochs[index - 1] + step * (epochs[index] - epochs[index - 1])
    return found
