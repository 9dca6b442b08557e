"""The linear-threshold inhibition-stabilised network.

M. V. Tsodyks, W. E. Skaggs, T. J. Sejnowski & B. L. McNaughton, J Neurosci 17:4382-4388 (1997),
doi:10.1523/JNEUROSCI.17-11-04382.1997; stimulation of a part of the I cells: A. Sanzeni et al., eLife 9:e54875 (2020),
doi:10.7554/eLife.54875.

The smallest network in which more drive to I lowers the rate of I.  Every response has a closed form
(:mod:`eiplatform.microcircuits.theory.linear_isn`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.microcircuits.rate_circuit import RateCircuit, RateParameters
from eiplatform.microcircuits.theory.linear_isn import critical_lesion, is_stable, partial_threshold, responses

__all__ = ["CIRCUIT", "LinearIsn", "LinearIsnParameters"]


@dataclass(frozen=True)
class LinearIsnParameters(RateParameters):
    """Weights 2.5, 2.5, 1.5 and 0.7 (gains absorbed); drives (ours) that leave E and I at 10 and 9 Hz."""

    w_exc_to_exc: float = 2.5
    w_exc_to_inh: float = 1.5
    w_inh_to_exc: float = 2.5
    w_inh_to_inh: float = 0.7
    drive_exc: float = 7.5
    drive_inh: float = 0.3


class LinearIsn(RateCircuit):
    """Linear-threshold network of E and I.

    Examples
    --------
    >>> theory = LinearIsn.from_parameters({}).theory()
    >>> round(theory["I/rate_per_drive_to_I"], 3), round(theory["critical_lesion_inh_to_exc"], 3)
    (-1.25, 0.32)
    """

    name = "linear-isn"
    reference = (
        "Tsodyks et al. 1997, doi:10.1523/JNEUROSCI.17-11-04382.1997; Sanzeni et al. 2020, doi:10.7554/eLife.54875"
    )
    parameters: LinearIsnParameters

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> LinearIsn:
        """Return the circuit, its parameters overridden by `values` (fields of :class:`LinearIsnParameters`)."""
        return cls(LinearIsnParameters(**cls.checked_names(values, LinearIsnParameters)))

    def transfer(self, net: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``[net]_+``."""
        return np.maximum(net, 0)

    def theory(self) -> dict[str, float]:
        """Return rates, responses, critical lesion and the threshold of partial stimulation.

        Returns
        -------
        dict
            ``E/rate``, ``I/rate`` (Hz); ``loop_gain``, the weight of E->E; ``E/rate_per_drive_to_I``,
            ``I/rate_per_drive_to_I``; ``critical_lesion_inh_to_exc``; ``partial_threshold``, the fraction of I cells
            above which stimulated ones are paradoxical.  What does not exist is left out: rates of an unstable
            network, or where a population is silent.
        """
        p, w = self.parameters, self.weights
        if not self.uniform:
            return {}
        found = {"loop_gain": p.w_exc_to_exc}
        if p.w_inh_to_exc * p.w_exc_to_inh:
            found["critical_lesion_inh_to_exc"] = critical_lesion(w)
        if not is_stable(w, p.tau_exc_ms, p.tau_inh_ms):
            return found
        per_drive = responses(w)
        rates = per_drive @ [p.drive_exc, p.drive_inh]
        if (rates <= 0).any():
            return found
        return found | {
            "E/rate": float(rates[0]),
            "I/rate": float(rates[1]),
            "E/rate_per_drive_to_I": float(per_drive[0, 1]),
            "I/rate_per_drive_to_I": float(per_drive[1, 1]),
            **({"partial_threshold": partial_threshold(w)} if p.w_exc_to_exc > 1 else {}),
        }


CIRCUIT = LinearIsn
