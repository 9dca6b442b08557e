"""Recording in Python: ``record``, and what a recording would take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import nn

from eiplatform.datasets import Split
from eiplatform.datasets.arrays import split_from, split_of_arrays
from eiplatform.errors import ConfigError, EIPlatformError, choose
from eiplatform.foreign import adapt
from eiplatform.foreign.network import ForeignNetwork
from eiplatform.front.training import Run, data_of
from eiplatform.interventions.checking import checked
from eiplatform.interventions.intervention import Kind
from eiplatform.memory import parse_size
from eiplatform.networks import Network
from eiplatform.networks.intervening import Applied
from eiplatform.networks.kernels.backend import use_backend
from eiplatform.progress import stage
from eiplatform.recording.checkpoint import shown_to, split_of
from eiplatform.recording.estimate import Estimate, check_budget, estimate
from eiplatform.recording.network import record_in_memory, record_network
from eiplatform.recording.nulls import null_runs, parse_null, record_nulls
from eiplatform.recording.plan import evaluation, make_plan
from eiplatform.recording.plan import shown as as_shown
from eiplatform.recording.spec import RecordingSpec, load_spec
from eiplatform.store.reader import open_recording
from eiplatform.store.tree import Recording
from eiplatform.training.parallel import World, join

__all__ = ["expected", "record", "wanted_of"]

SPLITS = ("train", "validation", "test")
_CHECKED = 32
"""Samples on which interventions are checked."""


@overload
def record(
    network: Run | nn.Module,
    data: Any = ...,
    *,
    null: None = ...,
    path: str | Path | None = ...,
    label: str | None = ...,
    backend: Literal["eager", "compiled"] = ...,
    device: str | None = ...,
    store: Literal["hdf5", "zarr"] = ...,
    overwrite: bool = ...,
    resume: bool = ...,
    budget: int | str | None = ...,
    dataset: str | None = ...,
    data_root: str | Path | None = ...,
    download: bool = ...,
    quiet: bool = ...,
    spec: Mapping[str, Any] | str | Path | None = ...,
    **fields: Any,
) -> Recording: ...
@overload
def record(
    network: Run | nn.Module,
    data: Any = ...,
    *,
    null: str,
    path: str | Path | None = ...,
    label: str | None = ...,
    backend: Literal["eager", "compiled"] = ...,
    device: str | None = ...,
    store: Literal["hdf5", "zarr"] = ...,
    overwrite: bool = ...,
    resume: bool = ...,
    budget: int | str | None = ...,
    dataset: str | None = ...,
    data_root: str | Path | None = ...,
    download: bool = ...,
    quiet: bool = ...,
    spec: Mapping[str, Any] | str | Path | None = ...,
    **fields: Any,
) -> list[Recording]: ...
def record(
    network: Run | nn.Module,
    data: Any = None,
    *,
    null: str | None = None,
    path: str | Path | None = None,
    label: str | None = None,
    backend: Literal["eager", "compiled"] = "eager",
    device: str | None = None,
    store: Literal["hdf5", "zarr"] = "hdf5",
    overwrite: bool = False,
    resume: bool = False,
    budget: int | str | None = None,
    dataset: str | None = None,
    data_root: str | Path | None = None,
    download: bool = False,
    quiet: bool = False,
    spec: Mapping[str, Any] | str | Path | None = None,
    **fields: Any,
) -> Recording | list[Recording]:
    """Show samples to a network and record the currents, gain and spikes of its layers.

    Started by ``torchrun``, several processes share the work; the recording is the same.

    Parameters
    ----------
    network : Run, Network or torch module
        A training (its best network), a network, or any torch module, which is adapted by itself.
    data : str, Split, array, tensor, tuple or Dataset, optional
        ``"test"`` (default), ``"validation"`` or ``"train"`` images of the data that the network was trained on; or
        the images to show, with or without labels, as :func:`eiplatform.train` takes them.
    null : str, optional
        Record nulls of the network instead: ``"reinit:19"`` (initialised anew), ``"shuffle-weights:19"``
        (within sign), ``"shuffle-inputs:19"`` (pixels).
    path : str or Path, optional
        Write to this directory, shard by shard, in bounded memory; default: in memory.
    label : str, optional
        Name of the recording in tables and figures.
    backend : {"eager", "compiled"}
    device : {"cpu", "cuda"}, optional
        Where the network computes; it is moved there.  Default: where it is.
    store : {"hdf5", "zarr"}
        With `path`.
    overwrite, resume : bool
        With `path`: replace an earlier recording, or go on with an interrupted one.
    budget : int or str, optional
        With `path`: largest size on disk, in bytes or as ``"20GB"``; nothing runs if more is needed.
    dataset : str, optional
        With the name of a split: the data set that it is of; default: the one that the network was trained on.
    data_root : path, optional
        Folder with the data sets' files.
    download : bool
        Get files that are missing there from their source.
    quiet : bool
        Show no progress.
    spec : mapping or path, optional
        Fields as below in one mapping, or a YAML file with them; those given here go before.
    **fields
        What to record: ``populations``, ``signals`` (names or wildcards, ``"fc*/E"``), ``layers`` (wildcards),
        ``neurons`` (number), ``samples`` (number, ids or ``{"per_class": 2}``), ``steps``, ``warmup``, ``input``
        (``"constant"``, ``"bernoulli"``, ``"poisson"``), ``every``, ``keep`` (``"raw"``, ``"moments"``, ...),
        ``dtype``, ``seed``, ``batch_samples``, ``shard_samples``;
        see :class:`eiplatform.recording.spec.RecordingSpec`.

    Returns
    -------
    Recording or list of Recording
        A :class:`xarray.DataTree`, one leaf per population, with dimensions (sample, time, neuron); of nulls one
        each.  The numbers are the same in memory and on disk.

    Raises
    ------
    UnknownNameError
        For a population, signal or layer that the network does not have.
    ConfigError
        If data and network do not fit, or the recording does not fit into memory or the budget.

    Examples
    --------
    >>> import torch, eiplatform as ei
    >>> net = torch.nn.Sequential(torch.nn.Linear(9, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    >>> tree = ei.record(net, torch.rand(5, 9), signals="current_*", quiet=True)
    >>> dict(tree["0"].sizes), "current_inh" in tree["0"]
    ({'sample': 5, 'time': 1, 'neuron': 6}, True)
    """
    if path is None and (overwrite or resume or budget is not None or store != "hdf5"):
        raise ConfigError("overwrite, resume, budget and store are for recordings on disk", remedy="path=...")
    _check_null(null, resume, store)
    wanted = wanted_of(network, data, spec, fields, dataset, data_root, download)
    named = label or (Path(path).resolve().name if path is not None else _name(wanted.network))
    with _running(wanted, backend, device) as world, stage(f"recording {named}", quiet=quiet or not world.first) as on:
        if budget is not None:
            assert path is not None
            _check(wanted, _expected(wanted, null, store), path, budget)
        if null is not None:
            return _nulls(wanted, null, named, path, overwrite, world, on)
        about: dict[str, Any] = {"label": named, "lesions": _interventions(wanted.network, wanted.data, wanted.spec)}
        about["progress"] = on
        if path is None:
            return record_in_memory(wanted.network, wanted.data, wanted.spec, **about)
        about |= {"store": store, "overwrite": overwrite, "resume": resume}
        about |= {"rank": world.rank, "n_ranks": world.size, "barrier": world.wait}
        made = record_network(wanted.network, wanted.data, path, wanted.spec, **about)
        world.wait()
        return open_recording(made)


def expected(
    network: Run | nn.Module,
    data: Any = None,
    *,
    path: str | Path,
    null: str | None = None,
    backend: Literal["eager", "compiled"] = "eager",
    device: str | None = None,
    store: Literal["hdf5", "zarr"] = "hdf5",
    resume: bool = False,
    budget: int | str | None = None,
    dataset: str | None = None,
    data_root: str | Path | None = None,
    download: bool = False,
    spec: Mapping[str, Any] | str | Path | None = None,
    **fields: Any,
) -> Estimate:
    """Return what a recording would take on disk, in memory and of time, from a run of a few samples.

    Parameters
    ----------
    network, data, path, null, backend, device, store, resume, budget, dataset, data_root, download, spec, **fields
        As of :func:`record`.

    Raises
    ------
    ConfigError
        If it does not fit into memory, the budget, or what is free at `path`.
    """
    _check_null(null, resume, store)
    wanted = wanted_of(network, data, spec, fields, dataset, data_root, download)
    with _running(wanted, backend, device):
        found = _expected(wanted, null, store)
        _check(wanted, found, path, budget)
    return found


def _check_null(null: str | None, resume: bool, store: str) -> None:
    if null is None:
        return
    parse_null(null)
    if resume:
        raise ConfigError("resume=True goes with one recording", where="null", remedy="record the nulls again")
    if store != "hdf5":
        raise ConfigError(
            f"nulls are not written as {store}",
            where="null",
            remedy="record them as hdf5 and export each: 'eiplatform export zarr REC --out REC.zarr'",
        )


@dataclass(frozen=True)
class _Wanted:
    """What is recorded: `spec` of `network` shown `data`."""

    network: Network | ForeignNetwork
    data: Split
    spec: RecordingSpec


def wanted_of(
    network: Any,
    data: Any,
    spec: Mapping[str, Any] | str | Path | None,
    fields: Mapping[str, Any],
    dataset: str | None,
    root: str | Path | None,
    download: bool,
) -> _Wanted:
    """Return what :func:`record` and lesion studies run: network, samples and spec, checked."""
    found = network.network if isinstance(network, Run) else network
    if not isinstance(found, nn.Module):
        raise ConfigError(
            f"a {type(network).__name__} cannot be recorded",
            where="record",
            valid="a Run (ei.train, ei.load), its network, or a torch module",
        )
    named = data is None or (isinstance(data, str) and not data.endswith(".npz"))
    asked = _spec(spec, fields, split=None if data is None else choose(data, SPLITS, "split") if named else "test")
    if named:
        shown = _split(found, asked.split, dataset, root, download)
    elif dataset or root or download:
        raise ConfigError("dataset, data_root and download go with the name of a split", where="data", valid=SPLITS)
    else:
        shown = split_from(data) if isinstance(found, Network) else _any_values(data)
    model = found if isinstance(found, Network | ForeignNetwork) else _adapted(found, shown)
    return _Wanted(model, shown, asked)


@contextmanager
def _running(wanted: _Wanted, backend: str, device: str | None) -> Iterator[World]:
    """Meet the other processes, if there are any, with the network on its device."""
    here = next((values.device for values in wanted.network.parameters()), torch.device("cpu"))
    with join(device or here.type) as world, use_backend(backend):
        if device is not None:
            wanted.network.to(world.device)
        yield world


def _interventions(model: Any, shown: Split, spec: RecordingSpec) -> list[dict[str, Any]]:
    """Return what is being done to a network, and what that did on the first samples, for the manifest."""
    told = [dict(one) for one in getattr(model, "interventions", ())]
    applied = getattr(model, "prepare", None)
    if isinstance(applied, Applied):
        plan = make_plan(model, shown, spec)
        with evaluation(model) as parameter:
            acting = [one for one in applied.interventions if isinstance(one, Kind)]
            chosen = np.isin(shown.ids[plan.positions], [i for one in acting for i in one.samples or ()])
            first = np.union1d(np.arange(len(chosen))[:_CHECKED], np.flatnonzero(chosen)[:_CHECKED])
            batch = shown.take(plan.positions[first])
            found = checked(model, acting, as_shown(plan, batch, parameter), plan.steps, batch.ids)
        for one, result in zip(told, found, strict=True):
            one["check"] = result.as_dict()
    return told


def _expected(wanted: _Wanted, null: str | None, store: str) -> Estimate:
    found = estimate(wanted.network, wanted.data, wanted.spec, store)
    count = 1 if null is None else parse_null(null).count
    return replace(found, bytes=count * found.bytes, seconds=count * found.seconds)


def _check(wanted: _Wanted, found: Estimate, path: str | Path, budget: int | str | None) -> None:
    limit = parse_size(budget) if isinstance(budget, str) else budget
    check_budget(found, wanted.network, wanted.data, wanted.spec, Path(path), limit)


def _split(network: nn.Module, name: str, dataset: str | None, root: str | Path | None, download: bool) -> Split:
    """Return a split of the data that a network was trained on, or of another data set."""
    if not isinstance(network, Network) or network.config is None:
        raise ConfigError(
            "this network does not say what it was trained on", where="data", remedy="give the images to show"
        )
    own = data_of(network)
    if own is not None and not (dataset or root or download):
        return split_of(network.config, name, own)
    return shown_to(network, network.config, name, dataset=dataset, root=root, download=download)


def _any_values(data: Any) -> Split:
    """Return what a foreign network is shown, whose values may lie beyond [0, 1]."""
    if isinstance(data, Split):
        return data
    images, labels = data if isinstance(data, tuple | list) and len(data) == 2 else (data, None)
    if hasattr(images, "shape"):
        return split_of_arrays(images, labels, any_values=True)
    return split_from(data)


def _adapted(module: nn.Module, shown: Split) -> ForeignNetwork:
    """Return any torch module as a network that can be recorded."""
    kind = next((value.dtype for value in module.parameters()), torch.float32)
    device = next((value.device for value in module.parameters()), torch.device("cpu"))
    example = torch.from_numpy(shown.take(np.arange(min(2, len(shown)))).images).to(device, kind)
    try:
        network = adapt(module, example)
    except EIPlatformError as error:
        remedy = (*error.alternatives, "adapt it yourself: ei.record(ei.adapt(module, example, ...), data)")
        raise type(error)(error.what, where=error.where, valid=error.valid, remedy=remedy) from error
    if shown.sequence != (network.time == "sequence"):
        raise EIPlatformError(
            f"the module takes time as '{network.time}', which these data do not show as (n, time, ...)",
            where=type(module).__name__,
            remedy="adapt it yourself: ei.record(ei.adapt(module, example, time=...), data)",
        )
    return network


def _spec(spec: Mapping[str, Any] | str | Path | None, given: Mapping[str, Any], *, split: str | None) -> RecordingSpec:
    """Return what to record; the names of layers stand for all their populations."""
    file = spec if isinstance(spec, str | Path) else None
    fields = {**(spec if isinstance(spec, Mapping) else {}), **given}
    layers = fields.pop("layers", None)
    if layers is not None:
        if "populations" in fields:
            raise ConfigError("layers and populations say the same", where="record", remedy="give one of them")
        patterns: Iterable[str] = [layers] if isinstance(layers, str) else layers
        fields["populations"] = tuple(f"{pattern}/*" for pattern in patterns)
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    if split is not None:
        fields["split"] = split
    return load_spec(file, **fields)


def _nulls(
    wanted: _Wanted, null: str, label: str, path: str | Path | None, overwrite: bool, world: World, update: Any
) -> list[Recording]:
    network, data, spec = wanted.network, wanted.data, wanted.spec
    if not isinstance(network, Network) or network.config is None:
        raise ConfigError("nulls need a network that carries its configuration", where="record")
    if world.size > 1:
        raise ConfigError(f"nulls are recorded by one process, not by {world.size}", where="null")
    kind, bundle = parse_null(null), data_of(network)
    if path is not None:
        about: dict[str, Any] = {"label": label, "bundle": bundle, "overwrite": overwrite, "progress": update}
        made = record_nulls(network, data, path, kind, spec, config=network.config, **about)
        return [open_recording(place) for place in made]
    found = []
    for run in null_runs(network, data, kind, network.config, label, bundle):
        found.append(record_in_memory(run.network, run.data, spec, label=run.label, null=run.about))
        update(len(found), kind.count, run.label)
    return found


def _name(network: Any) -> str:
    config = getattr(network, "config", None)
    if config is None:
        return type(getattr(network, "module", network)).__name__
    return f"{config.dataset.name} {config.network.architecture}, seed {config.seed}"
