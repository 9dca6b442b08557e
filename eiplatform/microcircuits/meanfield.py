"""Mean-field rates of several populations with exponential synaptic currents.

Diffusion approximation: the input of a neuron is Gaussian, with the mean and variance that
follow from the rates of its sources; its rate is that of :func:`siegert_rate`, with threshold and
reset raised for the finite synaptic time constant (Fourcaud & Brunel 2002, Neural Comput
14:2057): ``sigma (alpha / 2) sqrt(tau_syn / tau_m)``, ``alpha = sqrt(2) |zeta(1/2)|``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.theory.diffusion import siegert_rate

__all__ = ["MeanField", "coloured_noise_rate"]

_ALPHA = np.sqrt(2) * 1.4603545088095868  # |zeta(1/2)|


def coloured_noise_rate(
    mean: float,
    std: float,
    *,
    tau_ms: float,
    tau_syn_ms: float,
    threshold_mv: float,
    reset_mv: float,
    refractory_ms: float,
) -> float:
    """Return the rate (Hz) of an integrate-and-fire neuron whose input noise has a short correlation time.

    Parameters
    ----------
    mean, std : float
        Mean and noise amplitude of the input in mV (Brunel's mu and sigma).
    tau_ms, tau_syn_ms, refractory_ms : float
        Membrane and synaptic time constant (short against the former) and refractory period.
    threshold_mv, reset_mv : float

    Examples
    --------
    >>> cell = {"tau_ms": 10, "threshold_mv": 15, "reset_mv": 0, "refractory_ms": 2}
    >>> white = coloured_noise_rate(6.6, 5.5, tau_syn_ms=0, **cell)
    >>> coloured = coloured_noise_rate(6.6, 5.5, tau_syn_ms=0.5, **cell)
    >>> round(white, 1), round(coloured, 1)
    (6.5, 3.6)
    """
    shift = std * _ALPHA / 2 * np.sqrt(tau_syn_ms / tau_ms)
    return siegert_rate(
        mean,
        std,
        tau_ms=tau_ms,
        threshold_mv=threshold_mv + shift,
        reset_mv=reset_mv + shift,
        refractory_ms=refractory_ms,
    )


@dataclass(frozen=True)
class MeanField:
    """Self-consistent rates of populations.

    Attributes
    ----------
    mean_per_hz : array, shape (target, source)
        Mean input in mV for each Hz of the source.
    variance_per_hz : array, shape (target, source)
        Its variance (Brunel's sigma squared) in mV^2 for each Hz.
    mean, variance : array, shape (target,)
        From outside.
    tau_ms, tau_syn_ms, threshold_mv, reset_mv, refractory_ms : float
    """

    mean_per_hz: NDArray[np.float64]
    variance_per_hz: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    tau_ms: float
    tau_syn_ms: float
    threshold_mv: float
    reset_mv: float
    refractory_ms: float

    def rates_of(self, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rates at which neurons fire that receive the given rates, shape (population,), Hz."""
        means = self.mean + self.mean_per_hz @ rates
        stds = np.sqrt(self.variance + self.variance_per_hz @ rates)
        cell = {name: getattr(self, name) for name in ("tau_ms", "tau_syn_ms", "threshold_mv", "reset_mv")}
        return np.array(
            [
                coloured_noise_rate(float(mean), float(std), refractory_ms=self.refractory_ms, **cell)
                for mean, std in zip(means, stds, strict=True)
            ]
        )

    def solve(
        self, start: NDArray[np.float64], *, step: float = 0.1, tolerance_hz: float = 1e-4
    ) -> NDArray[np.float64]:
        """Follow ``d rates / ds = -rates + rates_of(rates)`` from `start` to its fixed point.

        Parameters
        ----------
        start : array, shape (population,)
            Hz.  With several fixed points, the one that is reached from here.
        step : float
            Of the Euler method; strongly coupled populations need a small one.
        tolerance_hz : float
            Largest change left over.

        Raises
        ------
        ConfigError
            If no stationary state is reached.
        """
        rates = np.array(start, float)
        for _ in range(2000):
            change = self.rates_of(rates) - rates
            if np.abs(change).max() < tolerance_hz:
                return rates
            rates = np.maximum(rates + step * change, 0)
        raise ConfigError("the mean-field equations reach no stationary state", valid="parameters of a stable network")
