"""Chance, Abbott & Reyes (2002): balanced background activity as a control of the gain.

F. S. Chance, L. F. Abbott & A. D. Reyes, "Gain modulation from background synaptic input", Neuron
35:773-782 (2002), doi:10.1016/S0896-6273(02)00820-6.

A neuron receives excitatory and inhibitory background input whose effects on the mean potential
nearly cancel, and a driving current.  More background of both kinds, in proportion, raises the
total conductance and the noise together.  The paper: the slope of the rate against the driving
current falls, and the curve hardly shifts (divisive gain control).  What these parameters do is
measured in docs/circuits/chance-2002.md, not assumed.

A control of Holt & Koch (1997, Neural Comput 9:1001): the same mean conductances without noise
(``tonic = 1``) shift the curve and leave its slope.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eiplatform.microcircuits.circuit import Drive, Edges, Structure
from eiplatform.microcircuits.conductance_lif import ConductanceCircuit, ConductanceInputs, ConductanceParameters

__all__ = ["CIRCUIT", "Chance2002", "Chance2002Parameters"]


@dataclass(frozen=True)
class Chance2002Parameters(ConductanceParameters):
    """Background of the paper (quoted from memory) on a generic cell.

    Attributes
    ----------
    n_cells : int
        Independent cells that all get the same driving current (ours: a population gives a rate quickly).
    level : float
        Background rates over those of the condition "1X": the paper uses 0, 1, 2, 3.
    rate_exc_hz, rate_inh_hz : float
        Rates of all excitatory and all inhibitory background spikes at 1X: 7 000 and 3 000 Hz.
    unit_exc, unit_inh : float
        Conductance of one background spike over the leak: 2 % and 6 %.
    tonic : float
        Fraction of the background (0 to 1) given as its constant mean instead of as spikes.
    current_pa : float
        Driving current, at least 0.
    tau_e_ms, tau_i_ms, e_exc_mv, e_inh_mv : float
        5 ms and 10 ms, 0 mV and -80 mV (the paper's synapses, whose rise of 0.1 ms is left out).
    c_m_pf, g_leak_ns, e_leak_mv : float
        200 pF, 10 nS (20 ms) and -70 mV.
    threshold_mv, reset_mv, refractory_ms : float
        -54 mV, -60 mV and 2 ms (a generic cell: the paper's cells are real).
    v_fixed_mv, dt_ms : float
        Potential for the currents at a fixed potential, time step (ours).
    """

    c_m_pf: float = 200.0
    g_leak_ns: float = 10.0
    e_leak_mv: float = -70.0
    e_exc_mv: float = 0.0
    e_inh_mv: float = -80.0
    threshold_mv: float = -54.0
    reset_mv: float = -60.0
    refractory_ms: float = 2.0
    tau_e_ms: float = 5.0
    tau_i_ms: float = 10.0
    delay_ms: float = 0.1
    v_fixed_mv: float = -60.0
    dt_ms: float = 0.1
    n_cells: int = 200
    level: float = 1.0
    rate_exc_hz: float = 7_000.0
    rate_inh_hz: float = 3_000.0
    unit_exc: float = 0.02
    unit_inh: float = 0.06
    tonic: float = 0.0
    current_pa: float = 0.0

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe the experiment."""
        super().check()
        self.require(self.n_cells > 0, "n_cells", "a positive number")
        for name in ("level", "rate_exc_hz", "rate_inh_hz", "unit_exc", "unit_inh", "current_pa"):
            self.require(getattr(self, name) >= 0, name, "a number of at least 0")
        self.require(0 <= self.tonic <= 1, "tonic", "from 0 to 1")


class Chance2002(ConductanceCircuit):
    """Independent cells with balanced background input and a driving current.

    Examples
    --------
    >>> theory = Chance2002.from_parameters({"level": 3}).theory()
    >>> round(theory["E/conductance_exc"], 2), round(theory["E/conductance_inh"], 2)  # 2.1 and 5.4 leaks
    (21.0, 54.0)
    """

    name = "chance-2002"
    reference = "Chance, Abbott & Reyes 2002, Neuron 35:773-782, doi:10.1016/S0896-6273(02)00820-6"
    parts = {"external": "charge_ext"}
    parameters: Chance2002Parameters
    drives = {"E": Drive("current_pa", 10.0, relative=False)}
    pathways = {"background->E excitatory": "unit_exc", "background->E inhibitory": "unit_inh"}

    def __init__(self, parameters: Chance2002Parameters) -> None:
        super().__init__(parameters)
        self.check_inputs("level")

    def sizes(self) -> dict[str, int]:
        """Return the number of cells."""
        return {"E": self.parameters.n_cells}

    def inputs(self) -> dict[str, ConductanceInputs]:
        """Return background and current."""
        p = self.parameters
        spikes, tonic = p.level * (1 - p.tonic), p.level * p.tonic
        mean_exc, mean_inh = self._means()
        return {
            "E": ConductanceInputs(
                w_ext=p.unit_exc * p.g_leak_ns,
                ext_rate_hz=spikes * p.rate_exc_hz,
                w_background=p.unit_inh * p.g_leak_ns,
                background_rate_hz=spikes * p.rate_inh_hz,
                tonic_exc_ns=tonic * mean_exc,
                tonic_inh_ns=tonic * mean_inh,
                constant_pa=p.current_pa,
            )
        }

    def _means(self) -> tuple[float, float]:
        """Mean conductances (nS) at 1X."""
        p = self.parameters
        exc = p.unit_exc * p.g_leak_ns * p.rate_exc_hz * p.tau_e_ms * 1e-3
        return exc, p.unit_inh * p.g_leak_ns * p.rate_inh_hz * p.tau_i_ms * 1e-3

    @property
    def n_synapses(self) -> int:
        """No synapses: all input comes from outside."""
        return 0

    def structure(self) -> Structure:
        """Return sizes, time step and which inputs there are."""
        return {**super().structure(), "recurrent": 0}

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield nothing."""
        yield from ()

    def theory(self) -> dict[str, float]:
        """Return what shot noise is in closed form (Campbell's theorem).

        Returns
        -------
        dict
            ``E/conductance_exc``, ``E/conductance_inh``: means (nS); ``E/conductance_exc_sd``,
            ``E/conductance_inh_sd``: standard deviations; ``E/total_over_leak``; ``E/tau_effective``
            (ms) and ``E/mean_voltage`` (mV) at the mean conductances without a threshold.
        """
        p = self.parameters
        exc, inh = (p.level * mean for mean in self._means())
        total = p.g_leak_ns + exc + inh
        spikes = p.level * (1 - p.tonic)
        return {
            "E/conductance_exc": exc,
            "E/conductance_inh": inh,
            "E/conductance_exc_sd": float(
                p.unit_exc * p.g_leak_ns * np.sqrt(spikes * p.rate_exc_hz * p.tau_e_ms * 1e-3 / 2)
            ),
            "E/conductance_inh_sd": float(
                p.unit_inh * p.g_leak_ns * np.sqrt(spikes * p.rate_inh_hz * p.tau_i_ms * 1e-3 / 2)
            ),
            "E/total_over_leak": total / p.g_leak_ns,
            "E/tau_effective": p.c_m_pf / total,
            "E/mean_voltage": (p.g_leak_ns * p.e_leak_mv + exc * p.e_exc_mv + inh * p.e_inh_mv + p.current_pa) / total,
        }


CIRCUIT = Chance2002
