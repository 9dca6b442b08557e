"""A hash of a result inside its own file: whatever changes a bit of it is noticed when it is read."""

from __future__ import annotations

import hashlib
import re

__all__ = ["BLANK", "is_sealed", "sealed"]

_MARK = "sha256-of-this-file:"
BLANK = _MARK + 64 * "0"
"""What stands for the hash while it is computed."""
_HDF5 = b"\x89HDF\r\n\x1a\n"
_FLAGS = 20
"""Where a superblock of version 0 or 1 says, in its lowest bit, that a process has the file open to write."""
_SEAL = re.compile(rb"sha256-of-this-file:([0-9a-f]{64})")


def sealed(content: bytes) -> bytes:
    """Return a file's content with the hash of all of it in the place of its one :data:`BLANK`.

    Examples
    --------
    >>> is_sealed(sealed(b"values " + BLANK.encode())), is_sealed(b"values")
    (True, None)
    """
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(BLANK.encode(), f"{_MARK}{digest}".encode())


def is_sealed(content: bytes) -> bool | None:
    """Whether a file is as it was sealed; None if it never was.

    The mark that HDF5 leaves in a file whose writer was killed does not count as a change.
    """
    found = _SEAL.findall(content)
    if not found:
        return None
    blank = _SEAL.sub(BLANK.encode(), _closed(content))
    return len(found) == 1 and hashlib.sha256(blank).hexdigest().encode() == found[0]


def _closed(content: bytes) -> bytes:
    """Return a file's content without the mark of a process that has it open to write."""
    if not content.startswith(_HDF5) or len(content) <= _FLAGS or content[len(_HDF5)] > 1:
        return content
    return content[:_FLAGS] + bytes([content[_FLAGS] & ~1]) + content[_FLAGS + 1 :]
