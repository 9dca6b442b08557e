"""Recording a trained network into the store, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError
from eiplatform.memory import available_memory
from eiplatform.recording.spec import RecordingSpec
from eiplatform.snn.network import Network, PopulationInfo
from eiplatform.store.schema import population_dataset
from eiplatform.store.writer import RecordingWriter

__all__ = ["Estimate", "estimate", "record_network"]


@dataclass(frozen=True)
class Estimate:
    """What a recording will take, from the very spec.

    Attributes
    ----------
    samples, steps, bytes : int
        Number of samples, recorded steps per sample, and bytes of the signals before
        compression of the spikes.
    memory : int
        Bytes that one shard takes while it is recorded, from above.
    populations : dict of str to int
        Recorded neurons per population.
    """

    samples: int
    steps: int
    bytes: int
    memory: int
    populations: dict[str, int]

    def __str__(self) -> str:
        neurons = sum(self.populations.values())
        return (
            f"{self.samples} samples x {self.steps} steps x {neurons} neurons in "
            f"{len(self.populations)} populations, at most {self.bytes / 1e6:.1f} MB on disk, "
            f"{self.memory / 1e6:.0f} MB in memory"
        )


def estimate(network: Network, n_samples: int, spec: RecordingSpec) -> Estimate:
    """Count samples, neurons and bytes of a recording before it is made.

    Raises
    ------
    UnknownNameError
        If the spec names a population or signal that does not exist.
    """
    populations = network.populations()
    wanted = spec.resolve({name: info.signals for name, info in populations.items()})
    samples = len(spec.choose_samples(n_samples))
    run = spec.steps or network.steps
    steps = len(range(spec.warmup, run, spec.every))
    neurons = {name: len(spec.choose_neurons(name, populations[name].n_neurons)) for name in wanted}
    size = sum(
        neurons[name] * sum(1 if signal == "spikes" else 4 for signal in signals) for name, signals in wanted.items()
    )
    # Signals of all neurons exist for a moment before some are chosen; each population also
    # holds its drive, voltage and spikes.
    held = sum(info.n_neurons * (len(wanted.get(name, ())) + 3) for name, info in populations.items())
    memory = 4 * min(samples, spec.shard_samples) * run * held
    return Estimate(samples, steps, samples * steps * size, memory, neurons)


def record_network(
    network: Network,
    data: Split,
    path: str | Path,
    spec: RecordingSpec | None = None,
    *,
    config: Mapping[str, Any],
    label: str,
    lesions: Sequence[Mapping[str, Any]] = (),
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Show samples to a network and store its currents, gain and spikes.

    Recording is a declared output of the network's forward pass: spikes and logits are, bit
    for bit, those of the unrecorded pass.

    Parameters
    ----------
    network : Network
        Run in evaluation mode.
    data : Split
        The split named by the spec.
    path : str or Path
        Recording directory.
    spec : RecordingSpec, optional
        Default: everything.
    config : mapping
        The network's configuration, for the manifest.
    label : str
        Name of the recording in tables and figures, e.g. ``"trained"``.
    lesions : sequence of mapping
        Lesions under which the network runs (already applied), for the manifest.
    overwrite : bool
        Whether an earlier recording at `path` may be deleted.
    progress : callable, optional
        Called with (samples done, samples in all, message).

    Returns
    -------
    Path
        The recording directory.

    Raises
    ------
    UnknownNameError
        If the spec names what does not exist.
    ConfigError
        If the spec leaves nothing to record, or a shard needs more memory than there is.
    SumRuleError
        If recorded parts do not rebuild the whole.
    """
    spec = spec or RecordingSpec()
    infos = network.populations()
    wanted = spec.resolve({name: info.signals for name, info in infos.items()})
    neurons = {name: spec.choose_neurons(name, infos[name].n_neurons) for name in wanted}
    chosen = spec.choose_samples(len(data))
    if not len(chosen):
        raise ConfigError(f"the {spec.split} split has no samples", where="recording")
    steps = spec.steps or network.steps
    if spec.warmup >= steps:
        raise ConfigError(f"a warm-up of {spec.warmup} leaves nothing of {steps} steps", where="recording")
    needed, available = estimate(network, len(data), spec).memory, available_memory()
    if needed > available:
        raise ConfigError(
            f"recording {spec.shard_samples} samples at a time for {steps} steps needs about {needed / 2**30:.1f} GiB, "
            f"and {available / 2**30:.1f} GiB are available",
            where="recording",
            remedy="take fewer steps or signals, or a smaller shard_samples in the spec",
        )
    source = {
        "kind": "network",
        "label": label,
        "name": type(network).__name__,
        "steps": steps,
        "split": spec.split,
        "spec": spec.model_dump(mode="json"),
        "lesions": [dict(lesion) for lesion in lesions],
    }
    place = {name: [torch.as_tensor(i) for i in np.unravel_index(neurons[name], infos[name].shape)] for name in wanted}

    def keep(population: str, values: torch.Tensor) -> torch.Tensor:
        index = [axis.to(values.device) for axis in place[population]]
        at: tuple[slice | torch.Tensor, ...] = (slice(spec.warmup, None, spec.every), slice(None), *index)
        return values[at]

    parameter = next(network.parameters())
    device, dtype = parameter.device, parameter.dtype
    training = network.training
    network.eval()
    try:
        with RecordingWriter(path, source=source, config=config, overwrite=overwrite) as writer, torch.inference_mode():
            for start in range(0, len(chosen), spec.shard_samples):
                batch = data.take(chosen[start : start + spec.shard_samples])
                shown = torch.from_numpy(_shown(batch, spec, steps)).to(device, dtype)
                output = network.run(shown, steps=steps, record=wanted, keep=keep)
                coords = {"sample": batch.ids, "label": batch.labels}
                writer.append(
                    {
                        name: _label(signals, infos[name], neurons[name], coords, spec)
                        for name, signals in output.signals.items()
                    }
                )
                if progress:
                    progress(min(start + spec.shard_samples, len(chosen)), len(chosen), f"recording {label}")
    finally:
        network.train(training)
    return Path(path)


