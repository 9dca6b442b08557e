"""Keeping a recording in memory: what the other writers store, as the tree that :func:`eiplatform.open` gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import ConfigError, StoreError
from eiplatform.memory import available_memory, in_units
from eiplatform.store.acceptance import Acceptance, Writer
from eiplatform.store.attributes import check_source
from eiplatform.store.chosen import plain
from eiplatform.store.events import tie
from eiplatform.store.provenance import provenance
from eiplatform.store.reduced import MERGED, is_reduced, merge
from eiplatform.store.tree import IN_MEMORY, Recording, recording_tree
from eiplatform.store.writer import first_manifest

__all__ = ["MemoryWriter", "check_room"]

SHARE = 0.5
"""Largest part of the free memory that a recording may take; joining its pieces takes as much for a moment."""


def check_room(size: int) -> None:
    """Raise if a recording of that many bytes had better be written to disk.

    Raises
    ------
    ConfigError
    """
    available = available_memory()
    if size > SHARE * available:
        raise ConfigError(
            f"the recording would take {in_units(size)} of memory, and {in_units(available)} are free",
            where="recording",
            valid=f"at most {in_units(SHARE * available)} in memory",
            remedy=(
                "pass path=... to write it to disk",
                "record fewer samples, neurons, signals or steps",
                "keep='moments' to reduce it",
            ),
        )


class MemoryWriter(Writer):
    """Keep one recording in memory, piece by piece: what :class:`RecordingWriter` does on disk.

    Parameters
    ----------
    source, config : mapping
        As of :class:`eiplatform.store.RecordingWriter`.
    checked_samples : int, optional
        Check the sum rules on this many samples of every piece, spread evenly; default: on all.

    Attributes
    ----------
    tree : Recording
        The recording, once it is complete.
    """

    tree: Recording

    def __init__(
        self, *, source: Mapping[str, Any], config: Mapping[str, Any], checked_samples: int | None = None
    ) -> None:
        check_source(source, IN_MEMORY)
        self._manifest = first_manifest(source, config, provenance())
        self._acceptance = Acceptance(Path(IN_MEMORY), checked_samples)
        self._pieces: dict[str, list[xr.Dataset]] = {}

    def append(self, populations: Mapping[str, xr.Dataset], index: int | None = None) -> None:
        """Check and keep some samples of every population; see :meth:`RecordingWriter.append`."""
        del index  # pieces come in order
        populations = {name: plain(data) for name, data in populations.items()}
        accepted = self._acceptance.check(populations)
        for name, data in populations.items():
            self._pieces.setdefault(name, []).append(data.load())
        self._acceptance.keep(accepted)

    def complete(self) -> None:
        """Join the pieces."""
        if not self._pieces:
            raise StoreError("nothing was recorded", where=IN_MEMORY)
        joined = {}
        for name in list(self._pieces):  # one after the other, so that no more than one is there twice
            joined[name] = tie(_joined(self._pieces.pop(name)))
        self.tree = recording_tree(joined, self._manifest)

    def abandon(self, error: BaseException) -> None:
        """Nothing was written."""


def _joined(pieces: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join the pieces of one population along samples and spikes."""
    first = pieces[0]
    merged = [key for key in MERGED if key in first.data_vars] if is_reduced(first) else []
    variables: dict[Any, xr.Variable] = {}
    for key, variable in first.variables.items():
        if key in merged:
            continue
        axis = next((axis for axis, dim in enumerate(variable.dims) if dim in ("sample", "spike")), None)
        values = variable.values
        if axis is not None and len(pieces) > 1:
            values = np.concatenate([piece[key].values for piece in pieces], axis=axis)
        if values.dtype == np.float16:
            values = values.astype(np.float32)  # as an opened recording shows it
        variables[key] = xr.Variable(variable.dims, values, variable.attrs)
    if merged:
        variables |= merge([piece[merged] for piece in pieces])
    return xr.Dataset(
        {key: value for key, value in variables.items() if key not in first.coords},
        coords={key: value for key, value in variables.items() if key in first.coords},
        attrs=first.attrs,
    )
