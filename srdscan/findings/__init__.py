"""What is found in a data set as a whole: one module a kind. Importing this package registers their signals."""

from srdscan.findings import repeats, targets, undelivered
from srdscan.findings.finding import Finding, Found

__all__ = ["Finding", "Found", "repeats", "targets", "undelivered"]
