"""Errors by their fields: what messages are made of, and not how they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from eiplatform.errors import EIPlatformError

__all__ = ["refusing"]


@contextmanager
def refusing(
    kind: type[EIPlatformError], **fields: str | Sequence[str]
) -> Iterator[pytest.ExceptionInfo[EIPlatformError]]:
    """Expect an error of this kind whose fields (what, where, valid, remedy) hold these names and values."""
    with pytest.raises(kind) as caught:
        yield caught
    for field, wanted in fields.items():
        found = str(getattr(caught.value, field) or "")
        for part in (wanted,) if isinstance(wanted, str) else wanted:
            assert part in found, f"{field} of {caught.value!r}: {part!r} is not in {found!r}"
