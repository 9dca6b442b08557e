"""How a statistic is declared: one class, once.

From the class come the function (``eiplatform.statistics.<name>``), the method of the accessor (``data.ei.<name>``),
the entries of :data:`STATISTICS`, the header of its page and its line in the stub.  ``docs/extending/statistic.md``
has a template.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_type_hints

import numpy.typing as npt
import xarray as xr

from eiplatform.errors import choose
from eiplatform.statistics.counts import window_of
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels import NeuronValues
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import MIN_INTERVALS, MIN_NEURONS, MIN_SAMPLES, Population

__all__ = [
    "BY_SIZE",
    "CURRENTS",
    "OVER_SAMPLES",
    "OVER_TIME",
    "POSITIVE",
    "SHARE",
    "SPIKES",
    "Declared",
    "Over",
    "Statistic",
    "Table",
]

CURRENTS = ("current_exc", "current_inh")
SPIKES = ("spikes",)
POSITIVE = (0.0, math.inf)
SHARE = (0.0, 1.0)
BY_SIZE = (
    "dimensionless, but it depends on the in-degree (about 1/sqrt(K)) and on whether constant drive counts as "
    "excitation: values of networks of different size may be shown together, but not subtracted"
)
OVER_SAMPLES = "samples are images in a network and trials in a circuit: another axis"
OVER_TIME = "over time in both, where the network runs long enough; intervals (steps, ms) differ"

Over = Annotated[Literal["sample", "time"], "estimator axis"]
"""An option: whether a value is taken over samples, or over time within a sample."""

_D = TypeVar("_D", bound="Declared")


class Declared:
    """What statistics and tables have in common.

    Its options are the annotated fields of the class; those typed ``Literal`` are checked, and
    ``Annotated[Literal[...], "words"]`` says how messages call the option.

    Attributes
    ----------
    name : str
        Of the function, of the accessor's method, and of the page in ``docs/statistics``.
    question : str
        What it answers, in a few words: the title of the page.
    topic : str
        Under which it is listed, see :data:`TOPICS`.
    inputs : tuple of str
        Names of the recordings that it is computed from.
    choices : mapping
        By option, the words that are valid and how messages call it; from the fields typed ``Literal``.
    phrase : str
        How messages call it, e.g. ``"the E/I ratio"``; default: its name.
    needs : tuple of str
        Signals; ``spikes`` is met by events too.
    """

    name: ClassVar[str]
    question: ClassVar[str]
    topic: ClassVar[str] = "other"
    inputs: ClassVar[tuple[str, ...]] = ("population",)
    choices: ClassVar[Mapping[str, tuple[tuple[str, ...], str]]] = {}

    @property
    def phrase(self) -> str:
        return self.name

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    def __post_init__(self) -> None:
        for option, (valid, words) in self.choices.items():
            choose(getattr(self, option), valid, words)

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Return the names of the options and their types."""
        hints = get_type_hints(cls)
        return {field.name: hints[field.name] for field in fields(cls)}  # type: ignore[arg-type]


