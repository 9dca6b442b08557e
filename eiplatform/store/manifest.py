"""What a manifest must say for a recording to be read: its form, checked once, where it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from eiplatform.earlier import current
from eiplatform.errors import StoreError
from eiplatform.untrusted import checked, is_plain

__all__ = ["Facts", "MissingFactError", "checked_manifest", "checked_record"]

_DAMAGED = "the manifest is damaged"
REMEDY = "copy the recording again, or record it again"


class MissingFactError(StoreError, KeyError):
    """A recording does not say something that is asked of it."""

    __str__ = StoreError.__str__


class Facts(dict[str, Any]):
    """What a manifest says of a source or a configuration; asking for what it does not say is a clear error.

    Examples
    --------
    >>> Facts({"kind": "network"})["kind"]
    'network'
    """

    def __missing__(self, key: str) -> Any:
        raise MissingFactError(
            f"the recording does not say its '{key}'", valid=self, remedy="record it with 'eiplatform record'"
        )

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the same values with every mapping a :class:`Facts`."""
        if isinstance(value, dict):
            return cls({key: cls.of(item) for key, item in value.items()})
        return [cls.of(item) for item in value] if isinstance(value, list) else value


def _file(name: str) -> str:
    if not is_plain(name):
        raise ValueError(f"names the file {name[:100]!r}, which is not in its own directory")
    return name


def _group(name: str) -> str:
    if not all(map(is_plain, name.split("/"))):
        raise ValueError(f"{name[:100]!r} cannot name a population")
    return name


Count = Annotated[int, Field(ge=0, lt=2**53)]
File = Annotated[str, AfterValidator(_file)]
Group = Annotated[str, AfterValidator(_group)]
Variable = File


class _Part(BaseModel):
    """Strict in what is known; whatever else is written is kept."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Shard(_Part):
    file: File
    bytes: Count
    checksum: str
    n_samples: Count


class _Record(_Shard):
    recording_id: str
    populations: dict[Group, dict[str, Any]] | None = None


class _Piece(_Part):
    """A shard of a Zarr store or a packed file, which has no file of its own to be found."""

    n_samples: Count


class _Spec(_Part):
    input: str = "constant"
    warmup: Count = 0


class _Control(_Part):
    seed: Count


class _Lesion(_Part):
    pathway: str
    dose: float | None = Field(None, le=1)  # below 0: strengthened; absent of what has none, e.g. Freeze
    layers: str
    control: _Control | None = None


class _Design(_Part):
    id: str
    doses: list[float]
    controls: Count


class _Source(_Part):
    kind: Literal["network", "circuit", "measured"]
    name: str | None = None
    label: str | None = None
    steps: Count | None = None
    spec: _Spec | None = None
    lesions: list[_Lesion] | None = None
    null: dict[str, Any] | None = None
    design: _Design | None = None
    theory: dict[str, float] | None = None


class _Provenance(_Part):
    created: str | None = None
    command: str | None = None


class _Split(_Part):
    lengths: dict[Group, dict[str, Count]]
    attrs: dict[str, Any]


class _Packed(_Part):
    shards: list[_Split] = Field(min_length=1)
    checksums: dict[Group, dict[Variable, str]]


class _Zarr(_Part):
    lengths: dict[Group, dict[str, list[Count]]]
    arrays: dict[Group, list[Variable]]


class _Manifest(_Part):
    format: str
    schema_version: str
    id: str
    status: Literal["recording", "complete", "partial"]
    source: _Source
    config: dict[str, Any]
    config_hash: str | None = None
    provenance: _Provenance | None = None
    n_samples: Count | None = None
    populations: dict[Group, dict[str, Any]] | list[Group] | None = None
    shards: list[_Piece] | None = None
    packed: _Packed | None = None
    zarr: _Zarr | None = None


class _Shards(_Part):
    shards: list[_Shard]


def checked_manifest(manifest: dict[str, Any], where: str | Path) -> dict[str, Any]:
    """Return a manifest whose form has been checked; its source and configuration say what they lack.

    Raises
    ------
    StoreError
        If something is missing, of another type, or names a file outside of the recording.
    """
    checked(_Manifest, manifest, where, what=_DAMAGED, remedy=REMEDY)
    if "zarr" not in manifest and (manifest["status"] == "complete" or "shards" in manifest):
        checked(_Shards, manifest, where, what=_DAMAGED, remedy=REMEDY)
        names = [shard["file"] for shard in manifest["shards"]]
        if len(set(names)) < len(names) or not all(name.endswith(".h5") for name in names):
            raise StoreError("the manifest is damaged: its shards are not different .h5 files", where=str(where))
    packed, zarr = manifest.get("packed"), manifest.get("zarr")
    if packed is not None and len(packed["shards"]) != len(manifest["shards"]):
        raise StoreError("the manifest is damaged: it lists other shards than it packs", where=str(where))
    if packed is not None:
        parts = [{name: sorted(own) for name, own in shard["lengths"].items()} for shard in packed["shards"]]
        if any(part != parts[0] or not all("sample" in own for own in part.values()) for part in parts):
            raise StoreError("the manifest is damaged: its shards are of different populations", where=str(where))
    if zarr is not None and set(zarr["arrays"]) != set(manifest["populations"] or ()):
        raise StoreError("the manifest is damaged: it lists arrays of other populations", where=str(where))
    return manifest | {"source": Facts.of(manifest["source"]), "config": Facts.of(current(manifest["config"]))}


def checked_record(record: dict[str, Any], where: str | Path) -> dict[str, Any]:
    """Return what a shard says of itself, once its form has been checked."""
    checked(_Record, record, where, what="damaged", remedy=REMEDY)
    if record["file"] != f"{Path(where).stem}.h5":
        raise StoreError(f"is of the file {record['file']!r}, not of its own shard", where=str(where), remedy=REMEDY)
    return record
