"""Potjans & Diesmann (2014): the full-scale model of the microcircuit below 1 mm^2 of early sensory cortex.

T. C. Potjans & M. Diesmann, "The cell-type specific cortical microcircuit", Cereb Cortex
24:785-806, doi:10.1093/cercor/bhs358.

Eight populations (excitatory and inhibitory of layers 2/3, 4, 5, 6) of leaky integrate-and-fire
neurons with exponential synaptic currents, Poisson background, and optionally a thalamic pulse.
The tables are in :mod:`eiplatform.microcircuits.potjans_diesmann_parameters`, sizes, weights and closed forms in
:mod:`eiplatform.microcircuits.potjans_diesmann_numbers`; here is what Brian2 simulates.
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
from eiplatform.microcircuits.potjans_diesmann_model import build_model
from eiplatform.microcircuits.potjans_diesmann_numbers import ScaledMicrocircuit
from eiplatform.microcircuits.potjans_diesmann_parameters import (
    EXC,
    INH,
    INITIAL_MV,
    INITIAL_STD_MV,
    N_THALAMUS,
    PATHWAYS,
    POPULATIONS,
    PUBLISHED_RATES,
    PotjansDiesmann2014Parameters,
)

__all__ = ["CIRCUIT", "POPULATIONS", "PUBLISHED_RATES", "PotjansDiesmann2014", "PotjansDiesmann2014Parameters"]


class PotjansDiesmann2014(ScaledMicrocircuit):
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


CIRCUIT = PotjansDiesmann2014
