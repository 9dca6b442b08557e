"""Analyses: one module per scientific question; each reads recordings and gives a result.

An analysis module holds one class, ``class Balance(Analysis)``: its question, ``run -> Result``, ``tables`` and
``findings``.  It is found by the name of its module; nothing else has to name it.  A result carries what it was made
from, and every number with its interval, its n and what was excluded.  Nothing here runs a network or a circuit.

What an own analysis needs is imported from here; ``docs/extending/analysis.md`` has a template.
"""

from eiplatform.analyses.parts.analysis import Analysis, Result, analysis_names, defined, find_analysis, load_result
from eiplatform.analyses.parts.inputs import (
    Nulls,
    OneRecording,
    Recordings,
    References,
    Series,
    Summaries,
    Training,
    describe_inputs,
    excitatory,
    label_of,
    opened,
    spiking,
)
from eiplatform.analyses.parts.tables import Table, cell_text, interval_text, number_text

__all__ = [
    "Analysis",
    "Nulls",
    "OneRecording",
    "Recordings",
    "References",
    "Result",
    "Series",
    "Summaries",
    "Table",
    "Training",
    "analysis_names",
    "cell_text",
    "defined",
    "describe_inputs",
    "excitatory",
    "find_analysis",
    "interval_text",
    "label_of",
    "load_result",
    "number_text",
    "opened",
    "spiking",
]
