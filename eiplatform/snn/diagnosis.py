"""Early warnings: layers that fire never or always, and where numbers stop being finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from eiplatform.errors import TrainingError
from eiplatform.snn.network import Network

__all__ = ["DEAD_RATE", "PATIENCE", "SATURATED_RATE", "check_rates", "first_non_finite"]

DEAD_RATE = 1e-3
"""Mean spikes per neuron and step below which a layer is reported."""
SATURATED_RATE = 0.95
"""Mean spikes per neuron and step above which a layer is reported."""
PATIENCE = 2
"""Epochs in a row without any spike, or with nothing but spikes, after which training stops."""

_REMEDIES = {
    "dead": "lower network.neuron.threshold or training.learning_rate, lengthen training.warmup_epochs, or use "
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
        past = [(epoch, rates[layer]) for epoch, rates in reversed(history)]
        for kind, extreme, beyond, words in (
            ("dead", 0.0, lambda r: r < DEAD_RATE, ("silent", "nearly silent")),
            ("saturated", 1.0, lambda r: r > SATURATED_RATE, ("saturated", "nearly saturated")),
        ):
            if not beyond(rate):
                continue
            since = [epoch for epoch, r in takewhile(lambda item: beyond(item[1]), past)][-1]
            full = [epoch for epoch, r in takewhile(lambda item: item[1] == extreme, past)]
            if len(full) >= PATIENCE:
                raise TrainingError(
                    f"the layer is {words[0]} on every validation image since epoch {full[-1]}",
                    where=layer,
                    remedy=f"try: {_REMEDIES[kind]}",
                )
            warnings.append(f"{layer} is {words[1]} since epoch {since} ({rate:.4g} spikes per step)")
    return warnings


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
    return "only the loss"
