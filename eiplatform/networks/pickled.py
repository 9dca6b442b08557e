"""Checkpoints of PyTorch (``.pth``) from anywhere: tensors, NumPy values and plain values; no code in them is run."""

from __future__ import annotations

import _codecs
import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eiplatform.networks.checkpoint import CheckpointError
from eiplatform.untrusted import parse_json, reading

__all__ = ["is_plain_tensor", "plain_values", "read_pickled"]

_RECONSTRUCT, _SCALAR = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
# What NumPy's arrays, numbers and the state of its random generator consist of; makes values, runs no code.
_HARMLESS: list[Any] = [
    *((_RECONSTRUCT, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.ndarray,
    np.dtype,
    *{type(np.dtype(kind)) for kind in (*"?bBhHiIlLqQefdgFDSU",)},
    _codecs.encode,
]
_DAMAGED = "the file is damaged"


def read_pickled(path: Path) -> Any:
    """Return what ``torch.save`` wrote.

    Raises
    ------
    CheckpointError
        If the file is damaged, or holds anything but tensors, NumPy values and plain values.
    """
    _check_archive(path)
    with reading(path, what=_DAMAGED, error=CheckpointError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that NumPy has moved
        try:
            with torch.serialization.safe_globals(_HARMLESS):
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"refused: it holds more than tensors and plain values ({str(error).splitlines()[0]})",
                where=str(path),
                remedy="reading it could run code; get the checkpoint from its author as safetensors",
            ) from None


def _check_archive(path: Path) -> None:
    """Raise if an archive holds more than its own size: PyTorch compresses nothing."""
    if not zipfile.is_zipfile(path):
        return
    with reading(path, what=_DAMAGED, error=CheckpointError), zipfile.ZipFile(path) as archive:
        held = sum(member.file_size for member in archive.infolist())
    size = path.stat().st_size
    if held > size:
        raise CheckpointError(f"{_DAMAGED}: it declares {held} bytes in a file of {size}", where=str(path))


def is_plain_tensor(value: object) -> bool:
    """Whether a value is a dense tensor in memory, which has all the values that its shape says."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def plain_values(values: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Return a configuration with NumPy's numbers and arrays as plain numbers and lists.

    Raises
    ------
    CheckpointError
        If it holds something else than text, numbers, lists and keys.

    Examples
    --------
    >>> plain_values({"T": np.int64(4), "lr": np.array([0.5])}, "example")
    {'T': 4, 'lr': [0.5]}
    """
    with reading(where, what="the configuration inside is garbled", error=CheckpointError):
        found: dict[str, Any] = parse_json(json.dumps(values, default=_plain), where=where)
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, np.generic | np.ndarray) and value.size < 2**16:
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not a plain value")
