"""What works on this machine, and what to install for what does not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass

__all__ = ["Finding", "examine"]


@dataclass(frozen=True)
class Finding:
    """One part of the platform and its state.

    Attributes
    ----------
    name, found, remedy : str
    ok : bool
    optional : bool
        Whether the rest works without it.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    optional: bool = False


def _package(distribution: str, module: str, extra: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(distribution, False, "not installed", f"pip install 'eiplatform[{extra}]'", optional=True)
    return Finding(distribution, True, importlib.metadata.version(distribution), optional=True)


def examine() -> list[Finding]:
    """Look at Python, packages, the compiler and the machine; change nothing."""
    compiler = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
    findings = [
        Finding("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer"),
        *(
            Finding(name, True, importlib.metadata.version(name))
            for name in ("numpy", "scipy", "xarray", "h5netcdf", "matplotlib")
        ),
        _package("torch", "torch", "train"),
        _package("safetensors", "safetensors", "train"),
        _package("scikit-learn", "sklearn", "train"),
        _package("brian2", "brian2", "simulate"),
        _package("pooch", "pooch", "data"),
        _package("tonic", "tonic", "events"),
        _package("tensorboard", "tensorboard", "track"),
        _package("dask", "dask", "dask"),
        _package("zarr", "zarr", "zarr"),
        _package("pynwb", "pynwb", "nwb"),
        _package("pynapple", "pynapple", "pynapple"),
        _package("neo", "neo", "neo"),
        _package("nir", "nir", "nir"),
        Finding(
            "C++ compiler",
            compiler is not None,
            compiler or "none",
            "install g++ or clang++, or simulate with --device numpy and train with the eager backend",
            optional=True,
        ),
    ]
    numpy_version = tuple(map(int, importlib.metadata.version("numpy").split(".")[:2]))
    if importlib.util.find_spec("brian2"):
        brian_version = tuple(map(int, importlib.metadata.version("brian2").split(".")[:2]))
        works = not (numpy_version >= (2, 4) and brian_version < (2, 10))
        findings.append(
            Finding("brian2 with numpy", works, "compatible" if works else "incompatible", "pip install 'numpy<2.4'")
        )
    if importlib.util.find_spec("torch"):
        from eiplatform.training.machine import has_bf16

        has = has_bf16()
        findings.append(
            Finding(
                "bf16",
                has,
                "instructions of this processor" if has else "computed by float32, about four times slower than it",
                "train with training.precision=float32, or auto",
                optional=True,
            )
        )
    findings += [_gpu(), _cache(), _data(), _project()]
    cores = os.cpu_count() or 1
    findings.append(Finding("machine", True, f"{cores} cores, {platform.system()} {platform.machine()}"))
    return findings


def _gpu() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("GPU", False, "torch is not installed", "pip install 'eiplatform[train]'", optional=True)
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", False, "none that torch can use", "compute on the CPU: --device cpu", optional=True)
    return Finding("GPU", True, torch.cuda.get_device_name(), optional=True)


def _cache() -> Finding:
    from eiplatform.caches import cache_directory
    from eiplatform.errors import EIPlatformError
    from eiplatform.memory import free_disk, in_units

    try:
        place = cache_directory()
    except EIPlatformError as error:
        return Finding("cache", False, error.what, error.remedy or "name another folder in EIPLATFORM_CACHE")
    return Finding("cache", True, f"{place}, {in_units(free_disk(place))} free")


def _data() -> Finding:
    """Look for the files of data sets where they are looked for."""
    from eiplatform.datasets import dataset_names
    from eiplatform.datasets.files import DATA_VARIABLE, DEBIAN_ROOT, places

    names = sorted(name for name in dataset_names() if any(place.is_dir() for place in places(name, None)))
    named = os.environ.get(DATA_VARIABLE)
    remedy = f"name their folder in {DATA_VARIABLE}; 'eiplatform train --download' gets them"
    found = ", ".join(names) if names else "digits (in scikit-learn) alone"
    return Finding("data sets", bool(names), f"{found}; looked in {named or DEBIAN_ROOT}", remedy, optional=True)


def _project() -> Finding:
    from eiplatform.errors import EIPlatformError
    from eiplatform.project import MARKER, VARIABLE, project_folder

    try:
        folder = project_folder()
    except EIPlatformError as error:
        return Finding("project", False, error.what, error.remedy or "")
    remedy = f"an empty file {MARKER} in your folder makes it one, or {VARIABLE}"
    return Finding("project", folder is not None, str(folder or "none here"), remedy, optional=True)
