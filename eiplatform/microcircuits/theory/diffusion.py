"""Closed forms for networks of leaky integrate-and-fire neurons with delta synapses.

Diffusion approximation after Brunel (2000), J Comput Neurosci 8:183, and Siegert (1951).
Everything is in millivolts, milliseconds and hertz; numpy and scipy only.

`sigma` follows Brunel's convention: the free membrane potential has the standard deviation
``sigma / sqrt(2)``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from eiplatform.errors import ConfigError

__all__ = ["brunel_mean", "brunel_network", "brunel_std", "isi_cv", "self_consistent_rates", "siegert_rate"]

# Beyond this bound exp(u^2) overflows; the rate is then below 1e-280 Hz.
_U_MAX = 25.5


def siegert_rate(
    mean: float, std: float, *, tau_ms: float, threshold_mv: float, reset_mv: float, refractory_ms: float
) -> float:
    """Return the firing rate of a leaky integrate-and-fire neuron under white-noise input.

    ``1/rate = refractory + tau sqrt(pi) int_a^b exp(u^2) (1 + erf u) du`` with
    ``a = (reset - mean)/std``, ``b = (threshold - mean)/std`` (Brunel 2000, equation 21);
    the integrand is evaluated as ``erfcx(-u)``, which neither overflows nor cancels for u < 0.

    Parameters
    ----------
    mean, std : float
        Mean and noise amplitude of the input in mV (Brunel's mu and sigma).
    tau_ms, refractory_ms : float
        Membrane time constant and refractory period in ms.
    threshold_mv, reset_mv : float
        Threshold and reset potential in mV.

    Returns
    -------
    float
        Rate in Hz.

    Raises
    ------
    ConfigError
        If `std` is negative or the reset does not lie below the threshold.

    Examples
    --------
    >>> rate = siegert_rate(21.03, 7.68, tau_ms=20, threshold_mv=20, reset_mv=10, refractory_ms=2)
    >>> 37 < rate < 39
    True
    """
    if std < 0:
        raise ConfigError(f"the noise amplitude is {std} mV", valid="a value of at least 0")
    if not reset_mv < threshold_mv:
        raise ConfigError(f"the reset {reset_mv} mV does not lie below the threshold {threshold_mv} mV")
    if std == 0:
        if mean <= threshold_mv:
            return 0.0
        interval = refractory_ms + tau_ms * np.log((mean - reset_mv) / (mean - threshold_mv))
        return float(1e3 / interval)
    lower, upper = (reset_mv - mean) / std, (threshold_mv - mean) / std
    if upper > _U_MAX:
        return 0.0
    # With little noise the integrand is ~1/|u| over a long range: logarithmic pieces keep quad exact.
    pieces = [lower, upper] if lower > -10 else [lower, *(-np.geomspace(-lower, max(1.0, -upper), 8)[1:]), upper]
    integral = sum(
        scipy.integrate.quad(lambda u: scipy.special.erfcx(-u), a, b)[0]
        for a, b in zip(pieces[:-1], pieces[1:], strict=True)
        if b > a
    )
    return float(1e3 / (refractory_ms + tau_ms * np.sqrt(np.pi) * integral))


def isi_cv(
    mean: float, std: float, *, tau_ms: float, threshold_mv: float, reset_mv: float, refractory_ms: float
) -> float:
    """Return the coefficient of variation of the inter-spike intervals under white-noise input.

    ``CV^2 = 2 pi rate^2 tau^2 int_a^b exp(x^2) dx int_-inf^x exp(y^2) (1 + erf y)^2 dy``
    (Brunel 2000, appendix A.1).  It holds for white noise: the recurrent input of a real
    network is coloured and oscillates, so the simulated CV of Brunel's states differs
    (state C: 0.42, not 0.68) and does not test a simulator.

    Parameters
    ----------
    mean, std, tau_ms, threshold_mv, reset_mv, refractory_ms : float
        As in :func:`siegert_rate`; `std` has to be positive.

    Returns
    -------
    float
        Dimensionless; 1 for a Poisson process.

    Raises
    ------
    ConfigError
        If `std` is not positive.
    """
    if std <= 0:
        raise ConfigError(f"the noise amplitude is {std} mV", valid="a positive value")
    rate = siegert_rate(
        mean, std, tau_ms=tau_ms, threshold_mv=threshold_mv, reset_mv=reset_mv, refractory_ms=refractory_ms
    )
    lower, upper = (reset_mv - mean) / std, (threshold_mv - mean) / std

    def inner(x: float) -> float:
        return float(
            scipy.integrate.quad(lambda y: scipy.special.erfcx(-y) ** 2 * np.exp(x * x - y * y), -np.inf, x)[0]
        )

    double = scipy.integrate.quad(inner, lower, upper)[0]
    return float(np.sqrt(2 * np.pi * double) * rate * 1e-3 * tau_ms)


def brunel_mean(
    rate_hz: float, *, j_mv: float, g: float, c_exc: int, c_inh: int, c_ext: int, ext_rate_hz: float, tau_ms: float
) -> float:
    """Return the mean input ``mu = J tau (C_ext rate_ext + C_E rate - g C_I rate)`` in mV (Brunel 2000, equation 4)."""
    return j_mv * tau_ms * 1e-3 * (c_ext * ext_rate_hz + (c_exc - g * c_inh) * rate_hz)


def brunel_std(
    rate_hz: float, *, j_mv: float, g: float, c_exc: int, c_inh: int, c_ext: int, ext_rate_hz: float, tau_ms: float
) -> float:
    """Return the noise amplitude in mV, ``sigma^2 = J^2 tau (C_ext rate_ext + C_E rate + g^2 C_I rate)`` (eq. 5)."""
    return float(j_mv * np.sqrt(tau_ms * 1e-3 * (c_ext * ext_rate_hz + (c_exc + g * g * c_inh) * rate_hz)))


def self_consistent_rates(transfer: Callable[[float], float], maximum_hz: float) -> tuple[float, ...]:
    """Return all rates that reproduce themselves, ``transfer(rate) = rate``, in ascending order.

    The interval from 0 to `maximum_hz` is scanned in 200 logarithmic steps and every change
    of sign refined by Brent's method, so that coexisting states are not overlooked.

    Parameters
    ----------
    transfer : callable
        Maps the network's rate (Hz) to the rate its neurons then fire at (Hz).
    maximum_hz : float
        Largest possible rate, ``1/refractory``.

    Returns
    -------
    tuple of float
        Rates in Hz; ``(0.0,)`` if only silence reproduces itself.

    Examples
    --------
    >>> self_consistent_rates(lambda rate: 8 + rate / 2, 100)
    (16.0,)
    """
    grid = np.concatenate([[0.0], np.geomspace(1e-3, maximum_hz, 200)])
    excess = np.array([transfer(rate) - rate for rate in grid])
    rates = [
        scipy.optimize.brentq(lambda rate: transfer(rate) - rate, low, high, xtol=1e-9)
        for low, high, before, after in zip(grid[:-1], grid[1:], excess[:-1], excess[1:], strict=True)
        if before != 0 and before * after <= 0
    ]
    if excess[0] == 0:
        rates.insert(0, 0.0)
    return tuple(round(float(rate), 6) for rate in rates)


def brunel_network(
    *,
    j_mv: float,
    g: float,
    c_exc: int,
    c_inh: int,
    c_ext: int,
    ext_rate_hz: float,
    tau_ms: float,
    threshold_mv: float,
    reset_mv: float,
    refractory_ms: float,
) -> dict[str, float]:
    """Return rate and mean currents of Brunel's network in the diffusion approximation.

    A current is given as the mean depolarisation that it causes (resistance times current):
    ``J C rate tau`` for C synapses.

    Parameters
    ----------
    j_mv, g, c_exc, c_inh, c_ext, ext_rate_hz, tau_ms, threshold_mv, reset_mv, refractory_ms
        As in :class:`~eiplatform.microcircuits.brunel_2000.Brunel2000Parameters`.

    Returns
    -------
    dict
        ``rate`` (Hz); ``current_exc``, ``current_exc_recurrent``, ``current_exc_external``,
        ``current_inh``, ``current_net``, ``mu``, ``sigma`` (mV); ``cv`` (see :func:`isi_cv`; NaN
        for a silent network); ``n_rates``, the number of self-consistent rates.  With several of
        them the lowest is taken, which a network started at rest approaches.

    Examples
    --------
    >>> values = brunel_network(j_mv=0.1, g=5, c_exc=1000, c_inh=250, c_ext=1000, ext_rate_hz=20,
    ...                         tau_ms=20, threshold_mv=20, reset_mv=10, refractory_ms=2)
    >>> round(values["rate"], 2), round(values["current_inh"], 2)
    (37.95, 94.87)
    """

    def mean(rate: float) -> float:
        return brunel_mean(
            rate, j_mv=j_mv, g=g, c_exc=c_exc, c_inh=c_inh, c_ext=c_ext, ext_rate_hz=ext_rate_hz, tau_ms=tau_ms
        )

    def std(rate: float) -> float:
        return brunel_std(
            rate, j_mv=j_mv, g=g, c_exc=c_exc, c_inh=c_inh, c_ext=c_ext, ext_rate_hz=ext_rate_hz, tau_ms=tau_ms
        )

    cell = {"tau_ms": tau_ms, "threshold_mv": threshold_mv, "reset_mv": reset_mv, "refractory_ms": refractory_ms}
    rates = self_consistent_rates(lambda rate: siegert_rate(mean(rate), std(rate), **cell), 1e3 / refractory_ms)
    rate, per_synapse = rates[0], j_mv * tau_ms * 1e-3
    external, recurrent, inhibitory = (
        per_synapse * c_ext * ext_rate_hz,
        per_synapse * c_exc * rate,
        per_synapse * g * c_inh * rate,
    )
    return {
        "rate": rate,
        "current_exc": external + recurrent,
        "current_exc_recurrent": recurrent,
        "current_exc_external": external,
        "current_inh": inhibitory,
        "current_net": external + recurrent - inhibitory,
        "mu": mean(rate),
        "sigma": std(rate),
        "cv": isi_cv(mean(rate), std(rate), **cell) if rate > 0 else float("nan"),
        "n_rates": float(len(rates)),
    }
