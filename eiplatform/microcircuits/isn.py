"""An inhibition-stabilised network of spiking neurons, with the paradoxical effect.

M. V. Tsodyks, W. E. Skaggs, T. J. Sejnowski & B. L. McNaughton, "Paradoxical effects of external
modulation of inhibitory interneurons", J Neurosci 17:4382-4388 (1997); spiking network: state C of
N. Brunel, J Comput Neurosci 8:183-208 (2000), doi:10.1023/A:1008925309027, at 40 % of its size.

A network is inhibition-stabilised if excitation alone would run away (loop gain of E on itself
above 1) and inhibition keeps it in check.  Its signature is paradoxical: more drive to the
inhibitory neurons lowers the rates of both populations, because the lost excitation takes more
from the inhibitory neurons than the drive gives.  With excitation frozen (its spikes replaced by
Poisson spikes of the same rate) the inhibitory rate rises, as one would naively expect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.errors import choose
from eiplatform.microcircuits.balanced_network import lif_rates
from eiplatform.microcircuits.circuit import Drive, Edges, generator
from eiplatform.microcircuits.connectivity import fixed_in_degree
from eiplatform.microcircuits.delta_lif import DeltaCircuit, DeltaParameters, Inputs
from eiplatform.microcircuits.parameters import RARE
from eiplatform.microcircuits.theory.diffusion import brunel_network, siegert_rate

__all__ = ["CIRCUIT", "Isn", "IsnParameters"]


@dataclass(frozen=True)
class IsnParameters(DeltaParameters):
    """Brunel's state C at 40 % of its size, with the four pathways and two drives apart.

    C_E J = 100 mV, g C_I / C_E = 1.25 and the external input (mean 40 mV, 1 000 sources of 20 Hz and
    0.1 mV) are the paper's; J is 2.5 times as large as there, so that fewer synapses do.

    Attributes
    ----------
    n_exc, n_inh : int
        Numbers of neurons (ours), 4 000 and 1 000.
    c_exc, c_inh : int
        Recurrent synapses per neuron: 10 % of each population.
    j_mv : float
        Amplitude of an excitatory recurrent postsynaptic potential.
    g : float
        Inhibitory over excitatory amplitude, 5.
    exc_to_exc, exc_to_inh, inh_to_exc, inh_to_inh : float
        Strength of a pathway (source_to_target) over that of the paper, 1.
    ext_rate_hz, j_ext_mv : float
        Rate of all external spikes of a neuron together, and their amplitude.
    drive_exc, drive_inh : float
        External rate of a population over `ext_rate_hz`, 1.
    extra_exc, extra_inh, extra_exc_part, extra_inh_part : float
        What a part of the population gets besides its drive, and the fraction that it is (ours, for interventions).
    silent_exc, silent_inh : float
        Fraction of the population without outgoing synapses (ours, for interventions), 0.
    frozen_exc_rate_hz : float
        If positive, every synapse from E carries independent Poisson spikes of this rate instead of
        those of its source: E can no longer react, or react upon others.
    tau_ms, threshold_mv, reset_mv, refractory_ms, delay_ms : float
        20 ms, 20 mV, 10 mV, 2 ms, 1.5 ms (Brunel 2000).
    dt_ms, tau_f_ms : float
        Time step and filter of the recorded currents (ours), 0.1 ms and 5 ms.
    """

    n_exc: int = 4_000
    n_inh: int = 1_000
    tau_ms: float = 20.0
    threshold_mv: float = 20.0
    reset_mv: float = 10.0
    refractory_ms: float = 2.0
    delay_ms: float = 1.5
    dt_ms: float = 0.1
    tau_f_ms: float = 5.0
    c_exc: int = 400
    c_inh: int = 100
    j_mv: float = 0.25
    g: float = 5.0
    exc_to_exc: float = 1.0
    exc_to_inh: float = 1.0
    inh_to_exc: float = 1.0
    inh_to_inh: float = 1.0
    ext_rate_hz: float = 20_000.0
    j_ext_mv: float = 0.1
    drive_exc: float = 1.0
    drive_inh: float = 1.0
    frozen_exc_rate_hz: float = 0.0
    extra_exc: float = field(default=0.0, metadata=RARE)
    extra_inh: float = field(default=0.0, metadata=RARE)
    extra_exc_part: float = field(default=0.0, metadata=RARE)
    extra_inh_part: float = field(default=0.0, metadata=RARE)
    silent_exc: float = field(default=0.0, metadata=RARE)
    silent_inh: float = field(default=0.0, metadata=RARE)

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        super().check()
        for name in ("c_exc", "c_inh", "j_mv", "ext_rate_hz", "j_ext_mv"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        factors = ("exc_to_exc", "exc_to_inh", "inh_to_exc", "inh_to_inh", "drive_exc", "drive_inh")
        for name in ("g", *factors, "frozen_exc_rate_hz"):
            self.require(getattr(self, name) >= 0, name, "a number of at least 0")
        for name in ("extra_exc_part", "extra_inh_part", "silent_exc", "silent_inh"):
            self.require(0 <= getattr(self, name) <= 1, name, "from 0 (none) to 1 (all of the population)")
        for name in ("exc", "inh"):
            least = -getattr(self, f"drive_{name}")
            self.require(getattr(self, f"extra_{name}") >= least, f"extra_{name}", f"a number of at least {least:g}")
        self.require(self.c_exc < self.n_exc, "c_exc", f"fewer than n_exc = {self.n_exc}")
        self.require(self.c_inh < self.n_inh, "c_inh", f"fewer than n_inh = {self.n_inh}")


class Isn(DeltaCircuit):
    """Inhibition-stabilised spiking network.

    Examples
    --------
    >>> theory = Isn.from_parameters({}).theory()
    >>> theory["loop_gain"] > 1  # excitation alone would run away
    True
    >>> theory["E/rate_per_percent_to_I"] < 0, theory["I/rate_per_percent_to_I"] < 0  # paradoxical
    (True, True)
    """

    name = "isn"
    reference = "Tsodyks et al. 1997, J Neurosci 17:4382-4388; Brunel 2000, doi:10.1023/A:1008925309027"
    parameters: IsnParameters
    drives = {
        "E": Drive("drive_exc", 0.01, partial=("extra_exc", "extra_exc_part")),
        "I": Drive("drive_inh", 0.01, partial=("extra_inh", "extra_inh_part")),
        "E+I": Drive("ext_rate_hz", 0.01),
    }
    pathways = {"E->E": "exc_to_exc", "E->I": "exc_to_inh", "I->E": "inh_to_exc", "I->I": "inh_to_inh"}
    silent_parts = {"E": "silent_exc", "I": "silent_inh"}

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> Isn:
        """Return the circuit, its parameters overridden by `values` (fields of :class:`IsnParameters`)."""
        circuit = cls(IsnParameters(**cls.checked_names(values, IsnParameters)))
        circuit.check_counts("ext_rate_hz, drive_exc, drive_inh or frozen_exc_rate_hz")
        return circuit

    @property
    def exc_is_frozen(self) -> bool:
        """Whether Poisson spikes stand in for those of E."""
        return self.parameters.frozen_exc_rate_hz > 0

    def frozen(self, population: str, rate_hz: float) -> dict[str, float]:
        """Return the parameters that freeze E at a rate; nothing else can be frozen here."""
        choose(population, ("E",), "population to freeze", where=self.name)
        return {"frozen_exc_rate_hz": rate_hz}

    def inputs(self) -> dict[str, Inputs]:
        """Return the inputs of E and I."""
        p = self.parameters
        frozen = p.c_exc * p.frozen_exc_rate_hz

        def inputs(exc: float, inh: float, drive: float) -> Inputs:
            return Inputs(exc * p.j_mv, inh * p.g * p.j_mv, p.j_ext_mv, drive * p.ext_rate_hz, frozen_rate_hz=frozen)

        return {
            "E": inputs(p.exc_to_exc, p.inh_to_exc, p.drive_exc),
            "I": inputs(p.exc_to_inh, p.inh_to_inh, p.drive_inh),
        }

    def initial(self, seed: int) -> dict[str, NDArray[np.float64]]:
        """Return inputs and potentials; a part of a population may get more drive."""
        p, found = self.parameters, super().initial(seed)
        mean, unit = found["neurons.mean_ext"], p.ext_rate_hz * p.dt_ms * 1e-3
        mean[: round(p.extra_exc_part * p.n_exc)] += p.extra_exc * unit
        mean[p.n_exc : p.n_exc + round(p.extra_inh_part * p.n_inh)] += p.extra_inh * unit
        found["neurons.zero_ext"] = np.exp(-mean)
        return found

    @property
    def n_synapses(self) -> int:
        """Number of recurrent synapses."""
        return self.n_neurons * (self.parameters.c_exc + self.parameters.c_inh)

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield excitatory, then inhibitory synapses with fixed in-degree."""
        p = self.parameters
        rng = generator(seed, "connectivity")
        for name, n, c, first, silent in (
            ("exc", p.n_exc, p.c_exc, 0, p.silent_exc),
            ("inh", p.n_inh, p.c_inh, p.n_exc, p.silent_inh),
        ):
            edges = fixed_in_degree(rng, n, c, self.n_neurons, first_own=first)
            count = round(silent * n)  # neurons are alike: the first ones are as good as any
            yield name, edges.keep(edges.pre() >= count) if count else edges

    def theory(self) -> dict[str, float]:
        """Return rates, mean currents and the response to drive in the diffusion approximation.

        Returns
        -------
        dict
            Per population (``"E/rate"``, ...): ``rate`` (Hz), currents (mV) and
            ``rate_per_percent_to_I``, the change of the rate (Hz) with 1 % more drive to I;
            ``rate``, the mean over neurons; ``loop_gain``, by how much more E would fire if it fired
            1 Hz more (``tau J C_E d rate / d mean``; above 1: inhibition-stabilised).  Rates are
            left out where no self-consistent ones were found.  Empty where the neurons of a population differ.
        """
        p = self.parameters
        if p.extra_exc or p.extra_inh or p.silent_exc or p.silent_inh:
            return {}
        rates, currents = self._solve()
        values = {f"{name}/{key}": value for name, row in currents.items() for key, value in row.items()}
        if np.isnan(rates).any():
            return {key: value for key, value in values.items() if not np.isnan(value)}
        more, less = (self._solve(drive_inh=p.drive_inh * (1 + sign * 1e-3), start=rates)[0] for sign in (1, -1))
        for index, name in enumerate(("E", "I")):
            values[f"{name}/rate"] = float(rates[index])
            values[f"{name}/rate_per_percent_to_I"] = float((more - less)[index] / 0.2)
        values["rate"] = float(rates @ [p.n_exc, p.n_inh] / self.n_neurons)
        mean, std = values["E/current_net"], values["E/sigma"]
        slope = (siegert_rate(mean + 0.01, std, **self._cell) - siegert_rate(mean - 0.01, std, **self._cell)) / 0.02
        feeds_back = 0.0 if self.exc_is_frozen else p.tau_ms * 1e-3 * p.exc_to_exc * p.j_mv * p.c_exc
        values["loop_gain"] = float(feeds_back * slope)
        return values

    @property
    def _cell(self) -> dict[str, float]:
        p = self.parameters
        return {name: getattr(p, name) for name in ("tau_ms", "threshold_mv", "reset_mv", "refractory_ms")}

    def _solve(self, start: Any = None, **changes: float) -> tuple[Any, dict[str, dict[str, float]]]:
        p = self.parameters
        if start is None:  # the rates of the network without differences between E and I
            same = brunel_network(
                j_mv=p.j_mv, g=p.g, c_exc=p.c_exc, c_inh=p.c_inh, c_ext=1,
                ext_rate_hz=p.ext_rate_hz * p.j_ext_mv / p.j_mv, **self._cell,
            )  # fmt: skip
            start = [same["rate"], same["rate"]]
        inputs = type(self)(replace(p, **changes)).inputs()  # type: ignore[arg-type]
        return lif_rates(inputs, c_exc=p.c_exc, c_inh=p.c_inh, cell=self._cell, start=start)


CIRCUIT = Isn
