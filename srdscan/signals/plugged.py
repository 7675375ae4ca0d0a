"""Signals of plug-ins: held to the contract while they work, and heard in the audits that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from srdscan.errors import ConfigError, meant
from srdscan.measure.batch import Batch
from srdscan.measure.scores import Column, Scores
from srdscan.plugins import Plugin, PluginError, find_plugins, one_line
from srdscan.signals.base import SIGNALS, Evidence, Signal
from srdscan.signals.check import ContractError, check_attributes, check_columns, check_evidence

RESERVED: Final = ("ablation", "foreign", "spots", "substitution")
"""Names of evidence that comes of no registered signal."""

_used: set[str] = set()


def own_signals() -> set[str]:
    """Names that no plug-in may take."""
    return {*SIGNALS, *RESERVED} - _used


def use_signals(names: Sequence[str]) -> None:
    """From now on `SIGNALS` holds srdscan's own and those of these plug-ins; what another audit named goes.

    Raises:
        ConfigError: there is no such plug-in, it cannot be imported, or it lacks a part of the contract.
    """
    for name in _used:
        del SIGNALS[name]
    _used.clear()
    if not names:
        return
    own = own_signals()
    known = find_plugins("signals", own)
    for name in dict.fromkeys(names):
        if name in own:
            raise ConfigError(f"--signal {name}: is always heard. Leave it out")
        if name not in known:
            there = f"installed are {', '.join(known)}" if known else "no package here has one"
            raise ConfigError(f"--signal {name}: no such plug-in (srdscan.signals): {there}.{meant(name, known)}")
        SIGNALS[name] = _loaded(known[name])
        _used.add(name)


def _loaded(plugin: Plugin) -> Signal:
    found = plugin.load()
    try:
        signal = found() if isinstance(found, type) else found
        check_attributes(signal)
    except Exception as error:
        raise ConfigError(f"{plugin}: {_clause(error)}. {HELP}") from error
    if signal.name != plugin.name:
        raise ConfigError(f"{plugin}: its signal is called {signal.name!r}; both must have one name. {HELP}")
    return Held(plugin, signal)


HELP: Final = "`srdscan.signals.check.check_signal` tells its authors what is missing"


class Held:
    """A signal of a plug-in, whose answers are looked at before anything is made of them."""

    in_quick_look: bool

    def __init__(self, plugin: Plugin, inner: Any) -> None:
        self.plugin, self.inner = plugin, inner
        self.name: str = inner.name
        self.description: str = inner.description
        self.needs_captioner: bool = inner.needs_captioner
        self.leans_on_reference: bool = inner.leans_on_reference
        self.in_quick_look = inner.in_quick_look

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """As the signal does.

        Raises:
            PluginError: it raised something, or its answer breaks the contract; so in `judge`.
        """
        try:
            columns = dict(self.inner.measure(batch))
            check_columns(self.name, columns, len(batch.pictures if self.needs_captioner else batch.captions))
        except Exception as error:
            raise self._broken(error) from error
        return columns

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """As the signal does; its reasons name it."""
        try:
            evidence: Evidence = self.inner.judge(scores, calibration)
            check_evidence(evidence, len(scores))
        except Exception as error:
            raise self._broken(error) from error
        return replace(evidence, reason=lambda row: self._reason(evidence, row))

    def _reason(self, evidence: Evidence, row: int) -> str:
        try:
            said = str(evidence.reason(row))
        except Exception as error:
            raise self._broken(error) from error
        return said and f"{self.name}: {said}"

    def _broken(self, error: Exception) -> Exception:
        """What to raise of it; a device without room is for who measures to answer."""
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return error
        return PluginError(f"{self.plugin}: {_clause(error)}. Leave --signal {self.name} out, or update it")


def _clause(error: Exception) -> str:
    return str(error) if isinstance(error, ContractError) else one_line(error)
