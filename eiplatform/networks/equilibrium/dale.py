"""Feedback under Dale's law: spiking E and I populations that excite and inhibit each other.

The equilibrium is that of any feedback network, ``a = clamp((W a + F x + b) / d, 0, 1)`` with ``a``
the rates of E, then of I; but F >= 0, and W has the blocks

    E <- E: +     E <- I: -
    I <- E: +     I <- I: -

(no paper has it; sign-constrained by the projection that keeps all E-I layers so).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eiplatform.networks.description import PopulationInfo, Route
from eiplatform.networks.equilibrium.layers import Edge, FeedbackLayer
from eiplatform.networks.kernels.lif import LIF
from eiplatform.networks.neuron import StepwiseNeuron
from eiplatform.networks.transform import Linear

__all__ = ["DaleFeedbackLayer"]

_MEAN_DRIVE = 0.5
"""Drive of a neuron at first, in units of what makes it fire at every step, if all inputs are at 0.3."""
_MEAN_INPUT = 0.3


class DaleFeedbackLayer(FeedbackLayer):
    """Fully connected E and I neurons with feedback onto themselves.

    Parameters
    ----------
    n_inputs, n_exc, n_inh : int
    neuron : LIF
        Of both populations.
    drop : float
    limit : float or None
    stepwise : StepwiseNeuron, optional
        Of both populations, E first.

    Examples
    --------
    >>> layer = DaleFeedbackLayer(8, 4, 2, LIF(threshold=2.0), 2.0, 1.0)
    >>> sorted(layer.signed_parameters())
    ['feedback.alpha', 'feedback.weight', 'weight']
    >>> {role: info.n_neurons for role, info in layer.populations().items()}
    {'E': 4, 'I': 2}
    """

    signals = {
        "E": FeedbackLayer.signals["E"],
        "I": FeedbackLayer.signals["E"],
    }
    routes = (
        Route("input->E", "input", "E", "+", "additive", "input_exc", "current_exc_external"),
        Route("input->I", "input", "I", "+", "additive", "input_inh", "current_exc_external"),
        Route("recurrent->E", "E", "E", "+", "additive", "recurrent_exc", "current_exc_recurrent"),
        Route("recurrent->I", "E", "I", "+", "additive", "recurrent_to_inh", "current_exc_recurrent"),
        Route("I->E subtractive", "I", "E", "-", "subtractive", "subtractive", "current_inh_recurrent"),
        Route("I->I subtractive", "I", "I", "-", "subtractive", "inh_to_inh", "current_inh_recurrent"),
    )

    def __init__(
        self,
        n_inputs: int,
        n_exc: int,
        n_inh: int,
        neuron: LIF,
        drop: float,
        limit: float | None,
        stepwise: StepwiseNeuron | None = None,
    ) -> None:
        n = n_exc + n_inh
        back = Linear(n)
        super().__init__(Linear(n_inputs), n, neuron, drop, batch_norm=False, back=back, limit=limit, stepwise=stepwise)
        self.channels = {"E": n_exc, "I": n_inh}
        self.parts = {"E": slice(0, n_exc), "I": slice(n_exc, n)}

    @property
    def n_neurons(self) -> int:
        """Number of E and I neurons."""
        return sum(self.channels.values())

    def signed_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters that Dale's law keeps >= 0."""
        synapses = ("weight", "feedback.weight", "feedback.alpha")
        return {name: parameter for name, parameter in self.named_parameters() if name in synapses}

    def init_(self, generator: torch.Generator) -> None:
        """Draw exponential weights: the input's so that they drive at first, the feedback's at its norm's limit."""
        super().init_(generator)  # the vectors of the power iteration, and sizes of rows
        with torch.no_grad():
            drawn = torch.empty(self.weight.shape, dtype=torch.float64).exponential_(generator=generator)
            self.weight.copy_(drawn * (_MEAN_DRIVE * self.drop / _MEAN_INPUT / drawn.shape[1]))
            # |W0| has a large mean, which the sign of I cancels in part: blocks of equal total strength.
            block = torch.empty(self.feedback.weight.shape, dtype=torch.float64).exponential_(generator=generator)
            block[:, self.parts["I"]] *= self.channels["E"] / self.channels["I"]
            self.feedback.weight.copy_(block / self.n_neurons)
        self.feedback.settle()

    def populations(self) -> dict[str, PopulationInfo]:
        """Return both populations, which spike alike."""
        own = {} if self.stepwise is None else self.stepwise.neuron_parameters()
        told = {**self.neuron_parameters(), **own}
        parameters = {name: values.detach().cpu().numpy() for name, values in told.items()}
        attrs = {} if self.stepwise is None else self.stepwise.attrs()
        if self.drop != self.neuron.threshold:
            attrs |= {"reset_by": self.drop}
        neuron = self.neuron
        return {
            role: PopulationInfo(
                role,
                (self.channels[role],),
                signals,
                {name: values[self.parts[role]] for name, values in parameters.items()},
                None if "threshold" in own else neuron.threshold,
                neuron.decay,
                neuron.reset,
                attrs,
            )
            for role, signals in self.signals.items()
        }

    def visible(self, spikes: Tensor) -> Tensor:
        """Return what other layers see: E alone."""
        return spikes[..., self.parts["E"]]

    def back_edge(self, mask: Tensor | None = None) -> Edge:
        """Return the feedback map, whose columns have the sign of their neuron."""
        weight = self.feedback() * self._signs()
        if self.lesion is not None:
            self._check_lesion(self.lesion)
            exc, inh = self.parts["E"], self.parts["I"]
            factors = torch.ones_like(weight)
            for target, source, factor in (
                (exc, exc, self.lesion.recurrent_exc),
                (inh, exc, self.lesion.recurrent_to_inh),
                (exc, inh, self.lesion.subtractive),
                (inh, inh, self.lesion.inh_to_inh),
            ):
                if factor is not None:
                    factors[target, source] = _column(factor, weight)
            weight = weight * factors
        return Edge(self.feedback.transform, weight, None, mask)

    def _signs(self) -> Tensor:
        signs = self.weight.new_ones(self.n_neurons)
        signs[self.parts["I"]] = -1
        return signs

    def _cut(self, weight: Tensor) -> Tensor:
        if self.lesion is None:
            return weight
        self._check_lesion(self.lesion)
        factors = weight.new_ones(self.n_neurons, 1)
        for role, factor in (("E", self.lesion.input_exc), ("I", self.lesion.input_inh)):
            if factor is not None:
                factors[self.parts[role]] = _column(factor, weight)
        return weight * factors


def _column(factor: float | Tensor, like: Tensor) -> Tensor:
    """Return a factor, or one per target neuron, as a column."""
    return torch.as_tensor(factor).to(like).reshape(-1, 1)
