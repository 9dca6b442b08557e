"""Importing matplotlib, wherever it is done first."""

from __future__ import annotations

import os

__all__ = ["import_matplotlib"]


def import_matplotlib() -> None:
    """Import matplotlib even where the environment variable ``MPLBACKEND`` names what is not there.

    A notebook passes its own backend (``module://matplotlib_inline...``) to every process that it starts.  Figures are
    written to files, for which the backend does not matter; a backend that is there stays.

    Examples
    --------
    >>> import_matplotlib()
    """
    try:
        import matplotlib  # noqa: F401
    except ValueError:
        named = os.environ.pop("MPLBACKEND", None)
        if named is None:
            raise
        try:
            import matplotlib  # noqa: F401
        finally:
            os.environ["MPLBACKEND"] = named
