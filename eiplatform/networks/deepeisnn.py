"""Checkpoints of the public code of arXiv 2509.23253 (DeepEISNN): read, checked, and written back.

They come as ``model.safetensors`` beside ``config.json``, or as the ``.pth`` of a training run.
Three kinds of public tensors have no place in our networks, since they change no output: the
gains and the bias of an E-I readout, the counter of a batch normalisation, and a bias just
before a batch normalisation (subtracted from its mean).  A checkpoint keeps them beside its
configuration, so that export returns every tensor bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from eiplatform.config import Config
from eiplatform.datasets import dataset_names
from eiplatform.errors import ConfigError, choose
from eiplatform.files import claimed, read_json, write_bytes, write_json
from eiplatform.networks import checkpoint
from eiplatform.networks.build import build_network
from eiplatform.networks.checkpoint import DTYPES, CheckpointError, widened
from eiplatform.networks.deepeisnn_config import from_config, to_config
from eiplatform.networks.deepeisnn_layout import Entry, counts, layout
from eiplatform.networks.network import Network
from eiplatform.networks.pickled import is_plain_tensor, plain_values, read_pickled
from eiplatform.untrusted import reading

__all__ = ["export_checkpoint", "from_public", "import_checkpoint", "read_public", "to_public"]

WEIGHTS, DESCRIPTION = "model.safetensors", "config.json"


def from_public(
    tensors: Mapping[str, Tensor], public: Mapping[str, Any], *, where: str = "checkpoint"
) -> tuple[Network, Config, dict[str, Any]]:
    """Build our network from the public ``state_dict`` and configuration.

    Parameters
    ----------
    tensors : mapping of str to Tensor
    public : mapping
    where : str
        Named in errors.

    Returns
    -------
    network : Network
    config : Config
    kept : dict
        The numbers that have no place in `network`, by public name; for :func:`to_public`.

    Raises
    ------
    CheckpointError
        Naming all tensors that are missing, unknown, of another shape or dtype, negative where
        they must not be, or not finite.
    ConfigError, UnknownNameError
        If the configuration is incomplete or describes no network of ours.
    """
    config, data = from_config(public, tensors, where)
    with torch.device("meta"):  # names and shapes without memory, which a garbled size could exhaust
        entries = layout(build_network(config, data.input_shape, data.n_classes), config)
    _check(tensors, entries, where)
    tensors = {name: widened(tensor) for name, tensor in tensors.items()}
    network = build_network(config, data.input_shape, data.n_classes)
    template = network.state_dict()
    state = {
        entry.ours: tensors[name].reshape(template[entry.ours].shape).clone()
        for name, entry in entries.items()
        if entry.ours
    }
    kept: dict[str, Any] = {}
    for name, entry in entries.items():
        if entry.ours is None:
            kept[name] = tensors[name].flatten().tolist()
        if entry.mean:
            kept[name] = {"bias": kept[name], "mean": state[entry.mean].tolist()}
            state[entry.mean] = state[entry.mean] - tensors[name]
    network.to(next(iter(state.values())).dtype)
    network.load_state_dict(state)
    return network.eval(), config, kept


def to_public(network: Network, config: Config, kept: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the public ``state_dict`` of a network; `kept` as from :func:`from_public`, or empty."""
    state = network.state_dict()
    entries = layout(network, config)
    names = {entry.ours: name for name, entry in entries.items()}
    dtype = next(network.parameters()).dtype
    found = {}
    for name, entry in entries.items():
        if entry.ours:
            found[name] = state[entry.ours].reshape(entry.shape).clone()
        else:
            kind = torch.int64 if counts(name) else dtype
            values = torch.full(entry.shape, entry.default, dtype=kind)
            found[name] = values if entry.mean else _values(kept.get(name), values)
    for name, entry in entries.items():
        if entry.mean and name in kept:
            public_mean = names[entry.mean]
            bias, mean = (_values(kept[name][key], found[name]) for key in ("bias", "mean"))
            if torch.equal(mean - bias, found[public_mean]):  # otherwise it was trained further: a bias of 0 will do
                found[name], found[public_mean] = bias, mean
    return found


def import_checkpoint(path: Path | str, out: Path | str, *, dataset: str | None = None) -> tuple[Network, Config]:
    """Read a public checkpoint, check everything in it, and write one of ours.

    Parameters
    ----------
    path : path
        Directory with ``model.safetensors`` and ``config.json``, one of the two, or a ``.pth``.
    out : path
        File to write, usually ``*.safetensors``.
    dataset : str, optional
        What it was trained on, where the public configuration names another data set of the same shape.

    Raises
    ------
    UnknownNameError
        If no data set has that name.
    EIPlatformError
        As :func:`read_public` and :func:`from_public`.
    """
    tensors, public = read_public(path)
    network, config, kept = from_public(tensors, public, where=str(path))
    if dataset is not None:
        named = config.dataset.model_copy(update={"name": choose(dataset, dataset_names(), "data set")})
        config = config.model_copy(update={"dataset": named})
    checkpoint.save(out, network, config, deepeisnn={"config": public, "kept": kept})
    return network, config


