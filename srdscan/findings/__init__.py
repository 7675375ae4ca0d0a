"""What is found in a data set as a whole: one module a kind. Importing this package registers the `targets` signals."""

from srdscan.findings import targets
from srdscan.findings.finding import Finding, Found

__all__ = ["Finding", "Found", "targets"]
