"""A spec resolved against a network and a split: everything that is known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError
from eiplatform.memory import available_memory, in_units
from eiplatform.networks.checkpoint import tensors_hash
from eiplatform.networks.description import PopulationInfo
from eiplatform.recording.spec import RecordingSpec
from eiplatform.recording.wiring import inhibitory_weight_cv

__all__ = ["Plan", "Recordable", "check_memory", "evaluation", "make_plan", "shown", "weights_hash"]


SHARD_BYTES = 2**26
"""About what a shard takes in memory if the spec leaves its size open."""


class Recordable(Protocol):
    """What a network offers to be recorded; :class:`eiplatform.networks.Network` does."""

    steps: int
    training: bool

    def populations(self) -> Mapping[str, PopulationInfo]:
        """Return all populations by name, in order."""

    def run(
        self,
        x: Tensor,
        steps: int | None = None,
        record: Any = None,
        state: Any = None,
        keep: Any = None,
        select: Any = None,
    ) -> Any:
        """Run from rest; see :meth:`eiplatform.networks.Network.run`."""

    def parameters(self) -> Any:
        """Return the parameters, which tell device and type."""

    def train(self, mode: bool = True) -> Any:
        """Set the mode."""


@dataclass(frozen=True)
class Plan:
    """What will be recorded.

    Attributes
    ----------
    spec : RecordingSpec
        With what it left open filled in.
    infos : dict of str to PopulationInfo
    signals : dict of str to frozenset of str
        Per recorded population.
    neurons : dict of str to array of int
    positions : array of int, shape (sample,)
        In the split.
    steps : int
        That are run.
    time : array of int, shape (time,)
        Steps that are kept.
    """

    spec: RecordingSpec
    infos: dict[str, PopulationInfo]
    signals: dict[str, frozenset[str]]
    neurons: dict[str, np.ndarray]
    positions: np.ndarray
    steps: int
    time: np.ndarray

    @property
    def shard_samples(self) -> int:
        """Samples per shard; each shard costs the same whatever it holds, but is lost as a whole."""
        if self.spec.shard_samples is not None:
            return self.spec.shard_samples
        return min(max(SHARD_BYTES // max(1, self._sample_bytes), 100), 1000)

    @property
    def stored_bytes(self) -> int:
        """Bytes in memory of all signals that are stored as they are."""
        return len(self.positions) * self._sample_bytes

    @property
    def _sample_bytes(self) -> int:
        per_step = 0
        for name in self.signals:
            stored = set(self.stored(name))
            per_step += len(self.neurons[name]) * (4 * len(stored - {"spikes"}) + len(stored & {"spikes"}))
        return len(self.time) * per_step

    @property
    def shards(self) -> list[np.ndarray]:
        """Positions of the samples of each shard; the same whatever the number of processes."""
        size = self.shard_samples
        return [self.positions[start : start + size] for start in range(0, len(self.positions), size)]

    def stored(self, population: str) -> tuple[str, ...]:
        """Return the signals of a population that are stored as they are."""
        names = sorted(self.signals[population])
        if "raw" in self.spec.keep:
            return tuple(names)
        return tuple(name for name in names if name == "spikes" and "spikes-only" in self.spec.keep)

    @property
    def least_memory(self) -> int:
        """Bytes that are needed whatever happens: one shard's signals, and one layer's spikes of a batch."""
        samples = min(self.shard_samples, len(self.positions))
        values = sum(len(self.neurons[name]) * len(self.stored(name)) for name in self.signals)
        largest = max(info.n_neurons for info in self.infos.values())
        batch = min(self.spec.batch, samples)
        return 4 * (samples * len(self.time) * values + batch * self.steps * largest)

    @property
    def reductions(self) -> frozenset[str]:
        """What is reduced while it is recorded."""
        return frozenset(self.spec.keep) - {"raw", "spikes-only"}


def make_plan(network: Recordable, data: Split, spec: RecordingSpec) -> Plan:
    """Resolve a spec.

    Raises
    ------
    UnknownNameError
        If the spec names what does not exist.
    ConfigError
        If it leaves nothing to record, or needs more memory than there is.
    """
    if spec.input is None:
        spec = spec.model_copy(update={"input": getattr(network, "encoding", "constant")})
    infos = dict(network.populations())
    for name, spread in inhibitory_weight_cv(network).items():
        for population in (key for key in infos if key.rpartition("/")[0] == name):
            info = infos[population]
            infos[population] = info._replace(attrs={**info.attrs, "inhibitory_weight_cv": spread})
    signals = spec.resolve({name: info.signals for name, info in infos.items()})
    neurons = {name: spec.choose_neurons(name, infos[name].shape) for name in signals}
    positions = spec.choose_samples(data.ids, data.labels)
    if not len(positions):
        raise ConfigError(f"the {spec.split} split has no samples", where="recording")
    frames = data.take(positions[:1]).images.shape[1] if data.sequence else None
    steps = spec.steps or frames or network.steps
    if frames is not None and (spec.input != "constant" or steps != frames):
        raise ConfigError(
            f"event data of {frames} frames cannot be shown as '{spec.input}' for {steps} steps",
            where="recording",
            valid=f"input constant, steps {frames}",
        )
    if spec.warmup >= steps:
        raise ConfigError(f"a warm-up of {spec.warmup} leaves nothing of {steps} steps", where="recording")
    plan = Plan(spec, infos, signals, neurons, positions, steps, np.arange(spec.warmup, steps, spec.every))
    plan = replace(plan, spec=spec.model_copy(update={"shard_samples": plan.shard_samples}))
    check_memory(plan.least_memory, plan)
    return plan


@contextmanager
def evaluation(network: Recordable) -> Iterator[Tensor]:
    """Run a network in evaluation mode and without gradients; yields a parameter, for device and type."""
    training = network.training
    network.train(False)
    try:
        with torch.inference_mode():
            yield next(network.parameters())
    finally:
        network.train(training)


def check_memory(needed: int, plan: Plan) -> None:
    """Raise if that much memory is not available.

    Raises
    ------
    ConfigError
    """
    available = available_memory()
    if needed > available:
        fewer = int(min(plan.spec.batch, plan.shard_samples) * available / (2 * needed))
        smaller = f"set batch_samples and shard_samples of the spec to {fewer}, or " if fewer else ""
        raise ConfigError(
            f"the recording needs about {in_units(needed)} of memory, and {in_units(available)} are available",
            where="recording",
            remedy=f"{smaller}take fewer neurons, signals or steps",
        )


def shown(plan: Plan, batch: Split, like: Tensor) -> Tensor:
    """Return what the network sees: images, their spikes, or the frames of event data with time first."""
    if batch.sequence:
        values = np.ascontiguousarray(np.moveaxis(batch.images, 0, 1))
    else:
        values = plan.spec.drive(batch.images, batch.ids, plan.steps)
    return torch.from_numpy(values).to(like.device, like.dtype)


def weights_hash(network: Recordable) -> str:
    """Return the SHA-256 of all parameters and buffers: that of the checkpoint, if the network is as it was loaded."""
    assert isinstance(network, nn.Module)
    return tensors_hash(network.state_dict())
