"""What users call: a module as a network that can be recorded, and what that would give."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from eiplatform.foreign.network import ForeignNetwork
from eiplatform.foreign.report import Probe

__all__ = ["adapt", "probe"]


def adapt(module: nn.Module, example_input: Tensor, **options: Any) -> ForeignNetwork:
    """Make any torch module a network that can be recorded.

    Excitatory current is what arrives through positive weights, inhibitory what arrives through
    negative ones; see :mod:`eiplatform.foreign.current` for inputs of either sign.  The module
    itself is neither changed nor copied.

    Parameters
    ----------
    module : nn.Module
        With parameters in float32 or float64.
    example_input : Tensor
        What the module takes, with a batch axis: it is run a few times on it.
    time : {"static", "steps", "sequence", "inside"}, optional
        ``static``: no time, T = 1.  ``steps``: one call per step.  ``sequence``: one call takes
        all steps.  ``inside``: one call takes a static input and loops over its own steps.
        Default: found from the example, where possible.
    time_axis : int, optional
        Axis of time in the input of a ``sequence``: 0 (default) or 1.
    steps : int
        Calls per run for ``steps`` (default 4).
    signs : {"contribution", "weight"}
        Sign rule.
    neurons : mapping of str to Neuron, optional
        How to read modules of neurons that have no adapter, by name or wildcard.
    forward : callable, optional
        ``forward(module, x)`` calls the module in place of ``module(x)``.
    output : callable, optional
        Takes what the module returned to the tensor whose mean over time are the logits;
        default: its first tensor.
    reset : callable, optional
        ``reset(module)`` brings a module of no known framework to rest.
    carry : bool, optional
        Whether the module takes and returns its state, ``module(x, state) -> (output, state)``
        (``steps`` only); default: whether it is Norse's.

    Returns
    -------
    ForeignNetwork

    Raises
    ------
    EIPlatformError
        If the module does not run, cannot be followed, or has nothing to record.

    Examples
    --------
    >>> import torch
    >>> network = adapt(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2)), torch.rand(1, 3))
    >>> {name: info.signals for name, info in network.populations().items()}["0"]
    ('current_exc', 'current_inh', 'current_net', 'drive', 'activity')
    """
    return ForeignNetwork(module, example_input, **options)


def probe(module: nn.Module, example_input: Tensor, **options: Any) -> Probe:
    """Say what of a module can be recorded, what cannot, and why.

    Parameters
    ----------
    module, example_input, **options
        As for :func:`adapt`.

    Returns
    -------
    Probe
        ``print`` it, or show it in a notebook.

    Examples
    --------
    >>> import torch
    >>> print(probe(nn.Linear(3, 2), torch.rand(1, 3)))
    Linear: time static, T = 1, signs by contribution
    <BLANKLINE>
    populations
      name    neurons  shape  signals
      linear  2        2      current_exc, current_inh, current_net, drive
    <BLANKLINE>
    pathways
      weights             source  target  sign
      linear              input   linear  +
      linear subtractive  input   linear  -
    """
    return adapt(module, example_input, **options).probe()
