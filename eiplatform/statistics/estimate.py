"""What a statistic computes of one population, before neurons are averaged and samples are resampled."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels import NeuronValues
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population

__all__ = ["Estimate", "shared"]

_Made = TypeVar("_Made")
_SHARED: WeakKeyDictionary[Population, dict[Hashable, Any]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Estimate:
    """A statistic of one population, ready to be evaluated for any weights of the samples.

    Attributes
    ----------
    kernel : NeuronValues
        Sample weights to values per neuron.
    neuron : array, shape (neuron,)
        Indices of the neurons.
    rule : str
        When a neuron is excluded (NaN).
    units : str
    attrs : dict
        The choices made: window, pairs, least number of spikes.
    level : {"neuron", "population"}
        Whether each neuron has a value of its own.  A value of the whole population is the mean of what
        `kernel` gives (value plus influence of each neuron), or the one number that it gives.
    n_pooled : int, optional
        Neurons behind a kernel that gives one number; its interval then covers samples only.
    """

    kernel: NeuronValues
    neuron: npt.NDArray[Any]
    rule: str
    units: str = "1"
    attrs: Mapping[str, Any] = field(default_factory=dict)
    level: str = "neuron"
    n_pooled: int | None = None

    @property
    def n_neurons(self) -> int:
        """Number of neurons considered."""
        return self.kernel.n_neurons if self.n_pooled is None else self.n_pooled

    def n_used(self, per_neuron: FloatArray) -> int:
        """Return how many neurons have a value, or contribute to the population's."""
        found = int(np.isfinite(per_neuron).sum())
        return found if self.n_pooled is None else self.n_pooled * found

    @property
    def covers_samples_only(self) -> bool:
        """Whether the interval covers samples only, because there is nothing to resample over neurons."""
        return self.n_pooled is not None


def shared(population: Population, key: Hashable, make: Callable[[], _Made]) -> _Made:
    """Return what `make` gives, made once per population: several statistics rest on the same passes over the data."""
    held = _SHARED.setdefault(population, {})
    if key not in held:
        held[key] = make()
    made: _Made = held[key]
    return made
