"""Circuits of rates: two populations of units with all-to-all synapses, integrated without a simulator.

    tau dr/dt = -r + f(W r + h)

They fill the same schema as spiking circuits: each unit's rate (``activity``, in Hz), its excitatory input (from E and
from outside) and its inhibitory input.  Nothing is random: one seed is one run, and all would be alike.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import scipy
import xarray as xr
from numpy.typing import NDArray

from eiplatform.errors import NotApplicableError, choose
from eiplatform.microcircuits.circuit import Circuit, Drive, Edges, Model, Population, Recorded, Structure
from eiplatform.microcircuits.parameters import RARE, Parameters
from eiplatform.store.schema import population_dataset

__all__ = ["RateCircuit", "RateParameters"]


@dataclass(frozen=True)
class RateParameters(Parameters):
    """Fields that every circuit of this kind has; see the circuits for their values.

    Attributes
    ----------
    w_exc_to_exc, w_exc_to_inh, w_inh_to_exc, w_inh_to_inh : float
        Input of a unit per Hz of all units of the source population; sizes, without signs.
    drive_exc, drive_inh : float
        Input from outside.
    tau_exc_ms, tau_inh_ms : float
        Time constants.
    n_exc, n_inh : int
        Numbers of units (ours), alike but for a drive to a part of them.
    ceiling_hz : float
        No unit fires faster (ours): where a run-away ends.
    frozen_exc_rate_hz, frozen_inh_rate_hz : float
        If positive, targets get this constant rate instead of the population's own.
    extra_exc, extra_inh, extra_exc_part, extra_inh_part : float
        What a part of the population gets besides its drive, and the fraction that it is (for interventions).
    silent_exc, silent_inh : float
        Fraction of the population without outgoing synapses (for interventions), 0.
    dt_ms : float
        Finest recording interval; the integration chooses its own steps.
    """

    w_exc_to_exc: float
    w_exc_to_inh: float
    w_inh_to_exc: float
    w_inh_to_inh: float
    drive_exc: float
    drive_inh: float
    tau_exc_ms: float = 20.0
    tau_inh_ms: float = 10.0
    n_exc: int = 10
    n_inh: int = 10
    ceiling_hz: float = 1_000_000.0
    frozen_exc_rate_hz: float = 0.0
    frozen_inh_rate_hz: float = 0.0
    extra_exc: float = field(default=0.0, metadata=RARE)
    extra_inh: float = field(default=0.0, metadata=RARE)
    extra_exc_part: float = field(default=0.0, metadata=RARE)
    extra_inh_part: float = field(default=0.0, metadata=RARE)
    silent_exc: float = field(default=0.0, metadata=RARE)
    silent_inh: float = field(default=0.0, metadata=RARE)
    dt_ms: float = 0.1

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` for values that do not describe a network."""
        for name in ("tau_exc_ms", "tau_inh_ms", "n_exc", "n_inh", "ceiling_hz", "dt_ms"):
            self.require(getattr(self, name) > 0, name, "a positive number")
        weights = ("w_exc_to_exc", "w_exc_to_inh", "w_inh_to_exc", "w_inh_to_inh")
        for name in (*weights, "drive_exc", "drive_inh", "frozen_exc_rate_hz", "frozen_inh_rate_hz"):
            self.require(getattr(self, name) >= 0, name, "a number of at least 0")
        for name in ("extra_exc_part", "extra_inh_part", "silent_exc", "silent_inh"):
            self.require(0 <= getattr(self, name) <= 1, name, "from 0 (none) to 1 (all of the population)")
        for name in ("exc", "inh"):
            least = -getattr(self, f"drive_{name}")
            self.require(getattr(self, f"extra_{name}") >= least, f"extra_{name}", f"a number of at least {least:g}")


