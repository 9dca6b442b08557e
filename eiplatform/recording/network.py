"""Recording a network into the store: shard by shard, in bounded memory, resumable, by one or several processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from eiplatform.config import Config
from eiplatform.datasets import Split
from eiplatform.networks.kernels.backend import current
from eiplatform.recording.inside import LayerMoments, formed_inside
from eiplatform.recording.keeper import CHECKED, Keeper
from eiplatform.recording.plan import Plan, Recordable, evaluation, make_plan, shown, weights_hash
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.background import Background
from eiplatform.store.memory_writer import MemoryWriter, check_room
from eiplatform.store.tree import Recording
from eiplatform.store.writers import Writer, check_format, make_writer

__all__ = ["configuration_of", "record_in_memory", "record_network"]

Progress = Callable[[int, int, str], None]


def record_network(
    network: Recordable,
    data: Split,
    path: str | Path,
    spec: RecordingSpec | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    label: str,
    lesions: Sequence[Mapping[str, Any]] = (),
    null: Mapping[str, Any] | None = None,
    design: Mapping[str, Any] | None = None,
    store: str = "hdf5",
    overwrite: bool = False,
    resume: bool = False,
    rank: int = 0,
    n_ranks: int = 1,
    barrier: Callable[[], None] | None = None,
    progress: Progress | None = None,
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
    config : mapping, optional
        The configuration, for the manifest; default: the one that the network carries.
    label : str
        Name of the recording in tables and figures, e.g. ``"trained"``.
    lesions : sequence of mapping
        Lesions under which the network runs (already applied), for the manifest.
    null : mapping, optional
        What makes this a null recording (:mod:`eiplatform.recording.nulls`), for the manifest.
    design : mapping, optional
        What was planned with this recording (:mod:`eiplatform.lesions.design`), for the manifest.
    store : {"hdf5", "zarr"}
        Shards that survive a crash, or one Zarr v3 store, which is there when it is complete.
    overwrite : bool
        Whether an earlier recording at `path` may be deleted.
    resume : bool
        Go on after the last complete shard of an interrupted recording of the same network,
        samples and spec.
    rank, n_ranks : int
        Which of how many processes this is; each records every `n_ranks`-th shard, and the
        shards do not depend on how many there are.
    barrier : callable, optional
        Waits for all processes; needed if there are several.
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
        If the spec leaves nothing to record, or Zarr is asked to resume or to take several processes.
    SumRuleError
        If recorded parts do not rebuild the whole.
    OutputExistsError, StoreError
        If the directory is taken, or there is nothing to resume.
    """
    check_format(store, resume=resume, n_ranks=n_ranks)
    plan = make_plan(network, data, spec or RecordingSpec())
    source = _source(network, data, plan, label, lesions, null, design)
    with evaluation(network) as parameter:
        edges = histogram_edges(network, data, plan, parameter)
    if rank and barrier:
        barrier()  # until the first process has begun the recording
    writer = make_writer(
        store,
        path,
        source=source,
        config=configuration_of(network) if config is None else config,
        overwrite=overwrite,
        resume=resume,
        rank=rank,
        checked_samples=CHECKED,
    )
    if barrier and not rank:
        barrier()
    shards = [index for index in range(len(plan.shards)) if index % n_ranks == rank]
    with writer:
        _record_shards(network, data, plan, edges, writer, shards, label, progress)
        if barrier:
            barrier()  # until every process has written its shards
    return Path(path)


