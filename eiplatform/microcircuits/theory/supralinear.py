"""The supralinear stabilised network of two units.

Y. Ahmadian, D. B. Rubin & K. D. Miller, Neural Comput 25:1994-2037 (2013), doi:10.1162/NECO_a_00472; parameters in use:
G. Hennequin, Y. Ahmadian, D. B. Rubin, M. Lengyel & K. D. Miller, Neuron 98:846-860 (2018),
doi:10.1016/j.neuron.2018.04.017.

    tau dr/dt = -r + k [W r + h]_+^n,        n > 1

``weights[target, source]`` with signs, E first.  At strong drive a fixed point exists if and only if det W > 0.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

__all__ = ["critical_lesion", "effective_weights", "power_law", "responses", "steady_rates"]

HENNEQUIN = ((1.25, -0.65), (1.2, -0.5))
"""Weights of Hennequin et al. (2018)."""
CEILING_HZ = 1e6
"""Rates above this are called a run-away."""


def power_law(net: ArrayLike, k: float = 0.3, n: float = 2.0) -> NDArray[np.float64]:
    """Return ``k [net]_+^n``.

    Examples
    --------
    >>> power_law([-1.0, 2.0]).tolist()
    [0.0, 1.2]
    """
    found: NDArray[np.float64] = k * np.maximum(np.asarray(net, float), 0) ** n
    return found


def steady_rates(
    weights: ArrayLike,
    drive: ArrayLike,
    *,
    k: float = 0.3,
    n: float = 2.0,
    tau_ms: ArrayLike = (20.0, 10.0),
    duration_ms: float = 5000.0,
) -> NDArray[np.float64]:
    """Return the rates that the network reaches from silence, shape (2,); NaN if it runs away or oscillates.

    Examples
    --------
    >>> steady_rates(HENNEQUIN, [2, 2]).round(3).tolist()
    [3.261, 4.276]
    >>> bool(np.isnan(steady_rates([[1.25, -0.65 * 0.75], [1.2, -0.5]], [5, 5])).all())
    True
    """
    w, h, tau = np.asarray(weights, float), np.asarray(drive, float), np.asarray(tau_ms, float)

    def change(_: float, r: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((power_law(w @ r + h, k, n) - r) / tau, np.float64)

    def too_high(_: float, r: NDArray[np.float64]) -> float:
        return float(CEILING_HZ - r.max())

    too_high.terminal = True  # type: ignore[attr-defined]
    found = scipy.integrate.solve_ivp(
        change, (0, duration_ms), np.zeros(2), "LSODA", events=too_high, rtol=1e-9, atol=1e-9
    )
    rates: NDArray[np.float64] = found.y[:, -1]
    settled = found.status == 0 and bool((np.abs(change(0, rates)) * tau <= 1e-4 * (1 + rates)).all())
    return rates if settled else np.full(2, np.nan)


def effective_weights(weights: ArrayLike, rates: ArrayLike, *, k: float = 0.3, n: float = 2.0) -> NDArray[np.float64]:
    """Return the weights times the target's gain, ``n k^(1/n) r^((n-1)/n)``: the network is linear in them.

    The network is inhibition-stabilised where that of E->E exceeds 1.

    Examples
    --------
    >>> float(effective_weights(HENNEQUIN, [3.261, 4.276])[0, 0].round(2))
    2.47
    """
    return np.asarray(_gains(rates, k, n)[:, None] * np.asarray(weights, float), np.float64)


def responses(weights: ArrayLike, rates: ArrayLike, *, k: float = 0.3, n: float = 2.0) -> NDArray[np.float64]:
    """Return ``dr_i/dh_j`` at a fixed point, shape (population, drive).

    Examples
    --------
    >>> float(responses(HENNEQUIN, steady_rates(HENNEQUIN, [2, 2]))[1, 1].round(2))
    -9.41
    """
    effective = effective_weights(weights, rates, k=k, n=n)
    return np.asarray(np.linalg.solve(np.eye(2) - effective, np.diag(_gains(rates, k, n))), np.float64)


def critical_lesion(weights: ArrayLike, also_inh: bool = False) -> float:
    """Return the fraction of I->E whose loss makes det W zero: ``1 - W_EE W_II/(W_EI W_IE)``.

    From there on no fixed point exists at strong drive.  With `also_inh` the same fraction of I->I is lost too, as
    blockers of GABA-A do: both products lose the same factor, and det W keeps its sign (the result is 1).  The fixed
    point then loses its stability first, and the network oscillates before it runs away.

    Examples
    --------
    >>> round(critical_lesion(HENNEQUIN), 3), critical_lesion(HENNEQUIN, also_inh=True)
    (0.199, 1.0)
    """
    w = np.asarray(weights, float)
    return 1.0 if also_inh else float(1 - w[0, 0] * w[1, 1] / (w[0, 1] * w[1, 0]))


def _gains(rates: ArrayLike, k: float, n: float) -> NDArray[np.float64]:
    found: NDArray[np.float64] = n * k ** (1 / n) * np.asarray(rates, float) ** ((n - 1) / n)
    return found
