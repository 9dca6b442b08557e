"""Where the files of a data set lie, and whether their content is what was published.

A file is found on its own (plain or gzipped) or inside the archive as it is served; an archive
is read where it is, never unpacked.  What is read is hashed; where a checksum was published,
another content is refused.
"""

from __future__ import annotations

import hashlib
import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eiplatform.datasets.archives import read_file, read_member, read_tar
from eiplatform.datasets.base import DataInfo
from eiplatform.errors import EIPlatformError, MissingDependencyError
from eiplatform.untrusted import reading

__all__ = ["DATA_VARIABLE", "DEBIAN_ROOT", "Files", "FilesMissingError", "download", "download_root", "places"]

DATA_VARIABLE = "EIPLATFORM_DATA"
"""Environment variable that names the folder with the data sets' files."""
DEBIAN_ROOT = Path("/usr/share/datasets")
"""Where Debian's ``dataset-*`` packages put theirs."""


class FilesMissingError(EIPlatformError):
    """The files of a data set are in none of the places where they are looked for."""


def places(name: str, root: Path | None) -> list[Path]:
    """Return the folders in which a data set is looked for, in this order.

    A folder that is named (`root`) is the only one: a misspelt one is not replaced in silence.
    """
    named = os.environ.get(DATA_VARIABLE)
    roots = [root] if root is not None else [*([Path(named)] if named else []), DEBIAN_ROOT]
    return [place for base in roots for place in (base / name, base)]