def _shown(batch: Split, spec: RecordingSpec, steps: int) -> np.ndarray:
    """Return images (or their spikes) or, of event data, the frames with time first."""
    images = batch.images
    if not batch.sequence:
        return spec.drive(images, batch.ids, steps)
    if spec.input != "constant" or steps != images.shape[1]:
        raise ConfigError(
            f"event data of {images.shape[1]} frames cannot be shown as '{spec.input}' for {steps} steps",
            where="recording",
            valid=f"input constant, steps {images.shape[1]}",
        )
    return np.ascontiguousarray(np.moveaxis(images, 0, 1))


def _label(
    signals: Mapping[str, torch.Tensor],
    info: PopulationInfo,
    neurons: np.ndarray,
    coords: Mapping[str, np.ndarray],
    spec: RecordingSpec,
) -> xr.Dataset:
    """Turn the kept (time, sample, neuron) tensors of one population into its labelled Dataset."""
    place = np.unravel_index(neurons, info.shape)
    arrays = {name: values.transpose(0, 1).cpu().numpy() for name, values in signals.items()}
    if "spikes" in arrays:
        arrays["spikes"] = arrays["spikes"].astype(bool)
    time = spec.warmup + spec.every * np.arange(len(next(iter(signals.values()))))
    attrs: dict[str, Any] = {}
    if info.threshold is not None:
        attrs = {"threshold": info.threshold, "membrane_decay": info.decay, "reset": info.reset}
    return population_dataset(
        arrays,
        sample=coords["sample"],
        time=time,
        neuron=neurons,
        dt=float(spec.every),
        time_units="step",
        current_units="1",
        n_neurons=info.n_neurons,
        role=info.role,
        parameters={name: values[neurons] for name, values in info.parameters.items()},
        sample_coords={"label": coords["label"]},
        neuron_coords=dict(zip(("channel", "row", "col"), place, strict=True)) if len(place) == 3 else None,
        attrs=attrs,
    )
