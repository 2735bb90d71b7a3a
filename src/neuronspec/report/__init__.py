"""Figures and the HTML report."""

from neuronspec.report import figures
from neuronspec.report.data import ReportData
from neuronspec.report.page.html import write_report

__all__ = ["ReportData", "figures", "write_report"]
