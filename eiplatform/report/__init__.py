"""The report: tables and figures of a study in one self-contained HTML file."""

from eiplatform.callable import make_callable
from eiplatform.report.html import write_report
from eiplatform.report.study import draw_all, findings_of, scorecard, write_study_report

__all__ = ["draw_all", "findings_of", "scorecard", "write_report", "write_study_report"]

make_callable(__name__, "eiplatform.front.results")