def record_in_memory(
    network: Recordable,
    data: Split,
    spec: RecordingSpec | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    label: str,
    lesions: Sequence[Mapping[str, Any]] = (),
    null: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Recording:
    """Show samples to a network and return its recording: the numbers that :func:`record_network` would store.

    Parameters
    ----------
    network, data, spec, config, label, lesions, null, progress
        As of :func:`record_network`.

    Raises
    ------
    UnknownNameError, SumRuleError
        As of :func:`record_network`.
    ConfigError
        If the spec leaves nothing to record, or the recording takes more memory than there is.
    """
    plan = make_plan(network, data, spec or RecordingSpec())
    check_room(plan.stored_bytes)
    about = configuration_of(network) if config is None else config
    source = _source(network, data, plan, label, lesions, null, None)
    with evaluation(network) as parameter:
        edges = histogram_edges(network, data, plan, parameter)
    with MemoryWriter(source=source, config=about, checked_samples=CHECKED) as writer:
        _record_shards(network, data, plan, edges, writer, range(len(plan.shards)), label, progress)
    return writer.tree


def configuration_of(network: Recordable) -> dict[str, Any]:
    """Return the configuration that a network carries; a foreign one has none."""
    config = getattr(network, "config", None)
    return config.model_dump(mode="json") if isinstance(config, Config) else {}


def _source(
    network: Recordable,
    data: Split,
    plan: Plan,
    label: str,
    lesions: Sequence[Mapping[str, Any]],
    null: Mapping[str, Any] | None,
    design: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what is recorded, for the manifest."""
    source = {
        "kind": "network",
        "label": label,
        "name": type(getattr(network, "module", network)).__name__,
        "steps": plan.steps,
        "split": plan.spec.split,
        "samples": len(plan.positions),
        "spec": plan.spec.model_dump(mode="json"),
        "weights": weights_hash(network),
        "data": data.describe(),
        "backend": current(),
        "lesions": [dict(lesion) for lesion in lesions],
    }
    source |= {} if null is None else {"null": dict(null)}
    return source | ({} if design is None else {"design": dict(design)})


def _record_shards(
    network: Recordable,
    data: Split,
    plan: Plan,
    edges: Mapping[str, Mapping[str, Tensor]],
    writer: Writer,
    shards: Sequence[int],
    label: str,
    progress: Progress | None,
) -> None:
    """Record those of some shards that the writer has not yet."""
    total = sum(len(plan.shards[index]) for index in shards)
    done = sum(len(plan.shards[index]) for index in shards if index in writer.present)
    with evaluation(network) as parameter, Background(writer.append) as append:
        refer(network, data, plan, parameter)
        for index in shards:
            if index in writer.present:
                continue
            part = data.take(plan.shards[index])

            def told(samples: int, before: int = done) -> None:
                if progress:
                    progress(before + samples, total, f"recording {label}")

            append(record_shard(network, plan, part, parameter, edges, told), index)
            done += len(part)


def refer(network: Recordable, data: Split, plan: Plan, like: Tensor) -> None:
    """Let the interventions that are in force refer to all samples that will be recorded."""
    applied = getattr(network, "prepare", None)
    if applied is not None:

        def of(places: np.ndarray) -> Tensor:
            return shown(plan, data.take(plan.positions[places]), like)

        applied.learn(data.ids[plan.positions], plan.spec.batch, of, plan.steps)


def record_shard(
    network: Recordable,
    plan: Plan,
    part: Split,
    parameter: Tensor,
    edges: Mapping[str, Mapping[str, Tensor]],
    told: Callable[[int], None] = lambda samples: None,
) -> dict[str, xr.Dataset]:
    """Run the samples of one shard and return every population's dataset."""
    inside = LayerMoments(plan, formed_inside(network, plan, parameter.device.type))
    keeper = Keeper(plan, len(part), edges, inside)
    for start in range(0, len(part), plan.spec.batch):
        batch = part.take(np.arange(start, min(start + plan.spec.batch, len(part))))
        keeper.start = start
        select = {
            name: torch.as_tensor(neurons, device=parameter.device)
            for name, neurons in keeper.asked_neurons.items()
            if len(neurons) < plan.infos[name].n_neurons
        }
        further = {"moments": inside.moments} if inside.moments else {}
        applied = getattr(network, "prepare", None)
        if applied is not None:
            applied.show(torch.from_numpy(batch.ids))
        network.run(
            shown(plan, batch, parameter),
            steps=plan.steps,
            record=keeper.asked_signals,
            keep=keeper,
            select=select,
            **further,
        )
        told(start + len(batch))
    return {name: keeper.dataset(name, part) for name in plan.signals}


def histogram_edges(network: Recordable, data: Split, plan: Plan, parameter: Tensor) -> dict[str, dict[str, Tensor]]:
    """Return the edges of the histograms by population and signal; what the spec leaves open, the first samples say."""
    if "histogram" not in plan.reductions:
        return {}
    asked = plan.spec.histogram
    found: dict[str, dict[str, Tensor]] = {name: {} for name in plan.signals}

    def keep(population: str, signal: str, values: Tensor) -> Tensor:
        low, high = asked.ranges.get(signal, (None, None))
        if low is None or high is None:
            low, high = float(values.min()), float(values.max())
            margin = 0.5 * (high - low) or 0.5 * abs(high) or 0.5
            low, high = low - margin, high + margin
        found[population][signal] = torch.linspace(low, high, asked.bins + 1, dtype=torch.float64)
        return values[:0]

    first = data.take(plan.positions[: plan.spec.batch])
    network.run(shown(plan, first, parameter), steps=plan.steps, record=plan.signals, keep=keep)
    return found
