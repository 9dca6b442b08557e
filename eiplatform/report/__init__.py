"""The report: what results show, in one self-contained HTML file."""

from eiplatform.callable import make_callable
from eiplatform.report.study import draw_all, findings_of, scorecard, write_report

__all__ = ["draw_all", "findings_of", "scorecard", "write_report"]

make_callable(__name__, "eiplatform.front.results")
