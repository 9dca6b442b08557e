"""Published cortical circuits, simulated with Brian2 into the recording schema.

>>> from eiplatform.microcircuits import names, theory
>>> names()
('brunel-2000',)
>>> round(theory("brunel-2000", {"state": "C"})["rate"], 2)
37.95

Importing this package does not import Brian2; a simulation does so in a process of its own.
"""

from eiplatform.microcircuits.circuit import Circuit
from eiplatform.microcircuits.registry import load, names, theory
from eiplatform.microcircuits.runner import DEVICES, estimate_memory, simulate

__all__ = ["DEVICES", "Circuit", "estimate_memory", "load", "names", "simulate", "theory"]
