"""Words that findings share."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["listed", "ways"]


def listed(names: Sequence[str]) -> str:
    """Return the names of layers in a row."""
    return ", ".join(names) if names else "no layer"


def ways(up: Sequence[str], down: Sequence[str]) -> str:
    """Name the layers that lie above and below; only those that there are."""
    return ", ".join(f"{way} in {', '.join(names)}" for way, names in (("higher", up), ("lower", down)) if names)
