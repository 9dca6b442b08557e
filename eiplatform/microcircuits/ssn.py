"""The supralinear stabilised network of two populations.

Y. Ahmadian, D. B. Rubin & K. D. Miller, "Analysis of the stabilized supralinear network", Neural Comput 25:1994-2037
(2013), doi:10.1162/NECO_a_00472; parameters: G. Hennequin et al., Neuron 98:846-860 (2018),
doi:10.1016/j.neuron.2018.04.017, with equal drive to E and I.

Rates follow a power law of the input.  At weak drive the network is stable without inhibition and sums supralinearly;
at strong drive inhibition stabilises it, net input falls relative to excitation, and summation is sublinear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.microcircuits.rate_circuit import RateCircuit, RateParameters
from eiplatform.microcircuits.theory.supralinear import (
    critical_lesion,
    effective_weights,
    power_law,
    responses,
    steady_rates,
)

__all__ = ["CIRCUIT", "Ssn", "SsnParameters"]


@dataclass(frozen=True)
class SsnParameters(RateParameters):
    """Weights 1.25, 0.65, 1.2, 0.5; time constants 20 and 10 ms; drive (ours) 5 to both.

    Attributes
    ----------
    k, n : float
        Rate = k input^n: 0.3 and 2.
    """

    w_exc_to_exc: float = 1.25
    w_exc_to_inh: float = 1.2
    w_inh_to_exc: float = 0.65
    w_inh_to_inh: float = 0.5
    drive_exc: float = 5.0
    drive_inh: float = 5.0
    k: float = 0.3
    n: float = 2.0

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        super().check()
        self.require(self.k > 0, "k", "a positive number")
        self.require(self.n >= 1, "n", "at least 1")


class Ssn(RateCircuit):
    """Supralinear stabilised network.

    Examples
    --------
    >>> theory = Ssn.from_parameters({"drive_exc": 2, "drive_inh": 2}).theory()
    >>> round(theory["E/rate"], 3), round(theory["loop_gain"], 2), round(theory["critical_lesion_inh_to_exc"], 3)
    (3.261, 2.47, 0.199)
    """

    name = "ssn"
    reference = (
        "Ahmadian et al. 2013, doi:10.1162/NECO_a_00472; Hennequin et al. 2018, doi:10.1016/j.neuron.2018.04.017"
    )
    parameters: SsnParameters

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> Ssn:
        """Return the circuit, its parameters overridden by `values` (fields of :class:`SsnParameters`)."""
        return cls(SsnParameters(**cls.checked_names(values, SsnParameters)))

    def transfer(self, net: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``k [net]_+^n``."""
        return power_law(net, self.parameters.k, self.parameters.n)

    def theory(self) -> dict[str, float]:
        """Return rates, loop gain, response of I to its drive, and critical lesion.

        Returns
        -------
        dict
            ``E/rate``, ``I/rate`` (Hz); ``loop_gain``, the effective weight of E->E (above 1: inhibition-stabilised);
            ``I/rate_per_drive_to_I``; ``critical_lesion_inh_to_exc``, the fraction of I->E without which no fixed
            point exists at strong drive.  Rates are left out where the network runs away.
        """
        p = self.parameters
        if not self.uniform:
            return {}
        found = {}
        if p.w_inh_to_exc * p.w_exc_to_inh:
            found["critical_lesion_inh_to_exc"] = critical_lesion(self.weights)
        law, drive = {"k": p.k, "n": p.n}, [p.drive_exc, p.drive_inh]
        rates = steady_rates(self.weights, drive, tau_ms=[p.tau_exc_ms, p.tau_inh_ms], **law)
        if np.isnan(rates).any():
            return found
        return found | {
            "E/rate": float(rates[0]),
            "I/rate": float(rates[1]),
            "loop_gain": float(effective_weights(self.weights, rates, **law)[0, 0]),
            "I/rate_per_drive_to_I": float(responses(self.weights, rates, **law)[1, 1]),
        }


CIRCUIT = Ssn
