"""A process that keeps its freed memory is not given new pages for every large block."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from eiplatform.memory import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
def faults():
    for _ in range(5):
        bytearray(40 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
print(faults() - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", SCRIPT, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_used_again() -> None:
    assert faults("leave") > 5 * 10  # huge pages at the least
    assert faults("keep") < 10
