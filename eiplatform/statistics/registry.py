"""All public statistics by key."""

from __future__ import annotations

from eiplatform.errors import choose
from eiplatform.statistics.catalogue import (
    activity,
    balance,
    dimension,
    gain,
    gain_curve,
    lag,
    membrane,
    soundness,
    spikes,
    synchrony,
    tightness,
    timescale,
    tuning,
)
from eiplatform.statistics.catalogue.common import Statistic

__all__ = ["STATISTICS", "Statistic", "statistic"]

STATISTICS: dict[str, Statistic] = {
    entry.key: entry
    for topic in (
        *(balance, tightness, lag, tuning, membrane),
        *(spikes, activity, soundness, synchrony, timescale, dimension),
        *(gain, gain_curve),
    )
    for entry in topic.LISTED
}
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
