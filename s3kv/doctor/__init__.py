"""What works between a store's owner and the store, and what does not: tried, and told with what to do."""

from .examine import examine
from .report import Check, Report

__all__ = ["Check", "Report", "examine"]
