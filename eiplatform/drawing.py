"""Importing matplotlib, wherever it is done first."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["import_matplotlib"]


def import_matplotlib() -> None:
    """Import matplotlib even where the environment variable ``MPLBACKEND`` names what is not there.

    A notebook passes its own backend (``module://matplotlib_inline...``) to every process that it starts.  Figures are
    written to files, for which the backend does not matter; a backend that is there stays.

    Examples
    --------
    >>> import_matplotlib()
    """
    if "matplotlib" in sys.modules:
        return
    named = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
    if named:
        with suppress(ValueError):  # as matplotlib does on its import, where an error would leave half of it
            matplotlib.rcParams["backend"] = named
