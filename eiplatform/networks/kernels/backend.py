"""What computes the element-wise part of E-I layers; chosen by name, never changed behind one's back.

``eager``
    Operations of PyTorch, on any device.
``compiled``
    One pass over memory in each direction, in C++ that is compiled for this processor on first
    use (some seconds, then cached), on a CPU.  The same numbers up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eiplatform.errors import choose
from eiplatform.networks.kernels import compiled

__all__ = ["BACKENDS", "current", "resolve", "use_backend"]

BACKENDS = ("eager", "compiled")

_current = "eager"


def current() -> str:
    """Return the backend in use."""
    return _current


def resolve(name: str, device: str = "cpu") -> str:
    """Return the backend that a name stands for on a device.

    Parameters
    ----------
    name : {"eager", "compiled", "auto"}
        ``auto``: compiled on a CPU if it can be, else eager.
    device : {"cpu", "cuda"}
    """
    if name == "auto":
        return "compiled" if device == "cpu" and compiled.available() else "eager"
    return name


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute with a backend, in this process.

    Parameters
    ----------
    name : {"eager", "compiled"}

    Raises
    ------
    DeviceError
        If ``compiled`` has no working compiler.

    Examples
    --------
    >>> with use_backend("eager"):
    ...     current()
    'eager'
    """
    global _current
    if choose(name, BACKENDS, "backend") == "compiled":
        compiled.library()
    before, _current = _current, name
    try:
        yield
    finally:
        _current = before
