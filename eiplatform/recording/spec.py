"""What to record, as data: readable from YAML, hashable, stored in the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from eiplatform.config import parse_model, read_yaml
from eiplatform.datasets.encoding import spike_trains
from eiplatform.errors import ConfigError, match_names
from eiplatform.files import content_hash

__all__ = ["KEEP", "Histogram", "PerClass", "RecordingSpec", "load_spec"]

Positive = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Keep = Literal["raw", "spikes-only", "moments", "covariance", "histogram", "quantiles"]
KEEP: tuple[Keep, ...] = ("raw", "spikes-only", "moments", "covariance", "histogram", "quantiles")


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class PerClass(BaseModel):
    """That many samples of every class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_class: Positive


class Histogram(BaseModel):
    """Bins of ``keep: histogram``.

    Attributes
    ----------
    bins : int
        Of equal width, between the ends of the range; values outside are counted apart.
    ranges : dict of str to (float, float)
        Per signal; a signal that is not named takes the range that the first samples span,
        widened by half its length on either side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: Positive = 100
    ranges: dict[str, tuple[float, float]] = {}

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for signal, (low, high) in self.ranges.items():
            if not -np.inf < low < high < np.inf:
                raise ValueError(f"the range of '{signal}' does not rise from {low} to {high}")
        return self


class RecordingSpec(BaseModel):
    """Which populations, signals, neurons, samples and steps of a network to record, and what to keep.

    Attributes
    ----------
    populations, signals : tuple of str
        Names, wildcards (``"fc*/E"``) or regular expressions (``"re:fc[12]/."``); a population
        records those of the signals that it has.
    neurons : int, tuple of int, "per-channel" or None
        That many at random per population (all if it has no more); indices; one at random of
        every channel of a convolutional layer (all neurons of other layers); None: all.
    samples : int, tuple of int, PerClass or None
        That many at random; ids; that many of every class; None: all.  Always in the split's order.
    split : {"train", "validation", "test"}
    steps : int or None
        Number of time steps, also more than in training; None takes the network's own T.
    input : {"constant", "bernoulli", "poisson"} or None
        How an image drives the network: the same at every step, or as spike trains in which each
        pixel fires with its intensity as probability, or as mean count, per step; None: as in
        training.  Event data come as they are.
    warmup : int
        Steps that are run first and not kept (the network starts at rest).
    every : int
        Keep every k-th step.
    keep : tuple of {"raw", "spikes-only", "moments", "covariance", "histogram", "quantiles"}
        Signals as they are, or reduced while they are recorded (:mod:`eiplatform.store.reduced`).
    histogram : Histogram
    dtype : {"float32", "float16"}
        Of raw signals.
    seed : int
        Seed of all random choices.
    shard_samples : int or None
        Samples per shard: what a crash can lose; None: as many as take 64 MiB, from 100 to 1000.
    batch_samples : int or None
        Samples per forward pass; None: as many as there are in a shard, at most 100.

    Examples
    --------
    >>> spec = RecordingSpec(populations=("*/E",), keep="moments", samples={"per_class": 2})
    >>> spec.keep, spec.choose_samples(np.arange(4), np.array([0, 0, 1, 1])).tolist()
    (('moments',), [0, 1, 2, 3])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    populations: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ("*",)
    signals: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ("*",)
    neurons: Positive | tuple[Index, ...] | Literal["per-channel"] | None = None
    samples: Positive | tuple[int, ...] | PerClass | None = None
    split: Literal["train", "validation", "test"] = "test"
    steps: Positive | None = None
    input: Literal["constant", "bernoulli", "poisson"] | None = None
    warmup: Index = 0
    every: Positive = 1
    keep: Annotated[tuple[Keep, ...], BeforeValidator(_listed), Field(min_length=1)] = ("raw",)
    histogram: Histogram = Histogram()
    dtype: Literal["float32", "float16"] = "float32"
    seed: Index = 0
    shard_samples: Positive | None = None
    batch_samples: Positive | None = None

    @property
    def batch(self) -> int:
        """Samples per forward pass."""
        return self.batch_samples or min(self.shard_samples or 100, 100)

    @property
    def hash(self) -> str:
        """Hash of all fields."""
        return content_hash(self.model_dump(mode="json"))

    def resolve(self, available: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
        """Return the signals to record of every chosen population.

        Parameters
        ----------
        available : mapping of str to iterable of str
            Signals that each population has.

        Raises
        ------
        UnknownNameError
            If a pattern matches no population, or no signal of the chosen populations.
        """
        chosen = match_names(self.populations, available, "population")
        offered = list(dict.fromkeys(signal for name in chosen for signal in available[name]))
        patterns = ("spikes",) if self.keep == ("spikes-only",) else self.signals
        signals = set(match_names(patterns, offered, "signal"))
        for signal in self.histogram.ranges:
            match_names([signal], offered, "signal")
        resolved = {name: frozenset(signals.intersection(available[name])) for name in chosen}
        return {name: wanted for name, wanted in resolved.items() if wanted}

    def choose_neurons(self, population: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return the sorted indices of the recorded neurons of a population.

        Parameters
        ----------
        population : str
            The choice depends on the name, not on which other populations are recorded.
        shape : tuple of int
            ``(neurons,)`` or ``(channels, rows, columns)``.

        Returns
        -------
        array of int, shape (neuron,)

        Raises
        ------
        ConfigError
            If a named neuron does not exist.
        """
        n_neurons = int(np.prod(shape))
        rng = np.random.default_rng([self.seed, *population.encode()])
        if isinstance(self.neurons, tuple):
            wrong = [index for index in self.neurons if index >= n_neurons]
            if wrong or not self.neurons:
                raise ConfigError(
                    f"neurons {wrong} do not exist" if wrong else "no neurons are named",
                    where=f"neurons of '{population}'",
                    valid=f"0 to {n_neurons - 1}",
                )
            return np.unique(self.neurons)
        if self.neurons == "per-channel" and len(shape) > 1:
            places = n_neurons // shape[0]
            return np.arange(shape[0]) * places + rng.integers(places, size=shape[0])
        if not isinstance(self.neurons, int) or self.neurons >= n_neurons:
            return np.arange(n_neurons)
        return np.sort(rng.choice(n_neurons, self.neurons, replace=False))

    def choose_samples(self, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the sorted positions of the recorded samples in the split.

        Parameters
        ----------
        ids, labels : array, shape (sample,)
            Of the whole split.

        Raises
        ------
        ConfigError
            If the split has fewer samples, or an id does not exist or is named twice.
        """
        where, n_samples = f"samples of the {self.split} split", len(ids)
        rng = np.random.default_rng(self.seed)
        if self.samples is None:
            return np.arange(n_samples)
        if isinstance(self.samples, int):
            if self.samples > n_samples:
                raise ConfigError(f"{self.samples} were asked for", where=where, valid=f"1 to {n_samples}")
            return np.sort(rng.choice(n_samples, self.samples, replace=False))
        if isinstance(self.samples, PerClass):
            if len(labels) and labels.min() < 0:
                raise ConfigError(
                    "the classes of these samples are not known", where=where, remedy="give the labels too, or a number"
                )
            of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
            fewest = min(map(len, of_class), default=0)
            if self.samples.per_class > fewest:
                raise ConfigError(
                    f"{self.samples.per_class} of every class were requested", where=where, valid=f"at most {fewest}"
                )
            return np.sort(np.concatenate([rng.choice(c, self.samples.per_class, replace=False) for c in of_class]))
        positions = {identifier: position for position, identifier in enumerate(ids.tolist())}
        wrong = [identifier for identifier in self.samples if identifier not in positions]
        twice = [identifier for identifier, n in Counter(self.samples).items() if n > 1]
        if wrong or twice or not self.samples:
            what = f"ids {wrong[:5]} do not exist" if wrong else f"ids {twice[:5]} are named more than once"
            raise ConfigError(
                what if self.samples else "no ids are named",
                where=where,
                valid=f"each at most once, of {n_samples} from {ids.min()} to {ids.max()}",
            )
        return np.unique([positions[identifier] for identifier in self.samples])

    def drive(self, images: np.ndarray, ids: np.ndarray, steps: int) -> np.ndarray:
        """Return what the network sees of some images.

        Parameters
        ----------
        images : array, shape (sample, ...)
            In [0, 1].
        ids : array of int, shape (sample,)
            A sample's spike trains depend on its id, not on the samples beside it.
        steps : int

        Returns
        -------
        array
            The images themselves (constant), or spikes of shape (steps, sample, ...).
        """
        return spike_trains(images, ids, steps, self.input or "constant", self.seed)


def load_spec(path: str | Path | None, **overrides: Any) -> RecordingSpec:
    """Read a recording spec from YAML.

    Parameters
    ----------
    path : str or Path or None
        YAML file; None takes the defaults.
    **overrides
        Fields that override the file; None leaves a field as it is.

    Raises
    ------
    ConfigError
        For an unknown field or an impossible value.

    Examples
    --------
    >>> load_spec(None, steps=200, neurons=None).steps
    200
    """
    data = {} if path is None else read_yaml(path)
    data |= {name: value for name, value in overrides.items() if value is not None}
    return parse_model(RecordingSpec, data, where="recording spec" if path is None else str(path))
