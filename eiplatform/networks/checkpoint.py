"""Checkpoints: one safetensors file with its configuration as JSON inside; never pickle.

The file is written under a temporary name, flushed to the disk and renamed, so that a killed
run leaves the old file or the new one, never half of one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from eiplatform.config import Config, config_hash, parse_config
from eiplatform.earlier import current
from eiplatform.errors import EIPlatformError
from eiplatform.files import write_bytes
from eiplatform.networks import dale
from eiplatform.networks.build import build_network
from eiplatform.networks.network import Network
from eiplatform.untrusted import parse_json, reading

__all__ = [
    "DTYPES",
    "FORMAT_VERSION",
    "CheckpointError",
    "load",
    "read_tensors",
    "save",
    "tensors_hash",
    "widened",
    "write_tensors",
]

FORMAT_VERSION = 1
# A single metadata key: several would be written in an order that changes from run to run.
_KEY = "eiplatform"
_HDF5 = b"\x89HDF\r\n\x1a\n"
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class CheckpointError(EIPlatformError):
    """A checkpoint is missing, damaged, or does not fit its network."""


def save(path: Path | str, network: Network, config: Config, **info: Any) -> Path:
    """Write a checkpoint atomically.

    Parameters
    ----------
    path : path
        File name, usually ``*.safetensors``.
    network : Network
    config : Config
        What `network` was built from.
    **info
        Further facts, kept as JSON (e.g. ``epoch``).

    Raises
    ------
    CheckpointError
        If a weight is negative where Dale's law forbids it, or not finite.
    """
    path = Path(path)
    _check_signs(network, path)
    meta = {
        "format": FORMAT_VERSION,
        "kind": "network",
        "config": config.model_dump(mode="json"),
        "config_hash": config_hash(config),
        "input_shape": list(network.input_shape),
        "n_classes": network.n_classes,
        "info": info,
    }
    write_tensors(path, network.state_dict(), meta)
    return path


def load(path: Path | str) -> tuple[Network, Config]:
    """Read a checkpoint and check everything in it.

    Returns
    -------
    network : Network
        On the CPU, ready to run; weights of half precision (float16, bfloat16) are widened to float32.
    config : Config

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, a tensor is missing, unknown, of another shape or
        dtype, or a weight has the wrong sign.
    ConfigError
        If its configuration is not one of this version.
    """
    path = Path(path)
    tensors, meta = read_tensors(path, "network")
    with reading(path, what="the description inside is garbled", error=CheckpointError):
        config = parse_config(current(meta["config"]), where=str(path))
        input_shape, n_classes = tuple(int(size) for size in meta["input_shape"]), int(meta["n_classes"])
        with torch.device("meta"):  # names and shapes without memory, which a garbled size could exhaust
            expected = build_network(config, input_shape, n_classes).state_dict()
        # of what is stored: a field that a later version adds does not make a checkpoint unreadable
        stored_hash, found_hash = meta["config_hash"], config_hash(meta["config"])
    if found_hash != stored_hash:
        raise CheckpointError("the configuration inside does not match its hash", where=str(path))
    for name in sorted(set(expected) ^ set(tensors)):
        what = "is missing" if name in expected else "does not belong to this network"
        raise CheckpointError(f"tensor '{name}' {what}", where=str(path))
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype not in DTYPES:
            raise CheckpointError(
                f"tensor '{name}' is {tensor.dtype} of shape {tuple(tensor.shape)}",
                where=str(path),
                valid=f"{', '.join(map(str, DTYPES))} of shape {tuple(expected[name].shape)}",
            )
    tensors = {name: widened(tensor) for name, tensor in tensors.items()}
    dtypes = {tensor.dtype for tensor in tensors.values()}
    if len(dtypes) > 1:
        raise CheckpointError("the tensors have several dtypes", where=str(path), valid="one dtype")
    network = build_network(config, input_shape, n_classes)
    network.to(dtypes.pop())
    network.load_state_dict(tensors)
    _check_signs(network, path)
    return network, config


def widened(tensor: Tensor) -> Tensor:
    """Return weights of half precision as float32, which holds every one of their values; others as they are.

    Networks compute in float32 or float64.

    Examples
    --------
    >>> widened(torch.ones(2, dtype=torch.float16)).dtype
    torch.float32
    """
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write tensors and their description to one safetensors file, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    meta = {**meta, "weights_sha256": tensors_hash(plain)}
    write_bytes(path, to_bytes(plain, {_KEY: json.dumps(meta, sort_keys=True)}))


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: of their names, shapes, types and bytes, sorted by name.

    Examples
    --------
    >>> import torch
    >>> tensors_hash({"a": torch.zeros(2)})[:12], tensors_hash({"a": torch.zeros(2, 1)})[:12]
    ('430e673e9cf0', 'af9bac829302')
    """
    digest = hashlib.sha256()
    for name, values in sorted(tensors.items()):
        digest.update(f"{name} {tuple(values.shape)} {values.dtype};".encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote; `kind` must be the one in its description.

    The tensors are compared with their checksum; files of earlier versions have none.

    Raises
    ------
    CheckpointError
    """
    if path.is_dir():
        files = ", ".join(sorted(map(str, path.glob("*.safetensors")))) or "a *.safetensors file"
        raise CheckpointError("is a directory, a file is needed", where=str(path), valid=files)
    if not path.is_file():
        raise CheckpointError("this checkpoint does not exist", where=str(path))
    with path.open("rb") as file:
        if file.read(len(_HDF5)) == _HDF5:
            what, remedy = "is a saved result or a recording, not a checkpoint", "open it with eiplatform.open"
            raise CheckpointError(what, where=str(path), valid="a training, or a .safetensors file", remedy=remedy)
    with reading(path, what="the file is damaged or no checkpoint", error=CheckpointError):
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        meta = parse_json(text, where=path, nan=True) if text is not None else None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT_VERSION or meta.get("kind") != kind:
        found = (meta.get("format"), meta.get("kind")) if isinstance(meta, dict) else "nothing"
        raise CheckpointError(
            f"the file describes itself as {found}", where=str(path), valid=f"format {FORMAT_VERSION}, kind {kind}"
        )
    expected = meta.get("weights_sha256")
    if expected is not None and (actual := tensors_hash(tensors)) != expected:
        raise CheckpointError(
            f"the tensors have the checksum {actual[:12]}.., those that were written {str(expected)[:12]}..",
            where=str(path),
            remedy="the file was changed or damaged: copy it again, or train again",
        )
    return tensors, meta


def _check_signs(network: Network, path: Path) -> None:
    bad = dale.violations(network)
    bad += [name for name, values in network.state_dict().items() if not bool(values.isfinite().all())]
    if bad:
        raise CheckpointError(
            f"'{bad[0]}' has values that are negative or not finite",
            where=str(path),
            valid="weights and gains >= 0 (Dale's law), everything finite",
        )
