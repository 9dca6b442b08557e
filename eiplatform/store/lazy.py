"""Arrays that read from shards only what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from eiplatform.store.hdf5 import REMEDY, open_hdf5
from eiplatform.untrusted import reading

__all__ = ["PackedArray", "ShardedArray"]


class ShardedArray(BackendArray):
    """One variable that continues over several HDF5 files along its first dimension.

    Parameters
    ----------
    files : sequence of Path
        Shards in order.
    name : str
        Path of the variable inside each file.
    lengths : sequence of int
        Length of the first dimension in each file.
    shape : tuple of int
        Shape of the whole.
    dtype : numpy dtype
    """

    def __init__(
        self, files: Sequence[Path], name: str, lengths: Sequence[int], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.files, self.name = tuple(files), name
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).tolist()
        self.shape, self.dtype = shape, dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        first, rest = key[0], tuple(key[1:])
        if isinstance(first, (int, np.integer)):
            shard = int(np.searchsorted(self.offsets, first, side="right")) - 1
            return self._read_shard(shard, (int(first) - self.offsets[shard], *rest))
        wanted = range(*first.indices(self.shape[0]))  # BASIC indexing: positive step
        pieces = []
        for shard, (start, stop) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            skip = max(0, -(-(start - wanted.start) // wanted.step))
            inside = wanted[skip:]
            local = slice(inside.start - start, min(inside.stop, stop) - start, wanted.step)
            if inside and local.start < local.stop:
                pieces.append(self._read_shard(shard, (local, *rest)))
        if not pieces:
            pieces = [self._read_shard(0, (slice(0, 0), *rest))]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    @contextmanager
    def _open(self, shard: int) -> Iterator[h5py.Dataset]:
        path = self.files[shard]
        with open_hdf5(path) as file, reading(path, what=f"'{self.name}' cannot be read", remedy=REMEDY):
            yield file[self.name]

    def _read_shard(self, shard: int, key: tuple[Any, ...]) -> np.ndarray:
        with self._open(shard) as stored:
            return np.asarray(stored[key], dtype=self.dtype)


class PackedArray(ShardedArray):
    """Bit-packed spikes as booleans; see :func:`eiplatform.store.shards.pack_spikes`."""

    def _read_shard(self, shard: int, key: tuple[Any, ...]) -> np.ndarray:
        *before, last = key
        n_neurons = self.shape[-1]
        with self._open(shard) as packed:
            if isinstance(last, (int, np.integer)):
                byte, bit = divmod(int(last), 8)
                return np.asarray((packed[(*before, byte)] >> bit) & 1, dtype=bool)
            start, stop, step = last.indices(n_neurons)
            bits = np.unpackbits(packed[(*before, slice(start // 8, -(-stop // 8)))], axis=-1, bitorder="little")
        return bits[..., start - 8 * (start // 8) : stop - 8 * (start // 8) : step].astype(bool)
