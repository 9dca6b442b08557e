"""What to record, as data: readable from YAML, hashable, stored in the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from eiplatform.config import parse_model, read_yaml
from eiplatform.errors import match_names

__all__ = ["RecordingSpec", "load_spec"]

Positive = Annotated[int, Field(ge=1)]


class RecordingSpec(BaseModel):
    """Which populations, signals, neurons, samples and steps of a network to record.

    Attributes
    ----------
    populations : tuple of str
        Names or wildcards, e.g. ``("fc*/E",)``.
    signals : tuple of str
        Names or wildcards; a population records those of them that it has.
    neurons : int or None
        That many at random per population (all if it has no more); None records all.
    samples : int or None
        That many samples at random from the split, in the split's order; None records all.
    split : {"train", "validation", "test"}
    steps : int or None
        Number of time steps; None takes the network's own T.
    input : {"constant", "bernoulli"}
        How an image drives the network: the same at every step, or as spike trains in which
        each pixel fires with its intensity as probability per step.
    warmup : int
        Steps that are run first and not kept (the network starts at rest).
    every : int
        Keep every k-th step.
    seed : int
        Seed of all random choices.
    shard_samples : int
        Samples per shard (and per forward pass).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    populations: tuple[str, ...] = ("*",)
    signals: tuple[str, ...] = ("*",)
    neurons: Positive | None = None
    samples: Positive | None = None
    split: Literal["train", "validation", "test"] = "test"
    steps: Positive | None = None
    input: Literal["constant", "bernoulli"] = "constant"
    warmup: Annotated[int, Field(ge=0)] = 0
    every: Positive = 1
    seed: Annotated[int, Field(ge=0)] = 0
    shard_samples: Positive = 100

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
        signals = set(match_names(self.signals, offered, "signal"))
        resolved = {name: frozenset(signals.intersection(available[name])) for name in chosen}
        return {name: wanted for name, wanted in resolved.items() if wanted}

    def choose_neurons(self, population: str, n_neurons: int) -> np.ndarray:
        """Return the sorted indices of the recorded neurons of a population, shape (neuron,)."""
        if self.neurons is None or self.neurons >= n_neurons:
            return np.arange(n_neurons)
        # The choice depends on the name, not on which other populations are recorded.
        rng = np.random.default_rng([self.seed, *population.encode()])
        return np.sort(rng.choice(n_neurons, self.neurons, replace=False))

    def choose_samples(self, n_samples: int) -> np.ndarray:
        """Return the sorted positions of the recorded samples in the split, shape (sample,)."""
        if self.samples is None or self.samples >= n_samples:
            return np.arange(n_samples)
        return np.sort(np.random.default_rng(self.seed).choice(n_samples, self.samples, replace=False))

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
        if self.input == "constant":
            return images
        spikes = np.empty((steps, *images.shape), dtype=images.dtype)
        for index, (image, identifier) in enumerate(zip(images, ids.tolist(), strict=True)):
            rng = np.random.default_rng([self.seed, 1, int(identifier)])
            spikes[:, index] = rng.random((steps, *image.shape)) < image
        return spikes


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
