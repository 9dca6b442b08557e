"""Brunel (2000), model A: a sparse random network of excitatory and inhibitory neurons.

N. Brunel, "Dynamics of sparsely connected networks of excitatory and inhibitory spiking
neurons", J Comput Neurosci 8:183-208, doi:10.1023/A:1008925309027.

Leaky integrate-and-fire neurons, delta synapses of amplitude J (inhibitory: -gJ), one delay, a
fixed number of synapses per neuron, independent Poisson input.  Excitatory and inhibitory
neurons have the same inputs, so both fire at the same mean rate.

Three things differ between public codes and are settled here as in the paper: the reset is 10 mV
(not 0), the in-degree is fixed (not binomial), and input during the refractory period is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
    Recorded,
    Structure,
    exc_and_inh,
    generator,
)
from eiplatform.microcircuits.connectivity import fixed_in_degree
from eiplatform.microcircuits.drive import LARGEST_MEAN, poisson_quantile_function
from eiplatform.microcircuits.parameters import Parameters
from eiplatform.microcircuits.theory.diffusion import brunel_network

__all__ = ["CIRCUIT", "STATES", "Brunel2000", "Brunel2000Parameters", "theory"]

STATES: dict[str, dict[str, float]] = {
    "A": {"g": 3.0, "eta": 2.0},
    "B": {"g": 6.0, "eta": 4.0},
    "C": {"g": 5.0, "eta": 2.0},
    "D": {"g": 4.5, "eta": 0.9},
}
"""The paper's figure 8: A synchronous regular, B fast oscillation, C asynchronous irregular, D slow oscillation."""


