"""Writing a recording: one HDF5 file per shard, each complete or absent.

Layout of a recording directory::

    manifest.json          written when the recording starts, rewritten when it is complete
    shards/00000.h5        netCDF-4/HDF5, one group per population
    shards/00000.json      what the shard holds and its checksum, written after the shard
    .eiplatform            marks the directory as ours; locked by the process that writes

A shard counts only when its ``.json`` exists; both are written to a temporary name, flushed to
the disk and renamed, so a kill at any moment leaves complete shards and at most a temporary file.
An interrupted recording can be resumed after its last complete shard, and several processes can
write different shards of one recording.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.earlier import as_hashed
from eiplatform.errors import OutputExistsError, StoreError
from eiplatform.files import OWNED, claim, content_hash, read_json, write_json
from eiplatform.locks import hold, remove_leftovers
from eiplatform.store.acceptance import Acceptance, Writer
from eiplatform.store.attributes import check_source
from eiplatform.store.chosen import plain
from eiplatform.store.manifest import checked_manifest, checked_record
from eiplatform.store.provenance import provenance
from eiplatform.store.schema import SCHEMA_VERSION
from eiplatform.store.shards import checksum_of, pack_spikes, write_shard
from eiplatform.untrusted import inside

__all__ = ["FORMAT", "RecordingWriter", "first_manifest", "shard_records"]

FORMAT = "eiplatform-recording"


def first_manifest(source: Mapping[str, Any], config: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with which a recording starts, whatever its format; `about` is its provenance."""
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "id": uuid.uuid4().hex,
        "status": "recording",
        "source": dict(source),
        "config": dict(config),
        "config_hash": content_hash(as_hashed(config)),
        "provenance": dict(about),
    }


def shard_records(path: Path, recording_id: str) -> dict[int, dict[str, Any]]:
    """Return what the shards of a recording say of themselves, by index; those of another recording are left out."""
    records = {}
    for file in sorted((path / "shards").glob("*.json")):
        record = checked_record(read_json(file), file)
        if record["recording_id"] == recording_id and file.stem.isdecimal():
            records[int(file.stem)] = record
    return records