class Statistic(Declared):
    """A value per neuron, or one of the whole population; an instance is the statistic with its options chosen.

    A subclass gives `name`, `question`, `label`, `needs`, `over`, `reference`, `comparable_reason` and
    :meth:`compute`; what depends on the options is a property.

    Attributes
    ----------
    variants : tuple of mapping
        The options under which it stands in :data:`STATISTICS` and in summaries; default: once, without options.
    public : bool
        Whether it has a function of its own; otherwise `name` is that of the table that it belongs to.
    key : str
        Name in :data:`STATISTICS` and in summaries; default: `name`.
    label : str
        For tables and figures.
    over : {"sample", "time", "sample and time", "neuron"}
        The estimator axis: what a value is taken over.
    average : {"mean", "geometric mean"}
        How neurons are averaged to the population's value.
    comparable : bool
        Whether values of a trained network and of a circuit may be compared.
    comparable_reason : str
        Why, and with what caution.
    in_steps : bool
        Whether values may be compared with those of a circuit's recording all the same, since its windows (or lags)
        are then taken in steps of the network.
    reference : str
        The paper, or "own definition" and what it is.
    level : {"neuron", "population"}
        Whether each neuron has a value, or only the population.
    by_time : mapping of str to str
        The unit by the recording's unit of time (``"step"``, ``"ms"``); empty: the value has no unit.
    bounds : tuple of float
        What the value cannot leave; intervals end there.
    is_share : bool
        Whether the value is a share of neurons, or of their samples, with Wilson's interval.
    windows : tuple of mapping and int, optional
        Default length of its windows by the unit of time, and the fewest of them in a sample.
    least_samples, least_neurons : int
        Fewest samples, and fewest recorded neurons.
    private : bool
        Whether it compares a neuron's own inhibition with that of other neurons.
    cautioned : bool
        Whether results say what limits their meaning; what the cautions measure says nothing of itself.
    """

    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    public: ClassVar[bool] = True
    cautioned: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        raise NotImplementedError

    @property
    def over(self) -> str:
        raise NotImplementedError

    @property
    def reference(self) -> str:
        raise NotImplementedError

    @property
    def comparable_reason(self) -> str:
        raise NotImplementedError

    @property
    def comparable(self) -> bool:
        return False

    @property
    def in_steps(self) -> bool:
        return False

    @property
    def average(self) -> str:
        return "mean"

    @property
    def level(self) -> str:
        return "neuron"

    @property
    def by_time(self) -> Mapping[str, str]:
        return {}

    @property
    def bounds(self) -> tuple[float, float]:
        return (-math.inf, math.inf)

    @property
    def is_share(self) -> bool:
        return False

    @property
    def windows(self) -> tuple[Mapping[str, float], int] | None:
        return None

    @property
    def least_samples(self) -> int:
        return MIN_SAMPLES if self.over == "sample" else 1

    @property
    def least_neurons(self) -> int:
        return MIN_NEURONS if self.over == "neuron" else 1

    @property
    def private(self) -> bool:
        return False

    @property
    def dimensionless(self) -> bool:
        """Whether the value has no unit."""
        return not self.by_time

    @property
    def shipped(self) -> bool:
        """Whether the package itself declares it, not a project or another package."""
        return type(self).__module__.startswith("eiplatform.statistics.")

    @property
    def page(self) -> str:
        """Documentation page, relative to the repository."""
        return f"docs/statistics/{self.name}.md"

    @property
    def call(self) -> str:
        """How to ask for it, e.g. ``data.ei.ei_correlation(over='time')``."""
        if not self.public:
            return f"eiplatform.statistics.per_neuron(data, '{self.key}')"
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}  # type: ignore[arg-type]
        given = ", ".join(f"{name}={value!r}" for name, (value, default) in values.items() if value != default)
        return f"data.ei.{self.name}({given})"

    def units(self, time_units: str) -> str:
        """Return the unit of the value in a recording whose time is in `time_units` (``"step"`` or ``"ms"``)."""
        return self.by_time[time_units] if self.by_time else "1"

    def lacks(self, population: Population) -> str:
        """Return what a population lacks for this statistic, or "": signals, samples, intervals."""
        if missing := population.missing(self.needs):
            return f"needs {', '.join(missing)}"
        if population.n_samples < self.least_samples:
            return f"needs {self.least_samples} samples"
        needed = MIN_INTERVALS if self.over == "time" else 1
        if self.over == "time" and self.windows is not None:
            needed = math.ceil(window_of(population, self.windows[0]) * self.windows[1] / population.dt - 1e-9)
        if population.n_intervals < needed:
            return f"needs {needed} {'steps' if population.units == 'step' else 'intervals'}"
        if len(population.neuron) < self.least_neurons and ("spikes" in population.data or self.needs != SPIKES):
            return f"needs {self.least_neurons} neurons"
        return ""

    def estimate(self, population: Population) -> Estimate:
        """Return the statistic of a population, ready for any weights of the samples.

        Raises
        ------
        StatisticError
            If a signal that it needs was not recorded, or whatever :meth:`compute` raises.
        """
        population.require(self.needs, self.phrase)
        return self.compute(population)

    def compute(self, population: Population) -> Estimate:
        """Compute the statistic; the signals that it needs are there.  What a subclass gives."""
        raise NotImplementedError

    def special(self, population: Population) -> xr.DataArray | None:
        """Return a result of another form, where the options ask for one; default: None."""
        return None

    def result(
        self,
        population: Population,
        values: Callable[[FloatArray], FloatArray],
        *,
        rule: str,
        neuron: npt.NDArray[Any] | None = None,
        attrs: Mapping[str, Any] | None = None,
        biased: bool = False,
        without: str = "",
        n_pooled: int | None = None,
        influence: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
        moments: bool = False,
    ) -> Estimate:
        """Return the estimate that :meth:`compute` gives.

        Parameters
        ----------
        population : Population
        values : callable
            Weights of the samples, shape (draw, sample), to values per neuron, shape (draw, neuron).
        rule : str
            When a neuron is excluded (its value is NaN); "none" if never.
        neuron : array, optional
            Indices of the neurons; default: those recorded.
        attrs : mapping, optional
            The choices made, for the attributes of the result.
        biased, without, influence, moments
            As of :class:`~eiplatform.statistics.kernels.NeuronValues`.
        n_pooled
            As of :class:`~eiplatform.statistics.estimate.Estimate`.
        """
        neurons = population.neuron if neuron is None else neuron
        geometric = self.average == "geometric mean"
        kernel = NeuronValues(
            values, population.n_samples, len(neurons), geometric, biased, without, influence, moments
        )
        return Estimate(kernel, neurons, rule, self.units(population.units), attrs or {}, self.level, n_pooled)


class Table(Declared):
    """A Dataset rather than a value: a distribution, a curve, a fit, a comparison of two recordings.

    A subclass gives `name`, `question`, `needs` and :meth:`compute`.

    Attributes
    ----------
    several : bool
        Whether each input may be several recordings (conditions) of one population.
    """

    several: ClassVar[bool] = False

    def compute(self, *populations: Any) -> xr.Dataset:
        """Compute the table from a Population for each input, or from a list of them if `several`."""
        raise NotImplementedError
