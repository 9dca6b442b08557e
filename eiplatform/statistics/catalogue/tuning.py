"""Public statistics of tuning to classes."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import CURRENTS, Statistic

__all__ = ["LISTED"]

_TEXT = {"own": "", "cross": ", other neurons", "excess": ", own minus other"}

LISTED = [
    Statistic(
        key="ei_cotuning" + ("" if pairs == "own" else f"_{pairs}"),
        name="ei_cotuning",
        label=f"E-I co-tuning{text} (over classes)",
        needs=CURRENTS,
        over="sample",
        comparable=False,
        comparable_reason="the circuits are shown no classes of stimuli",
        reference="Wehr & Zador 2003, Nature 426:442",
        estimate=partial(estimates.cotuning, pairs=pairs),
        private=pairs != "own",
        bounds=(-2.0, 2.0) if pairs == "excess" else (-1.0, 1.0),
    )
    for pairs, text in _TEXT.items()
]
