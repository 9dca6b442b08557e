"""Vogels & Abbott (2005): sparse networks with current-based (CUBA) or conductance-based (COBA) synapses.

T. P. Vogels & L. F. Abbott, "Signal propagation and logic gating in networks of integrate-and-fire
neurons", J Neurosci 25:10786-10795 (2005), doi:10.1523/JNEUROSCI.3508-05.2005; in the form of the
benchmarks 1 (COBA) and 2 (CUBA) of R. Brette et al., "Simulation of networks of spiking neurons", J
Comput Neurosci 23:349-398 (2007), doi:10.1007/s10827-007-0038-6.

4 000 neurons, four fifths excitatory, connected with probability 2 %.  COBA has no input at all: its
activity sustains itself once it has been started, and may die.  CUBA is driven by a resting
potential above the threshold; here that is a constant current from a rest of -60 mV, so that it is
counted as the excitation that it is.

Public codes differ in CUBA's inhibitory weight: -9 mV (90 pA), as here, or 139.5 pA.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.errors import choose
from eiplatform.microcircuits.circuit import Circuit, Edges, generator
from eiplatform.microcircuits.conductance_lif import ConductanceCircuit, ConductanceInputs, ConductanceParameters
from eiplatform.microcircuits.vogels_abbott_cuba import Cuba, CubaParameters
from eiplatform.microcircuits.vogels_abbott_network import DRIVES, NAME, PATHWAYS, REFERENCE, check_network, connect

__all__ = ["CIRCUIT", "VARIANTS", "Coba", "CobaParameters", "Cuba", "CubaParameters"]

VARIANTS = ("coba", "cuba")
"""Conductance-based, the default, and current-based."""


@dataclass(frozen=True)
class CobaParameters(ConductanceParameters):
    """Brette et al. (2007), benchmark 1.

    Attributes
    ----------
    n_exc, n_inh : int
        3 200 and 800 neurons.
    p_connect : float
        Probability of a synapse between two neurons, 0.02.
    c_m_pf, g_leak_ns : float
        200 pF and 10 nS (20 ms).
    e_leak_mv, threshold_mv, reset_mv, refractory_ms : float
        -60, -50, -60 mV; 5 ms.
    e_exc_mv, e_inh_mv, tau_e_ms, tau_i_ms : float
        0, -80 mV; 5, 10 ms.
    w_exc_to_exc, w_exc_to_inh, w_inh_to_exc, w_inh_to_inh : float
        Conductance of one spike: 6 nS from E, 67 nS from I.
    drive_exc_pa, drive_inh_pa : float
        Constant current (ours, for the protocols), 0 pA.
    v_start_mv : float
        Mean potential at time 0, -65 mV, with a standard deviation of 5 mV (the published Brian code).
    g_start_exc, g_start_inh : float
        Mean conductances at time 0 that start the activity, over the leak: 4 and 20, with standard
        deviations of 1.5 and 12 and none below 0 (likewise).
    delay_ms, dt_ms : float
        One time step, 0.1 ms.
    v_fixed_mv : float
        Potential for the currents at a fixed potential (ours): -60 mV.
    """

    c_m_pf: float = 200.0
    g_leak_ns: float = 10.0
    e_leak_mv: float = -60.0
    e_exc_mv: float = 0.0
    e_inh_mv: float = -80.0
    threshold_mv: float = -50.0
    reset_mv: float = -60.0
    refractory_ms: float = 5.0
    tau_e_ms: float = 5.0
    tau_i_ms: float = 10.0
    delay_ms: float = 0.1
    v_fixed_mv: float = -60.0
    dt_ms: float = 0.1
    n_exc: int = 3_200
    n_inh: int = 800
    p_connect: float = 0.02
    w_exc_to_exc: float = 6.0
    w_exc_to_inh: float = 6.0
    w_inh_to_exc: float = 67.0
    w_inh_to_inh: float = 67.0
    drive_exc_pa: float = 0.0
    drive_inh_pa: float = 0.0
    v_start_mv: float = -65.0
    g_start_exc: float = 4.0
    g_start_inh: float = 20.0

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        super().check()
        check_network(self)
        for name in ("g_start_exc", "g_start_inh"):
            self.require(getattr(self, name) >= 0, name, "a number of at least 0")


class Coba(ConductanceCircuit):
    """The conductance-based network; with ``variant="cuba"`` :meth:`from_parameters` returns :class:`Cuba`.

    Examples
    --------
    >>> Coba.from_parameters({}).parameters.w_inh_to_exc
    67.0
    >>> Coba.from_parameters({"variant": "cuba"}).parameters.w_inh_to_exc
    90.0
    """

    name = NAME
    reference = REFERENCE
    shortcuts = ("variant",)
    parameters: CobaParameters
    drives = DRIVES
    pathways = PATHWAYS

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> Circuit:
        """Return the network of a variant (``"coba"`` or ``"cuba"``), its parameters overridden by `values`."""
        given = dict(values)
        variant = choose(str(given.pop("variant", VARIANTS[0])), VARIANTS, "variant", where=cls.name)
        if variant == "cuba":
            return Cuba(CubaParameters(**cls.checked_names(given, CubaParameters)))
        return cls(CobaParameters(**cls.checked_names(given, CobaParameters)))

    def to_mapping(self) -> dict[str, Any]:
        """Return variant and parameters."""
        return {"variant": "coba", **super().to_mapping()}

    def sizes(self) -> dict[str, int]:
        """Return the numbers of neurons."""
        return {"E": self.parameters.n_exc, "I": self.parameters.n_inh}

    def inputs(self) -> dict[str, ConductanceInputs]:
        """Return weights and constant current of E and I."""
        p = self.parameters
        return {
            "E": ConductanceInputs(p.w_exc_to_exc, p.w_inh_to_exc, constant_pa=p.drive_exc_pa),
            "I": ConductanceInputs(p.w_exc_to_inh, p.w_inh_to_inh, constant_pa=p.drive_inh_pa),
        }

    @property
    def n_synapses(self) -> int:
        """Mean number of synapses."""
        return round(self.n_neurons**2 * self.parameters.p_connect)

    def initial(self, seed: int) -> dict[str, NDArray[np.float64]]:
        """Return inputs, potentials, and the conductances that start the activity."""
        p, found = self.parameters, super().initial(seed)
        rng = generator(seed, "kick")
        v = p.v_start_mv + 5 * rng.standard_normal(self.n_neurons)
        found["neurons.v"] = np.clip(v, p.e_inh_mv, p.threshold_mv) * 1e-3
        for name, mean, std in (("g_rec", p.g_start_exc, 1.5 / 4), ("g_inh", p.g_start_inh, 12 / 20)):
            draw = mean * (1 + std * rng.standard_normal(self.n_neurons))
            found[f"neurons.{name}"] = np.maximum(draw, 0) * p.g_leak_ns * 1e-9
        return found

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield excitatory, then inhibitory synapses."""
        return connect(self.parameters, seed)


CIRCUIT = Coba
