"""The public statistics: what each needs, over which axis it is taken, and what may be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from eiplatform.errors import choose
from eiplatform.statistics import estimates
from eiplatform.statistics.estimates import Estimate
from eiplatform.statistics.population import Population

__all__ = ["STATISTICS", "Statistic", "statistic"]

_CURRENTS = ("current_exc", "current_inh")
_SPIKES = ("spikes",)


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
    over : {"sample", "time", "sample and time"}
        The estimator axis: what a neuron's value is taken over.
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

    @property
    def page(self) -> str:
        """Documentation page, relative to the repository."""
        return f"docs/statistics/{self.name}.md"

    def units(self, time_units: str) -> str:
        """Return the unit of the value in a recording whose time is in `time_units` (``"step"`` or ``"ms"``)."""
        if self.dimensionless:
            return "1"
        return "spikes/step" if time_units == "step" else "Hz"


_MEANS = (
    "dimensionless; depends on in-degree and on whether constant drive counts as excitation: "
    "read it beside both, not as a distance"
)
_OVER_SAMPLES = "samples are images in a network and trials in a circuit: another axis"
_OVER_TIME = "over time in both, where the network runs long enough; intervals (steps, ms) differ"
_IRREGULARITY = (
    "a network's intervals are whole steps: a random train of p spikes a step has CV sqrt(1 - p), not 1; "
    "read it beside its own rate"
)

_PAIRS = {
    "own": ("", "E-I correlation"),
    "cross": ("_cross", "E-I correlation, other neurons"),
    "excess": ("_excess", "E-I correlation, own minus other"),
    "partial": ("_partial", "E-I correlation, common mode removed"),
}
_PAIR_REFERENCE = {
    "own": "Okun & Lampl 2008, Nat Neurosci 11:535",
    "cross": "Renart et al. 2010, Science 327:587",
    "excess": "own minus cross; Hennequin, Agnes & Vogels 2017, Annu Rev Neurosci 40:557",
    "partial": "partial correlation given the mean excitation of the other neurons",
}


def _correlations() -> list[Statistic]:
    found = []
    for over, word in (("sample", "samples"), ("time", "time")):
        for pairs, (suffix, label) in _PAIRS.items():
            found.append(
                Statistic(
                    key=f"ei_correlation_{word}{suffix}",
                    name="ei_correlation",
                    label=f"{label} (over {word})",
                    needs=_CURRENTS,
                    over=over,
                    comparable=over == "time",
                    comparable_reason=_OVER_TIME if over == "time" else _OVER_SAMPLES,
                    reference=_PAIR_REFERENCE[pairs],
                    estimate=partial(estimates.correlation, over=over, pairs=pairs),
                )
            )
    return found


_LISTED = [
    Statistic(
        key="ei_ratio",
        name="ei_ratio",
        label="E/I ratio",
        needs=_CURRENTS,
        over="sample and time",
        comparable=True,
        comparable_reason=_MEANS,
        reference="Xue, Atallah & Scanziani 2014, Nature 511:596",
        estimate=partial(estimates.balance, kind="ratio"),
        average="geometric mean",
    ),
    Statistic(
        key="balance_index",
        name="balance_index",
        label="balance index (E - I)/E",
        needs=_CURRENTS,
        over="sample and time",
        comparable=True,
        comparable_reason=_MEANS,
        reference="Ahmadian & Miller 2021, Neuron 109:3373",
        estimate=partial(estimates.balance, kind="index"),
    ),
    *_correlations(),
    Statistic(
        key="rate",
        name="rate",
        label="firing rate",
        needs=_SPIKES,
        over="sample and time",
        comparable=False,
        comparable_reason="spikes per step against Hz: a step is a time only by assumption",
        reference="mean spike count per unit of time, silent neurons included",
        estimate=estimates.rate,
        dimensionless=False,
    ),
    Statistic(
        key="cv_isi",
        name="cv_isi",
        label="CV of inter-spike intervals",
        needs=_SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_IRREGULARITY,
        reference="Softky & Koch 1993, J Neurosci 13:334",
        estimate=partial(estimates.isi, kind="cv", min_spikes=10),
    ),
    Statistic(
        key="lv",
        name="lv",
        label="local variation LV",
        needs=_SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_IRREGULARITY,
        reference="Shinomoto, Shima & Tanji 2003, Neural Comput 15:2823",
        estimate=partial(estimates.isi, kind="lv", min_spikes=10),
    ),
    Statistic(
        key="fano_factor",
        name="fano_factor",
        label="Fano factor (over windows)",
        needs=_SPIKES,
        over="time",
        comparable=False,
        comparable_reason="the windows differ: 10 steps in a network, 50 ms in a circuit",
        reference="Fano 1947, Phys Rev 72:26",
        estimate=partial(estimates.fano, over="time", window=None),
    ),
    Statistic(
        key="fano_factor_samples",
        name="fano_factor",
        label="Fano factor (over samples)",
        needs=_SPIKES,
        over="sample",
        comparable=False,
        comparable_reason=_OVER_SAMPLES,
        reference="Fano 1947, Phys Rev 72:26",
        estimate=partial(estimates.fano, over="sample", window=None),
    ),
    Statistic(
        key="gain",
        name="gain",
        label="gain",
        needs=("gain",),
        over="sample and time",
        comparable=False,
        comparable_reason="current-based circuits have no gain (it is 1 by definition)",
        reference="Chance, Abbott & Reyes 2002, Neuron 35:773",
        estimate=partial(estimates.gain, measure="mean"),
    ),
    Statistic(
        key="gain_cv",
        name="gain",
        label="CV of the gain over samples and time",
        needs=("gain",),
        over="sample and time",
        comparable=False,
        comparable_reason="current-based circuits have no gain (it is 1 by definition)",
        reference="Carandini & Heeger 2012, Nat Rev Neurosci 13:51",
        estimate=partial(estimates.gain, measure="cv"),
    ),
]

STATISTICS: dict[str, Statistic] = {entry.key: entry for entry in _LISTED}
"""All public statistics by key, in the order of tables."""


def statistic(key: str) -> Statistic:
    """Return a statistic by key.

    Raises
    ------
    UnknownNameError
        If there is none; the message suggests the nearest.

    Examples
    --------
    >>> statistic("balance_index").over
    'sample and time'
    """
    return STATISTICS[choose(key, STATISTICS, "statistic")]
