"""Analyses: one module per scientific question; each reads recordings and gives a result.

An analysis module holds one class, ``class Balance(Analysis)``: its question, ``run -> Result``, ``tables`` and
``findings``.  It is found by the name of its module; nothing else has to name it.  A result carries what it was made
from, and every number with its interval, its n and what was excluded.  Nothing here runs a network or a circuit.
"""

from eiplatform.analyses.parts.analysis import Analysis, Result, analysis_names, defined, find_analysis, load_result
from eiplatform.analyses.parts.tables import Table

__all__ = ["Analysis", "Result", "Table", "analysis_names", "defined", "find_analysis", "load_result"]
