"""Feed-forward inhibition: input to E, and input to I to E with shunting.

The disynaptic motif of F. Pouille & M. Scanziani, "Enforcement of temporal fidelity in pyramidal
cells by somatic feed-forward inhibition", Science 293:1159-1163 (2001),
doi:10.1126/science.1060342, with conductance-based synapses.  The reversal potential of inhibition is
the resting potential: inhibition hardly moves a resting cell but divides what excitation does (shunting).

It is the nearest biological relative of the E-I layer of a trained network: the same input excites E
directly and inhibits it through I, and E has no synapses upon itself.

The paper's cells are real; the parameters are generic ones of conductance-based models, none published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.microcircuits.circuit import Drive, Edges, Structure, generator
from eiplatform.microcircuits.conductance_lif import ConductanceCircuit, ConductanceInputs, ConductanceParameters
from eiplatform.microcircuits.connectivity import fixed_in_degree

__all__ = ["CIRCUIT", "FeedforwardInhibition", "FeedforwardInhibitionParameters"]


@dataclass(frozen=True)
class FeedforwardInhibitionParameters(ConductanceParameters):
    """Generic parameters (ours) of the motif.

    Attributes
    ----------
    n_input, n_exc, n_inh : int
        1 000 sources of input, 400 principal cells, 100 inhibitory cells.
    c_input_to_exc, c_input_to_inh, c_inh_to_exc : int
        Synapses per target: 100 of the input upon E and upon I, 25 of I upon E.
    w_input_to_exc, w_input_to_inh, w_inh_to_exc : float
        Conductance of one spike in nS: 1, 0.8 and 0.5.
    input_rate_hz : float
        Rate of each source, a Poisson process: 10 Hz.
    volley_period_ms : float
        If positive, sources also fire in volleys, this far apart.
    volley_fraction : float
        Probability that a source takes part in a volley.
    volley_delay_ms : float
        By how much the second half of the sources fires later than the first.
    c_m_pf, c_m_inh_pf, g_leak_ns : float
        200 pF for E (20 ms), 100 pF for I (10 ms: a fast cell), 10 nS.
    e_leak_mv, e_inh_mv, e_exc_mv : float
        -70 mV both for rest and inhibition (shunting), 0 mV.
    threshold_mv, reset_mv, refractory_ms : float
        -50 mV, -60 mV, 2 ms.
    tau_e_ms, tau_i_ms, delay_ms : float
        5 ms, 10 ms; 1 ms, so that disynaptic inhibition comes 1 ms and a cell's reaction later.
    v_fixed_mv, dt_ms : float
        Potential for the currents at a fixed potential, time step.
    """

    c_m_pf: float = 200.0
    g_leak_ns: float = 10.0
    e_leak_mv: float = -70.0
    e_exc_mv: float = 0.0
    e_inh_mv: float = -70.0
    threshold_mv: float = -50.0
    reset_mv: float = -60.0
    refractory_ms: float = 2.0
    tau_e_ms: float = 5.0
    tau_i_ms: float = 10.0
    delay_ms: float = 1.0
    v_fixed_mv: float = -60.0
    dt_ms: float = 0.1
    n_input: int = 1_000
    n_exc: int = 400
    n_inh: int = 100
    c_input_to_exc: int = 100
    c_input_to_inh: int = 100
    c_inh_to_exc: int = 25
    w_input_to_exc: float = 1.0
    w_input_to_inh: float = 0.8
    w_inh_to_exc: float = 0.5
    c_m_inh_pf: float = 100.0
    input_rate_hz: float = 10.0
    volley_period_ms: float = 0.0
    volley_fraction: float = 0.5
    volley_delay_ms: float = 0.0

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe the motif."""
        super().check()
        for name in ("n_input", "n_exc", "n_inh", "c_m_inh_pf"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        for name in ("w_input_to_exc", "w_input_to_inh", "w_inh_to_exc", "input_rate_hz"):
            self.require(getattr(self, name) >= 0, name, "a number of at least 0")
        for name, most in (("c_input_to_exc", "n_input"), ("c_input_to_inh", "n_input"), ("c_inh_to_exc", "n_inh")):
            self.require(0 <= getattr(self, name) <= getattr(self, most), name, f"from 0 to {most}")
        self.require(0 <= self.volley_fraction <= 1, "volley_fraction", "from 0 to 1")
        self.require(self.input_rate_hz * self.dt_ms <= 100, "input_rate_hz", "at most one spike in 10 time steps")
        for name in ("volley_period_ms", "volley_delay_ms"):
            steps = getattr(self, name) / self.dt_ms
            whole = steps >= 0 and abs(steps - round(steps)) < 1e-6
            self.require(whole, name, f"0 or a positive multiple of dt_ms = {self.dt_ms}")
        within = self.volley_period_ms == 0 or self.volley_delay_ms < self.volley_period_ms
        self.require(within, "volley_delay_ms", f"below volley_period_ms = {self.volley_period_ms}")


class FeedforwardInhibition(ConductanceCircuit):
    """Input to E, and input to I to E with shunting; the sources of the input are not recorded.

    Examples
    --------
    >>> theory = FeedforwardInhibition.from_parameters({}).theory()
    >>> theory["E/conductance_exc"]  # 100 synapses of 1 nS at 10 Hz, 5 ms each
    5.0
    """

    name = "feedforward-inhibition"
    reference = "Pouille & Scanziani 2001, Science 293:1159-1163, doi:10.1126/science.1060342"
    has_constant = False
    parts = {"external": "charge_rec"}  # its synapses all come from outside
    parameters: FeedforwardInhibitionParameters
    drives = {"E+I": Drive("input_rate_hz", 0.1)}
    pathways = {"input->E": "w_input_to_exc", "input->I": "w_input_to_inh", "I->E": "w_inh_to_exc"}

    def sizes(self) -> dict[str, int]:
        """Return the numbers of recorded neurons."""
        return {"E": self.parameters.n_exc, "I": self.parameters.n_inh}

    def inputs(self) -> dict[str, ConductanceInputs]:
        """Return weights and cells of E and I."""
        p = self.parameters
        return {
            "E": ConductanceInputs(p.w_input_to_exc, p.w_inh_to_exc),
            "I": ConductanceInputs(p.w_input_to_inh, c_m_pf=p.c_m_inh_pf),
        }

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        p = self.parameters
        return p.n_exc * (p.c_input_to_exc + p.c_inh_to_exc) + p.n_inh * p.c_input_to_inh

    def structure(self) -> Structure:
        """Return sizes and time step."""
        return {**super().structure(), "n_sources": self.parameters.n_input}

    def initial(self, seed: int) -> dict[str, NDArray[Any]]:
        """Return each neuron's cell and input, and when the sources fire."""
        p, found = self.parameters, super().initial(seed)
        source = np.arange(self.n_neurons + p.n_input) - self.n_neurons
        is_source = source >= 0
        late = 2 * source >= p.n_input
        period = round(p.volley_period_ms / p.dt_ms)
        return {
            **found,
            "neurons.tau_rp": np.where(is_source, 0.0, found["neurons.tau_rp"]),
            "neurons.p_spike": np.where(is_source, p.input_rate_hz * p.dt_ms * 1e-3, 0.0),
            "neurons.p_volley": np.where(is_source & (period > 0), p.volley_fraction, 0.0),
            "neurons.phase": np.where(late, round(p.volley_delay_ms / p.dt_ms), 0).astype(np.int32),
            "neurons.period": np.array([max(period, 1)], np.int32),
        }

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield the input's synapses upon E and I, then those of I upon E; fixed in-degrees."""
        p = self.parameters
        rng = generator(seed, "connectivity")
        upon_e = fixed_in_degree(rng, p.n_input, p.c_input_to_exc, p.n_exc)
        upon_i = fixed_in_degree(rng, p.n_input, p.c_input_to_inh, p.n_inh)
        post = np.concatenate([upon_e.post, upon_i.post + np.int32(p.n_exc)])
        order = np.argsort(np.concatenate([upon_e.pre(), upon_i.pre()]), kind="stable")
        yield "exc", Edges(upon_e.degree + upon_i.degree, post[order])
        yield "inh", fixed_in_degree(rng, p.n_inh, p.c_inh_to_exc, p.n_exc)

    def theory(self) -> dict[str, float]:
        """Return the mean excitatory conductances (nS), which follow from the input alone."""
        p = self.parameters
        volleys = 1e3 * p.volley_fraction / p.volley_period_ms if p.volley_period_ms else 0.0
        per_synapse = (p.input_rate_hz + volleys) * p.tau_e_ms * 1e-3
        return {
            "E/conductance_exc": p.c_input_to_exc * p.w_input_to_exc * per_synapse,
            "I/conductance_exc": p.c_input_to_inh * p.w_input_to_inh * per_synapse,
        }


CIRCUIT = FeedforwardInhibition
