"""How much memory and disk there is, and how sizes are written."""

from __future__ import annotations

import ctypes
import platform
import re
import shutil
from pathlib import Path

import psutil

from eiplatform.errors import ConfigError

__all__ = ["available_memory", "free_disk", "in_units", "keep_memory", "parse_size"]

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def available_memory() -> int:
    """Return the bytes that can be used without swapping and within the limit of a container."""
    available, limit = int(psutil.virtual_memory().available), Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        available = min(available, int(text))
    return available


def free_disk(path: Path) -> int:
    """Return the free bytes of the disk that `path` is, or will be, on."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def keep_memory() -> bool:
    """Let this process keep freed memory for its next use, up to 2 GiB at a time, until it ends.

    Without it the C library hands large blocks back to the operating system, which clears them
    page by page before it hands them out again: some tenths of a small training step.

    Returns
    -------
    bool
        Whether the C library can do this (glibc).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, mmap_threshold, most = -1, -3, 2**31 - 1  # mallopt(3)
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(mmap_threshold, most)) and bool(mallopt(trim_threshold, most))


def in_units(size: float) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> in_units(1500), in_units(2.5e9)
    ('1.5 kB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def parse_size(text: str) -> int:
    """Read a size such as ``20GB``, ``500 MB`` or ``2GiB``.

    Raises
    ------
    ConfigError
        If it is none.

    Examples
    --------
    >>> parse_size("20GB"), parse_size("1.5 MiB")
    (20000000000, 1572864)
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]+)\s*", text)
    if not found or found[2].upper() not in _UNITS:
        raise ConfigError(f"'{text}' is not a size", valid="a number and a unit, e.g. 500MB, 20GB or 2GiB")
    return int(float(found[1]) * _UNITS[found[2].upper()])
