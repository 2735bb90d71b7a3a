"""Figures and the HTML report."""

from neuronspec.report import figures
from neuronspec.report.html import ReportData, write_report

__all__ = ["ReportData", "figures", "write_report"]