def export_checkpoint(path: Path | str, out: Path | str, *, overwrite: bool = False) -> tuple[Path, Path]:
    """Write ``model.safetensors`` and ``config.json`` as the public code reads them.

    Parameters
    ----------
    path : path
        A checkpoint of ours, imported or not.
    out : path
        Directory.
    overwrite : bool
        Whether an earlier result of eiplatform there may be deleted.

    Raises
    ------
    ConfigError
        If the public code has no such network.
    CheckpointError, OutputExistsError
        If `path` is not a checkpoint, or `out` is taken.
    """
    network, config = checkpoint.load(path)
    known = checkpoint.read_tensors(Path(path), "network")[1]["info"].get("deepeisnn", {})
    public = known.get("config") or to_config(config, str(path))
    wanted, data = from_config(public, (), str(path))
    template = build_network(wanted, data.input_shape, data.n_classes).state_dict()
    found = network.state_dict()
    differ = [f"{name} {tuple(found[name].shape)}" for name in found if found[name].shape != _shape(template, name)]
    if differ or wanted.network != config.network or len(found) != len(template):
        raise ConfigError(
            "the public code builds another network" + (f" (here: {', '.join(differ)})" if differ else ""),
            where=str(path),
            valid="its data sets with its image sizes and numbers of classes",
        )
    with claimed(Path(out), overwrite=overwrite) as target:
        write_bytes(target / WEIGHTS, to_bytes(to_public(network, config, known.get("kept", {}))))
        write_json(target / DESCRIPTION, public)
    return target / WEIGHTS, target / DESCRIPTION


def read_public(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read public tensors and their configuration, running no code that a file may hold.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError("this path does not exist", where=str(path))
    if path.suffix in (".pth", ".pt"):
        return _read_training(path)
    folder = path if path.is_dir() else path.parent
    weights = path if path.suffix == ".safetensors" else folder / WEIGHTS
    for file in (weights, folder / DESCRIPTION):
        if not file.is_file():
            raise CheckpointError(
                "this file does not exist", where=str(file), valid=f"{WEIGHTS} beside {DESCRIPTION}, or a .pth"
            )
    with reading(weights, what="the file is damaged", error=CheckpointError):
        tensors = from_bytes(weights.read_bytes())
    return tensors, read_json(folder / DESCRIPTION)


def _read_training(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    content = read_pickled(path)
    tensors, public = (
        content.get(key) if isinstance(content, dict) else None for key in ("model_state_dict", "config")
    )
    if not isinstance(tensors, dict) or not isinstance(public, dict):
        raise CheckpointError(
            "this is not a training checkpoint of the public code", where=str(path), valid="model_state_dict and config"
        )
    if not all(isinstance(name, str) and is_plain_tensor(tensor) for name, tensor in tensors.items()):
        raise CheckpointError("model_state_dict holds more than plain tensors by name", where=str(path))
    return dict(tensors), plain_values(public, path)


def _check(tensors: Mapping[str, Tensor], entries: Mapping[str, Entry], where: str) -> None:
    """Report all tensors that do not fit."""
    shared = {name: tensors[name] for name in entries if name in tensors}
    floats = [tensor.dtype for name, tensor in shared.items() if not counts(name) and tensor.is_floating_point()]
    dtype = max(set(floats), key=floats.count, default=torch.float32)
    fitting = {name: tensor for name, tensor in shared.items() if tuple(tensor.shape) == entries[name].shape}
    right = {name: torch.int64 if counts(name) else dtype for name in shared}
    bad: dict[str, list[str]] = {
        "missing": [name for name in entries if name not in tensors],
        "unknown": sorted(name for name in tensors if name not in entries),
        "of wrong shape": [
            f"{name} {tuple(tensor.shape)} instead of {entries[name].shape}"
            for name, tensor in shared.items()
            if name not in fitting
        ],
        "of wrong dtype": [
            f"{name} {tensor.dtype} instead of {right[name]}"
            for name, tensor in shared.items()
            if tensor.dtype != right[name] or not (counts(name) or tensor.dtype in DTYPES)
        ],
    }
    if not any(bad.values()):  # what does not fit may stand for more values than there is memory
        bad["not finite"] = [name for name, tensor in fitting.items() if not bool(tensor.isfinite().all())]
        bad["negative"] = [
            name for name, tensor in fitting.items() if entries[name].non_negative and bool((tensor < 0).any())
        ]
    reports = [f"{what}: {', '.join(names)}" for what, names in bad.items() if names]
    if reports:
        raise CheckpointError(f"these tensors do not fit: {'; '.join(reports)}", where=where)


def _values(numbers: Any, like: Tensor) -> Tensor:
    return like if numbers is None else torch.tensor(numbers, dtype=like.dtype).reshape(like.shape)


def _shape(tensors: Mapping[str, Tensor], name: str) -> torch.Size | None:
    return tensors[name].shape if name in tensors else None
