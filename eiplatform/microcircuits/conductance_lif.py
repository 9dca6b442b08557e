"""Leaky integrate-and-fire neurons with conductance-based synapses: what several circuits share.

``C dv/dt = g_L (E_L - v) + g_e (E_e - v) + g_i (E_i - v) + I``; a spike raises a conductance by its
weight, which then decays exponentially.

Time step.  Over a step the conductances are replaced by their exact means, for which the equation
has the solution of an exponential relaxation; its factor ``exp(-a)`` is taken as
``(12 - 6a + a^2)/(12 + 6a + a^2)``, equal to it within ``a^5/720`` (a is about 0.01).  Sums, products
and quotients are rounded alike everywhere, exponentials are not: so every device gives the same spikes.

What is recorded follows from the same solution.  Conductances and currents are added up over each step as
their exact means (of the current: mean conductance times mean driving force), so that a recorded
interval's mean leaves out nothing, and the currents together move exactly the charge ``C dv``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eiplatform.microcircuits.circuit import Circuit, Model, Population, Recorded, Structure, generator
from eiplatform.microcircuits.drive import LARGEST_MEAN, poisson_quantile_function
from eiplatform.microcircuits.parameters import Parameters

__all__ = ["ConductanceCircuit", "ConductanceInputs", "ConductanceParameters"]

_EQUATIONS = """
dv/dt = (g_leak * (e_leak - v) + (g_rec + g_ext) * (e_exc - v) + g_inh * (e_inh - v) + i_constant) / c_m
    : volt (unless refractory)
