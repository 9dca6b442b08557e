"""What one side of a comparison rests on: the values of its seeds, and how samples and neurons move them.

Neurons of one network are not independent draws: all of them saw the
same samples.  So a seed keeps, beside its value, what resampling its samples does to the mean over
neurons and to the distribution over neurons.  Draw b weights the samples alike in every recording of as
many samples, so that what two sides share because they saw the same samples drops out of
their difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from eiplatform.statistics.kernels.crossed import CHUNK, Influences, NeuronValues, average, influences
from eiplatform.statistics.kernels.intervals import resample_counts
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["QUANTILES", "Group", "Seed", "evidence"]

QUANTILES = 50
"""Points at which distributions over neurons are compared."""

_POINTS = (np.arange(QUANTILES) + 0.5) / QUANTILES
_NONE = np.zeros((0, QUANTILES), dtype=np.float32)


@dataclass(frozen=True)
class Seed:
    """One recording's value of one statistic, and its uncertainty given its seed.

    Attributes
    ----------
    value : float
    n_samples, n_neurons : int
        Neurons with a value.
    sample_draws : array, shape (draw,)
        Deviations of the value when samples are resampled.
    variances : tuple of float
        Of the value when samples and when neurons are resampled, and of what both together add; empty unless the
        seed is alone.
    known : tuple of float
        Degrees of freedom with which the first two are known; empty: samples and neurons less one.
    quantiles : array, shape (point,)
        Of the values over neurons; empty for a value of the whole population.
    sample_quantiles, quantile_draws : array, shape (draw, point)
        Their deviations when samples, and when samples and neurons are resampled; in the latter the noise
        of single neurons counts once, and few samples or neurons give them Student's tails.
    """

    value: float
    n_samples: int
    n_neurons: int
    sample_draws: FloatArray
    variances: tuple[float, ...] = ()
    known: tuple[float, ...] = ()
    quantiles: FloatArray = field(default_factory=lambda: np.zeros(0))
    sample_quantiles: np.ndarray = field(default_factory=lambda: _NONE)
    quantile_draws: np.ndarray = field(default_factory=lambda: _NONE)

    @property
    def free(self) -> tuple[float, float]:
        """Degrees of freedom of samples and of neurons."""
        return self.n_samples - 1.0, self.n_neurons - 1.0

    def over_samples(self) -> tuple[float, float]:
        """Return the variance of the value from the choice of samples, and its degrees of freedom."""
        free = self.n_samples - 1
        return (float(self.sample_draws.var()) * (1 + 1 / free), float(free)) if free > 0 else (np.nan, np.nan)


@dataclass(frozen=True)
class Group:
    """One side of a comparison.

    Attributes
    ----------
    kind : {"network", "circuit", "summary"}
        Seeds of a network saw the same samples; realisations of a circuit share nothing.
    seeds : tuple of Seed
        Those with a value.
    mean, sd : float
        Over seeds; the standard deviation (ddof 1) is NaN for one.
    n : int
        Number of seeds, also where a summary has only their mean and standard deviation.
    """

    kind: str
    seeds: tuple[Seed, ...]
    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, kind: str, seeds: Sequence[Seed]) -> Group:
        """Join the seeds that have a value; several keep no draws of single neurons."""
        held = [seed for seed in seeds if np.isfinite(seed.value)]
        values = np.array([seed.value for seed in held])
        if len(held) > 1:
            held = [replace(seed, quantile_draws=_NONE) for seed in held]
        sd = float(values.std(ddof=1)) if len(held) > 1 else float("nan")
        return cls(kind, tuple(held), float(values.mean()) if held else float("nan"), sd, len(held))

    def scaled(self, factor: float) -> Group:
        """Return the group with all values in another unit."""
        if factor == 1:
            return self
        seeds = tuple(
            replace(
                seed,
                value=factor * seed.value,
                sample_draws=factor * seed.sample_draws,
                variances=tuple(factor**2 * part for part in seed.variances),
                quantiles=factor * seed.quantiles,
                sample_quantiles=factor * seed.sample_quantiles,
                quantile_draws=factor * seed.quantile_draws,
            )
            for seed in self.seeds
        )
        return Group(self.kind, seeds, factor * self.mean, factor * self.sd, self.n)

    def shared(self) -> tuple[float, float]:
        """Return the variance that the seeds' mean has from the samples they all saw, and its freedom.

        It is the covariance of the draws of different seeds; what a seed makes of the samples alone is part
        of the variance over seeds already.
        """
        draws = np.stack([seed.sample_draws for seed in self.seeds])
        pairs = self.n * (self.n - 1)
        covariance = float(draws.sum(axis=0).var() - draws.var(axis=1).sum()) / pairs
        free = min(seed.n_samples for seed in self.seeds) - 1
        return (max(covariance, 0.0) * (1 + 1 / free), float(free)) if free > 0 else (np.nan, np.nan)


def evidence(
    units: Sequence[NeuronValues],
    distributed: Sequence[bool],
    *,
    alone: bool = True,
    n_bootstrap: int = 1000,
    seed: int = 0,
    stream: int = 0,
) -> list[Seed]:
    """Resample the samples and neurons of one recording, for several statistics at once.

    Parameters
    ----------
    units : sequence of NeuronValues
        All of the same samples.
    distributed : sequence of bool
        Whether each neuron has a value of its own, so that there is a distribution over neurons.
    alone : bool
        It is the only seed of its side, so that its neurons count too.  One sample cannot be resampled.
    n_bootstrap, seed : int
    stream : int
        Neurons of different sides are drawn from different streams, samples from one.
    """
    rows = [unit.per_neuron() for unit in units]
    kept = [np.flatnonzero(np.isfinite(row)) for row in rows]
    here = [index for index, places in enumerate(kept) if places.size]
    n_samples = units[0].n_samples if units else 0
    if n_samples < 2:
        n_bootstrap = 0
    levels = 4 if alone else 1
    draws = {index: np.empty((levels, n_bootstrap)) for index in here}
    # Samples; neurons; samples again for every other neuron, and for the rest of them.
    curves = {
        index: np.empty((levels, n_bootstrap, QUANTILES), dtype=np.float32)
        for index in here
        if distributed[index] and kept[index].size > 1
    }
    samples_rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    neurons_rng = {
        size: np.random.default_rng(np.random.SeedSequence([seed, 1, stream, size]))
        for size in sorted({kept[index].size for index in here})
    }
    ones = np.ones((1, n_samples))
    whole = {index: units[index].moved(ones, rows[index][None])[0, kept[index]] for index in here if alone}
    chunk = max(1, CHUNK // max([n_samples, *(unit.n_neurons for unit in units)], default=1))
    for start in range(0, n_bootstrap if here else 0, chunk):
        size = min(chunk, n_bootstrap - start)
        weights = resample_counts(samples_rng, size, n_samples)
        drawn = {n: rng.integers(0, n, size=(size, n)) for n, rng in neurons_rng.items() if alone}
        part = slice(start, start + size)
        for index in here:
            unit, places = units[index], kept[index]
            every = unit.values(weights)
            values, row = every[:, places], rows[index][places]
            shown, equal = [values], np.ones((1, places.size))
            draws[index][0, part] = average(values, equal, unit.geometric)
            if alone:
                chosen, influence = drawn[places.size], whole[index]
                again = np.take_along_axis(unit.moved(weights, every)[:, places], chosen, axis=1)
                moved = [average(table, equal, unit.geometric) for table in (influence[chosen], again)]
                draws[index][1:, part] = *moved, moved[1] - moved[0] - draws[index][0, part]
                row = row[chosen]
                if (
                    unit.influence is not None
                ):  # what the neurons drawn do to the values of the others moves all of these
                    row = row + (moved[0] - row.mean(axis=1))[:, None]
                shown += [row, values[:, ::2], values[:, 1::2]]
            if index in curves:
                for level, table in enumerate(shown):
                    curves[index][level, part] = _quantiles(table)
    of_each = influences(units, rows) if n_bootstrap else []
    found = []
    for index, (unit, row, places) in enumerate(zip(units, rows, kept, strict=True)):
        row = row[places]
        value = float(average(row[None], np.ones((1, row.size)), unit.geometric)[0]) if row.size else float("nan")
        quantiles = _quantiles(row[None])[0] if distributed[index] and row.size > 1 else np.zeros(0)
        made = Seed(value, n_samples, row.size, np.zeros(0), quantiles=quantiles)
        if index in draws and n_bootstrap:
            made = _resampled(made, draws[index], of_each[index] if unit.moments else None, curves.get(index))
        found.append(made)
    return found


def _resampled(made: Seed, draws: FloatArray, of_each: Influences | None, curves: np.ndarray | None) -> Seed:
    """Add what resampling says; the levels are samples, neurons, both, and what both together add."""
    deviation, wider, known = draws[0] - draws[0].mean(), 1.0, made.free
    if of_each is not None:
        if of_each.samples.size and deviation.var() > 0:
            wider = float(np.sqrt((of_each.samples**2).sum() / deviation.var()))
        known = of_each.known(made.free)
    deviation *= wider
    made = replace(made, sample_draws=deviation, known=known)
    alone = len(draws) > 1
    if alone:
        made = replace(made, variances=(float(deviation.var()), float(draws[1].var()), float(draws[3].var())))
    if curves is None or not made.quantiles.size:
        return made
    deviation = curves - curves.mean(axis=1, keepdims=True)
    made = replace(made, sample_quantiles=np.asarray(wider * deviation[0], dtype=np.float32))
    if not alone:
        return made
    # The values of neurons hold the noise of their own, which resampling neurons shows; from the samples
    # comes only what they do to all neurons, that is to both halves of them.
    whole, together = float(deviation[0].var(axis=0).sum()), float((deviation[2] * deviation[3]).mean(axis=0).sum())
    share = min(max(together / whole, 0.0), 1.0) if whole > 0 else 0.0
    n_draws, (samples, neurons) = deviation.shape[1], made.free
    parts = (
        (deviation[0], wider * np.sqrt(share * (1 + 1 / samples)), known[0]),
        (deviation[1], np.sqrt(1 + 1 / neurons), neurons),
    )
    drawn = sum(part * (scale * heavy(n_draws, free)[:, None]) for part, scale, free in parts)
    return replace(made, quantile_draws=np.asarray(drawn, dtype=np.float32))


def heavy(n_draws: int, freedom: float) -> FloatArray:
    """Return factors that turn normal draws into Student's with `freedom`, the same at every call."""
    if not np.isfinite(freedom):
        return np.ones(n_draws)
    square = np.random.default_rng(np.random.SeedSequence([n_draws, 5])).chisquare(freedom, n_draws)
    return np.asarray(np.sqrt(freedom / square))


def _quantiles(table: FloatArray) -> FloatArray:
    """Return the quantile function of every row at the points, shape (draw, point); undefined values are left out."""
    ordered = np.sort(table, axis=1)
    n = np.isfinite(ordered).sum(axis=1, keepdims=True)
    place = np.clip((_POINTS * n).astype(np.int64), 0, np.maximum(n - 1, 0))
    found: FloatArray = np.take_along_axis(ordered, place, axis=1)
    return found
