"""What of a network learns: everything, the weights alone, or the thresholds alone (STL, SL, TL; arXiv 2206.06129)."""

from __future__ import annotations

from torch import nn

from eiplatform.errors import ConfigError, choose
from eiplatform.networks.neuron import StepwiseNeuron

__all__ = ["REGIMES", "freeze"]

REGIMES = ("all", "weights", "thresholds")


def freeze(network: nn.Module, regime: str) -> None:
    """Let only those parameters learn that a regime names; the others keep their values.

    Parameters
    ----------
    network : nn.Module
    regime : {"all", "weights", "thresholds"}
        ``weights``: everything but the thresholds; ``thresholds``: nothing else, so that weights,
        biases, gains, and scale and shift of batch normalisation stay as they were drawn.

    Raises
    ------
    ConfigError
        If the thresholds are named and the network has none to train.
    UnknownNameError
        For another regime.

    Examples
    --------
    >>> from eiplatform.networks import LIF
    >>> from eiplatform.networks.neuron import Firing
    >>> neuron = StepwiseNeuron(LIF(), (2,), Firing(thresholds=True, widths=3))
    >>> freeze(neuron, "thresholds")
    >>> [name for name, parameter in neuron.named_parameters() if parameter.requires_grad]
    ['threshold']
    """
    choose(regime, REGIMES, "regime")
    thresholds = {
        id(module.threshold)
        for module in network.modules()
        if isinstance(module, StepwiseNeuron) and module.threshold is not None
    }
    if regime != "all" and not thresholds:
        raise ConfigError(
            f"'{regime}' of a network without trainable thresholds",
            where="training.trained",
            remedy="set network.neuron.model to stl",
        )
    for parameter in network.parameters():
        own = id(parameter) in thresholds
        parameter.requires_grad_(regime == "all" or own == (regime == "thresholds"))
