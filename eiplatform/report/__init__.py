"""The report: tables and figures of a study in one self-contained HTML file."""

from eiplatform.report.findings import findings_of
from eiplatform.report.html import write_report
from eiplatform.report.tables import Table, scorecard

__all__ = ["Table", "findings_of", "scorecard", "write_report"]
