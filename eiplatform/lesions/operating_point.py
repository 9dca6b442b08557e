"""Restoring the rates of a lesioned network by its biases: the operating point, without the synapses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions import Bias
from eiplatform.interventions.intervention import Kind
from eiplatform.networks.intervening import intact
from eiplatform.networks.network import Network

__all__ = ["restored_rates"]

_ROUNDS = 24
"""Halvings of the interval that holds a shift."""


def restored_rates(network: Network, interventions: Sequence[Kind], x: Tensor, steps: int | None) -> list[Bias]:
    """Find the shifts of biases that give every neuron (channel) its intact mean rate back under interventions.

    Layer after layer from the first that is changed: the layer's drive under the interventions and the shifts of the
    layers before is known, and so is the rate for every shift; bisection finds it.  Labels are not used.

    Parameters
    ----------
    network : Network
        Of layers that run forward; in evaluation mode.
    interventions : sequence of Kind
    x : Tensor, shape (B, ...) or (T, B, ...)
        Samples on which rates are restored.
    steps : int or None
        Of a static input.

    Returns
    -------
    list of Bias
        One per hidden layer from the first that is changed.  A neuron that cannot reach its rate (it fires at every
        step or never, whatever the bias in the range of its drives) comes as near as it can.

    Raises
    ------
    ConfigError
        If a layer's neurons cannot be run by themselves.
    """
    layers, infos = network.named_layers(), network.populations()
    hidden = [name for name, layer in layers.items() if layer.spiking and "drive" in infos[f"{name}/E"].signals]
    order = list(layers)
    first = min((place.layer for one in interventions for place in one.places(network)), key=order.index)
    found: list[Bias] = []
    with torch.no_grad(), intact(network):
        for name in [name for name in hidden if order.index(name) >= order.index(first)]:
            sent = next(s for s in ("output", "spikes", "activity") if s in infos[f"{name}/E"].signals)
            record = {f"{name}/E": frozenset({"drive", sent})}
            wanted = _rate(network.run(x, steps, record).signals[f"{name}/E"][sent])
            with network.intervene(*interventions, *found):
                drive = network.run(x, steps, record).signals[f"{name}/E"]["drive"]
            found.append(Bias(_shift(layers[name].fire, drive, wanted).tolist(), layers=name))
    if not found:
        raise ConfigError("no hidden layer follows the intervention", where="restored rates")
    return found


def _rate(spikes: Tensor) -> Tensor:
    """Return mean rates per neuron (channel)."""
    return spikes.double().mean((0, 1, *range(3, spikes.ndim)))


def _shift(fire: Callable[[Tensor], Tensor], drive: Tensor, wanted: Tensor) -> np.ndarray:
    """Return the shift per neuron (channel) by bisection: rates rise with the bias.

    The middle of the shifts that give the rate: at either end a voltage lies at the threshold.
    """
    spread = drive.abs().amax((0, 1, *range(3, drive.ndim))).double() + 2.0
    ends = []
    for reached in (torch.ge, torch.gt):
        low, high = -spread, spread.clone()
        for _ in range(_ROUNDS):
            middle = (low + high) / 2
            shaped = middle.to(drive.dtype).reshape(-1, *(1,) * (drive.ndim - 3))
            there = reached(_rate(fire(drive + shaped)), wanted)
            low, high = torch.where(there, low, middle), torch.where(there, middle, high)
        ends.append(high)
    shift: np.ndarray = ((ends[0] + ends[1]) / 2).cpu().numpy()
    return shift
