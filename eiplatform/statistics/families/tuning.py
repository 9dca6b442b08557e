"""How alike excitation and inhibition are tuned to the classes of stimuli."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from eiplatform.errors import NotApplicableError, TooShortError
from eiplatform.statistics import kernels
from eiplatform.statistics.declare import CURRENTS, Statistic
from eiplatform.statistics.estimate import Estimate, shared
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import grid, register

MIN_CLASSES = 5
"""Fewest classes for a correlation over classes."""
MIN_PER_CLASS = 15
"""Fewest samples of each class for an interval of what neurons share: with 5 it holds the truth in 72 to 77 %."""


@register
class EICotuning(Statistic):
    """E-I co-tuning: correlation over classes of a neuron's mean excitation and mean inhibition.

    Every class counts once, however many samples it has.  The samples need their ``label``.

    Parameters
    ----------
    pairs : {"own", "cross", "excess"}
        With the inhibition of the same neuron; of the other neurons (mean); own minus cross.

    Raises
    ------
    NotApplicableError
        If the samples have no labels.
    StatisticError
        If a signal is missing or not finite.
    TooShortError
        With fewer than 30 samples or 5 classes.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.ei_cotuning().mean()), 3)
    1.0
    """

    name, topic = "ei_cotuning", "tuning"
    question = "are excitation and inhibition tuned to the same classes?"
    phrase, needs, over = "E-I co-tuning over classes", CURRENTS, "sample"
    comparable_reason = "the circuits are shown no classes of stimuli"
    reference = "Wehr & Zador 2003, Nature 426:442"
    variants = grid(pairs=("own", "cross", "excess"))

    pairs: Annotated[Literal["own", "cross", "excess"], "pairing"] = "own"

    @property
    def key(self) -> str:
        return self.name + ("" if self.pairs == "own" else f"_{self.pairs}")

    @property
    def label(self) -> str:
        text = {"own": "", "cross": ", other neurons", "excess": ", own minus other"}[self.pairs]
        return f"E-I co-tuning{text} (over classes)"

    @property
    def private(self) -> bool:
        return self.pairs != "own"

    @property
    def bounds(self) -> tuple[float, float]:
        return (-2.0, 2.0) if self.pairs == "excess" else (-1.0, 1.0)

    def lacks(self, population: Population) -> str:
        return super().lacks(population) or ("" if "label" in population.data.variables else "needs labels of samples")

    def compute(self, population: Population) -> Estimate:
        labels = _labels(population, self.phrase)
        population.require_samples(self.phrase)
        tuning = shared(population, "class tuning", lambda: kernels.ClassTuning(population.currents, labels))
        count = len(tuning.classes)
        if count < MIN_CLASSES:
            raise TooShortError(
                f"{self.phrase}: samples of {count} classes are too few",
                where=population.name or None,
                valid=f"at least {MIN_CLASSES} classes",
            )

        def values(weights: FloatArray) -> FloatArray:
            return tuning.correlation(weights, self.pairs)

        def influence(weights: FloatArray, found: FloatArray) -> FloatArray:
            received = tuning.correlation(weights, "cross", received=True)
            return kernels.with_received(found, received if self.pairs == "cross" else -received)

        fewest = int(np.unique(labels, return_counts=True)[1].min())
        without = (
            f"a class has {fewest} samples; their brightness leaks into its mean below {MIN_PER_CLASS}"
            if self.pairs != "own" and fewest < MIN_PER_CLASS
            else ""
        )
        return self.result(
            population,
            values,
            rule="excitation or inhibition the same in all classes",
            attrs={"pairs": self.pairs, "n_classes": count},
            biased=True,
            without=without,
            influence=None if self.pairs == "own" else influence,
        )


def _labels(population: Population, name: str) -> npt.NDArray[np.generic]:
    data = population.data
    if "label" not in data.variables or data["label"].dims != ("sample",):
        raise NotApplicableError(
            f"{name} needs the label of every sample, which this population lacks",
            where=population.name or None,
            valid="a recording of a network on a labelled data set",
        )
    return data["label"].to_numpy()
