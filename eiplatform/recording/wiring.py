"""What the weights of a network say of its inhibition, kept with every recording."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

__all__ = ["inhibitory_weight_cv", "spread_over_sources"]


def spread_over_sources(weight: npt.ArrayLike) -> float:
    """Return how much the weights onto a neuron differ between its sources: CV, mean over neurons.

    Parameters
    ----------
    weight : array, shape (target, source)
        Not negative.

    Returns
    -------
    float
        0 if all sources are interchangeable; NaN with one source, or without weights.

    Examples
    --------
    >>> spread_over_sources([[1.0, 1.0], [1.0, 3.0]])
    0.25
    """
    table = np.asarray(weight, dtype=np.float64)
    mean = table.mean(axis=1)
    held = mean > 0
    if table.shape[1] < 2 or not held.any():
        return float("nan")
    return float((table[held].std(axis=1) / mean[held]).mean())


def inhibitory_weight_cv(network: object) -> dict[str, float]:
    """Return, for every layer with I neurons, how much their weights onto an E neuron differ between them.

    Near 0 the I neurons of a layer are interchangeable.

    Parameters
    ----------
    network : Recordable
        Of which E-I layers, those with weights ``weight_inh_out`` (E, I), are looked at.

    Returns
    -------
    dict of str to float
        By name of the layer.
    """
    layers = getattr(network, "layers", None)
    if not isinstance(layers, nn.ModuleDict):
        return {}
    found = {}
    for name, layer in layers.items():
        weight = getattr(layer, "weight_inh_out", None)
        if weight is not None and weight.ndim == 2:
            spread = spread_over_sources(weight.detach().float().cpu().numpy())
            if np.isfinite(spread):
                found[str(name)] = spread
    return found
