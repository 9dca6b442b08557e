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
from eiplatform.microcircuits.circuit import (
    Circuit,
    Drive,
    Edges,
    Model,
    Parameters,
    Population,
    Recorded,
    Structure,
    generator,
)
from eiplatform.microcircuits.conductance_lif import ConductanceCircuit, ConductanceInputs, ConductanceParameters
from eiplatform.microcircuits.connectivity import independent

__all__ = ["CIRCUIT", "VARIANTS", "Coba", "CobaParameters", "Cuba", "CubaParameters"]

VARIANTS = ("coba", "cuba")
"""Conductance-based, the default, and current-based."""

_PATHWAYS = {"E->E": "w_exc_to_exc", "E->I": "w_exc_to_inh", "I->E": "w_inh_to_exc", "I->I": "w_inh_to_inh"}
_DRIVES = {
    "E": Drive("drive_exc_pa", 1.0, relative=False),
    "I": Drive("drive_inh_pa", 1.0, relative=False),
}


def _check_network(p: Any) -> None:
    for name in ("n_exc", "n_inh"):
        p.require(getattr(p, name) > 0, name, "a positive number")
    p.require(0 <= p.p_connect <= 1, "p_connect", "from 0 to 1")
    for name in (*_PATHWAYS.values(), "drive_exc_pa", "drive_inh_pa"):
        p.require(getattr(p, name) >= 0, name, "a number of at least 0")


def _connect(p: Any, seed: int) -> Iterator[tuple[str, Edges]]:
    rng = generator(seed, "connectivity")
    n = p.n_exc + p.n_inh
    yield "exc", independent(rng, p.n_exc, p.p_connect, n, first_own=0)
    yield "inh", independent(rng, p.n_inh, p.p_connect, n, first_own=p.n_exc)


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
        _check_network(self)
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

    name = "vogels-abbott-2005"
    reference = (
        "Vogels & Abbott 2005, J Neurosci 25:10786-10795, doi:10.1523/JNEUROSCI.3508-05.2005; "
        "Brette et al. 2007, doi:10.1007/s10827-007-0038-6"
    )
    shortcuts = ("variant",)
    parameters: CobaParameters
    drives = _DRIVES
    pathways = _PATHWAYS

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
        return _connect(self.parameters, seed)

    def theory(self) -> dict[str, float]:
        """Return nothing: there is no closed form for this network."""
        return {}


