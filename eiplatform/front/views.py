"""What the accessor of recordings gets from above the statistics: ``.ei.plot``, the figures."""

from __future__ import annotations

from eiplatform.statistics import EIAccessor

EIAccessor.views["plot"] = "eiplatform.figures.parts.of_recording:RecordingPlots"