class RateCircuit(Circuit):
    """Base of circuits with populations E and I of units that have rates."""

    current_units = "1"
    parameters: RateParameters
    drives: ClassVar[Mapping[str, Drive]] = {
        "E": Drive("drive_exc", 0.1, relative=False, partial=("extra_exc", "extra_exc_part")),
        "I": Drive("drive_inh", 0.1, relative=False, partial=("extra_inh", "extra_inh_part")),
    }
    pathways = {"E->E": "w_exc_to_exc", "E->I": "w_exc_to_inh", "I->E": "w_inh_to_exc", "I->I": "w_inh_to_inh"}
    silent_parts = {"E": "silent_exc", "I": "silent_inh"}

    @abstractmethod
    def transfer(self, net: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rates (Hz) that units approach under a net input."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights with their signs, [target, source], E first."""
        p = self.parameters
        return np.array([[p.w_exc_to_exc, -p.w_inh_to_exc], [p.w_exc_to_inh, -p.w_inh_to_inh]])

    @property
    def uniform(self) -> bool:
        """Whether the units of a population are alike, and none is frozen: closed forms are of such networks."""
        p = self.parameters
        return not any(
            (p.extra_exc, p.extra_inh, p.silent_exc, p.silent_inh, p.frozen_exc_rate_hz, p.frozen_inh_rate_hz)
        )

    @property
    def populations(self) -> tuple[Population, ...]:
        """Populations E and I."""
        p = self.parameters
        return (
            Population("E", "E", p.n_exc, 0, {"tau_membrane": p.tau_exc_ms}),
            Population("I", "I", p.n_inh, p.n_exc, {"tau_membrane": p.tau_inh_ms}),
        )

    def frozen(self, population: str, rate_hz: float) -> dict[str, float]:
        """Return the parameters under which targets get a constant rate."""
        names = {"E": "frozen_exc_rate_hz", "I": "frozen_inh_rate_hz"}
        return {names[choose(population, names, "population to freeze", where=self.name)]: rate_hz}

    def recordings(
        self,
        seed: int,
        *,
        duration_ms: float,
        warmup_ms: float,
        record_dt_ms: float,
        n_recorded: int,
        later: Sequence[tuple[int, Circuit]] = (),
    ) -> Iterator[tuple[int, dict[str, xr.Dataset]]]:
        """Integrate from silence and yield the recording; what is recorded are values at the start of each interval.

        Parameters
        ----------
        seed : int
            Id of the sample; it changes nothing.
        duration_ms, warmup_ms, record_dt_ms, n_recorded, later
            As of :func:`~eiplatform.microcircuits.simulate`.
        """
        n = round(duration_ms / record_dt_ms)
        time = np.arange(n) * record_dt_ms
        phases: list[list[NDArray[np.float64]]] = []
        begins = [(0, self), *later]
        rates, now = np.zeros(self.n_neurons), 0.0
        for (begin, circuit), end in zip(begins, [*(step for step, _ in later), n], strict=True):
            assert isinstance(circuit, RateCircuit)
            # From the end of the phase before to the first step of the next, which starts from the rates there.
            times = np.append(warmup_ms + time[begin:end], warmup_ms + end * record_dt_ms)
            each = circuit._integrated(times, rates, now)
            rates, now = each[-1], float(times[-1])
            exc, inh = circuit._inputs(each[:-1])
            phases.append([each[:-1], exc, inh, np.broadcast_to(circuit._external, exc.shape)])
        rates, exc, inh, external = (np.concatenate(parts) for parts in zip(*phases, strict=True))
        common = {
            "circuit": self.name,
            "reference": self.reference,
            "device": "none",
            "parameters": json.dumps(self.to_mapping()),
            "duration": duration_ms,
            "warmup": warmup_ms,
            "activity_units": "Hz",
            "sampling": "values at the start of each interval",
        }
        found = {}
        for population in self.populations:
            own = np.arange(population.start, population.start + population.size)[:n_recorded]
            signals = {
                "current_exc_recurrent": exc[:, own],
                "current_exc_external": external[:, own],
                "current_exc": exc[:, own] + external[:, own],
                "current_inh": inh[:, own],
                "current_net": exc[:, own] + external[:, own] - inh[:, own],
                "activity": rates[:, own],
            }
            found[population.name] = population_dataset(
                {name: values[None].astype(np.float64) for name, values in signals.items()},
                sample=np.array([seed]),
                time=time,
                neuron=own - population.start,
                dt=record_dt_ms,
                time_units="ms",
                current_units=self.current_units,
                n_neurons=population.size,
                role=population.role,
                attrs={**common, **population.attrs},
            )
        yield seed, found

    @property
    def _external(self) -> NDArray[np.float64]:
        """Input from outside to every unit."""
        p = self.parameters
        found = np.repeat([p.drive_exc, p.drive_inh], [p.n_exc, p.n_inh])
        found[: round(p.extra_exc_part * p.n_exc)] += p.extra_exc
        found[p.n_exc : p.n_exc + round(p.extra_inh_part * p.n_inh)] += p.extra_inh
        return found

    def _inputs(self, rates: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return recurrent excitation and inhibition (both at least 0) of every unit, shape (..., unit)."""
        p = self.parameters
        sizes = [p.n_exc, p.n_inh]
        sent = []
        for part, silent, held in (
            (rates[..., : p.n_exc], p.silent_exc, p.frozen_exc_rate_hz),
            (rates[..., p.n_exc :], p.silent_inh, p.frozen_inh_rate_hz),
        ):
            first = round(silent * part.shape[-1])
            mean = part[..., first:].sum(-1) / part.shape[-1]
            sent.append(np.full_like(mean, held) if held else mean)
        weights = self.weights
        found = [np.repeat(np.stack([abs(w) * of for w in column], -1), sizes, axis=-1)
                 for column, of in zip(weights.T, sent, strict=True)]  # fmt: skip
        return found[0], found[1]

    def _integrated(self, times: NDArray[np.float64], start: NDArray[np.float64], begin: float) -> NDArray[np.float64]:
        """Return the rates at these times, shape (time, unit), from those at the begin."""
        p, external = self.parameters, self._external
        tau = np.repeat([p.tau_exc_ms, p.tau_inh_ms], [p.n_exc, p.n_inh])

        def change(_: float, rates: NDArray[np.float64]) -> NDArray[np.float64]:
            exc, inh = self._inputs(rates)
            aim = np.minimum(self.transfer(exc - inh + external), p.ceiling_hz)
            return np.asarray((aim - rates) / tau, np.float64)

        span = (begin, float(times[-1]))
        found = scipy.integrate.solve_ivp(change, span, start, "LSODA", t_eval=times, rtol=1e-8, atol=1e-9)
        return np.asarray(np.maximum(found.y.T, 0), np.float64)  # 0 is 0 within the tolerance alone

    # What the runner of spiking circuits would ask for.

    @property
    def signals(self) -> tuple[Recorded, ...]:
        """Return nothing: no state variable of a simulator is recorded."""
        return ()

    @property
    def n_synapses(self) -> int:
        """Number of connections between units."""
        return self.n_neurons**2

    def structure(self) -> Structure:
        """Return the numbers of units."""
        return {"n_exc": self.parameters.n_exc, "n_inh": self.parameters.n_inh}

    @staticmethod
    def build(structure: Structure) -> Model:
        """Refuse: there is nothing to compile."""
        raise NotApplicableError("a circuit of rates is integrated without Brian2", where="build")

    def scalars(self) -> dict[str, float]:
        """Return nothing."""
        return {}

    def initial(self, seed: int) -> dict[str, NDArray[Any]]:
        """Return nothing."""
        return {}

    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield nothing: synapses are all to all."""
        return iter(())
