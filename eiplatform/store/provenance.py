"""Where a result came from: command, versions, revision, machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eiplatform.version import __version__

__all__ = ["provenance"]

_PACKAGES = ("numpy", "scipy", "xarray", "h5py", "h5netcdf", "torch", "brian2", "scikit-learn")


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def provenance() -> dict[str, Any]:
    """Describe this process: date, command, package versions, git revision and machine.

    Returns
    -------
    dict
        JSON-compatible; ``git`` is None outside a checkout.
    """
    versions = {"python": platform.python_version(), "eiplatform": __version__}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    revision = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain") if revision else None
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name.replace("__main__.py", "eiplatform"), *sys.argv[1:]]),
        "versions": versions,
        "git": {"revision": revision, "dirty": bool(status)} if revision else None,
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
    }
