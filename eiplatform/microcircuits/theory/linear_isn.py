"""The linear(-threshold) network of an excitatory and an inhibitory population.

M. V. Tsodyks, W. E. Skaggs, T. J. Sejnowski & B. L. McNaughton, J Neurosci 17:4382-4388 (1997); partial stimulation of
the inhibitory cells: A. Sanzeni et al., eLife 9:e54875 (2020), doi:10.7554/eLife.54875.

With gains absorbed into the weights, both populations above threshold:

    tau_E dr_E/dt = -r_E + w_EE r_E - w_EI r_I + h_E
    tau_I dr_I/dt = -r_I + w_IE r_E - w_II r_I + h_I        D = (1 - w_EE)(1 + w_II) + w_EI w_IE

Here ``weights[target, source]`` holds them with their signs, E first: ``[[w_EE, -w_EI], [w_IE, -w_II]]``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eiplatform.errors import ConfigError

__all__ = [
    "Partial",
    "critical_lesion",
    "determinant",
    "is_stable",
    "partial_stimulation",
    "partial_threshold",
    "responses",
]

TSODYKS = ((2.5, -2.5), (1.5, -0.7))
"""Weights of an inhibition-stabilised network, D = 1.2."""


class Partial(NamedTuple):
    """Changes of rates per unit of drive to a fraction of the I cells.

    Attributes
    ----------
    stimulated, others, mean : float
        Of the I cells that are stimulated, of the other I cells, of all I cells.
    exc : float
        Of E.
    """

    stimulated: float
    others: float
    mean: float
    exc: float


def _checked(weights: ArrayLike) -> NDArray[np.float64]:
    w = np.asarray(weights, float)
    if w.shape != (2, 2) or (w[:, 0] < 0).any() or (w[:, 1] > 0).any():
        raise ConfigError(
            f"{w.tolist()} are not the weights of E and I", where="weights", valid="[[w_EE, -w_EI], [w_IE, -w_II]]"
        )
    return w


def determinant(weights: ArrayLike) -> float:
    """Return ``D = (1 - w_EE)(1 + w_II) + w_EI w_IE``.

    Examples
    --------
    >>> round(determinant(TSODYKS), 12)
    1.2
    """
    return float(np.linalg.det(np.eye(2) - _checked(weights)))


def responses(weights: ArrayLike) -> NDArray[np.float64]:
    """Return ``dr_i/dh_j``, shape (population, drive): ``(1 - W)^-1``.

    ``dr_I/dh_I = (1 - w_EE)/D`` is negative (paradoxical) if and only if w_EE > 1 and D > 0.

    Examples
    --------
    >>> responses(TSODYKS).round(3).tolist()
    [[1.417, -2.083], [1.25, -1.25]]
    """
    return np.asarray(np.linalg.inv(np.eye(2) - _checked(weights)), np.float64)


def is_stable(weights: ArrayLike, tau_exc: float, tau_inh: float) -> bool:
    """Return whether the steady state is stable: ``D > 0`` and ``(w_EE - 1)/tau_E < (1 + w_II)/tau_I``.

    Examples
    --------
    >>> is_stable(TSODYKS, 20, 10), is_stable(TSODYKS, 5, 20)
    (True, False)
    """
    w = _checked(weights)
    return determinant(w) > 0 and bool((w[0, 0] - 1) / tau_exc < (1 - w[1, 1]) / tau_inh)


def critical_lesion(weights: ArrayLike) -> float:
    """Return the fraction of I->E whose loss makes D zero: ``1 - (w_EE - 1)(1 + w_II)/(w_EI w_IE)``.

    Without E->E loops above 1 no loss destabilises the network: the result is then above 1.

    Examples
    --------
    >>> round(critical_lesion(TSODYKS), 12)
    0.32
    """
    w = _checked(weights)
    return float(1 - (w[0, 0] - 1) * (1 - w[1, 1]) / (-w[0, 1] * w[1, 0]))


def partial_stimulation(weights: ArrayLike, fraction: float) -> Partial:
    """Return the responses where a fraction of the I cells receives a unit of drive.

    Stimulated cells change by ``1 - f + f (1 - w_EE)/D``, the others by ``-f + f (1 - w_EE)/D``, E by ``-f w_EI/D``.

    Examples
    --------
    >>> [round(value, 3) for value in partial_stimulation(TSODYKS, 0.2)]
    [0.55, -0.45, -0.25, -0.417]
    """
    if not 0 <= fraction <= 1:
        raise ConfigError(f"a fraction of {fraction}", where="fraction", valid="from 0 to 1")
    per_drive = responses(weights)
    mean = float(fraction * per_drive[1, 1])
    return Partial(1 - fraction + mean, mean - fraction, mean, float(fraction * per_drive[0, 1]))


def partial_threshold(weights: ArrayLike) -> float:
    """Return the fraction of I cells above which stimulated cells are paradoxical: ``D / (D + w_EE - 1)``.

    NaN where no fraction is: the network is not inhibition-stabilised.

    Examples
    --------
    >>> round(partial_threshold(TSODYKS), 3)
    0.444
    """
    w, d = _checked(weights), determinant(weights)
    return float(d / (d + w[0, 0] - 1)) if w[0, 0] > 1 and d > 0 else float("nan")
