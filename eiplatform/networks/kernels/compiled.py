"""Compiling ``compiled.cpp``, ``products.cpp`` and ``spikes.cpp`` for this processor, once, and calling the first.

The library is kept under ``compiled/`` in the cache of eiplatform, named by a hash of all that
decides it: sources, flags, compiler and processor.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from eiplatform.caches import cache_directory
from eiplatform.errors import DeviceError
from eiplatform.files import atomic_write

__all__ = ["Block", "Sequence", "Sums", "available", "call", "check_size", "library"]

SOURCES = tuple(Path(__file__).with_name(name) for name in ("compiled.cpp", "products.cpp", "spikes.cpp"))
INCLUDED = Path(__file__).with_name("compiled_moments.hpp")
# No -ffast-math: silent samples divide by infinity, and either direction must round alike.
FLAGS = (
    *("-std=c++17", "-O2", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"),
    *("-fopenmp", "-fPIC", "-shared"),
)
TYPES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16"}
"""Types of the currents that there is a kernel for."""
SURROGATES = ("sigmoid", "atan", "fast-sigmoid", "triangle", "rectangle")
"""In the order of ``rewind`` in the source."""


class Sequence(ctypes.Structure):
    """The rows of a tensor (T, ...) whose steps are each contiguous; see the source."""

    _fields_ = [("data", ctypes.c_void_p), ("step", ctypes.c_int64)]

    @classmethod
    def of(cls, x: Tensor | None) -> Sequence:
        """Point at a tensor, which must outlive the call; None: absent."""
        return cls(None, 0) if x is None else cls(x.data_ptr(), x.stride(0))


class Sums(ctypes.Structure):
    """Where the sums of one signal are; see the source."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("shift", "sum", "square")]


class Block(ctypes.Structure):
    """What a call works on; see the source."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n_samples", "n_places", "n_exc", "n_channels", "n_given", "n_steps")),
        *((name, ctypes.c_int64) for name in ("n_chunks", "subtractive", "stabilised", "hard", "detach_reset")),
        ("surrogate", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("alpha", "threshold", "decay")),
        *((name, ctypes.c_void_p) for name in ("gain_exc", "bias", "membrane")),
        *((name, Sequence) for name in ("currents", "mixed")),
        *((name, Sequence) for name in ("spikes", "voltage", "inh", "net", "div", "gain", "drive")),
        ("last", ctypes.c_void_p),
        ("n_selected", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("first", "channel", "slot")),
        *((name, ctypes.c_int64) for name in ("warmup", "every")),
        *((f"{name}_sums", Sums) for name in ("exc", "inh", "net", "div", "gain", "drive")),
        *((f"{name}_sums", Sums) for name in ("activity", "voltage", "spikes")),
        *((name, Sequence) for name in ("grad_currents", "grad_mixed")),
        ("rounded", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("grad_membrane", "grad_bias", "grad_gain_exc")),
    ]


def call(direction: str, block: Block, dtype: torch.dtype) -> None:
    """Run ``forward``, ``moments`` (forward as well) or ``backward`` on a block of currents of that type."""
    getattr(library(), f"{direction}_{TYPES[dtype]}")(ctypes.byref(block))


def available() -> bool:
    """Return whether the library is there or can be compiled."""
    try:
        library()
    except DeviceError:
        return False
    return True


@cache
def library() -> ctypes.CDLL:
    """Return the library, compiled first if the cache has none.

    Raises
    ------
    DeviceError
        Without a compiler, or if it fails.
    """
    named = os.environ.get("CXX")
    compiler = next(filter(None, map(shutil.which, (named,) if named else ("g++", "c++", "clang++"))), None)
    remedy = "install one (Debian: apt install g++; conda: cxx-compiler), or choose the eager backend"
    if compiler is None:
        what = f"C++ compiler{f' (CXX={named})' if named else ''}"
        raise DeviceError(f"the compiled backend needs a {what}, and none is on the PATH", remedy=remedy)
    content = {
        "sources": [hashlib.sha256(source.read_bytes()).hexdigest() for source in (*SOURCES, INCLUDED)],
        "flags": FLAGS,
        "compiler": _output_of(compiler, "--version"),
        "processor": [
            platform.machine(),
            *platform.libc_ver(),
            _output_of(compiler, "-march=native", "-Q", "--help=target"),
        ],
    }
    name = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:20]
    path = cache_directory() / "compiled" / f"{name}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda target: _compile(compiler, target))
    found = ctypes.CDLL(str(path))
    check_size(found, "block_bytes", ctypes.sizeof(Block))
    return found


def check_size(built: ctypes.CDLL, function: str, expected: int) -> None:
    """Compare the size of a structure in the compiled sources with that of its mirror in Python.

    Raises
    ------
    DeviceError
        If they differ: a call would read and write past its end.
    """
    size = getattr(built, function)
    size.restype = ctypes.c_int64
    if (found := size()) != expected:
        raise DeviceError(
            f"the compiled library was built for another layout ({function}: {found}, here {expected})",
            where=str(built._name),
            remedy="delete that file to have it built again",
        )


def _compile(compiler: str, target: Path) -> None:
    command = [compiler, *FLAGS, "-o", str(target), *map(str, SOURCES)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        tail = " | ".join(line for line in result.stderr.splitlines() if "error" in line.lower())[:500]
        raise DeviceError(
            f"the C++ compiler failed (status {result.returncode}): {tail or result.stderr[-500:]}",
            where=compiler,
            remedy="repair the compiler, or choose the eager backend",
        )


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