@dataclass(frozen=True)
class CubaParameters(Parameters):
    """Brette et al. (2007), benchmark 2, in the units of a cell of 200 pF and 10 nS.

    Attributes
    ----------
    n_exc, n_inh, p_connect
        As in :class:`CobaParameters`.
    c_m_pf, g_leak_ns : float
        200 pF and 10 nS (20 ms).
    rest_mv, threshold_mv, reset_mv, refractory_ms : float
        -60, -50, -60 mV; 5 ms.
    bias_pa : float
        Constant current, 110 pA: moves the rest to -49 mV, where the benchmark has it.
    tau_e_ms, tau_i_ms : float
        Decay of the synaptic currents, 5 and 10 ms.
    w_exc_to_exc, w_exc_to_inh, w_inh_to_exc, w_inh_to_inh : float
        Synaptic current (pA) of one spike: 16.2 from E, 90 from I (1.62 mV and -9 mV of the benchmark
        times the leak; magnitudes).
    drive_exc_pa, drive_inh_pa : float
        Constant current besides `bias_pa` (ours, for the protocols), 0 pA.
    delay_ms, dt_ms : float
        One time step, 0.1 ms.
    """

    n_exc: int = 3_200
    n_inh: int = 800
    p_connect: float = 0.02
    c_m_pf: float = 200.0
    g_leak_ns: float = 10.0
    rest_mv: float = -60.0
    threshold_mv: float = -50.0
    reset_mv: float = -60.0
    refractory_ms: float = 5.0
    bias_pa: float = 110.0
    tau_e_ms: float = 5.0
    tau_i_ms: float = 10.0
    w_exc_to_exc: float = 16.2
    w_exc_to_inh: float = 16.2
    w_inh_to_exc: float = 90.0
    w_inh_to_inh: float = 90.0
    drive_exc_pa: float = 0.0
    drive_inh_pa: float = 0.0
    delay_ms: float = 0.1
    dt_ms: float = 0.1

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        _check_network(self)
        for name in ("c_m_pf", "g_leak_ns", "tau_e_ms", "tau_i_ms", "dt_ms"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        self.require(self.bias_pa >= 0, "bias_pa", "a number of at least 0")
        self.require(self.reset_mv < self.threshold_mv, "reset_mv", f"below {self.threshold_mv} mV")
        membrane = self.c_m_pf / self.g_leak_ns
        for name in ("tau_e_ms", "tau_i_ms"):
            apart = abs(getattr(self, name) / membrane - 1) > 1e-6
            self.require(apart, name, f"other than the membrane's {membrane:g} ms")
        self.require_multiples("delay_ms", "refractory_ms", dt_ms=self.dt_ms)


class Cuba(Circuit):
    """The current-based network; currents in pA."""

    name = Coba.name
    reference = Coba.reference
    current_units = "pA"
    potential_units = "mV"
    shortcuts = ("variant",)
    parameters: CubaParameters
    drives = _DRIVES
    pathways = _PATHWAYS

    from_parameters = Coba.from_parameters

    def to_mapping(self) -> dict[str, Any]:
        """Return variant and parameters."""
        return {"variant": "cuba", **super().to_mapping()}

    @property
    def dt_ms(self) -> float:
        """Time step in ms."""
        return self.parameters.dt_ms

    @property
    def populations(self) -> tuple[Population, ...]:
        """Populations E and I; all neurons form one Brian2 group."""
        p = self.parameters
        attrs = {
            "threshold": p.threshold_mv,
            "reset": p.reset_mv,
            "rest": p.rest_mv,
            "refractory": p.refractory_ms,
            "tau_membrane": p.c_m_pf / p.g_leak_ns,
        }
        return (Population("E", "E", p.n_exc, 0, attrs), Population("I", "I", p.n_inh, p.n_exc, attrs))

    @property
    def signals(self) -> tuple[Recorded, ...]:
        """Currents (pA) as exact interval means, the potential (mV) at the start of each interval."""
        return (
            Recorded("current_exc_recurrent", "charge_exc", "integral", 1e12),
            Recorded("current_exc_constant", "i_constant", "start", 1e12),
            Recorded("current_inh", "charge_inh", "integral", 1e12),
            Recorded("voltage", "v", "start", 1e3),
        )

    @property
    def n_synapses(self) -> int:
        """Mean number of synapses."""
        return round(self.n_neurons**2 * self.parameters.p_connect)

    def structure(self) -> Structure:
        """Return sizes and time step; everything else is read at run time."""
        p = self.parameters
        return {"n_exc": p.n_exc, "n_inh": p.n_inh, "dt_ms": p.dt_ms}

    @staticmethod
    def build(structure: Structure) -> Model:
        """Return the Brian2 objects: one group, one Synapses per sign; exact solution over each step."""
        import brian2
        from brian2 import ms

        def advance(equations: Any, variables: Any, method_options: Any = None) -> str:
            # Factors come from numpy, so that every device uses the same bits.
            return (
                "v = v_inf + (v - v_inf) * decay_m + (per_exc * i_exc - per_inh * i_inh)\n"
                "charge_exc = charge_exc + i_exc * width_e\ni_exc = i_exc * decay_e\n"
                "charge_inh = charge_inh + i_inh * width_i\ni_inh = i_inh * decay_i"
            )

        n_exc = int(structure["n_exc"])
        neurons = brian2.NeuronGroup(
            n_exc + int(structure["n_inh"]),
            """
            dv/dt = (v_inf - v + (i_exc - i_inh) / g_leak) / tau_m : volt (unless refractory)
            di_exc/dt = -i_exc / tau_e : amp
            di_inh/dt = -i_inh / tau_i : amp
            charge_exc : coulomb
            charge_inh : coulomb
            new_exc : integer
            new_inh : integer
            w_exc : amp (constant)
            w_inh : amp (constant)
            i_constant : amp (constant)
            v_inf : volt (constant)
            g_leak : siemens (shared, constant)
            tau_m : second (shared, constant)
            tau_e : second (shared, constant)
            tau_i : second (shared, constant)
            tau_rp : second (shared, constant)
            decay_m : 1 (shared, constant)
            decay_e : 1 (shared, constant)
            decay_i : 1 (shared, constant)
            width_e : second (shared, constant)
            width_i : second (shared, constant)
            per_exc : ohm (shared, constant)
            per_inh : ohm (shared, constant)
            v_threshold : volt (shared, constant)
            v_reset : volt (shared, constant)
            """,
            threshold="v > v_threshold",
            reset="v = v_reset",
            refractory="tau_rp",
            method=advance,
            dt=structure["dt_ms"] * ms,
            name="neurons",
        )
        neurons.run_regularly(
            """
            i_exc = i_exc + w_exc * new_exc
            i_inh = i_inh + w_inh * new_inh
            new_exc = 0
            new_inh = 0
            """,
            when="before_thresholds",
            name="arrivals",
        )
        exc = brian2.Synapses(neurons[:n_exc], neurons, on_pre="new_exc_post += 1", delay=1 * ms, name="exc")
        inh = brian2.Synapses(neurons[n_exc:], neurons, on_pre="new_inh_post += 1", delay=1 * ms, name="inh")
        return Model({"neurons": neurons}, {"exc": exc, "inh": inh})

    def scalars(self) -> dict[str, float]:
        """Return the shared variables in SI units."""
        p = self.parameters
        tau_m = p.c_m_pf / p.g_leak_ns

        def of_synapse(tau: float) -> tuple[float, float, float]:
            """Decay over a step; integral over a step and effect on the potential, per unit of current."""
            decay = float(np.exp(-p.dt_ms / tau))
            effect = tau / (tau_m - tau) * (np.exp(-p.dt_ms / tau_m) - decay) / (p.g_leak_ns * 1e-9)
            return decay, float(-np.expm1(-p.dt_ms / tau)) * tau * 1e-3, float(effect)

        (decay_e, width_e, per_exc), (decay_i, width_i, per_inh) = of_synapse(p.tau_e_ms), of_synapse(p.tau_i_ms)
        values = {
            "g_leak": p.g_leak_ns * 1e-9,
            "tau_m": tau_m * 1e-3,
            "tau_e": p.tau_e_ms * 1e-3,
            "tau_i": p.tau_i_ms * 1e-3,
            # Brian2 counts from the start of the step in which a neuron fired, we from its end.
            "tau_rp": (p.refractory_ms + p.dt_ms) * 1e-3,
            "decay_m": float(np.exp(-p.dt_ms / tau_m)),
            "decay_e": decay_e,
            "decay_i": decay_i,
            "width_e": width_e,
            "width_i": width_i,
            "per_exc": per_exc,
            "per_inh": per_inh,
            "v_threshold": p.threshold_mv * 1e-3,
            "v_reset": p.reset_mv * 1e-3,
        }
        delay = (p.delay_ms - p.dt_ms) * 1e-3  # counts are applied in the step after they were made
        return {**{f"neurons.{k}": v for k, v in values.items()}, "exc_pre.delay": delay, "inh_pre.delay": delay}

    def initial(self, seed: int) -> dict[str, NDArray[np.float64]]:
        """Return each neuron's inputs, and potentials spread evenly from reset to threshold."""
        p = self.parameters

        def each(exc: float, inh: float) -> NDArray[np.float64]:
            return np.repeat([exc, inh], [p.n_exc, p.n_inh]).astype(float)

        constant = each(p.bias_pa + p.drive_exc_pa, p.bias_pa + p.drive_inh_pa) * 1e-12
        v = generator(seed, "initial").uniform(p.reset_mv, p.threshold_mv, self.n_neurons) * 1e-3
        return {
            "neurons.v": v,
            "neurons.w_exc": each(p.w_exc_to_exc, p.w_exc_to_inh) * 1e-12,
            "neurons.w_inh": each(p.w_inh_to_exc, p.w_inh_to_inh) * 1e-12,
            "neurons.i_constant": constant,
            "neurons.v_inf": p.rest_mv * 1e-3 + constant / (p.g_leak_ns * 1e-9),
        }

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield excitatory, then inhibitory synapses."""
        return _connect(self.parameters, seed)

    def theory(self) -> dict[str, float]:
        """Return nothing: there is no closed form for this network."""
        return {}


CIRCUIT = Coba
