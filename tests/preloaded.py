"""What the process that :mod:`tests.forked` forks from has imported."""

import sys

sys.modules["pylab"] = None  # type: ignore[assignment]  # as the worker does

import brian2  # noqa: E402, F401

import eiplatform.microcircuits.worker  # noqa: E402, F401
