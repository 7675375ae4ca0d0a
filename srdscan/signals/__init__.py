"""Signals: one module a family. Importing this package registers them all."""

from srdscan.signals import attention, density, drift, fluency, grounding, targets
from srdscan.signals.base import SIGNALS, Batch, Evidence, Signal, register_signal, signals_for

__all__ = [
    "SIGNALS",
    "Batch",
    "Evidence",
    "Signal",
    "attention",
    "density",
    "drift",
    "fluency",
    "grounding",
    "register_signal",
    "signals_for",
    "targets",
]
