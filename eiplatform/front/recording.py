"""Recording and simulating in Python: ``record`` and ``simulate``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import nn

from eiplatform.datasets import Split, open_dataset, split_validation
from eiplatform.datasets.arrays import split_from, split_of_arrays
from eiplatform.errors import ConfigError, EIPlatformError, choose
from eiplatform.foreign import adapt
from eiplatform.foreign.network import ForeignNetwork
from eiplatform.front.training import Run, data_of
from eiplatform.networks import Network
from eiplatform.networks.kernels.backend import use_backend
from eiplatform.progress import stage
from eiplatform.recording.network import record_in_memory, record_network
from eiplatform.recording.nulls import null_runs, parse_null, record_nulls
from eiplatform.recording.spec import RecordingSpec, load_spec
from eiplatform.store.reader import open_recording
from eiplatform.store.tree import Recording

__all__ = ["record", "simulate"]

SPLITS = ("train", "validation", "test")


@overload
def record(
    network: Run | nn.Module,
    data: Any = ...,
    *,
    null: None = ...,
    path: str | Path | None = ...,
    label: str | None = ...,
    backend: Literal["eager", "compiled"] = ...,
    store: Literal["hdf5", "zarr"] = ...,
    overwrite: bool = ...,
    resume: bool = ...,
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
    store: Literal["hdf5", "zarr"] = ...,
    overwrite: bool = ...,
    resume: bool = ...,
    quiet: bool = ...,
    spec: Mapping[str, Any] | str | Path | None = ...,
    **fields: Any,
) -> list[Recording]: ...
def record(
    network: Run | nn.Module,
    data: Any = "test",
    *,
    null: str | None = None,
    path: str | Path | None = None,
    label: str | None = None,
    backend: Literal["eager", "compiled"] = "eager",
    store: Literal["hdf5", "zarr"] = "hdf5",
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = False,
    spec: Mapping[str, Any] | str | Path | None = None,
    **fields: Any,
) -> Recording | list[Recording]:
    """Show samples to a network and record the currents, gain and spikes of its layers.

    Parameters
    ----------
    network : Run, Network or torch module
        A training (its best network), a network, or any torch module, which is adapted by itself.
    data : str, Split, array, tensor, tuple or Dataset
        ``"test"``, ``"validation"`` or ``"train"`` images of the data that the network was trained on; or the
        images to show, with or without labels, as :func:`eiplatform.train` takes them.
    null : str, optional
        Record nulls of the network instead: ``"reinit:19"`` (initialised anew), ``"shuffle-weights:19"``
        (within sign), ``"shuffle-inputs:19"`` (pixels).
    path : str or Path, optional
        Write to this directory, shard by shard, in bounded memory; default: in memory.
    label : str, optional
        Name of the recording in tables and figures.
    backend : {"eager", "compiled"}
    store : {"hdf5", "zarr"}
        With `path`.
    overwrite, resume : bool
        With `path`: replace an earlier recording, or go on with an interrupted one.
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
        If data and network do not fit, or the recording does not fit into memory.

    Examples
    --------
    >>> import torch, eiplatform as ei
    >>> net = torch.nn.Sequential(torch.nn.Linear(9, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    >>> tree = ei.record(net, torch.rand(5, 9), signals="current_*", quiet=True)
    >>> dict(tree["0"].sizes), "current_inh" in tree["0"]
    ({'sample': 5, 'time': 1, 'neuron': 6}, True)
    """
    if path is None and (overwrite or resume or store != "hdf5"):
        raise ConfigError("overwrite, resume and store are for recordings on disk", where="record", remedy="path=...")
    if isinstance(network, Run):
        network = network.network
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"a {type(network).__name__} cannot be recorded",
            where="record",
            valid="a Run (ei.train, ei.load), its network, or a torch module",
        )
    split_name, shown = _shown(network, data)
    model = network if isinstance(network, Network | ForeignNetwork) else _adapted(network, shown)
    wanted = _spec(split_name, spec, fields)
    named = label or (Path(path).resolve().name if path is not None else _name(network))
    about: dict[str, Any] = {"label": named, "lesions": getattr(model, "interventions", ())}
    with use_backend(backend), stage(f"recording {named}", quiet=quiet) as update:
        if null is not None:
            return _nulls(model, shown, null, wanted, named, path, overwrite, update)
        if path is None:
            return record_in_memory(model, shown, wanted, **about, progress=update)
        about |= {"store": store, "overwrite": overwrite, "resume": resume, "progress": update}
        return open_recording(record_network(model, shown, path, wanted, **about))


def simulate(
    circuit: str,
    *,
    seeds: int | Sequence[int] = 1,
    path: str | Path | None = None,
    label: str | None = None,
    duration_ms: float = 1000.0,
    warmup_ms: float = 200.0,
    record_dt_ms: float = 1.0,
    neurons: int = 100,
    device: Literal["cpp_standalone", "cython", "numpy"] = "cpp_standalone",
    jobs: int = 1,
    store: Literal["hdf5", "zarr"] = "hdf5",
    overwrite: bool = False,
    quiet: bool = False,
    **parameters: Any,
) -> Recording:
    """Simulate a published cortical circuit in Brian2, into the same kind of recording.

    Parameters
    ----------
    circuit : str
        Name (``ei.list("circuits")``), e.g. ``"brunel-2000"``.
    seeds : int or sequence of int
        Number of realisations (seeds 1, 2, ...), or their seeds; each is one sample.
    path : str or Path, optional
        Write to this directory; default: in memory.
    label : str, optional
        Name in tables and figures; default: the circuit's.
    duration_ms, warmup_ms, record_dt_ms : float
        Recorded time; time before it that is discarded; interval over which currents are averaged, in ms.
    neurons : int
        Neurons per population whose currents are recorded; spikes are recorded of all.
    device : {"cpp_standalone", "cython", "numpy"}
        The first two need a C++ compiler.
    jobs : int
        Realisations simulated at the same time.
    store : {"hdf5", "zarr"}
        With `path`.
    overwrite : bool
        With `path`: replace an earlier recording.
    quiet : bool
        Show no progress.
    **parameters
        Parameters of the circuit that differ from the published ones, e.g. ``state="C"``;
        ``ei.describe("brunel-2000")`` lists them.

    Returns
    -------
    Recording

    Raises
    ------
    UnknownNameError
        For an unknown circuit or parameter.
    ConfigError
        For an impossible value, or if there is not enough memory.
    MissingDependencyError
        If Brian2 is not installed.
    DeviceError
        If the device needs a compiler and there is none.

    Examples
    --------
    >>> import eiplatform as ei
    >>> tree = ei.simulate("brunel-2000", scale=0.02, duration_ms=20, warmup_ms=0, device="numpy", quiet=True)
    >>> dict(tree["E"].sizes)["time"], list(tree)
    (20, ['E', 'I'])
    """
    from eiplatform.microcircuits.registry import parameters_of
    from eiplatform.recording.circuit import circuit_in_memory, record_circuit

    arguments = [name for name in inspect.signature(simulate).parameters if name not in ("circuit", "parameters")]
    for name in parameters:
        choose(name, [*arguments, *parameters_of(circuit)], "argument", where=f"simulate, {circuit}")
    options: dict[str, Any] = {
        "parameters": parameters,
        "seeds": list(range(1, seeds + 1)) if isinstance(seeds, int) else list(seeds),
        "label": label,
        "duration_ms": duration_ms,
        "warmup_ms": warmup_ms,
        "record_dt_ms": record_dt_ms,
        "n_recorded": neurons,
        "device": device,
        "jobs": jobs,
    }
    if path is None and (overwrite or store != "hdf5"):
        raise ConfigError("overwrite and store are for recordings on disk", where="simulate", remedy="path=...")
    with stage(f"simulating {circuit}", quiet=quiet) as update:
        options["progress"] = lambda fraction, message: update(round(1000 * fraction), 1000, message)
        if path is None:
            return circuit_in_memory(circuit, **options)
        return open_recording(record_circuit(circuit, path, store=store, overwrite=overwrite, **options))


def _shown(network: nn.Module, data: Any) -> tuple[str, Split]:
    """Return the name of the split in the manifest, and the samples."""
    if not isinstance(data, str) or data.endswith(".npz"):
        if isinstance(network, Network):
            return "test", split_from(data)
        return "test", _any_values(data)
    choose(data, SPLITS, "split", where="data")
    config = getattr(network, "config", None)
    if config is None:
        raise ConfigError(
            "this network does not say what it was trained on", where="data", remedy="give the images to show"
        )
    bundle = data_of(network) or open_dataset(config)
    if data == "test":
        found = bundle.test
    else:
        train, validation = split_validation(bundle.train, config.dataset.validation, config.seed)
        found = train if data == "train" else validation
    found.name = found.name or bundle.info.name
    return data, found


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
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f"a {type(module).__name__} cannot be recorded", where="network", valid="a Run, a network, a torch module"
        )
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


def _spec(split: str, spec: Mapping[str, Any] | str | Path | None, given: Mapping[str, Any]) -> RecordingSpec:
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
    return load_spec(file, split=split, **fields)


def _nulls(
    network: Any,
    shown: Split,
    null: str,
    spec: RecordingSpec,
    label: str,
    path: str | Path | None,
    overwrite: bool,
    update: Any,
) -> list[Recording]:
    if not isinstance(network, Network) or network.config is None:
        raise ConfigError("nulls need a network that carries its configuration", where="record")
    wanted = parse_null(null)
    if path is not None:
        about: dict[str, Any] = {"label": label, "bundle": data_of(network), "overwrite": overwrite, "progress": update}
        made = record_nulls(network, shown, path, wanted, spec, config=network.config, **about)
        return [open_recording(place) for place in made]
    found = []
    for run in null_runs(network, shown, wanted, network.config, label, data_of(network)):
        found.append(record_in_memory(run.network, run.data, spec, label=run.label, null=run.about))
        update(len(found), wanted.count, run.label)
    return found


def _name(network: Any) -> str:
    config = getattr(network, "config", None)
    if config is None:
        return type(getattr(network, "module", network)).__name__
    return f"{config.dataset.name} {config.network.architecture}, seed {config.seed}"
