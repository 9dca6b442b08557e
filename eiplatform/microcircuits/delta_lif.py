"""Two populations of leaky integrate-and-fire neurons with delta synapses: what several circuits share.

Every neuron has weights, external Poisson input and constant input of its own, so that the four
synaptic pathways and the two external drives can be changed one by one.  Time step and signals are
treated as in :mod:`eiplatform.microcircuits.brunel_2000`: arrivals between decay and threshold,
spikes dated to the end of their step, delta currents seen through a filter of unit gain.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.circuit import Circuit, Model, Population, Recorded, Structure, exc_and_inh, generator
from eiplatform.microcircuits.drive import LARGEST_MEAN, poisson_quantile_function
from eiplatform.microcircuits.parameters import Parameters

__all__ = ["DeltaCircuit", "DeltaParameters", "Inputs"]

_EQUATIONS = """
dv/dt = (v_constant - v) / tau_m : volt (unless refractory)
drec/dt = -rec / tau_f : volt
dext/dt = -ext / tau_f : volt
dinh/dt = -inh / tau_f : volt
charge_rec : volt * second
charge_ext : volt * second
charge_inh : volt * second
new_rec : integer
new_inh : integer
frozen : integer
j_exc : volt (constant)
j_inh : volt (constant)
j_ext : volt (constant)
v_constant : volt (constant)
mean_ext : 1 (constant)
zero_ext : 1 (constant)
mean_frozen : 1 (constant)
zero_frozen : 1 (constant)
synapses_exc : 1 (shared, constant)
per_jump : 1 (shared, constant)
tau_m : second (shared, constant)
tau_f : second (shared, constant)
tau_rp : second (shared, constant)
width_f : second (shared, constant)
decay_m : 1 (shared, constant)
decay_f : 1 (shared, constant)
v_threshold : volt (shared, constant)
v_reset : volt (shared, constant)
"""


@dataclass(frozen=True)
class DeltaParameters(Parameters):
    """Fields that every circuit of this kind has; see the circuits for their values.

    Attributes
    ----------
    n_exc, n_inh : int
        Numbers of neurons.
    tau_ms : float
        Membrane time constant.
    threshold_mv, reset_mv : float
        Above rest.
    refractory_ms, delay_ms, dt_ms : float
        Refractory period, transmission delay and time step.
    tau_f_ms : float
        Time constant of the filter through which delta currents are seen.
    """

    n_exc: int
    n_inh: int
    tau_ms: float
    threshold_mv: float
    reset_mv: float
    refractory_ms: float
    delay_ms: float
    dt_ms: float
    tau_f_ms: float

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        for name in ("n_exc", "n_inh", "tau_ms", "dt_ms", "tau_f_ms", "threshold_mv"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        self.require(self.reset_mv < self.threshold_mv, "reset_mv", f"below {self.threshold_mv} mV")
        self.require_multiples("delay_ms", "refractory_ms", dt_ms=self.dt_ms)


@dataclass(frozen=True)
class Inputs:
    """Input of one population.

    Attributes
    ----------
    j_exc, j_inh : float
        Amplitudes (mV, magnitudes) of its synapses from E and from I.
    j_ext : float
        Amplitude (mV) of its external spikes.
    ext_rate_hz : float
        Rate of all its external spikes together.
    constant_mv : float
        Constant input, as the depolarisation that it would cause.
    frozen_rate_hz : float
        Rate of all Poisson spikes together that stand in for those of E; 0 with E's own.
    """

    j_exc: float
    j_inh: float
    j_ext: float = 0.0
    ext_rate_hz: float = 0.0
    constant_mv: float = 0.0
    frozen_rate_hz: float = 0.0


class DeltaCircuit(Circuit):
    """Base of circuits with populations E and I, delta synapses and one Brian2 group."""

    current_units = "mV"
    parameters: DeltaParameters
    has_constant: ClassVar[bool] = False
    """Whether there can be a constant input."""

    @abstractmethod
    def inputs(self) -> Mapping[str, Inputs]:
        """Return the inputs of E and I."""

    @property
    def exc_is_frozen(self) -> bool:
        """Whether Poisson spikes stand in for those of E."""
        return False

    @property
    def populations(self) -> tuple[Population, ...]:
        """Populations E and I; all neurons form one Brian2 group."""
        p = self.parameters
        return exc_and_inh(p, tau_membrane=p.tau_ms, tau_f=p.tau_f_ms)

    @property
    def signals(self) -> tuple[Recorded, ...]:
        """Currents as exact interval means and the membrane potential at the start of each interval, in mV."""
        parts = [Recorded("current_exc_recurrent", "charge_rec", "integral", 1e3)]
        if self.structure()["external"]:
            parts.append(Recorded("current_exc_external", "charge_ext", "integral", 1e3))
        if self.has_constant:
            parts.append(Recorded("current_exc_constant", "v_constant", "start", 1e3))
        return (
            *parts,
            Recorded("current_inh", "charge_inh", "integral", 1e3),
            Recorded("voltage", "v", "start", 1e3),
        )

    def structure(self) -> Structure:
        """Return sizes, time step and which random inputs there are; everything else is read at run time."""
        external = any(entry.ext_rate_hz for entry in self.inputs().values())
        return {**super().structure(), "external": int(external), "frozen": int(self.exc_is_frozen)}

    @staticmethod
    def build(structure: Structure) -> Model:
        """Return the Brian2 objects: one group, one Synapses per sign.

        Synapses only count arriving spikes, so that the order of summation cannot matter; counts are
        applied once per step.  Between arrivals a filtered current falls as ``exp(-t/tau_f)``: its
        integral over a step is the value after the last arrivals times ``tau_f (1 - exp(-dt/tau_f))``.
        """
        import brian2
        from brian2 import ms

        def decay(equations: Any, variables: Any, method_options: Any = None) -> str:
            # The exact solution over one step; the factors come from numpy, so that every device uses the same bits.
            return (
                "v = v_constant + (v - v_constant) * decay_m\n"
                "charge_rec = charge_rec + rec * width_f\nrec = rec * decay_f\n"
                "charge_ext = charge_ext + ext * width_f\next = ext * decay_f\n"
                "charge_inh = charge_inh + inh * width_f\ninh = inh * decay_f"
            )

        n_exc = int(structure["n_exc"])
        quantile = {"poisson_quantile": poisson_quantile_function()}
        neurons = brian2.NeuronGroup(
            n_exc + int(structure["n_inh"]),
            _EQUATIONS,
            threshold="v > v_threshold",
            reset="v = v_reset",
            refractory="tau_rp",
            method=decay,
            dt=structure["dt_ms"] * ms,
            namespace=quantile,
            name="neurons",
        )
        if structure["frozen"]:  # an operation of its own: the quantile keeps one table, which neurons share
            neurons.run_regularly(
                "frozen = poisson_quantile(rand(), mean_frozen, zero_frozen)",
                when="before_thresholds",
                order=-1,
                name="frozen_spikes",
            )
        external = "poisson_quantile(rand(), mean_ext, zero_ext)" if structure["external"] else "0"
        neurons.run_regularly(
            f"""
            new_ext = {external}
            from_exc = new_rec * synapses_exc + frozen
            v = v + (j_exc * from_exc + j_ext * new_ext - j_inh * new_inh)
            rec = rec + j_exc * per_jump * from_exc
            ext = ext + j_ext * per_jump * new_ext
            inh = inh + j_inh * per_jump * new_inh
            new_rec = 0
            new_inh = 0
            """,
            when="before_thresholds",
            name="arrivals",
        )
        exc = brian2.Synapses(neurons[:n_exc], neurons, on_pre="new_rec_post += 1", delay=1 * ms, name="exc")
        inh = brian2.Synapses(neurons[n_exc:], neurons, on_pre="new_inh_post += 1", delay=1 * ms, name="inh")
        return Model({"neurons": neurons}, {"exc": exc, "inh": inh})

    def scalars(self) -> dict[str, float]:
        """Return the shared variables in SI units."""
        p = self.parameters
        values = {
            "synapses_exc": 0.0 if self.exc_is_frozen else 1.0,
            # Unit gain at zero frequency: each jump decays with tau_f but carries the charge J tau_m.
            "per_jump": p.tau_ms / p.tau_f_ms,
            "tau_m": p.tau_ms * 1e-3,
            "tau_f": p.tau_f_ms * 1e-3,
            # Brian2 counts from the start of the step in which a neuron fired, we from its end.
            "tau_rp": (p.refractory_ms + p.dt_ms) * 1e-3,
            "width_f": float(-np.expm1(-p.dt_ms / p.tau_f_ms)) * p.tau_f_ms * 1e-3,
            "decay_m": float(np.exp(-p.dt_ms / p.tau_ms)),
            "decay_f": float(np.exp(-p.dt_ms / p.tau_f_ms)),
            "v_threshold": p.threshold_mv * 1e-3,
            "v_reset": p.reset_mv * 1e-3,
        }
        delay = (p.delay_ms - p.dt_ms) * 1e-3  # counts are applied in the step after they were made
        return {**{f"neurons.{k}": v for k, v in values.items()}, "exc_pre.delay": delay, "inh_pre.delay": delay}

    def initial(self, seed: int) -> dict[str, NDArray[np.float64]]:
        """Return the inputs of each neuron, and potentials spread evenly between rest and threshold."""
        p, inputs = self.parameters, self.inputs()
        step = p.dt_ms * 1e-3

        def each(value: Any) -> NDArray[np.float64]:
            return np.repeat([value(inputs["E"]), value(inputs["I"])], [p.n_exc, p.n_inh]).astype(float)

        mean_ext, mean_frozen = each(lambda i: i.ext_rate_hz * step), each(lambda i: i.frozen_rate_hz * step)
        rng = generator(seed, "initial")
        return {
            "neurons.v": rng.uniform(0, p.threshold_mv * 1e-3, self.n_neurons),
            "neurons.j_exc": each(lambda i: i.j_exc * 1e-3),
            "neurons.j_inh": each(lambda i: i.j_inh * 1e-3),
            "neurons.j_ext": each(lambda i: i.j_ext * 1e-3),
            "neurons.v_constant": each(lambda i: i.constant_mv * 1e-3),
            "neurons.mean_ext": mean_ext,
            "neurons.zero_ext": np.exp(-mean_ext),
            "neurons.mean_frozen": mean_frozen,
            "neurons.zero_frozen": np.exp(-mean_frozen),
        }

    def check_counts(self, parameter: str) -> None:
        """Raise unless the Poisson counts per step can be drawn; `parameter` is what the user may lower."""
        for entry in self.inputs().values():
            if max(entry.ext_rate_hz, entry.frozen_rate_hz) * self.parameters.dt_ms * 1e-3 > LARGEST_MEAN:
                raise ConfigError(
                    "too many external spikes",
                    where=parameter,
                    valid=f"at most {LARGEST_MEAN:g} per neuron and step",
                )
