"""How the options of every command are read."""

from __future__ import annotations

from cyclopts import Parameter

__all__ = ["Flag", "Many", "Set"]

Many = Parameter(consume_multiple=True, negative=())
"""Takes all values up to the next option."""
Flag = Parameter(negative=())
"""Is there or not."""
Set = Parameter(name="--set", consume_multiple=True, negative=())
"""Changes of a configuration, name=value."""
