"""Early warnings: layers that fire never or always, and where numbers stop being finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from eiplatform.errors import TrainingError
from eiplatform.networks.network import Network

__all__ = ["DEAD_RATE", "ONLY_LOSS", "PATIENCE", "SATURATED_RATE", "check_rates", "first_non_finite"]

DEAD_RATE = 1e-3
"""Mean spikes per neuron and step below which a layer is reported."""
SATURATED_RATE = 0.95
"""Mean spikes per neuron and step above which a layer is reported."""
PATIENCE = 2
"""Epochs in a row without any spike, or with nothing but spikes, after which training stops."""

ONLY_LOSS = "only the loss"
"""What :func:`first_non_finite` says when every parameter and signal is finite."""

_REMEDIES = {
    "silent": "lower network.neuron.threshold or training.learning_rate, lengthen training.warmup_epochs, or use "
    "fewer layers",
    "saturated": "raise network.neuron.threshold, or lower training.learning_rate",
}


def check_rates(history: Sequence[tuple[int, Mapping[str, float]]]) -> list[str]:
    """Judge the firing rates of every layer over the epochs so far.

    Parameters
    ----------
    history : sequence of (epoch, rates)
        Mean spikes per neuron and step of each layer, oldest first; epoch 0 is before training.

    Returns
    -------
    list of str
        One sentence per layer that is nearly silent or nearly saturated now.

    Raises
    ------
    TrainingError
        If a layer has been entirely silent or saturated for :data:`PATIENCE` epochs.

    Examples
    --------
    >>> check_rates([(0, {"fc1": 0.2}), (1, {"fc1": 0.0005})])
    ['fc1 is nearly silent since epoch 1 (0.0005 spikes per step)']
    """
    warnings = []
    for layer, rate in history[-1][1].items():
        past = [(epoch, rates[layer]) for epoch, rates in history]
        if rate < DEAD_RATE:
            state, near, full = "silent", _since(past, 0.0, DEAD_RATE), _since(past, 0.0, 0.0)
        elif rate > SATURATED_RATE:
            state, near, full = "saturated", _since(past, SATURATED_RATE, 1.0), _since(past, 1.0, 1.0)
        else:
            continue
        if len(full) >= PATIENCE:
            raise TrainingError(
                f"the layer is {state} on every validation image since epoch {full[0]}",
                where=layer,
                remedy=f"try: {_REMEDIES[state]}",
            )
        warnings.append(f"{layer} is nearly {state} since epoch {near[0]} ({rate:.4g} spikes per step)")
    return warnings


def _since(past: list[tuple[int, float]], low: float, high: float) -> list[int]:
    """Return the last epochs in a row whose rate lies within these bounds."""
    inside = takewhile(lambda item: low <= item[1] <= high, reversed(past))
    return [epoch for epoch, _ in inside][::-1]


def first_non_finite(network: Network, x: Tensor) -> str:
    """Name the first parameter, or else the first signal, that is not finite for the input `x`."""
    for name, parameter in network.named_parameters():
        if not bool(parameter.isfinite().all()):
            return f"parameter {name.removeprefix('layers.')}"
    record = {name: frozenset(info.signals) for name, info in network.populations().items()}
    with torch.no_grad():
        signals = network.run(x, record=record).signals
    for population, recorded in signals.items():
        for signal in network.populations()[population].signals:
            if not bool(recorded[signal].isfinite().all()):
                return f"signal {signal} of {population}"
    return ONLY_LOSS