class Files:
    """The files of one data set.

    Parameters
    ----------
    info : DataInfo
        Gets the hashes of what is read.
    entry : mapping
        The data set's entry in the registry.
    wanted : iterable of str
        Files that must be there.
    root : Path, optional

    Raises
    ------
    FilesMissingError
        If they are in none of the places.
    EIPlatformError
        If the archive is not the published one.
    """

    def __init__(self, info: DataInfo, entry: Mapping[str, Any], wanted: Iterable[str], root: Path | None) -> None:
        self.info, self.entry, self.wanted = info, entry, list(wanted)
        # Twice what all images of a split take: no file of a data set is larger.
        self.limit = 2 * max(entry["samples"]) * math.prod(info.input_shape) + 2**20
        self.archive: Path | None = None
        self.folder = self._find(places(info.name, root))

    def _find(self, candidates: list[Path]) -> Path:
        inner = self.entry.get("folder")
        whole = [name for name in self.entry.get("archives", {}) if name.endswith((".tar.gz", ".zip"))]
        for place in candidates:
            for folder in (place / inner, place) if inner else (place,):
                if all(_file(folder, name) for name in self.wanted):
                    return folder
            for name in whole:
                if (place / name).is_file():
                    self.archive = place / name
                    self._check_archive(self.archive)
                    return place
        package = self.entry.get("debian_package")
        hint = [f"apt-get install {package}"] if package else []
        valid = [*(f"{name}[.gz]" for name in self.wanted), *(f"or {name}" for name in whole)]
        raise FilesMissingError(
            f"the files of data set '{self.info.name}' are not there",
            where=", ".join(map(str, candidates[1::2])),
            valid=" ".join(valid),
            remedy=[
                *hint,
                f"get them from {self.info.source} and name their folder in {DATA_VARIABLE}",
                "name their folder: data_root=...",
                "pass download=True",
            ],
        )

    def content(self, name: str) -> bytes:
        """Return the uncompressed content of one file, checked and recorded."""
        return self.contents([name])[name]

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the uncompressed contents of several files, checked and recorded."""
        found = self._raw(list(names))
        for name, content in found.items():
            self.note(self.info, self.entry, name, content, f"{self.archive or self.folder}: {name}")
        return found

    def raw(self, name: str) -> bytes:
        """Return the content of one of very many files, neither checked nor recorded."""
        return self._raw([name])[name]

    def names(self, prefix: str) -> list[str]:
        """Return the names of all files below a folder, relative and with slashes."""
        if self.archive is None:
            below = (self.folder / prefix).rglob("*")
            return [path.relative_to(self.folder).as_posix() for path in below if path.is_file()]
        inner = f"{self.entry['folder']}/"
        names = (name.removeprefix(inner) for name in self._zip().namelist() if not name.endswith("/"))
        return [name for name in names if name.startswith(prefix)]

    def record(self, name: str, *arrays: np.ndarray) -> None:
        """Record the hash of arrays that were made of many files."""
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
        self.info.sha256[name] = digest.hexdigest()

    @staticmethod
    def note(info: DataInfo, entry: Mapping[str, Any], name: str, content: bytes, where: str) -> None:
        """Record the hash of a content, and check it if the registry has one."""
        found, expected = hashlib.sha256(content).hexdigest(), entry.get("files", {}).get(name)
        if expected is not None:
            check_hash(found, expected, where)
            info.verified.append(name)
        info.sha256[name] = found

    def _raw(self, names: list[str]) -> dict[str, bytes]:
        if self.archive is None:
            return {name: self._plain(name) for name in names}
        with reading(self.archive, what="the archive cannot be read", error=EIPlatformError):
            if self.archive.suffix == ".zip":
                return {name: read_member(self._zip(), f"{self.entry['folder']}/{name}", self.limit) for name in names}
            return read_tar(self.archive, names, self.limit)

    def _plain(self, name: str) -> bytes:
        path = _file(self.folder, name)
        if path is None:
            raise EIPlatformError("this file does not exist", where=str(self.folder / name))
        packed = path.suffix == ".gz" and not name.endswith(".gz")
        published = self.entry.get("archives", {}).get(path.name)
        if packed and published and self.entry["files"].get(name) is None:
            _check_published(path, published, self.info)
        with reading(path, what="the file cannot be read", error=EIPlatformError):
            return read_file(path, self.limit, packed=packed)

    def _check_archive(self, path: Path) -> None:
        _check_published(path, self.entry["archives"][path.name], self.info)

    def _zip(self) -> zipfile.ZipFile:
        assert self.archive is not None
        if not hasattr(self, "_opened"):
            with reading(self.archive, what="the archive cannot be read", error=EIPlatformError):
                self._opened = zipfile.ZipFile(self.archive)
        return self._opened


def check_hash(found: str, expected: str, where: str, kind: str = "sha256") -> None:
    """Compare two hashes.

    Raises
    ------
    EIPlatformError
        If they differ.
    """
    if found != expected:
        raise EIPlatformError(
            f"the content has {kind} {found[:12]}.., not the registered {expected[:12]}..",
            where=where,
            remedy="get the file again from the source in data/registry.yml",
        )


def download(name: str, entry: Mapping[str, Any], root: Path | None) -> None:
    """Get the archives of a data set that are not there, checked by their published checksum.

    Parameters
    ----------
    name : str
        The data set; the files go into a folder of this name.
    entry : mapping
        Its entry in the registry.
    root : Path or None
        Folder of the data sets; by default the one that ``EIPLATFORM_DATA`` names.

    Raises
    ------
    EIPlatformError
        If no folder is named, nothing can be downloaded, or an archive has no published
        checksum, cannot be reached, or has another content.
    MissingDependencyError
        If pooch is not installed.
    """
    base = download_root(name, root)
    archives = entry.get("archives", {})
    for file, facts in archives.items():
        if not (facts.get("sha256") or facts.get("md5")):
            raise EIPlatformError(
                f"no checksum of {file} was published, so a download could not be checked",
                where=name,
                remedy=f"get it yourself from {entry['source']} and name its folder in {DATA_VARIABLE}",
            )
    try:
        import pooch
    except ImportError:
        raise MissingDependencyError(
            "downloads need pooch, which is not installed", remedy="pip install 'eiplatform[data]'"
        ) from None
    for file, facts in archives.items():
        known = f"sha256:{facts['sha256']}" if facts.get("sha256") else f"md5:{facts['md5']}"
        try:
            pooch.retrieve(facts["url"], known_hash=known, fname=file, path=base / name)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError: another hash
            raise EIPlatformError(f"{file} cannot be downloaded ({error})", where=facts["url"]) from None


def download_root(name: str, root: Path | None) -> Path:
    """Return the folder that downloads go to: `root`, or what ``EIPLATFORM_DATA`` names."""
    named = os.environ.get(DATA_VARIABLE)
    if root is None and not named:
        raise EIPlatformError(
            "no folder is named for the download",
            where=name,
            remedy=(f"name one in {DATA_VARIABLE}", "name one: data_root=..."),
        )
    return root or Path(str(named))


def _check_published(path: Path, facts: Mapping[str, str], info: DataInfo) -> None:
    kind = "sha256" if facts.get("sha256") else "md5"
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, kind).hexdigest()
    if facts.get(kind):
        check_hash(found, facts[kind], str(path), kind)
        info.verified.append(path.name)
    if kind == "sha256":
        info.sha256[path.name] = found


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)
