"""Tables and parameters of the microcircuit of Potjans & Diesmann (2014).

The numbers are those of the reference implementation (INM-6, `microcircuit-PD14-model`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.parameters import Parameters

__all__ = [
    "EXC",
    "EXTERNAL_DEGREES",
    "INH",
    "INITIAL_MV",
    "INITIAL_STD_MV",
    "LARGEST",
    "N_THALAMUS",
    "PATHWAYS",
    "POPULATIONS",
    "PROBABILITIES",
    "PUBLISHED_RATES",
    "SIZES",
    "STRENGTH",
    "THALAMIC_PROBABILITIES",
    "PotjansDiesmann2014Parameters",
]

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")

SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
"""Numbers of neurons (paper: table 5)."""

N_THALAMUS = 902

PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ]
)
"""Probability that a pair is connected at least once, [target, source]."""

PATHWAYS = tuple(
    f"{source}->{target}"
    for j, source in enumerate(POPULATIONS)
    for i, target in enumerate(POPULATIONS)
    if PROBABILITIES[i, j]
)
"""Pathways between single populations."""
LARGEST = 10.0
"""Largest factor on weights: they are whole numbers of 16 bits."""
STRENGTH = f"0 (removed) to 1 (intact), and up to {LARGEST:g} (strengthened)"

THALAMIC_PROBABILITIES = np.array([0.0, 0.0, 0.0983, 0.0619, 0.0, 0.0, 0.0512, 0.0196])

EXTERNAL_DEGREES = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
"""External synapses per neuron."""

PUBLISHED_RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
"""Rates at full scale with Poisson background in Hz (reference implementation); down-scaling needs them."""

INITIAL_MV = np.array([-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43])
INITIAL_STD_MV = np.array([5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48])

EXC, INH = slice(0, None, 2), slice(1, None, 2)


@dataclass(frozen=True)
class PotjansDiesmann2014Parameters(Parameters):
    """Parameters, published values (reference implementation; paper: tables 4 and 5).

    Attributes
    ----------
    n_scaling, k_scaling : float
        Numbers of neurons, and of synapses per neuron, relative to the full model.  With fewer
        synapses, weights grow as ``1/sqrt(k_scaling)`` and a constant current replaces the mean
        input that is missing at the published rates (van Albada et al. 2015): mean and variance of
        the input are kept, correlations are not.
    poisson_background : int
        1: independent Poisson input to each neuron (the paper's main model); 0: a constant current
        of the same mean, only possible at full in-degree.
    background_hz : float
        Rate of one external synapse, 8 Hz.
    psp_mv : float
        Amplitude of an excitatory postsynaptic potential, 0.15 mV.
    g : float
        Inhibitory over excitatory amplitude, 4.
    l4e_to_l23e : float
        Factor on the weights from L4E to L23E, 2.
    exc_to_exc, exc_to_inh, inh_to_exc, inh_to_inh : float
        Factors on the weights from excitatory or inhibitory neurons to either (ours, for lesions), 1; at most 10.
        The constant current of a scaled network stays that of the intact one.
    drive_exc_pa, drive_inh_pa : float
        Constant current into all excitatory or inhibitory neurons (ours, for the protocols), 0 pA.
    weight_rel_std, delay_rel_std : float
        Standard deviations relative to the mean, 0.1 and 0.5.
    delay_exc_ms, delay_inh_ms : float
        Mean delays, 1.5 and 0.75 ms.
    tau_ms, capacitance_pf, tau_syn_ms, refractory_ms : float
        Membrane 10 ms and 250 pF, synaptic current 0.5 ms, 2 ms of rest after a spike.
    leak_mv, threshold_mv, reset_mv : float
        -65, -50 and -65 mV.
    thalamic_hz : float
        Rate of each of the 902 thalamic neurons during the pulse, 120 Hz (15 in the paper is a misprint).
    thalamic_start_ms, thalamic_duration_ms : float
        The pulse, counted from the start of the simulation (warm-up included); 10 ms long in the
        paper.  Length 0 (default): no thalamus.
    dt_ms : float
        Time step, 0.1 ms.
    """

    n_scaling: float = 1.0
    k_scaling: float = 1.0
    poisson_background: int = 1
    background_hz: float = 8.0
    psp_mv: float = 0.15
    g: float = 4.0
    l4e_to_l23e: float = 2.0
    exc_to_exc: float = 1.0
    exc_to_inh: float = 1.0
    inh_to_exc: float = 1.0
    inh_to_inh: float = 1.0
    drive_exc_pa: float = 0.0
    drive_inh_pa: float = 0.0
    weight_rel_std: float = 0.1
    delay_exc_ms: float = 1.5
    delay_inh_ms: float = 0.75
    delay_rel_std: float = 0.5
    tau_ms: float = 10.0
    capacitance_pf: float = 250.0
    tau_syn_ms: float = 0.5
    refractory_ms: float = 2.0
    leak_mv: float = -65.0
    threshold_mv: float = -50.0
    reset_mv: float = -65.0
    thalamic_hz: float = 120.0
    thalamic_start_ms: float = 700.0
    thalamic_duration_ms: float = 0.0
    dt_ms: float = 0.1

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        for name in ("n_scaling", "k_scaling"):
            self.require(0 < getattr(self, name) <= 1, name, "a number above 0, at most 1")
        sizes = np.round(SIZES * self.n_scaling)
        empty = [name for name, size in zip(POPULATIONS, sizes, strict=True) if size < 2]
        self.require(not empty, "n_scaling", f"one that leaves neurons in {', '.join(empty)}")
        self.require(
            bool(np.round(EXTERNAL_DEGREES * self.k_scaling).min() >= 1),
            "k_scaling",
            "one that leaves external synapses",
        )
        for name in ("psp_mv", "l4e_to_l23e", "delay_exc_ms", "delay_inh_ms", "tau_ms", "capacitance_pf"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        for name in ("tau_syn_ms", "dt_ms"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        for name in ("g", "background_hz", "thalamic_start_ms", "thalamic_duration_ms", "thalamic_hz"):
            self.require(getattr(self, name) >= 0, name, "a number of at least 0")
        for name in ("exc_to_exc", "exc_to_inh", "inh_to_exc", "inh_to_inh"):
            self.require(0 <= getattr(self, name) <= LARGEST, name, STRENGTH)
        self.require(0 <= self.weight_rel_std <= 0.12, "weight_rel_std", "0 to 0.12, so that no weight changes sign")
        self.require(0 <= self.delay_rel_std <= 1, "delay_rel_std", "0 to 1")
        self.require(self.tau_syn_ms != self.tau_ms, "tau_syn_ms", "another value than tau_ms")
        self.require(self.reset_mv < self.threshold_mv, "reset_mv", f"below {self.threshold_mv} mV")
        self.require(self.leak_mv < self.threshold_mv, "leak_mv", f"below {self.threshold_mv} mV")
        steps = self.refractory_ms / self.dt_ms
        self.require(
            steps > -1e-6 and abs(steps - round(steps)) < 1e-6, "refractory_ms", f"a multiple of dt_ms = {self.dt_ms}"
        )
        self.require(
            max(self.background_hz * 2900, self.thalamic_hz) * self.dt_ms * 1e-3 < 20,
            "background_hz",
            "fewer than 20 external spikes per neuron and step",
        )
        self.require(self.thalamic_hz * self.dt_ms * 1e-3 < 0.5, "thalamic_hz", "below one spike in two steps")
        self.require(self.poisson_background in (0, 1), "poisson_background", "0 or 1")
        if not self.poisson_background and self.k_scaling < 1:
            raise ConfigError(
                f"a constant background at in-degrees scaled by {self.k_scaling:g} leaves most populations below "
                "threshold and silent: nothing replaces the variance of the missing input",
                where="poisson_background",
                remedy="use background=poisson, or k_scaling=1",
            )
