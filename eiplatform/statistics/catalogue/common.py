"""What is known of a public statistic, and the reasons that several share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from eiplatform.statistics.estimates import Estimate
from eiplatform.statistics.population import Population

__all__ = ["BY_SIZE", "CURRENTS", "OVER_SAMPLES", "OVER_TIME", "POSITIVE", "SPIKES", "Statistic"]

CURRENTS = ("current_exc", "current_inh")
SPIKES = ("spikes",)
POSITIVE = (0.0, math.inf)
BY_SIZE = (
    "dimensionless, but it depends on the in-degree (about 1/sqrt(K)) and on whether constant drive counts as "
    "excitation: values of networks of different size stand beside each other, their difference says nothing"
)
OVER_SAMPLES = "samples are images in a network and trials in a circuit: another axis"
OVER_TIME = "over time in both, where the network runs long enough; intervals (steps, ms) differ"


@dataclass(frozen=True)
class Statistic:
    """One public statistic with its options fixed.

    Attributes
    ----------
    key : str
        Name in :data:`STATISTICS` and in summaries.
    name : str
        Name of the accessor method and of the docs page.
    label : str
        For tables and figures.
    needs : tuple of str
        Signals; ``spikes`` is met by events too.
    over : {"sample", "time", "sample and time", "neuron"}
        The estimator axis: what a value is taken over.
    average : {"mean", "geometric mean"}
        How neurons are averaged to the population's value.
    comparable : bool
        Whether a trained network and a circuit may be set side by side.
    comparable_reason : str
        Why, and with what caution.
    reference : str
        Where the definition comes from.
    dimensionless : bool
        Whether the value has no unit.
    level : {"neuron", "population"}
        Whether each neuron has a value, or only the population.
    by_time : mapping of str to str
        The unit, if it has one, by the recording's unit of time.
    bounds : tuple of float
        What the value cannot leave; intervals end there.
    share : bool
        Whether the value is a share of neurons, or of their samples, with Wilson's interval.
    private : bool
        Whether it is about what a neuron's inhibition has of its own, against that of other neurons.
    """

    key: str
    name: str
    label: str
    needs: tuple[str, ...]
    over: str
    comparable: bool
    comparable_reason: str
    reference: str
    estimate: Callable[[Population], Estimate] = field(repr=False)
    average: str = "mean"
    dimensionless: bool = True
    level: str = "neuron"
    by_time: Mapping[str, str] = field(default_factory=lambda: {"step": "spikes/step", "ms": "Hz"}, repr=False)
    bounds: tuple[float, float] = (-math.inf, math.inf)
    share: bool = False
    private: bool = False

    @property
    def page(self) -> str:
        """Documentation page, relative to the repository."""
        return f"docs/statistics/{self.name}.md"

    def units(self, time_units: str) -> str:
        """Return the unit of the value in a recording whose time is in `time_units` (``"step"`` or ``"ms"``)."""
        if self.dimensionless:
            return "1"
        return self.by_time[time_units]
