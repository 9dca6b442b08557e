"""The current-based network (CUBA) of Vogels & Abbott (2005)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.microcircuits.circuit import (
    Circuit,
    Edges,
    Model,
    Population,
    Recorded,
    Structure,
    exc_and_inh,
    generator,
)
from eiplatform.microcircuits.parameters import Parameters
from eiplatform.microcircuits.vogels_abbott_network import DRIVES, NAME, PATHWAYS, REFERENCE, check_network, connect

__all__ = ["Cuba", "CubaParameters"]


@dataclass(frozen=True)
class CubaParameters(Parameters):
    """Brette et al. (2007), benchmark 2, in the units of a cell of 200 pF and 10 nS.

    Attributes
    ----------
    n_exc, n_inh, p_connect
        3 200 and 800 neurons, connected with probability 0.02.
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
        check_network(self)
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

    name = NAME
    reference = REFERENCE
    current_units = "pA"
    potential_units = "mV"
    parameters: CubaParameters
    drives = DRIVES
    pathways = PATHWAYS

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> Cuba:
        """Return the network, its parameters overridden by `values`."""
        given = {name: value for name, value in values.items() if (name, value) != ("variant", "cuba")}
        return cls(CubaParameters(**cls.checked_names(given, CubaParameters)))

    def to_mapping(self) -> dict[str, Any]:
        """Return variant and parameters."""
        return {"variant": "cuba", **super().to_mapping()}

    @property
    def populations(self) -> tuple[Population, ...]:
        """Populations E and I; all neurons form one Brian2 group."""
        p = self.parameters
        return exc_and_inh(p, rest=p.rest_mv, tau_membrane=p.c_m_pf / p.g_leak_ns)

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
        return connect(self.parameters, seed)
