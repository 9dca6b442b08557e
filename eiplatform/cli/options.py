"""How the options of every command are read."""

from __future__ import annotations

from typing import Any

from cyclopts import Parameter

__all__ = ["Flag", "Many", "Set"]


def _some(_: Any, values: Any) -> None:
    """Refuse an option without a value, which would else mean its default."""
    if values is not None and not values:
        raise ValueError("At least one value must follow.")


Many = Parameter(consume_multiple=True, negative=(), validator=_some)
"""Takes all values up to the next option."""
Flag = Parameter(negative=(), show_default=False)
"""Is there or not."""
Set = Parameter(name="--set", consume_multiple=True, negative=(), validator=_some)
"""Changes of a configuration, name=value."""
