"""Keys of the configuration that had another name in earlier versions, whose files still open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["RENAMED", "as_hashed", "current"]

RENAMED: dict[tuple[str, ...], str] = {("network", "circuit"): "layer"}
"""By the place of a key in the configuration: what it is called now."""


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration under the names of today.

    Examples
    --------
    >>> current({"network": {"circuit": "bn"}})
    {'network': {'layer': 'bn'}}
    """
    return _renamed(config, {(part, old): new for (part, old), new in RENAMED.items()})


def as_hashed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration under the names that hashes are made of: a new name changes no stored hash.

    Examples
    --------
    >>> as_hashed({"network": {"layer": "bn"}})
    {'network': {'circuit': 'bn'}}
    """
    return _renamed(config, {(part, new): old for (part, old), new in RENAMED.items()})


def _renamed(config: Mapping[str, Any], names: Mapping[tuple[str, ...], str]) -> dict[str, Any]:
    return {
        part: {names.get((part, key), key): value for key, value in fields.items()}
        if isinstance(fields, Mapping)
        else fields
        for part, fields in config.items()
    }