dg_rec/dt = -g_rec / tau_e : siemens
dg_ext/dt = -g_ext / tau_e : siemens
dg_inh/dt = -g_inh / tau_i : siemens
sum_exc : siemens * second
sum_inh : siemens * second
charge_rec : coulomb
charge_ext : coulomb
charge_inh : coulomb
new_rec : integer
new_inh : integer
new_background : integer
w_rec : siemens (constant)
w_inh : siemens (constant)
w_ext : siemens (constant)
w_background : siemens (constant)
tonic_exc : siemens (constant)
tonic_inh : siemens (constant)
i_constant : amp (constant)
c_m : farad (constant)
tau_rp : second (constant)
mean_ext : 1 (constant)
zero_ext : 1 (constant)
mean_background : 1 (constant)
zero_background : 1 (constant)
p_spike : 1 (constant)
p_volley : 1 (constant)
phase : integer (constant)
period : integer (shared, constant)
g_leak : siemens (shared, constant)
e_leak : volt (shared, constant)
e_exc : volt (shared, constant)
e_inh : volt (shared, constant)
tau_e : second (shared, constant)
tau_i : second (shared, constant)
step : second (shared, constant)
mean_e : 1 (shared, constant)
mean_i : 1 (shared, constant)
decay_e : 1 (shared, constant)
decay_i : 1 (shared, constant)
v_threshold : volt (shared, constant)
v_reset : volt (shared, constant)
"""

_STEP = """
m_rec = g_rec * mean_e
m_ext = g_ext * mean_e + tonic_exc
m_inh = g_inh * mean_i + tonic_inh
total = g_leak + m_rec + m_ext + m_inh
v_inf = (g_leak * e_leak + (m_rec + m_ext) * e_exc + m_inh * e_inh + i_constant) / total
rate = total * step / c_m
keep = (12 - 6 * rate + rate * rate) / (12 + 6 * rate + rate * rate)
v_mean = v + int(not_refractory) * (v_inf - v) * (1 - (1 - keep) / rate)
sum_exc = sum_exc + (m_rec + m_ext) * step
sum_inh = sum_inh + m_inh * step
charge_rec = charge_rec + m_rec * (e_exc - v_mean) * step
charge_ext = charge_ext + m_ext * (e_exc - v_mean) * step
charge_inh = charge_inh + m_inh * (v_mean - e_inh) * step
v = v_inf + (v - v_inf) * keep
g_rec = g_rec * decay_e
g_ext = g_ext * decay_e
g_inh = g_inh * decay_i
"""


@dataclass(frozen=True)
class ConductanceParameters(Parameters):
    """Fields that every circuit of this kind has; see the circuits for their values.

    Attributes
    ----------
    c_m_pf, g_leak_ns : float
        Membrane capacitance and leak conductance.
    e_leak_mv, e_exc_mv, e_inh_mv : float
        Reversal potentials of the leak, of excitation and of inhibition.
    threshold_mv, reset_mv, refractory_ms : float
        Threshold, reset, refractory period.
    tau_e_ms, tau_i_ms : float
        Decay of excitatory and inhibitory conductances.
    delay_ms : float
        Transmission delay.
    v_fixed_mv : float
        Potential at which ``current_exc_fixed`` and ``current_inh_fixed`` are given (ours).
    dt_ms : float
        Time step (ours).
    """

    c_m_pf: float
    g_leak_ns: float
    e_leak_mv: float
    e_exc_mv: float
    e_inh_mv: float
    threshold_mv: float
    reset_mv: float
    refractory_ms: float
    tau_e_ms: float
    tau_i_ms: float
    delay_ms: float
    v_fixed_mv: float
    dt_ms: float

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        for name in ("c_m_pf", "g_leak_ns", "tau_e_ms", "tau_i_ms", "dt_ms"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        # Between the reversal potentials the recorded magnitudes of the currents cannot change sign.
        for name in ("reset_mv", "e_leak_mv", "v_fixed_mv"):
            inside = self.e_inh_mv <= getattr(self, name) <= self.e_exc_mv
            self.require(inside, name, f"between e_inh_mv = {self.e_inh_mv} and e_exc_mv = {self.e_exc_mv}")
        self.require(self.reset_mv < self.threshold_mv, "reset_mv", f"below {self.threshold_mv} mV")
        self.require(self.threshold_mv < self.e_exc_mv, "threshold_mv", f"below e_exc_mv = {self.e_exc_mv}")
        self.require_multiples("delay_ms", "refractory_ms", dt_ms=self.dt_ms)


@dataclass(frozen=True)
class ConductanceInputs:
    """Input and cell of one population; weights in nS, rates of all spikes of one neuron together.

    Attributes
    ----------
    w_exc, w_inh : float
        Weights of its synapses from excitatory (recurrent or relayed) and inhibitory neurons.
    w_ext, ext_rate_hz : float
        External excitatory Poisson input.
    w_background, background_rate_hz : float
        External inhibitory Poisson input.
    tonic_exc_ns, tonic_inh_ns : float
        Constant external conductances.
    constant_pa : float
        Constant current.
    c_m_pf : float, optional
        Capacitance where it differs from that of the other neurons.
    """

    w_exc: float = 0.0
    w_inh: float = 0.0
    w_ext: float = 0.0
    ext_rate_hz: float = 0.0
    w_background: float = 0.0
    background_rate_hz: float = 0.0
    tonic_exc_ns: float = 0.0
    tonic_inh_ns: float = 0.0
    constant_pa: float = 0.0
    c_m_pf: float | None = None


class ConductanceCircuit(Circuit):
    """Base of circuits with conductance-based synapses and one Brian2 group.

    Currents are in pA, conductances in nS, potentials in mV.
    """

    current_units = "pA"
    potential_units = "mV"
    parameters: ConductanceParameters
    parts: ClassVar[Mapping[str, str]] = {"recurrent": "charge_rec"}
    """Parts of the excitatory current, besides a constant one: through synapses (``charge_rec``) or not."""
    has_constant: ClassVar[bool] = True
    """Whether there can be a constant current."""

    @abstractmethod
    def inputs(self) -> Mapping[str, ConductanceInputs]:
        """Return the input of each population."""

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Return the number of neurons of each population, excitatory ones first."""

    @property
    def populations(self) -> tuple[Population, ...]:
        """Populations, in the order of :meth:`sizes`; all neurons form one Brian2 group."""
        p = self.parameters
        found, start = [], 0
        for name, size in self.sizes().items():
            capacitance = self.inputs()[name].c_m_pf or p.c_m_pf
            attrs = {
                "threshold": p.threshold_mv,
                "reset": p.reset_mv,
                "refractory": p.refractory_ms,
                "tau_membrane": capacitance / p.g_leak_ns,
                "g_leak": p.g_leak_ns,
                "reversal_leak": p.e_leak_mv,
                "reversal_exc": p.e_exc_mv,
                "reversal_inh": p.e_inh_mv,
                "v_fixed": p.v_fixed_mv,
            }
            found.append(Population(name, "I" if name.endswith("I") else "E", size, start, attrs))
            start += size
        return tuple(found)

    @property
    def signals(self) -> tuple[Recorded, ...]:
        """Conductances (nS) and currents at v(t) (pA) as exact interval means; the potential (mV) at the start."""
        exc = [Recorded(f"current_exc_{part}", variable, "integral", 1e12) for part, variable in self.parts.items()]
        if self.has_constant:
            exc.append(Recorded("current_exc_constant", "i_constant", "start", 1e12))
        return (
            *exc,
            Recorded("current_inh", "charge_inh", "integral", 1e12),
            Recorded("conductance_exc", "sum_exc", "integral", 1e9),
            Recorded("conductance_inh", "sum_inh", "integral", 1e9),
            Recorded("voltage", "v", "start", 1e3),
        )

    def derived(self, signals: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return sums, shunt, gain and the currents at a fixed potential.

        All follow from the mean conductances of an interval: ``inhibition_div = (g_e + g_i)/g_L``,
        ``gain = g_L/(g_L + g_e + g_i)``, ``current_exc_fixed = g_e (E_e - v_fixed)``.  Currents at v(t)
        share v(t), which correlates them whatever the conductances do; those at a fixed potential do not.
        """
        p = self.parameters
        exc, inh = signals["conductance_exc"], signals["conductance_inh"]
        shunt = (exc + inh) / np.float32(p.g_leak_ns)
        return {
            **super().derived(signals),
            "current_exc_fixed": exc * np.float32(p.e_exc_mv - p.v_fixed_mv),
            "current_inh_fixed": inh * np.float32(p.v_fixed_mv - p.e_inh_mv),
            "inhibition_div": shunt,
            "gain": 1 / (1 + shunt),
        }

    def random_inputs(self) -> tuple[bool, bool]:
        """Return whether there are Poisson excitation and Poisson inhibition from outside."""
        entries = self.inputs().values()
        return any(entry.ext_rate_hz for entry in entries), any(entry.background_rate_hz for entry in entries)

    def structure(self) -> Structure:
        """Return sizes, time step and which inputs there are; everything else is read at run time."""
        sizes, (external, background) = self.sizes(), self.random_inputs()
        return {
            "n": sum(sizes.values()),
            "n_inh": sizes.get("I", 0),
            "n_sources": 0,
            "recurrent": 1,
            "dt_ms": self.dt_ms,
            "external": int(external),
            "background": int(background),
        }

    @staticmethod
    def build(structure: Structure) -> Model:
        """Return the Brian2 objects: one group, one Synapses per sign.

        The group holds the neurons, inhibitory ones last but for the sources of the input, which
        fire at random or in volleys and have synapses like excitatory neurons.  Synapses only
        count; counts are applied once per step.
        """
        import brian2
        from brian2 import ms

        def advance(equations: Any, variables: Any, method_options: Any = None) -> str:
            return _STEP

        n, n_inh, n_sources = (int(structure[key]) for key in ("n", "n_inh", "n_sources"))
        neurons = brian2.NeuronGroup(
            n + n_sources,
            _EQUATIONS,
            threshold="v > v_threshold",
            reset="v = v_reset",
            refractory="tau_rp",
            method=advance,
            dt=structure["dt_ms"] * ms,
            namespace={"poisson_quantile": poisson_quantile_function()},
            name="neurons",
        )
        if structure["background"]:  # an operation of its own: the quantile keeps one table, which neurons share
            neurons.run_regularly(
                "new_background = poisson_quantile(rand(), mean_background, zero_background)",
                when="before_thresholds",
                order=-1,
                name="background",
            )
        if n_sources:
            neurons.run_regularly(
                """
                chance = p_spike + p_volley * int(timestep(t, dt) % period == phase)
                v = v + int(rand() < chance) * volt
                """,
                when="before_thresholds",
                order=-2,
                name="sources",
            )
        external = "poisson_quantile(rand(), mean_ext, zero_ext)" if structure["external"] else "0"
        neurons.run_regularly(
            f"""
            new_ext = {external}
            g_rec = g_rec + w_rec * new_rec
            g_ext = g_ext + w_ext * new_ext
            g_inh = g_inh + (w_inh * new_inh + w_background * new_background)
            new_rec = 0
            new_inh = 0
            """,
            when="before_thresholds",
            name="arrivals",
        )
        if not structure["recurrent"]:
            return Model({"neurons": neurons}, {})
        exc_source = neurons[n:] if n_sources else neurons[: n - n_inh]
        exc = brian2.Synapses(exc_source, neurons, on_pre="new_rec_post += 1", delay=1 * ms, name="exc")
        inh = brian2.Synapses(neurons[n - n_inh : n], neurons, on_pre="new_inh_post += 1", delay=1 * ms, name="inh")
        return Model({"neurons": neurons}, {"exc": exc, "inh": inh})

    def scalars(self) -> dict[str, float]:
        """Return the shared variables in SI units."""
        p = self.parameters
        x_e, x_i = p.dt_ms / p.tau_e_ms, p.dt_ms / p.tau_i_ms
        values = {
            "g_leak": p.g_leak_ns * 1e-9,
            "e_leak": p.e_leak_mv * 1e-3,
            "e_exc": p.e_exc_mv * 1e-3,
            "e_inh": p.e_inh_mv * 1e-3,
            "tau_e": p.tau_e_ms * 1e-3,
            "tau_i": p.tau_i_ms * 1e-3,
            "step": p.dt_ms * 1e-3,
            "mean_e": float(-np.expm1(-x_e) / x_e),
            "mean_i": float(-np.expm1(-x_i) / x_i),
            "decay_e": float(np.exp(-x_e)),
            "decay_i": float(np.exp(-x_i)),
            "v_threshold": p.threshold_mv * 1e-3,
            "v_reset": p.reset_mv * 1e-3,
        }
        found = {f"neurons.{name}": value for name, value in values.items()}
        if self.structure()["recurrent"]:  # counts are applied in the step after they were made
            found |= {f"{name}_pre.delay": (p.delay_ms - p.dt_ms) * 1e-3 for name in ("exc", "inh")}
        return found

    def initial(self, seed: int) -> dict[str, NDArray[np.float64]]:
        """Return each neuron's cell and input; potentials start evenly spread from reset to threshold."""
        p, inputs = self.parameters, self.inputs()
        sizes = list(self.sizes().items())
        n_sources, dt = int(self.structure()["n_sources"]), p.dt_ms * 1e-3

        def each(value: Any, of_source: float = 0.0) -> NDArray[np.float64]:
            parts = [np.full(size, value(inputs[name]), float) for name, size in sizes]
            return np.concatenate([*parts, np.full(n_sources, of_source)])

        mean_ext, mean_background = each(lambda i: i.ext_rate_hz * dt), each(lambda i: i.background_rate_hz * dt)
        rng = generator(seed, "initial")
        v = rng.uniform(p.reset_mv, p.threshold_mv, sum(self.sizes().values())) * 1e-3
        found = {
            "v": np.concatenate([v, np.full(n_sources, p.e_leak_mv * 1e-3)]),
            "w_rec": each(lambda i: i.w_exc * 1e-9),
            "w_inh": each(lambda i: i.w_inh * 1e-9),
            "w_ext": each(lambda i: i.w_ext * 1e-9),
            "w_background": each(lambda i: i.w_background * 1e-9),
            "tonic_exc": each(lambda i: i.tonic_exc_ns * 1e-9),
            "tonic_inh": each(lambda i: i.tonic_inh_ns * 1e-9),
            "i_constant": each(lambda i: i.constant_pa * 1e-12),
            "c_m": each(lambda i: (i.c_m_pf or p.c_m_pf) * 1e-12, p.c_m_pf * 1e-12),
            # Brian2 counts from the start of the step in which a neuron fired, we from its end.
            "tau_rp": each(lambda i: (p.refractory_ms + p.dt_ms) * 1e-3),
            "mean_ext": mean_ext,
            "zero_ext": np.exp(-mean_ext),
            "mean_background": mean_background,
            "zero_background": np.exp(-mean_background),
        }
        return {f"neurons.{name}": values for name, values in found.items()}

    def check_inputs(self, parameter: str) -> None:
        """Raise unless the Poisson counts per step can be drawn; `parameter` is what the user may lower."""
        largest = max(max(i.ext_rate_hz, i.background_rate_hz) for i in self.inputs().values())
        self.parameters.require(
            largest * self.dt_ms * 1e-3 <= LARGEST_MEAN, parameter, f"at most {LARGEST_MEAN:g} spikes per step"
        )
