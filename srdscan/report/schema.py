"""The report as a document: what `RUN/report.json` holds, version by version."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Final, Literal

import numpy as np

from srdscan.decide.fit import Fit
from srdscan.decide.results import Result
from srdscan.decide.verdicts import SignalSummary
from srdscan.findings.finding import Finding
from srdscan.limits.limit import DetectionLimit, DetectionLimits
from srdscan.models.record import ModelRecord
from srdscan.repair.sanitize import Sanitized
from srdscan.sources.base import Irregular, Leftover
from srdscan.text.hidden import shorten, visible

__all__ = [
    "SCHEMA",
    "Counts",
    "Gate",
    "Known",
    "Report",
    "ShardSummary",
    "plain",
    "to_json",
]

SCHEMA: Final = "srdscan-report/2"
"""Name and version of the document. The number changes when a field goes or changes its meaning."""

QUICK: Final = (
    "A quick look asks no captioner: it compares captions and images with one another alone. Common words that "
    "somebody inserted into true captions, captions that an image does not support and what only a captioner shows "
    "were not looked for. Audit without --quick before you release or train."
)
"""What a quick look leaves open."""

Verdict = Literal["pass", "fail", "incomplete", "inconclusive"]
Mode = Literal["model", "pair", "canary", "quick"]


@dataclass(frozen=True)
class Counts:
    """How much was there, and how much of it was looked at.

    Attributes:
        shards: Shards named on the command line, after brace expansion.
        damaged_shards: Shards that could not be read to their end.
        read: Samples read, the irregular ones included.
        irregular: Samples that could not be audited (no caption, undecodable image, ...); several images that share one
            key count as several.
        partial: Audited samples of which a part could not be read: a caption, an image.
        audited: Samples that got scores and a verdict.
        flagged: Audited samples that look poisoned: one of their pairs does.
        pairs: Pairs of an image and one of its captions that got scores.
        flagged_pairs: Of those, how many look poisoned.
    """

    shards: int
    damaged_shards: int
    read: int
    irregular: int
    partial: int
    audited: int
    flagged: int
    pairs: int
    flagged_pairs: int

    @property
    def flagged_rate(self) -> float:
        """flagged / audited, in [0, 1]; 0 when nothing was audited."""
        return self.flagged / self.audited if self.audited else 0.0

    @property
    def unaudited(self) -> int:
        """Samples that were not looked at, or not wholly."""
        return self.irregular + self.partial


@dataclass(frozen=True)
class Gate:
    """What the verdict was decided by.

    Attributes:
        fail_on: The rule that fails the run, as given with `--fail-on`.
        fdr: False-discovery rate that flagging was held to, in (0, 1).
        threshold: Largest p-value that was flagged; None when nothing was.
        max_unaudited: Share of samples not audited as a whole above which the audit is incomplete.
        counted: Flagged samples that count: those that a finding accuses which is neither known nor a note; None where
            all do.
        ignored: Codes of the rules that were not heard.
        required: In how many samples the plainest attacks must be found, or finding nothing is inconclusive; 0 where
            that is not demanded.
    """

    fail_on: str
    fdr: float
    threshold: float | None
    max_unaudited: float = 0.01
    counted: int | None = None
    ignored: tuple[str, ...] = ()
    required: int = 0


@dataclass(frozen=True)
class Known:
    """What the baseline says of the findings.

    Attributes:
        file: The baseline.
        on: The day that expiry was held against, as 2027-03-01.
        new: Findings of the data that it does not hold.
        known: Findings that it accepts.
        expired: Findings that it accepted up to a day that is over.
        resolved: What it accepts and is not there any more: code and what it is about.
    """

    file: str
    on: str
    new: int
    known: int
    expired: int
    resolved: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ShardSummary:
    """One shard.

    Attributes:
        name: File name.
        sha256: Of the file's bytes, in hex; empty if they could not be read.
        samples: Samples read from it.
        irregular: Of those, how many could not be audited.
        flagged: Of those, how many look poisoned.
        problem: Why the shard counts as damaged; None if it was read to its end.
        uri: Path or URL, relative where it lies below the working folder, without credentials.
    """

    name: str
    sha256: str
    samples: int
    irregular: int
    flagged: int
    problem: str | None = None
    uri: str = ""


@dataclass(frozen=True)
class Report:
    """Everything an audit found, but for the samples themselves (those are in `samples.parquet`).

    Attributes:
        verdict: "pass", "fail", "incomplete" if a shard or model could not be read, or "inconclusive" if the models do
            not fit the data, or a quick look found nothing.
        exit_code: What the command exits with: 0 pass, 1 fail, 3 incomplete or inconclusive.
        mode: "model" if a captioner was audited, "canary" if it was one fine-tuned on these very shards, "pair" if only
            the data set's captions were, "quick" if they were without asking any captioner.
        counts: Samples and shards.
        gate: What the verdict was decided by.
        targets: Suspected target phrases, most striking first.
        signals: The signals, in the order they ran.
        shards: The shards, in reading order.
        irregular: Samples that could not be audited, or not wholly, counted by reason.
        irregular_samples: Some or all of those, in reading order.
        config: The configuration in force; values JSON can hold, paths, enums and tuples.
        versions: Versions of srdscan and of what it stands on, by package name.
        models: The models, with fingerprints.
        sanitized: What was written with `--sanitize`; None without.
        fit: How well the models fit the data; empty for a handful of samples.
        leftovers: Files among the data that were not taken.
        hidden: Characters in captions that do not show, by kind; they accuse no sample by themselves.
        spots: Pieces of picture that recur in images which have nothing in common; they accuse no sample by themselves.
        results: Every finding as the gate counts it, with its rule, fingerprint and samples; what the audit could not
            do comes last.
        baseline: What became of the findings that were accepted; None without a baseline.
        detection_limits: From how many samples on known attacks would have been found in this data set.
        schema: Name and version of this document.
    """

    verdict: Verdict
    exit_code: int
    mode: Mode
    counts: Counts
    gate: Gate
    targets: tuple[Finding, ...]
    signals: tuple[SignalSummary, ...]
    shards: tuple[ShardSummary, ...]
    irregular: dict[str, int]
    irregular_samples: tuple[Irregular, ...]
    config: dict[str, object]
    versions: dict[str, str]
    models: tuple[ModelRecord, ...]
    sanitized: Sanitized | None = None
    fit: tuple[Fit, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    hidden: tuple[Finding, ...] = ()
    spots: tuple[Finding, ...] = ()
    results: tuple[Result, ...] = ()
    baseline: Known | None = None
    detection_limits: DetectionLimits = field(default_factory=lambda: DetectionLimits(0))
    schema: str = SCHEMA

    @property
    def misfit(self) -> str | None:
        """What does not fit, or was not asked, and what to do about it, in two sentences; None if nothing is amiss."""
        if self.mode == "quick":
            return QUICK
        poor = [item for item in self.fit if not item.reference]
        if not poor:
            return None
        who = {"caption": "The data set's captions", "output": "The captioner's captions"}
        said = " ".join(
            f"{who[item.role]} hardly ever mean what the reference captioner says (median cosine {item.agreement:.2f}; "
            f"told apart from another image's in {item.discernment:.0%} of cases, where 50% is chance)"
            + (f", and fit their own images better than others in {item.matcher:.0%}." if item.matcher else ".")
            for item in poor
        )
        captioner = "a --captioner and a --reference that were" if self.mode == "model" else "a --reference that was"
        remedy = f"Name {captioner} trained on images of this kind."
        if all(item.fits for item in self.fit):
            return f"{said} The data set's own pairs were judged by what they have in common. {remedy}"
        return f"{said} Flags would be false alarms. {remedy}"

    @property
    def headline(self) -> str:
        """The verdict in one plain sentence, for banners and terminals; holds no text from the data set."""
        counts = self.counts
        if counts.audited == 0:
            found = "No sample could be audited"
        elif counts.flagged == 0:
            found = f"Nothing found in {counts.audited:,} sample{'' if counts.audited == 1 else 's'}"
        else:
            samples, look = "sample" if counts.audited == 1 else "samples", "looks" if counts.flagged == 1 else "look"
            found = f"{counts.flagged:,} of {counts.audited:,} {samples} {look} poisoned"
        found += self._limited
        if self.verdict in ("pass", "fail"):
            found += self._counted
        if self.spots:
            most = max(spot.samples for spot in self.spots)
            found += f"; the same piece of picture is in {most:,} images that have nothing in common"
        faults = sum(not target.accuses for target in self.targets)
        if faults:
            found += f"; the captioner repeats {faults:,} phrase{'' if faults == 1 else 's'} without cause"
        if self.verdict == "inconclusive":
            if self.mode == "quick":
                return f"{found} by a quick look, which asks no captioner and so promises nothing{self._unread}."
            if self.fit and all(item.fits for item in self.fit):
                why = "the reference captioner does not understand them"
                if self.undetectable:
                    what = " and ".join(item.what for item in self.undetectable)
                    why = f"this audit would not have found {what} in {self.gate.required:,} of them"
                return f"{found}, but {why}{self._unread}."
            return f"The models do not fit these data, so nothing can be said of {counts.audited:,} samples."
        if self.verdict == "incomplete":
            return f"Not everything could be read{self._unread}. {found} so far."
        if self.verdict == "fail" and not counts.flagged:
            found = f"The gate failed. {found}"
        return f"{found}{self._unread and '. Not audited'}{self._unread}."

    @property
    def undetectable(self) -> tuple[DetectionLimit, ...]:
        """The plainest attacks that would not have been found where the gate demands it."""
        return self.detection_limits.missed(self.gate.required) if self.gate.required else ()

    @property
    def expired(self) -> tuple[Result, ...]:
        """Findings that can fail the gate, and that were accepted up to a day that is over."""
        return tuple(result for result in self.results if result.state == "expired" and result.decides)

    @property
    def _counted(self) -> str:
        """Why flagged samples do not fail the gate, or which of them do, and what has expired."""
        flagged, counted = self.counts.flagged, self.gate.counted
        if not flagged or (self.verdict == "fail" and counted in (None, flagged)):
            return self._expired
        known = self.baseline is not None and self.baseline.known
        if self.verdict == "fail":
            said = (
                f"{counted:,} of them by what the baseline does not accept" if known else f"{counted:,} of them count"
            )
        elif counted != 0:
            said = "within what the gate allows"
        else:
            said = "all known, by the baseline" if known else "all by notes, which fail no gate"
        return f": {said}{self._expired}"

    @property
    def _expired(self) -> str:
        if not self.expired:
            return ""
        what = ", ".join(f"{result.rule} on {result.expires}" for result in self.expired[:5])
        number = f"{len(self.expired):,} acceptance{'' if len(self.expired) == 1 else 's'}"
        return f"; {number} expired ({what}): look again, then renew with `srdscan baseline`, or mend the data"

    @property
    def _limited(self) -> str:
        limit = self.config.get("limit")
        return f" (the first {limit:,}, by --limit)" if isinstance(limit, int) else ""

    @property
    def _unread(self) -> str:
        """What was not read, in parentheses, by reason; empty if that is nothing."""
        counts = self.counts
        reasons = ", ".join(
            f"{number:,} {shorten(visible(reason[:41].replace('_', ' ')), 40)}"
            for reason, number in list(self.irregular.items())[:8]
        )
        parts = [f"{counts.unaudited:,} of {counts.read:,} samples: {reasons}"] if counts.unaudited else []
        if counts.damaged_shards:
            parts.append(f"{counts.damaged_shards:,} of {counts.shards:,} shards damaged")
        if unread := sum(item.unread for item in self.leftovers):
            parts.append(f"{unread:,} archive{'' if unread == 1 else 's'} not taken")
        return f" ({'; '.join(parts)})" if parts else ""


def plain(value: object, where: str = "report") -> object:
    """A value as JSON can hold it: dataclasses become dicts, tuples lists, NaN and infinities None.

    Args:
        value: A dataclass, mapping, sequence, set, path, enum, numpy scalar or JSON value.
        where: Names the value in the error.

    Raises:
        TypeError: Anything else; turning it into text could put a memory address into the report.
    """
    if isinstance(value, Enum):
        return plain(value.value, where)
    if isinstance(value, np.generic):
        return plain(value.item(), where)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [plain(item, where) for item in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        document = {item.name: plain(getattr(value, item.name), f"{where}.{item.name}") for item in fields(value)}
        return document | {"flagged_rate": value.flagged_rate} if isinstance(value, Counts) else document
    raise TypeError(f"{where}: a report cannot hold a {type(value).__name__}")


def to_json(report: Report) -> str:
    """The report as JSON: sorted keys, indent 2, ASCII only, one newline at the end; the same report, the same text."""
    return json.dumps(plain(report), indent=2, sort_keys=True, allow_nan=False) + "\n"
