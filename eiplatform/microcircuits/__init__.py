"""Published cortical circuits, simulated with Brian2 into the recording schema.

>>> from eiplatform.microcircuits import load, names
>>> "brunel-2000" in names()
True
>>> round(load("brunel-2000", {"state": "C"}).theory()["rate"], 2)
37.95

Importing this package does not import Brian2; a simulation does so in a process of its own.
"""

from eiplatform.microcircuits.circuit import Circuit
from eiplatform.microcircuits.memory import estimate_memory
from eiplatform.microcircuits.registry import load, names
from eiplatform.microcircuits.runner import DEVICES, simulate

__all__ = ["DEVICES", "Circuit", "estimate_memory", "load", "names", "simulate"]
