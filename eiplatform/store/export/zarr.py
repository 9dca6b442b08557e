"""A recording as Zarr v3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eiplatform.errors import StoreError
from eiplatform.store.assemble import assemble
from eiplatform.store.blocks import require_space
from eiplatform.store.forms import form_of
from eiplatform.store.optional import need
from eiplatform.store.reader import open_recording, read_manifest
from eiplatform.store.zarr_writer import ZarrWriter
from eiplatform.untrusted import reading

__all__ = ["export_zarr"]


def export_zarr(
    path: str | Path,
    out: str | Path,
    *,
    partial: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write a recording as Zarr v3, one shard after the other.

    Parameters
    ----------
    path : str or Path
        A recording.
    out : str or Path
        Directory, e.g. ``recording.zarr``.
    partial : bool
        Passed to :func:`eiplatform.open`.
    overwrite : bool
        Delete an earlier Zarr store of eiplatform there.
    progress : callable, optional
        Called with (shards done, shards in all, message).

    Returns
    -------
    Path

    Raises
    ------
    MissingDependencyError
        If zarr is not installed.
    StoreError
        If it is a Zarr store already.
    """
    need("zarr", "Zarr export")
    path, out = Path(path), Path(out)
    manifest = read_manifest(path)
    if "zarr" in manifest:
        raise StoreError("is a Zarr store already", where=str(path), remedy="copy the directory")
    tree = open_recording(path, partial=partial)
    require_space(out.parent, sum(node.to_dataset().nbytes for node in tree.leaves))
    files = form_of(path, manifest).files()
    with ZarrWriter(
        out, source=manifest["source"], config=manifest["config"], overwrite=overwrite, checked_samples=0
    ) as writer:
        kept = {key: manifest[key] for key in ("id", "provenance", "identity") if key in manifest}
        writer.attrs |= kept | {"status": "complete" if tree.attrs["complete"] else "partial"}
        for index, file in enumerate(files):
            with reading(file, what="a shard is damaged inside"):
                writer.append(assemble([file]))
            if progress:
                progress(index + 1, len(files), "writing Zarr")
    return out
