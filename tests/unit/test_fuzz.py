"""Malformed inputs of every kind end in one line; ``python -m tests.fuzz`` gives thousands of them.

More in the suite: ``EIPLATFORM_FUZZ=300``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INPUTS = os.environ.get("EIPLATFORM_FUZZ", "48")


def test_malformed_inputs_end_in_one_line() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--inputs", INPUTS, "--seed", "17", "--light"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert f"{INPUTS} inputs" in done.stdout
