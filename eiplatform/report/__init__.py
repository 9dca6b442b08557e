"""The report: tables and figures of a study in one self-contained HTML file."""

from eiplatform.report.html import write_report
from eiplatform.report.tables import Table, scorecard

__all__ = ["Table", "scorecard", "write_report"]
