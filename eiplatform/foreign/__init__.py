"""Networks of other frameworks, recorded in the same words: any ``torch.nn.Module``.

:func:`adapt` makes one that can be recorded, :func:`probe` says what that would give.  Nothing
but torch is imported.  Currents are followed through the forward pass as it runs; see
:mod:`eiplatform.foreign.tracer`.
"""

from eiplatform.foreign.clock import TIMES
from eiplatform.foreign.current import SIGN_RULES
from eiplatform.foreign.entry import adapt, probe
from eiplatform.foreign.network import ForeignNetwork
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.report import Missing, Probe

__all__ = ["SIGN_RULES", "TIMES", "ForeignNetwork", "Missing", "Neuron", "Probe", "adapt", "probe"]
