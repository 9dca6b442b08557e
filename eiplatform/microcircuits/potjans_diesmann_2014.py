"""Potjans & Diesmann (2014): the full-scale model of the microcircuit below 1 mm^2 of early sensory cortex.

T. C. Potjans & M. Diesmann, "The cell-type specific cortical microcircuit", Cereb Cortex
24:785-806, doi:10.1093/cercor/bhs358.  Down-scaling: S. J. van Albada, M. Helias &
M. Diesmann (2015), PLoS Comput Biol 11:e1004490.

Eight populations (excitatory and inhibitory of layers 2/3, 4, 5, 6) of leaky integrate-and-fire
neurons with exponential synaptic currents, Poisson background, and optionally a thalamic pulse.
The tables are in :mod:`eiplatform.microcircuits.potjans_diesmann_parameters`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.errors import ConfigError, choose
from eiplatform.microcircuits.circuit import (
    Circuit,
    Drive,
    Edges,
    Model,
    Population,
    Pulse,
    Recorded,
    Structure,
    generator,
)
from eiplatform.microcircuits.connectivity import random_pairs
from eiplatform.microcircuits.meanfield import MeanField
from eiplatform.microcircuits.potjans_diesmann_model import build_model
from eiplatform.microcircuits.potjans_diesmann_parameters import (
    EXC,
    EXTERNAL_DEGREES,
    INH,
    INITIAL_MV,
    INITIAL_STD_MV,
    LARGEST,
    N_THALAMUS,
    PATHWAYS,
    POPULATIONS,
    PROBABILITIES,
    PUBLISHED_RATES,
    SIZES,
    STRENGTH,
    THALAMIC_PROBABILITIES,
    PotjansDiesmann2014Parameters,
)

__all__ = ["CIRCUIT", "POPULATIONS", "PUBLISHED_RATES", "PotjansDiesmann2014", "PotjansDiesmann2014Parameters"]


class PotjansDiesmann2014(Circuit):
    """The cortical microcircuit of Potjans & Diesmann (2014), at any scale.

    Examples
    --------
    >>> circuit = PotjansDiesmann2014.from_parameters({})
    >>> circuit.n_neurons, circuit.n_synapses
    (77169, 298880970)
    >>> PotjansDiesmann2014.from_parameters({"scale": 0.1}).n_synapses
    2988807
    """

    name = "potjans-diesmann-2014"
    reference = "Potjans & Diesmann 2014, Cereb Cortex 24:785-806, doi:10.1093/cercor/bhs358"
    current_units = "pA"
    potential_units = "mV"
    shortcuts = ("scale", "background")
    drives = {
        "E": Drive("drive_exc_pa", 5.0, relative=False),
        "I": Drive("drive_inh_pa", 5.0, relative=False),
        "E+I": Drive("background_hz", 0.02),
    }
    pathways = {"E->E": "exc_to_exc", "E->I": "exc_to_inh", "I->E": "inh_to_exc", "I->I": "inh_to_inh"}
    single_pathways = {name: name for name in PATHWAYS}
    pulses = {"thalamus": Pulse("thalamic_start_ms", "thalamic_duration_ms", 10.0)}
    parameters: PotjansDiesmann2014Parameters

    def __init__(
        self, parameters: PotjansDiesmann2014Parameters | None = None, single: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(parameters or PotjansDiesmann2014Parameters())
        self.single = {name: float(factor) for name, factor in (single or {}).items() if factor != 1}
        for name, factor in self.single.items():
            if not 0 <= factor <= LARGEST:
                raise ConfigError(f"{factor} is not possible", where=name, valid=STRENGTH)

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> PotjansDiesmann2014:
        """Return the full-scale circuit, overridden by `values`.

        Parameters
        ----------
        values : mapping
            Fields of :class:`PotjansDiesmann2014Parameters`; two shortcuts: ``scale`` sets n_scaling and k_scaling,
            ``background`` (``"poisson"`` or ``"dc"``) poisson_background; and factors on the weights from one
            population to another, e.g. ``{"L4I->L4E": 0.8}``.

        Raises
        ------
        UnknownNameError
            For an unknown parameter or background.
        ConfigError
            For impossible values, or a shortcut together with a parameter that it sets.
        """
        single = {name: value for name, value in values.items() if name in PATHWAYS}
        others = {name: value for name, value in values.items() if name not in PATHWAYS}
        given = cls.checked_names(others, PotjansDiesmann2014Parameters)
        for shortcut, sets in (("scale", {"n_scaling", "k_scaling"}), ("background", {"poisson_background"})):
            if shortcut in given and (clash := sorted(sets & set(given))):
                raise ConfigError(
                    f"'{shortcut}' and {clash} are given together", where=cls.name, remedy="give one or the other"
                )
        if "scale" in given:
            given["n_scaling"] = given["k_scaling"] = given.pop("scale")
        if "background" in given:
            kind = choose(str(given.pop("background")), ("dc", "poisson"), "background", where=cls.name)
            given["poisson_background"] = int(kind == "poisson")
        circuit = cls(replace(PotjansDiesmann2014Parameters(), **given), single)
        circuit._check_constant()
        return circuit

    def value(self, parameter: str) -> float:
        """Return the value of a parameter, or the factor on the weights between two populations."""
        return self.single.get(parameter, 1.0) if parameter in PATHWAYS else super().value(parameter)

    def to_mapping(self) -> dict[str, Any]:
        """Return all parameters by name, and the factors between two populations that are not 1."""
        return {**super().to_mapping(), **self.single}

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

    @cached_property
    def populations(self) -> tuple[Population, ...]:
        """The eight populations; the excitatory ones come first in the Brian2 group, for one Synapses object each."""
        p = self.parameters
        attrs = {
            "threshold": p.threshold_mv,
            "reset": p.reset_mv,
            "refractory": p.refractory_ms,
            "tau_membrane": p.tau_ms,
            "tau_syn": p.tau_syn_ms,
            "capacitance_pf": p.capacitance_pf,
            "reversal_leak": p.leak_mv,
        }
        start = dict(zip((0, 2, 4, 6, 1, 3, 5, 7), self._starts, strict=True))
        return tuple(
            Population(name, "I" if index % 2 else "E", int(self.sizes[index]), start[index], attrs)
            for index, name in enumerate(POPULATIONS)
        )

    @property
    def _starts(self) -> list[int]:
        ordered = np.concatenate([self.sizes[EXC], self.sizes[INH]])
        return [int(value) for value in np.cumsum(ordered) - ordered]

    @property
    def signals(self) -> tuple[Recorded, ...]:
        """Currents as exact interval means in pA, the membrane potential at the start of each interval in mV."""
        return (
            Recorded("current_exc_recurrent", "charge_rec", "integral", 1e12),
            Recorded("current_exc_external", "charge_ext", "integral", 1e12),
            Recorded("current_exc_constant", "constant", "start", 1e12),
            Recorded("current_inh", "charge_inh", "integral", 1e12),
            Recorded("voltage", "potential", "start", 1e3),
        )

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return int(self.counts.sum() + (self.thalamic_counts.sum() if self.has_thalamus else 0))

    @property
    def has_thalamus(self) -> bool:
        """Whether there is a thalamic pulse."""
        return self.parameters.thalamic_duration_ms > 0

    def structure(self) -> Structure:
        """Return the sizes and the time step; everything else is read at run time."""
        return {
            "n_exc": int(self.sizes[EXC].sum()),
            "n_inh": int(self.sizes[INH].sum()),
            "n_thalamus": N_THALAMUS if self.has_thalamus else 0,
            "dt_ms": self.dt_ms,
        }

    @staticmethod
    def build(structure: Structure) -> Model:
        """Return the Brian2 objects; see :func:`~eiplatform.microcircuits.potjans_diesmann_model.build_model`."""
        return build_model(structure)

    @property
    def _units(self) -> tuple[int, int]:
        """Units of a mean excitatory and inhibitory weight: as fine as 16 bits hold it plus 8 standard deviations."""
        p = self.parameters
        most = np.iinfo(np.int16).max / (1 + 8 * p.weight_rel_std)
        exc, inh = (float(np.abs(self.weight_factors[:, chosen]).max()) for chosen in (EXC, INH))
        return int(most / max(p.l4e_to_l23e, 1, exc)), int(most / max(inh / max(p.g, 1e-30), 1))

    def scalars(self) -> dict[str, float]:
        """Return the shared variables in SI units."""
        p = self.parameters
        units_exc, units_inh = self._units
        decay_m, decay_syn = np.exp(-p.dt_ms / p.tau_ms), np.exp(-p.dt_ms / p.tau_syn_ms)
        tau = p.tau_ms * p.tau_syn_ms / (p.tau_ms - p.tau_syn_ms) * 1e-3
        values = {
            "unit_exc": self.weight_pa * 1e-12 / units_exc,
            "unit_inh": p.g * self.weight_pa * 1e-12 / units_inh,
            "decay_m": decay_m,
            "decay_syn": decay_syn,
            "gain_syn": tau / (p.capacitance_pf * 1e-12) * (decay_m - decay_syn),
            "tau_syn": p.tau_syn_ms * 1e-3,
            "v_leak": p.leak_mv * 1e-3,
            "v_threshold": (p.threshold_mv - p.leak_mv) * 1e-3,
            "v_reset": (p.reset_mv - p.leak_mv) * 1e-3,
        }
        shared = {f"neurons.{name}": float(value) for name, value in values.items()}
        if self.has_thalamus:
            chance = p.thalamic_hz * p.dt_ms * 1e-3
            shared |= {"thalamus.mean": float(-np.log1p(-chance)), "thalamus.zero": 1 - chance}
        return shared

    def initial(self, seed: int) -> dict[str, NDArray[Any]]:
        """Return potentials near the stationary distribution, what populations differ in, and the random streams."""
        p = self.parameters
        rng, drive = generator(seed, "initial"), generator(seed, "drive stream")
        order = np.repeat(np.array([0, 2, 4, 6, 1, 3, 5, 7]), np.concatenate([self.sizes[EXC], self.sizes[INH]]))
        mean = self.external_degrees * p.background_hz * p.dt_ms * 1e-3 * p.poisson_background
        constant = self.constant_pa * 1e-12
        v_constant = constant * p.tau_ms * 1e-3 / (p.capacitance_pf * 1e-12) * (1 - np.exp(-p.dt_ms / p.tau_ms))
        values: dict[str, NDArray[Any]] = {
            "neurons.v": (rng.normal(INITIAL_MV[order], INITIAL_STD_MV[order]) - p.leak_mv) * 1e-3,
            "neurons.constant": constant[order],
            "neurons.v_constant": v_constant[order],
            "neurons.mean_ext": mean[order],
            "neurons.zero_ext": np.exp(-mean)[order],
            "neurons.units_ext": np.array([self._units[0]], np.int32),
            "neurons.n_rest": np.array([round(p.refractory_ms / p.dt_ms)], np.int32),
            "neurons.stream": drive.integers(-(2**63), 2**63 - 1, 1),
        }
        if self.has_thalamus:
            first, count = round(p.thalamic_start_ms / p.dt_ms), round(p.thalamic_duration_ms / p.dt_ms)
            values |= {
                "thalamus.stream": drive.integers(-(2**63), 2**63 - 1, 1),
                "thalamus.first": np.array([first], np.int32),
                "thalamus.last": np.array([first + count - 1], np.int32),
            }
        return values

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield excitatory, inhibitory and thalamic synapses: exact numbers between random pairs."""
        p = self.parameters
        units = dict(zip(("exc", "inh"), self._units, strict=True))
        targets = [(population.start, population.size) for population in self.populations]
        spread = {"weight_std": p.weight_rel_std}
        factors = np.abs(self.weight_factors)
        for name, chosen, mean_ms in (("exc", EXC, p.delay_exc_ms), ("inh", INH, p.delay_inh_ms)):
            scale = units[name] / (1 if name == "exc" else max(p.g, 1e-30))
            # Arrivals are applied in the step after they were counted.
            yield (
                name,
                random_pairs(
                    generator(seed, f"connectivity {name}"),
                    self.counts[:, chosen].T,
                    self.sizes[chosen],
                    targets,
                    factors[:, chosen].T * scale,
                    delay=mean_ms / p.dt_ms,
                    delay_std=p.delay_rel_std * mean_ms / p.dt_ms,
                    **spread,
                ).advanced(1),
            )
        if self.has_thalamus:
            yield (
                "thalamic",
                random_pairs(
                    generator(seed, "connectivity thalamic"),
                    self.thalamic_counts[None],
                    np.array([N_THALAMUS]),
                    targets,
                    np.full((1, 8), float(units["exc"])),
                    delay=p.delay_exc_ms / p.dt_ms,
                    delay_std=p.delay_rel_std * p.delay_exc_ms / p.dt_ms,
                    **spread,
                ).advanced(1),
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


CIRCUIT = PotjansDiesmann2014