@dataclass(frozen=True)
class Brunel2000Parameters(Parameters):
    """Parameters of model A, state C (paper: section 2 and figure 8).

    Attributes
    ----------
    n_exc, n_inh : int
        Numbers of neurons, 10 000 and 2 500.
    c_exc, c_inh : int
        Recurrent synapses per neuron: 10 % of each population, 1 000 and 250.
    c_ext : int
        External synapses per neuron, each an independent Poisson source; ``C_ext = C_E``.
    tau_ms : float
        Membrane time constant, 20 ms.
    threshold_mv, reset_mv : float
        Threshold 20 mV and reset 10 mV above rest.
    refractory_ms : float
        2 ms; input that arrives meanwhile is lost.
    j_mv : float
        Amplitude of an excitatory postsynaptic potential, 0.1 mV.
    g : float
        Inhibitory over excitatory amplitude.
    eta : float
        External rate over the threshold rate ``theta / (J C_E tau)``.
    delay_ms : float
        Transmission delay, 1.5 ms.
    dt_ms : float
        Time step of the simulation (ours), 0.1 ms.
    tau_f_ms : float
        Time constant of the low-pass filter through which a delta synapse's current is seen
        (ours), 5 ms.  It leaves the mean unchanged and the network untouched.
    """

    n_exc: int = 10_000
    n_inh: int = 2_500
    c_exc: int = 1_000
    c_inh: int = 250
    c_ext: int = 1_000
    tau_ms: float = 20.0
    threshold_mv: float = 20.0
    reset_mv: float = 10.0
    refractory_ms: float = 2.0
    j_mv: float = 0.1
    g: float = 5.0
    eta: float = 2.0
    delay_ms: float = 1.5
    dt_ms: float = 0.1
    tau_f_ms: float = 5.0

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        for name in ("n_exc", "n_inh", "c_exc", "c_inh", "c_ext", "tau_ms", "j_mv", "dt_ms", "tau_f_ms"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        for name in ("g", "eta"):
            self.require(getattr(self, name) >= 0, name, "a number of at least 0")
        self.require(self.c_exc < self.n_exc, "c_exc", f"fewer than n_exc = {self.n_exc}")
        self.require(self.c_inh < self.n_inh, "c_inh", f"fewer than n_inh = {self.n_inh}")
        self.require(0 <= self.reset_mv < self.threshold_mv, "reset_mv", f"from 0 to below {self.threshold_mv} mV")
        self.require_multiples("delay_ms", "refractory_ms", dt_ms=self.dt_ms)
        self.require(
            self.mean_count <= LARGEST_MEAN, "eta", f"at most {LARGEST_MEAN:g} external spikes per neuron and step"
        )

    @property
    def ext_rate_hz(self) -> float:
        """Rate of one external source in Hz, ``eta theta / (J C_E tau)``."""
        return self.eta * self.threshold_mv / (self.j_mv * self.c_exc * self.tau_ms * 1e-3)

    @property
    def mean_count(self) -> float:
        """Mean number of external spikes per neuron and step."""
        return self.c_ext * self.ext_rate_hz * self.dt_ms * 1e-3


class Brunel2000(Circuit):
    """Model A of Brunel (2000).

    Examples
    --------
    >>> circuit = Brunel2000.from_parameters({"state": "B"})
    >>> circuit.parameters.g, round(circuit.theory()["rate"], 2)
    (6.0, 55.84)
    """

    name = "brunel-2000"
    reference = "Brunel 2000, J Comput Neurosci 8:183-208, doi:10.1023/A:1008925309027"
    current_units = "mV"
    shortcuts = ("state", "scale")
    parameters: Brunel2000Parameters
    drives = {"E+I": Drive("eta", 0.05)}
    pathways = {"I->E+I": "g"}

    def __init__(self, parameters: Brunel2000Parameters | None = None) -> None:
        super().__init__(parameters or Brunel2000Parameters())

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> Brunel2000:
        """Return the circuit in state C, overridden by `values`.

        Parameters
        ----------
        values : mapping
            Fields of :class:`Brunel2000Parameters`, and two shortcuts: ``state`` (``"A"`` to
            ``"D"``) sets g and eta; ``scale`` multiplies the numbers of neurons and of synapses
            and divides J.  Scaling keeps J C, hence the mean input, the threshold rate and the
            mean currents at a given rate; the noise amplitude grows as 1/sqrt(scale), so that the
            rate changes and has to be compared with :meth:`theory` of the scaled circuit.

        Raises
        ------
        UnknownNameError
            For an unknown parameter or state.
        ConfigError
            For impossible values, or a shortcut together with a parameter that it sets.
        """
        given = cls.checked_names(values, Brunel2000Parameters)
        state, scale = given.pop("state", None), given.pop("scale", None)
        base = Brunel2000Parameters()
        if state is not None:
            cls._refuse_both("state", STATES["A"], given)
            chosen = STATES[choose(str(state), STATES, "state", where=cls.name)]
            base = replace(base, g=chosen["g"], eta=chosen["eta"])
        if scale is not None:
            if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 1:
                raise ConfigError(f"{scale!r} is not possible", where="scale", valid="a number above 0, at most 1")
            sizes = {name: round(getattr(base, name) * scale) for name in ("n_exc", "n_inh", "c_exc", "c_inh", "c_ext")}
            cls._refuse_both("scale", [*sizes, "j_mv"], given)
            if min(sizes.values()) < 1:
                raise ConfigError(f"{scale} leaves a population without neurons or synapses", where="scale")
            base = replace(base, **sizes, j_mv=base.j_mv / scale)
        return cls(replace(base, **given))

    @staticmethod
    def _refuse_both(shortcut: str, sets: Any, given: Mapping[str, Any]) -> None:
        if clash := sorted(set(sets) & set(given)):
            raise ConfigError(
                f"'{shortcut}' and {clash} are given together", where="brunel-2000", remedy="give one or the other"
            )

    @property
    def populations(self) -> tuple[Population, ...]:
        """Populations E and I; all neurons form one Brian2 group."""
        p = self.parameters
        return exc_and_inh(p, tau_membrane=p.tau_ms, tau_f=p.tau_f_ms)

    @property
    def signals(self) -> tuple[Recorded, ...]:
        """Currents as exact interval means and the membrane potential at the start of each interval, in mV."""
        return (
            Recorded("current_exc_recurrent", "charge_rec", "integral", 1e3),
            Recorded("current_exc_external", "charge_ext", "integral", 1e3),
            Recorded("current_inh", "charge_inh", "integral", 1e3),
            Recorded("voltage", "v", "start", 1e3),
        )

    @property
    def n_synapses(self) -> int:
        """Number of recurrent synapses."""
        return self.n_neurons * (self.parameters.c_exc + self.parameters.c_inh)

    @staticmethod
    def build(structure: Structure) -> Model:
        """Return the Brian2 objects: one group, one Synapses per sign.

        Synapses only count arriving spikes.  Once per step, between decay and threshold, the
        counts are applied to v (unless refractory) and to the filters, and added to totals: an
        arrival can cause a spike in its own step, as in continuous time.  Since ``dI/dt = -I/tau_f``
        between jumps ``a``, the integral of a filtered current is exactly ``tau_f (a total - I)``.
        """
        import brian2
        from brian2 import ms

        def decay(equations: Any, variables: Any, method_options: Any = None) -> str:
            # The exact solution over one step; the factors come from numpy, so that every device uses the same bits.
            return "v = v * decay_m\nrec = rec * decay_f\next = ext * decay_f\ninh = inh * decay_f"

        neurons = brian2.NeuronGroup(
            int(structure["n_exc"]) + int(structure["n_inh"]),
            """
            dv/dt = -v / tau_m : volt (unless refractory)
            drec/dt = -rec / tau_f : volt
            dext/dt = -ext / tau_f : volt
            dinh/dt = -inh / tau_f : volt
            charge_rec = tau_f * (jump_exc * total_rec - rec) : volt * second
            charge_ext = tau_f * (jump_exc * total_ext - ext) : volt * second
            charge_inh = tau_f * (jump_inh * total_inh - inh) : volt * second
            new_rec : integer
            new_inh : integer
            total_rec : integer
            total_ext : integer
            total_inh : integer
            j_exc : volt (shared, constant)
            j_inh : volt (shared, constant)
            jump_exc : volt (shared, constant)
            jump_inh : volt (shared, constant)
            tau_m : second (shared, constant)
            tau_f : second (shared, constant)
            tau_rp : second (shared, constant)
            decay_m : 1 (shared, constant)
            decay_f : 1 (shared, constant)
            v_threshold : volt (shared, constant)
            v_reset : volt (shared, constant)
            mean_ext : 1 (shared, constant)
            zero_ext : 1 (shared, constant)
            """,
            threshold="v > v_threshold",
            reset="v = v_reset",
            refractory="tau_rp",
            method=decay,
            dt=structure["dt_ms"] * ms,
            namespace={"poisson_quantile": poisson_quantile_function()},
            name="neurons",
        )
        neurons.run_regularly(
            """
            new_ext = poisson_quantile(rand(), mean_ext, zero_ext)
            v = v + (j_exc * (new_rec + new_ext) - j_inh * new_inh)
            rec = rec + jump_exc * new_rec
            ext = ext + jump_exc * new_ext
            inh = inh + jump_inh * new_inh
            total_rec = total_rec + new_rec
            total_ext = total_ext + new_ext
            total_inh = total_inh + new_inh
            new_rec = 0
            new_inh = 0
            """,
            when="before_thresholds",
            name="arrivals",
        )
        n_exc = int(structure["n_exc"])
        exc = brian2.Synapses(neurons[:n_exc], neurons, on_pre="new_rec_post += 1", delay=1 * ms, name="exc")
        inh = brian2.Synapses(neurons[n_exc:], neurons, on_pre="new_inh_post += 1", delay=1 * ms, name="inh")
        return Model({"neurons": neurons}, {"exc": exc, "inh": inh})

    def scalars(self) -> dict[str, float]:
        """Return the shared variables in SI units."""
        p = self.parameters
        values = {
            "j_exc": p.j_mv * 1e-3,
            "j_inh": p.g * p.j_mv * 1e-3,
            # Unit gain at zero frequency: each jump decays with tau_f but carries the charge J tau_m.
            "jump_exc": p.j_mv * 1e-3 * p.tau_ms / p.tau_f_ms,
            "jump_inh": p.g * p.j_mv * 1e-3 * p.tau_ms / p.tau_f_ms,
            "tau_m": p.tau_ms * 1e-3,
            "tau_f": p.tau_f_ms * 1e-3,
            # Brian2 counts from the start of the step in which a neuron fired, we from its end.
            "tau_rp": (p.refractory_ms + p.dt_ms) * 1e-3,
            "decay_m": float(np.exp(-p.dt_ms / p.tau_ms)),
            "decay_f": float(np.exp(-p.dt_ms / p.tau_f_ms)),
            "v_threshold": p.threshold_mv * 1e-3,
            "v_reset": p.reset_mv * 1e-3,
            "mean_ext": p.mean_count,
            "zero_ext": float(np.exp(-p.mean_count)),
        }
        delay = (p.delay_ms - p.dt_ms) * 1e-3  # counts are applied in the step after they were made
        return {
            **{f"neurons.{name}": value for name, value in values.items()},
            "exc_pre.delay": delay,
            "inh_pre.delay": delay,
        }

    def initial(self, seed: int) -> dict[str, NDArray[np.float64]]:
        """Return potentials spread evenly between rest and threshold, so that neurons start out of step."""
        rng = generator(seed, "initial")
        return {"neurons.v": rng.uniform(0, self.parameters.threshold_mv * 1e-3, self.n_neurons)}

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield excitatory, then inhibitory synapses with fixed in-degree."""
        p = self.parameters
        rng = generator(seed, "connectivity")
        yield "exc", fixed_in_degree(rng, p.n_exc, p.c_exc, self.n_neurons, first_own=0)
        yield "inh", fixed_in_degree(rng, p.n_inh, p.c_inh, self.n_neurons, first_own=p.n_exc)

    def theory(self) -> dict[str, float]:
        """Return :func:`~eiplatform.microcircuits.theory.diffusion.brunel_network` for these parameters."""
        p = self.parameters
        return brunel_network(
            j_mv=p.j_mv,
            g=p.g,
            c_exc=p.c_exc,
            c_inh=p.c_inh,
            c_ext=p.c_ext,
            ext_rate_hz=p.ext_rate_hz,
            tau_ms=p.tau_ms,
            threshold_mv=p.threshold_mv,
            reset_mv=p.reset_mv,
            refractory_ms=p.refractory_ms,
        )


CIRCUIT = Brunel2000


def theory(**values: Any) -> dict[str, float]:
    """Return :meth:`Brunel2000.theory` for the parameters given by name.

    Examples
    --------
    >>> round(theory(state="C")["rate"], 2)
    37.95
    """
    return Brunel2000.from_parameters(values).theory()
