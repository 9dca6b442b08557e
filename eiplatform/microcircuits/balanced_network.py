"""Closed forms for networks of an excitatory and an inhibitory population.

The balance equations of van Vreeswijk & Sompolinsky (1996, Science 274:1724; 1998, Neural Comput
10:1321), their binary network at finite K, and self-consistent rates of two populations of leaky
integrate-and-fire neurons with delta synapses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.delta_lif import Inputs
from eiplatform.microcircuits.theory.diffusion import siegert_rate

__all__ = ["balanced_rates", "binary_activity", "lif_rates", "self_consistent"]


def balanced_rates(weights: ArrayLike, external: ArrayLike) -> NDArray[np.float64]:
    """Return the activities that cancel the mean input of both populations, ``W r = -external``.

    Parameters
    ----------
    weights : array, shape (2, 2)
        ``weights[target, source]``, inhibitory ones negative.
    external : array, shape (2,)

    Returns
    -------
    array, shape (2,)
        E and I.

    Raises
    ------
    ConfigError
        If the equations have no solution or a negative one: the network then has no balanced state.

    Examples
    --------
    >>> [round(float(rate), 6) for rate in balanced_rates([[1, -2], [1, -1.8]], [0.1, 0.08])]
    [0.1, 0.1]
    """
    matrix = np.asarray(weights, float)
    if np.isclose(np.linalg.det(matrix), 0):
        raise ConfigError("the synaptic weights have no balanced state", where="weights", valid="a regular matrix")
    rates: NDArray[np.float64] = np.linalg.solve(matrix, -np.asarray(external, float))
    if (rates <= 0).any():
        raise ConfigError(
            f"balance would need the rates {rates.round(3).tolist()}",
            where="weights and drives",
            valid="drive_exc/drive_inh > |J_E|/|J_I| > 1 (van Vreeswijk & Sompolinsky 1998, equation 4.9)",
        )
    return rates


def self_consistent(
    transfer: Callable[[NDArray[np.float64]], NDArray[np.float64]], start: ArrayLike
) -> NDArray[np.float64]:
    """Return ``x`` with ``transfer(x) = x`` near `start`, or NaN if none is found.

    Examples
    --------
    >>> self_consistent(lambda x: np.array([8 + x[0] / 2]), [1.0])
    array([16.])
    """
    first = np.asarray(start, float)
    found = scipy.optimize.root(lambda x: transfer(np.maximum(x, 0.0)) - x, first, tol=1e-10)
    error = np.abs(transfer(np.maximum(found.x, 0.0)) - found.x)
    if not (error <= 1e-6 * np.maximum(np.abs(found.x), 1e-3)).all():
        return np.full(first.shape, np.nan)
    return np.asarray(found.x, float).round(9)


def binary_activity(
    k: float,
    m0: float,
    *,
    drive: tuple[float, float] = (1.0, 0.8),
    inhibition: tuple[float, float] = (2.0, 1.8),
    threshold: tuple[float, float] = (1.0, 0.7),
) -> tuple[float, float]:
    """Return the mean activities of the binary network with K inputs per neuron and population.

    ``m_k = H(-u_k / sqrt(alpha_k))`` with ``u_k = sqrt(K) (drive_k m0 + m_E - J_k m_I) - theta_k``,
    ``alpha_k = m_E + J_k^2 m_I`` and ``H(z) = erfc(z / sqrt(2)) / 2`` (1998, equations 3.7, 3.8;
    excitatory weights 1, inhibitory weights J_k).

    Parameters
    ----------
    k : float
        Inputs per neuron from each population; ``inf`` for the balance equations.
    m0 : float
        Activity of the external population.
    drive, inhibition, threshold : tuple of float
        For E and for I.  The defaults are those of the papers' figures, quoted from memory.

    Returns
    -------
    tuple of float
        m_E and m_I; zeros if nothing else is self-consistent.

    Examples
    --------
    >>> [round(m, 3) for m in binary_activity(1000, 0.1)]
    [0.059, 0.079]
    >>> binary_activity(100, 0.05)
    (0.0, 0.0)
    """
    strength = np.asarray(inhibition)
    balance = balanced_rates([[1, -strength[0]], [1, -strength[1]]], np.asarray(drive) * m0)
    if np.isinf(k):
        return float(balance[0]), float(balance[1])

    def transfer(m: NDArray[np.float64], inputs: float) -> NDArray[np.float64]:
        u = np.sqrt(inputs) * (np.asarray(drive) * m0 + m[0] - strength * m[1]) - np.asarray(threshold)
        alpha = np.maximum(m[0] + strength**2 * m[1], 1e-12)
        return np.asarray(scipy.special.erfc(-u / np.sqrt(2 * alpha)) / 2)

    # From infinitely many inputs down to K, so that the balanced branch is followed and not lost.
    found = balance
    for inputs in np.geomspace(1e8, k, 60):
        found = self_consistent(lambda m, inputs=inputs: transfer(m, inputs), found)  # type: ignore[misc]
        if np.isnan(found).any() or found[0] < 1e-6:
            return 0.0, 0.0
    return float(found[0]), float(found[1])


def lif_rates(
    inputs: Mapping[str, Inputs],
    *,
    c_exc: float,
    c_inh: float,
    cell: Mapping[str, float],
    start: ArrayLike,
) -> tuple[NDArray[np.float64], dict[str, dict[str, float]]]:
    """Return self-consistent rates and mean currents of two populations in the diffusion approximation.

    Parameters
    ----------
    inputs : mapping of str to Inputs
        Of ``"E"`` and ``"I"``.
    c_exc, c_inh : float
        Synapses per neuron from E and from I.
    cell : mapping
        ``tau_ms``, ``threshold_mv``, ``reset_mv``, ``refractory_ms``.
    start : array, shape (2,)
        Where to look for the rates (Hz).

    Returns
    -------
    rates : array, shape (2,)
        Of E and I in Hz; NaN if no self-consistent pair was found near `start`.
    currents : dict
        Per population: ``current_exc_recurrent``, ``current_exc_external``, ``current_exc_constant``,
        ``current_exc``, ``current_inh``, ``current_net`` (mV) and ``sigma`` (Brunel's convention).
    """
    tau = cell["tau_ms"] * 1e-3

    def currents(entry: Inputs, rates: NDArray[np.float64]) -> dict[str, float]:
        of_exc = entry.frozen_rate_hz or c_exc * rates[0]
        recurrent, external = tau * entry.j_exc * of_exc, tau * entry.j_ext * entry.ext_rate_hz
        exc, inh = recurrent + external + entry.constant_mv, tau * entry.j_inh * c_inh * rates[1]
        variance = entry.j_exc**2 * of_exc + entry.j_ext**2 * entry.ext_rate_hz + entry.j_inh**2 * c_inh * rates[1]
        return {
            "current_exc_recurrent": float(recurrent),
            "current_exc_external": float(external),
            "current_exc_constant": float(entry.constant_mv),
            "current_exc": float(exc),
            "current_inh": float(inh),
            "current_net": float(exc - inh),
            "sigma": float(np.sqrt(tau * variance)),
        }

    def transfer(rates: NDArray[np.float64]) -> NDArray[np.float64]:
        values = [currents(inputs[name], rates) for name in ("E", "I")]
        return np.array([siegert_rate(v["current_net"], v["sigma"], **cell) for v in values])

    rates = self_consistent(transfer, start)
    return rates, {name: currents(inputs[name], rates) for name in ("E", "I")}