class RecordingWriter(Writer):
    """Write one recording, shard by shard.

    Parameters
    ----------
    path : str or Path
        Recording directory; must be absent or empty unless `overwrite` or `resume`.
    source : mapping
        What was recorded, e.g. ``{"kind": "network", "name": "mlp", ...}``; JSON-compatible.
        ``kind`` is ``"network"`` or ``"circuit"``; other values are refused.
    config : mapping
        The resolved configuration, stored and hashed.
    overwrite : bool
        Whether an earlier recording there may be deleted.
    resume : bool
        Go on with an interrupted recording of the very same source and configuration.  Shards
        that are damaged are deleted, to be written again; see :attr:`present`.
    rank : int
        Processes other than 0 add shards to the recording that process 0 has begun and will
        complete.
    checked_samples : int, optional
        Check the sum rules on this many samples of every shard, spread evenly; default: on all.

    Attributes
    ----------
    present : frozenset of int
        Indices of the shards that were there already and are sound.

    Raises
    ------
    OutputExistsError
        If the directory is taken.
    StoreError
        If another process is writing there, or there is nothing that can be resumed.

    Examples
    --------
    >>> import numpy as np, tempfile, eiplatform
    >>> from eiplatform.store.schema import population_dataset
    >>> signals = {"current_exc": np.ones((2, 4, 3)), "current_inh": np.full((2, 4, 3), 0.25)}
    >>> data = population_dataset(
    ...     signals, sample=np.arange(2), time=np.arange(4), neuron=np.arange(3), dt=1.0,
    ...     time_units="step", current_units="1", n_neurons=3, role="E")
    >>> directory = tempfile.mkdtemp() + "/recording"
    >>> with RecordingWriter(directory, source={"kind": "network", "name": "toy"}, config={}) as writer:
    ...     writer.append({"fc1/E": data})
    >>> float(eiplatform.open(directory)["fc1/E"].ds["current_inh"].mean())
    0.25
    """

    def __init__(
        self,
        path: str | Path,
        *,
        source: Mapping[str, Any],
        config: Mapping[str, Any],
        overwrite: bool = False,
        resume: bool = False,
        rank: int = 0,
        checked_samples: int | None = None,
    ) -> None:
        self.path = Path(path)
        check_source(source, str(path))
        if resume and overwrite:
            raise StoreError("resume and overwrite exclude each other", where=str(self.path), remedy="choose one")
        about = provenance()  # takes a moment: before the directory exists
        self.present: frozenset[int] = frozenset()
        self._rank = rank
        self._acceptance = Acceptance(self.path, checked_samples)
        self._started = time.monotonic()
        self._next = 0
        self._lock: int | None = None
        if rank:
            self._manifest = read_json(self.path / "manifest.json")
            self.present = frozenset(shard_records(self.path, self._manifest["id"]))
            return
        identity = content_hash({"source": source, "config": as_hashed(config)})
        if resume:
            if not (self.path / "manifest.json").is_file():
                raise StoreError("no recording to resume", where=str(self.path), remedy="start it anew")
            self._lock = hold(self.path / OWNED)
            try:
                self._resume(identity)
            except BaseException:
                self.close()
                raise
            return
        if (self.path / OWNED).is_file():
            os.close(hold(self.path / OWNED))  # whoever writes there keeps it
        if not overwrite and (self.path / "manifest.json").is_file() and _status(self.path) == "recording":
            raise OutputExistsError(
                "holds an interrupted recording",
                where=str(self.path),
                remedy=(
                    "pass resume=True to go on with it",
                    "pass overwrite=True to begin anew",
                    "choose another path",
                ),
            )
        self._lock = claim(self.path, overwrite=overwrite)
        (self.path / "shards").mkdir()
        self._manifest = first_manifest(source, config, about) | {"identity": identity}
        write_json(self.path / "manifest.json", self._manifest)

    def _resume(self, identity: str) -> None:
        self._manifest = read_json(self.path / "manifest.json")
        if self._manifest.get("format") != FORMAT or self._manifest.get("identity") != identity:
            raise StoreError(
                "was begun with another network, data set, configuration or spec",
                where=str(self.path),
                remedy=("resume it with the command it was begun with", "choose another path"),
            )
        self._manifest = checked_manifest(self._manifest, self.path)
        records = shard_records(self.path, self._manifest["id"])
        files = {i: inside(self.path / "shards", record["file"], where=self.path) for i, record in records.items()}
        sound = {i for i, file in files.items() if file.is_file() and checksum_of(file) == records[i]["checksum"]}
        if self._manifest["status"] == "complete":
            if len(sound) == len(self._manifest["shards"]):
                raise StoreError("is complete; there is nothing to resume", where=str(self.path))
            found = ("populations", "n_samples", "bytes", "wall_time_s", "shards")
            self._manifest = {key: v for key, v in self._manifest.items() if key not in found} | {"status": "recording"}
            write_json(self.path / "manifest.json", self._manifest)
        for index in files.keys() - sound:
            files[index].with_suffix(".json").unlink()
        remove_leftovers(self.path / "shards")  # of the write during which the process died
        self.present = frozenset(sound)

    def append(self, populations: Mapping[str, xr.Dataset], index: int | None = None) -> None:
        """Check and store one shard; see :meth:`Writer.append`."""
        index = self._next if index is None else index
        populations = {name: plain(data) for name, data in populations.items()}
        accepted = self._acceptance.check(populations)
        attrs = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "recording_id": self._manifest["id"],
            "shard": index,
            "populations": list(populations),
        }
        file = self.path / "shards" / f"{index:05d}.h5"
        packed = {name: pack_spikes(data) for name, data in populations.items()}
        record = write_shard(file, packed, attrs) | {
            "n_samples": len(accepted.samples),
            "sum_rules": accepted.residuals,
        }
        # From here on the shard counts.
        write_json(
            file.with_suffix(".json"),
            {"recording_id": self._manifest["id"], **record, "populations": accepted.populations},
        )
        self._acceptance.keep(accepted)
        self._next = index + 1

    def complete(self) -> None:
        """Write the final manifest; the recording is complete from here on."""
        if self._rank:
            return
        records = shard_records(self.path, self._manifest["id"])
        if not records:
            raise StoreError("nothing was recorded", where=str(self.path))
        if sorted(records) != list(range(len(records))):
            missing = sorted(set(range(max(records))) - set(records))
            raise StoreError(f"shards are missing: {missing[:5]}", where=str(self.path), remedy="resume the recording")
        first = records[0]["populations"]
        if any(record["populations"] != first for record in records.values()):
            raise StoreError("shards hold different populations or signals", where=str(self.path))
        shards = [
            {key: value for key, value in records[index].items() if key not in ("recording_id", "populations")}
            for index in sorted(records)
        ]
        self._manifest |= {
            "status": "complete",
            "populations": first,
            "n_samples": sum(shard["n_samples"] for shard in shards),
            "bytes": sum(shard["bytes"] for shard in shards),
            "wall_time_s": round(time.monotonic() - self._started, 3),
            "shards": shards,
        }
        write_json(self.path / "manifest.json", self._manifest)

    def close(self) -> None:
        """Let other processes write there; without :meth:`complete` the recording stays interrupted."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def abandon(self, error: BaseException) -> None:
        """Leave the recording as it is, to be resumed."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self.close()


def _status(path: Path) -> str:
    return str(read_json(path / "manifest.json").get("status"))
