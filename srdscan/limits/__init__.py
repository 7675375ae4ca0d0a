"""Limits of detection: known poison is planted into an audit's own scores, to know what it would have found."""

from srdscan.limits.limit import DetectionLimit, DetectionLimits, Trial

__all__ = ["DetectionLimit", "DetectionLimits", "Trial"]
