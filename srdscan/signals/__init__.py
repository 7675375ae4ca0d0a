"""Signals: one module a family. Importing this package registers them all."""

from srdscan.measure.batch import Batch
from srdscan.signals import agreement, attention, drift, fluency, grounding
from srdscan.signals.base import SIGNALS, Evidence, Signal, register_signal, signals_for

__all__ = [
    "SIGNALS",
    "Batch",
    "Evidence",
    "Signal",
    "agreement",
    "attention",
    "drift",
    "fluency",
    "grounding",
    "register_signal",
    "signals_for",
]
