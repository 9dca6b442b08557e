"""The microcircuit of Potjans & Diesmann in numbers: what scaling leaves of it, and its closed forms.

Down-scaling: S. J. van Albada, M. Helias & M. Diesmann (2015), PLoS Comput Biol 11:e1004490.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.microcircuits.meanfield import MeanField
from eiplatform.microcircuits.potjans_diesmann_parameters import (
    EXC,
    EXTERNAL_DEGREES,
    INH,
    LARGEST,
    N_THALAMUS,
    POPULATIONS,
    PROBABILITIES,
    PUBLISHED_RATES,
    SIZES,
    STRENGTH,
    THALAMIC_PROBABILITIES,
    PotjansDiesmann2014Parameters,
)

__all__ = ["ScaledMicrocircuit"]


class ScaledMicrocircuit(Circuit):
    """Sizes, synapses, weights and currents of the microcircuit at any scale, without a simulator."""

    parameters: PotjansDiesmann2014Parameters

    def __init__(
        self, parameters: PotjansDiesmann2014Parameters | None = None, single: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(parameters or PotjansDiesmann2014Parameters())
        self.single = {name: float(factor) for name, factor in (single or {}).items() if factor != 1}
        for name, factor in self.single.items():
            if not 0 <= factor <= LARGEST:
                raise ConfigError(f"{factor} is not possible", where=name, valid=STRENGTH)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Numbers of neurons, shape (population,)."""
        return np.round(SIZES * self.parameters.n_scaling).astype(np.int64)

    @cached_property
    def full_counts(self) -> NDArray[np.float64]:
        """Numbers of synapses at full scale, [target, source].

        With ``S`` pairs drawn with replacement, the chance that one of the ``N_post N_pre`` pairs is
        connected is ``C = 1 - (1 - 1/(N_post N_pre))^S``.
        """
        return _synapses(PROBABILITIES, np.outer(SIZES, SIZES))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Numbers of synapses, [target, source]."""
        p = self.parameters
        return np.round(self.full_counts * p.n_scaling * p.k_scaling).astype(np.int64)

    @cached_property
    def thalamic_counts(self) -> NDArray[np.int64]:
        """Numbers of synapses from the thalamus, shape (target,); its 902 neurons are not scaled."""
        full = _synapses(THALAMIC_PROBABILITIES, SIZES * N_THALAMUS)
        return np.round(full * self.parameters.n_scaling * self.parameters.k_scaling).astype(np.int64)

    @cached_property
    def external_degrees(self) -> NDArray[np.int64]:
        """External synapses per neuron, shape (population,)."""
        return np.round(EXTERNAL_DEGREES * self.parameters.k_scaling).astype(np.int64)

    @property
    def full_weight_pa(self) -> float:
        """Peak current of an excitatory synapse at full scale, which causes a potential of ``psp_mv``."""
        p = self.parameters
        ratio = (p.tau_ms / p.tau_syn_ms) ** (1 / (p.tau_syn_ms - p.tau_ms))
        peak = (ratio**p.tau_ms - ratio**p.tau_syn_ms) * p.tau_ms * p.tau_syn_ms / (p.tau_syn_ms - p.tau_ms)
        return float(p.psp_mv * p.capacitance_pf / peak)

    @property
    def weight_pa(self) -> float:
        """Peak current of an excitatory synapse."""
        return float(self.full_weight_pa / np.sqrt(self.parameters.k_scaling))

    @cached_property
    def _intact_factors(self) -> NDArray[np.float64]:
        factors = np.ones((8, 8))
        factors[:, INH] = -self.parameters.g
        factors[0, 2] = self.parameters.l4e_to_l23e
        return factors

    @cached_property
    def weight_factors(self) -> NDArray[np.float64]:
        """Mean weights relative to an excitatory one, with sign, [target, source]."""
        p, factors = self.parameters, self._intact_factors.copy()
        factors[EXC, EXC] *= p.exc_to_exc
        factors[INH, EXC] *= p.exc_to_inh
        factors[EXC, INH] *= p.inh_to_exc
        factors[INH, INH] *= p.inh_to_inh
        for name, factor in self.single.items():
            source, target = (POPULATIONS.index(end) for end in name.split("->"))
            factors[target, source] *= factor
        return factors

    @cached_property
    def constant_pa(self) -> NDArray[np.float64]:
        """Constant current, shape (population,): a constant background, and what down-scaling left out."""
        p = self.parameters
        external = self.full_weight_pa * EXTERNAL_DEGREES * p.background_hz
        recurrent = self.full_weight_pa * (self._intact_factors * self.full_counts / SIZES[:, None]) @ PUBLISHED_RATES
        missing = (1 - np.sqrt(p.k_scaling)) * (recurrent + p.poisson_background * external)
        result: NDArray[np.float64] = p.tau_syn_ms * 1e-3 * (missing + (1 - p.poisson_background) * external)
        result[EXC] += p.drive_exc_pa
        result[INH] += p.drive_inh_pa
        return result

    def _check_constant(self) -> None:
        if (self.constant_pa < 0).any():
            raise ConfigError(
                "these weights and drives need a negative constant current at this scale",
                where=self.name,
                valid="at least 0 pA in each population: larger drive_exc_pa and drive_inh_pa, or k_scaling=1",
            )

    def mean_currents(self, rates: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return the mean currents (pA) of each population at given rates, ``w tau_syn K rate``.

        Parameters
        ----------
        rates : array, shape (population,)
            Hz.

        Returns
        -------
        dict of str to array, shape (population,)
        """
        p = self.parameters
        per_hz = self.weight_pa * p.tau_syn_ms * 1e-3
        degrees = self.counts / self.sizes[:, None]
        flow = per_hz * self.weight_factors * degrees * rates
        external = per_hz * self.external_degrees * p.background_hz * p.poisson_background
        recurrent, inhibitory = flow[:, EXC].sum(axis=1), -flow[:, INH].sum(axis=1)
        total = recurrent + external + self.constant_pa
        return {
            "current_exc": total,
            "current_exc_recurrent": recurrent,
            "current_exc_external": external,
            "current_exc_constant": self.constant_pa,
            "current_inh": inhibitory,
            "current_net": total - inhibitory,
        }

    @cached_property
    def mean_field(self) -> MeanField:
        """The mean-field equations of the network without thalamus."""
        p = self.parameters
        per_spike = self.weight_pa * p.tau_syn_ms / p.capacitance_pf  # mV
        degrees, tau = self.counts / self.sizes[:, None], p.tau_ms * 1e-3
        jump = per_spike * self.weight_factors
        external = self.external_degrees * p.background_hz * p.poisson_background
        return MeanField(
            mean_per_hz=tau * jump * degrees,
            variance_per_hz=tau * jump**2 * (1 + p.weight_rel_std**2) * degrees,
            mean=tau * per_spike * external + self.constant_pa * p.tau_ms / p.capacitance_pf,
            variance=np.asarray(tau * per_spike**2 * external, np.float64),
            tau_ms=p.tau_ms,
            tau_syn_ms=p.tau_syn_ms,
            threshold_mv=p.threshold_mv - p.leak_mv,
            reset_mv=p.reset_mv - p.leak_mv,
            refractory_ms=p.refractory_ms,
        )

    @cached_property
    def _theory(self) -> dict[str, float]:
        try:
            rates = self.mean_field.solve(PUBLISHED_RATES)
        except ConfigError:  # a lesioned network that runs away is still a network
            return {}
        values = {"rate": float(rates @ self.sizes / self.sizes.sum())}
        for quantity, each in {"rate": rates, **self.mean_currents(rates)}.items():
            values |= {f"{name}/{quantity}": float(value) for name, value in zip(POPULATIONS, each, strict=True)}
        return values

    def theory(self) -> dict[str, float]:
        """Return mean-field rates and the mean currents (pA) at these rates, ``"L4E/rate"`` and so on.

        The mean-field theory agrees with simulations at full scale within about 6 % except for L23E
        (17 % below); empty where they have no stable state.  For the currents at other rates, see
        :meth:`mean_currents`.
        """
        return dict(self._theory)


def _synapses(probability: NDArray[np.float64], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    counts: NDArray[np.float64] = np.log1p(-probability) / np.log1p(-1.0 / pairs)
    return counts
