"""The balanced network of van Vreeswijk & Sompolinsky, with spiking neurons.

C. van Vreeswijk & H. Sompolinsky, "Chaos in neuronal networks with balanced excitatory and
inhibitory activity", Science 274:1724-1726 (1996), doi:10.1126/science.274.5293.1724; "Chaotic
balanced state in a model of cortical circuits", Neural Comput 10:1321-1371 (1998).

Each neuron has on average K inputs from each population, of strength J/sqrt(K), and a constant
external drive proportional to sqrt(K): excitation and inhibition grow as sqrt(K), but what is left
of them does not, so that net over excitation falls as 1/sqrt(K) and rates become linear in the drive.

The paper's neurons are binary; these are leaky integrate-and-fire neurons with the same couplings, in
units of their threshold.  Linear rates and the scaling carry over, the offsets at finite K do not;
:meth:`VanVreeswijkSompolinsky.theory` gives the binary network's mean-field values beside its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.balanced_network import balanced_rates, binary_activity, lif_rates
from eiplatform.microcircuits.circuit import Drive, Edges, generator
from eiplatform.microcircuits.connectivity import independent
from eiplatform.microcircuits.delta_lif import DeltaCircuit, DeltaParameters, Inputs

__all__ = ["CIRCUIT", "VanVreeswijkSompolinsky", "VvsParameters"]


@dataclass(frozen=True)
class VvsParameters(DeltaParameters):
    """Couplings of the papers' figures (quoted from memory), carried over to spiking neurons.

    Attributes
    ----------
    n_exc, n_inh : int
        Numbers of neurons (ours), 4 000 each.  The theory is for K much smaller than these.
    k : int
        Mean number of inputs per neuron from each population; pairs are connected independently
        with probability K/N.
    exc_to_exc, exc_to_inh, inh_to_exc, inh_to_inh : float
        Strength J of a pathway (source_to_target): 1, 1, 2, 1.8.  One spike moves the potential
        by ``J strength threshold / sqrt(K)``.
    strength : float
        Strength of all synapses and drives together (ours): 0.5.  It leaves the balance equations as
        they are and sets how strongly the potential fluctuates.
    drive_exc, drive_inh : float
        Strength of the external drive to E and I: 1 and 0.8.
    rate_ext_hz : float
        Rate of the external neurons, the m_0 of the papers (ours: 10 Hz).  The constant drive is
        ``drive strength sqrt(K) threshold tau rate_ext``.  In the limit of many inputs both populations
        fire at this rate.
    tau_ms, threshold_mv, reset_mv, refractory_ms : float
        The cell (ours, as Brunel's but with reset to rest): 20 ms, 20 mV, 0 mV, 2 ms.
    delay_ms : float
        The papers have none; one time step is as short as it gets.
    dt_ms, tau_f_ms : float
        Time step and filter of the recorded currents (ours), 0.1 ms and 5 ms.
    """

    n_exc: int = 4_000
    n_inh: int = 4_000
    tau_ms: float = 20.0
    threshold_mv: float = 20.0
    reset_mv: float = 0.0
    refractory_ms: float = 2.0
    delay_ms: float = 0.1
    dt_ms: float = 0.1
    tau_f_ms: float = 5.0
    k: int = 400
    exc_to_exc: float = 1.0
    exc_to_inh: float = 1.0
    inh_to_exc: float = 2.0
    inh_to_inh: float = 1.8
    strength: float = 0.5
    drive_exc: float = 1.0
    drive_inh: float = 0.8
    rate_ext_hz: float = 10.0

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        super().check()
        self.require(0 < self.k < min(self.n_exc, self.n_inh), "k", "a positive integer below n_exc and n_inh")
        couplings = ("exc_to_exc", "exc_to_inh", "inh_to_exc", "inh_to_inh", "drive_exc", "drive_inh")
        for name in (*couplings, "strength", "rate_ext_hz"):
            self.require(getattr(self, name) >= 0, name, "a number of at least 0")


class VanVreeswijkSompolinsky(DeltaCircuit):
    """Balanced network with strong coupling.

    Examples
    --------
    >>> theory = VanVreeswijkSompolinsky.from_parameters({}).theory()
    >>> theory["E/rate_large_k"], theory["I/rate_large_k"]
    (10.0, 10.0)
    """

    name = "van-vreeswijk-sompolinsky"
    reference = "van Vreeswijk & Sompolinsky 1996, Science 274:1724-1726, doi:10.1126/science.274.5293.1724"
    parameters: VvsParameters
    has_constant = True
    drives = {"E": Drive("drive_exc", 0.02), "I": Drive("drive_inh", 0.02), "E+I": Drive("rate_ext_hz", 0.02)}
    pathways = {"E->E": "exc_to_exc", "E->I": "exc_to_inh", "I->E": "inh_to_exc", "I->I": "inh_to_inh"}

    def inputs(self) -> dict[str, Inputs]:
        """Return the inputs of E and I."""
        p = self.parameters
        unit = p.strength * p.threshold_mv / np.sqrt(p.k)
        external = p.strength * np.sqrt(p.k) * p.threshold_mv * p.tau_ms * 1e-3 * p.rate_ext_hz
        return {
            "E": Inputs(p.exc_to_exc * unit, p.inh_to_exc * unit, constant_mv=float(p.drive_exc * external)),
            "I": Inputs(p.exc_to_inh * unit, p.inh_to_inh * unit, constant_mv=float(p.drive_inh * external)),
        }

    @property
    def n_synapses(self) -> int:
        """Mean number of recurrent synapses."""
        return 2 * self.n_neurons * self.parameters.k

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield excitatory, then inhibitory synapses; each pair is connected with probability K/N."""
        p = self.parameters
        rng = generator(seed, "connectivity")
        yield "exc", independent(rng, p.n_exc, p.k / p.n_exc, self.n_neurons, first_own=0)
        yield "inh", independent(rng, p.n_inh, p.k / p.n_inh, self.n_neurons, first_own=p.n_exc)

    def theory(self) -> dict[str, float]:
        """Return the balance equations, and at this K the rates of spiking and binary neurons.

        Returns
        -------
        dict
            Per population (``"E/rate_large_k"``, ...): ``rate_large_k`` (Hz), where mean inputs
            cancel; ``rate`` and currents (Hz, mV) in the diffusion approximation with equal
            in-degrees; ``activity_binary``, the fraction of active units of the papers' binary
            network with the same couplings at this K, with ``m_0`` = `rate_ext_hz` as a fraction
            of 100 Hz.  ``rate``, the mean over neurons.  Empty where the couplings have no
            balanced state.
        """
        p = self.parameters
        weights = np.array([[p.exc_to_exc, -p.inh_to_exc], [p.exc_to_inh, -p.inh_to_inh]])
        drive = np.array([p.drive_exc, p.drive_inh])
        try:
            limit = balanced_rates(weights, drive * p.rate_ext_hz)
        except ConfigError:  # a lesioned or silent network is still a network
            return {}
        cell = {name: getattr(p, name) for name in ("tau_ms", "threshold_mv", "reset_mv", "refractory_ms")}
        rates, currents = lif_rates(self.inputs(), c_exc=p.k, c_inh=p.k, cell=cell, start=limit)
        values: dict[str, float] = {}
        for index, name in enumerate(("E", "I")):
            values[f"{name}/rate_large_k"] = round(float(limit[index]), 9)
            if not np.isnan(rates).any():
                values[f"{name}/rate"] = float(rates[index])
                values |= {f"{name}/{key}": value for key, value in currents[name].items()}
        if not np.isnan(rates).any():
            values["rate"] = float(rates @ [p.n_exc, p.n_inh] / self.n_neurons)
        if (weights[:, 0] == 1).all():  # the form in which the papers give the binary network
            binary = binary_activity(
                p.k, p.rate_ext_hz / 100, drive=(drive[0], drive[1]), inhibition=(-weights[0, 1], -weights[1, 1])
            )
            values |= {"E/activity_binary": binary[0], "I/activity_binary": binary[1]}
        return values


CIRCUIT = VanVreeswijkSompolinsky
