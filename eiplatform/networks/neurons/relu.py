"""Neurons without spikes: the rate is the rectified drive, at once."""

from __future__ import annotations

from torch import Tensor

from eiplatform.networks.kernels.lif import LIF, Membrane
from eiplatform.networks.neuron import Firing, NeuronModel, StepwiseNeuron

__all__ = ["RateNeuron"]


class RateNeuron(StepwiseNeuron):
    """Rectified linear neurons, in the place of spiking ones.

    They have no memory: the state that they return is their rate.

    Examples
    --------
    >>> import torch
    >>> _, rates, _ = RateNeuron()(torch.tensor([[[-1.0, 0.5]]]), steps=2)
    >>> rates.tolist()
    [[[0.0, 0.5]], [[0.0, 0.5]]]
    """

    fires = False

    def __init__(self) -> None:
        super().__init__(LIF(), (), Firing())

    def forward(
        self, drive: Tensor, state: Membrane | None = None, *, steps: int | None = None, keep_voltage: bool = False
    ) -> tuple[Membrane, Tensor, Tensor | None]:
        """Return the rates of all steps; these neurons have no voltage."""
        del state, keep_voltage
        rates = drive.relu()
        rates = rates if steps is None else rates.expand(steps, *rates.shape[1:])
        return Membrane(rates[-1]), rates, None


MODEL = NeuronModel(lambda lif, shape, firing: RateNeuron())
