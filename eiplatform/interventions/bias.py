"""Shift biases: another operating point with the same synapses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import ConfigError, match_names
from eiplatform.interventions.intervention import At, Kind
from eiplatform.networks.intervening import Place
from eiplatform.networks.network import Network

__all__ = ["Bias"]


@dataclass(frozen=True, repr=False)
class Bias(Kind):
    """Add to the drive of E neurons, after the gain: their thresholds are shifted the other way.

    It cannot be recorded, because a recorded drive is gain times net input plus the trained bias; lesion studies
    use it to restore the rates of a lesioned network (:func:`eiplatform.lesions.operating_point.restored_rates`).

    Parameters
    ----------
    amounts : float or sequence of float
        For all, or one per neuron (channel of a convolution).
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.Bias(-0.1, layers="fc1")
    Bias(amounts=-0.1, layers='fc1')
    """

    amounts: float | tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        values = np.atleast_1d(np.asarray(self.amounts, dtype=float))
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ConfigError(f"amounts {self.amounts!r}", where="Bias", valid="finite numbers")
        if not isinstance(self.amounts, int | float):
            object.__setattr__(self, "amounts", tuple(float(value) for value in values))

    def places(self, network: Network) -> tuple[Place, ...]:
        """Return the drive of the E neurons of every hidden layer that matches."""
        layers, infos = network.named_layers(), network.populations()
        hidden = [name for name, layer in layers.items() if "drive" in infos[f"{name}/E"].signals and layer.spiking]
        found = []
        for name in match_names([self.layers], hidden, "layer with neurons that have a drive"):
            shape = infos[f"{name}/E"].shape
            if isinstance(self.amounts, tuple) and len(self.amounts) != shape[0]:
                raise ConfigError(
                    f"{len(self.amounts)} amounts for {shape[0]} neurons or channels", where=f"Bias: {name}"
                )
            found.append(Place(name, "drive", "E", "drive", shape))
        return tuple(found)

    def change(self, values: Tensor, at: At) -> Tensor:
        """Add."""
        amounts = torch.as_tensor(self.amounts, dtype=values.dtype, device=values.device)
        return values + amounts.reshape(-1, *(1,) * (len(at.place.shape) - 1))
