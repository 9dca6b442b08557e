"""How many examples a property is tried on: few in the suite, more with ``EIPLATFORM_EXAMPLES=20``, times as many."""

from __future__ import annotations

import os

from hypothesis import settings

__all__ = ["examples"]

_TIMES = int(os.environ.get("EIPLATFORM_EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Return the settings of a property that is tried on so many examples, however long one takes."""
    return settings(max_examples=count * _TIMES, deadline=None)
