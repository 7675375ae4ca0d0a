"""From shard records and verdicts to the report document, with the gate's verdict and exit code."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from srdscan.config.audit import most_flagged
from srdscan.decide.baseline import Baseline
from srdscan.decide.fit import Fit
from srdscan.decide.results import Results
from srdscan.decide.verdicts import Verdicts
from srdscan.findings import ablation, foreign, substitution
from srdscan.findings import spots as recurring_spots
from srdscan.findings.finding import Finding
from srdscan.limits.limit import DetectionLimits, required_of
from srdscan.measure.state import UnitRecord
from srdscan.models.record import ModelRecord
from srdscan.repair.sanitize import Sanitized
from srdscan.report.schema import Counts, Gate, Known, Mode, Report, ShardSummary, Verdict
from srdscan.report.unaudited import audit_results
from srdscan.rules import Severity, severities
from srdscan.signals import SIGNALS
from srdscan.sources.base import Irregular, Leftover
from srdscan.sources.where import is_remote, redacted

EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "incomplete": 3, "inconclusive": 3}
MOST_IRREGULAR = 1000
VERSIONED = ("srdscan", "torch", "transformers", "sentence-transformers", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True)
class Settings:
    """What the report has to know of an audit's settings.

    Attributes:
        mode: kind of audit.
        fail_on: the gate's rule, as it was given.
        fdr: false-discovery rate of the flagged samples.
        max_unaudited: share of samples not audited as a whole above which the audit is incomplete.
        config: all settings, to be printed.
        ignored: codes of the rules that were not heard.
        levels: severity of each rule.
        baseline: what was accepted, and in which file; None without.
        require_detection: in how many samples the plainest attacks must be found; None goes by the data set's size.
        plugins: versions of the packages whose plug-ins took part.
    """

    mode: Mode
    fail_on: str
    fdr: float
    max_unaudited: float
    config: Mapping[str, object]
    ignored: tuple[str, ...] = ()
    levels: Mapping[str, Severity] = field(default_factory=lambda: severities({}))
    baseline: tuple[str, Baseline] | None = None
    require_detection: int | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)


def make_report(
    settings: Settings,
    records: Sequence[UnitRecord],
    verdicts: Verdicts,
    models: tuple[ModelRecord, ...],
    sanitized: Sanitized | None = None,
    fit: tuple[Fit, ...] = (),
    leftovers: tuple[Leftover, ...] = (),
    hidden: tuple[Finding, ...] = (),
    spots: tuple[Finding, ...] = (),
    judged: Results | None = None,
    limits: DetectionLimits | None = None,
) -> Report:
    """The report document.

    Args:
        judged: the results, of which the gate counts the samples; None counts every flagged sample.
        limits: what would have been found; None if that is not known.
    """
    irregular = [item for record in records for item in record.irregular]
    counts = count(records, verdicts)
    most = most_flagged(settings.fail_on, counts.audited)
    counted = counts.flagged if judged is None else judged.counted
    results = judged.results if judged is not None else ()
    expired = any(result.decides and result.state == "expired" for result in results)
    failed = most is not None and (counted > most or expired)
    incomplete = (
        counts.damaged_shards > 0
        or counts.audited == 0
        or counts.unaudited > settings.max_unaudited * counts.read
        or any(item.unread for item in leftovers)
        or bool(sanitized and sanitized.problems)
    )
    # Damage outranks the gate: a truncated scan never passes, and says so even when what was read already fails.
    verdict: Verdict = "incomplete" if incomplete else "fail" if failed else "pass"
    limits = limits or DetectionLimits(counts.audited)
    required = required_of(counts.audited, settings.require_detection) if limits.limits else 0
    # What is found counts; nothing found is a promise where plain attacks would have been, or all witnesses were heard.
    promised = not limits.missed(required) if required else all(item.reference for item in fit)
    if not incomplete and not (all(item.fits for item in fit) and (failed or promised)):
        verdict = "inconclusive"
    if verdict == "pass" and settings.mode == "quick":
        verdict = "inconclusive"
    per_shard, start = [], 0
    for record in records:
        rows = slice(start, start + record.rows)
        found = len(np.unique(verdicts.sample_of[rows][verdicts.flagged[rows]]))
        start += record.rows
        lost = sum(item.samples for item in record.irregular if not item.partial)
        per_shard.append(
            ShardSummary(
                record.name,
                record.sha256,
                record.scored + lost,
                lost,
                found,
                record.problem,
                _uri(record),
            )
        )
    descriptions = {name: signal.description for name, signal in SIGNALS.items()} | {
        foreign.NAME: foreign.DESCRIPTION,
        ablation.NAME: ablation.DESCRIPTION,
        substitution.NAME: substitution.DESCRIPTION,
        recurring_spots.NAME: recurring_spots.DESCRIPTION,
    }
    report = Report(
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        mode=settings.mode,
        counts=counts,
        gate=Gate(
            settings.fail_on,
            settings.fdr,
            verdicts.threshold,
            settings.max_unaudited,
            counted,
            settings.ignored,
            required,
        ),
        targets=verdicts.findings,
        signals=verdicts.summaries(descriptions),
        shards=tuple(per_shard),
        irregular=dict(sorted(_by_reason(irregular).items())),
        irregular_samples=tuple(irregular[:MOST_IRREGULAR]),
        config=dict(settings.config),
        versions={"python": platform.python_version()}
        | {name: version(name) for name in VERSIONED}
        | dict(settings.plugins),
        models=models,
        sanitized=sanitized,
        fit=fit,
        leftovers=leftovers,
        hidden=hidden,
        spots=spots,
        baseline=_known(settings, judged) if judged is not None else None,
        detection_limits=limits,
    )
    of_audit = audit_results(report, settings.max_unaudited)
    return replace(report, results=(*results, *of_audit))


def _uri(record: UnitRecord) -> str:
    """Where a unit lies, as a reader of the report can use it."""
    if is_remote(record.location):
        return redacted(record.location)
    path = Path(record.location)
    if path.is_absolute():
        return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else record.name
    return path.as_posix()


def _known(settings: Settings, found: Results) -> Known | None:
    if settings.baseline is None:
        return None
    file, baseline = settings.baseline
    states = Counter(result.state for result in found.results)
    resolved = tuple((entry.code, entry.about) for entry in found.resolved)
    return Known(file, baseline.today.isoformat(), states["new"], states["known"], states["expired"], resolved)


def count(records: Sequence[UnitRecord], verdicts: Verdicts) -> Counts:
    """How much there was, and how much of it was looked at."""
    irregular = [(record.name, item) for record in records for item in record.irregular]
    lost = sum(item.samples for _, item in irregular if not item.partial)
    partial = len({(name, item.index) for name, item in irregular if item.partial})
    return Counts(
        shards=len(records),
        damaged_shards=sum(record.problem is not None for record in records),
        read=verdicts.samples + lost,
        irregular=lost,
        partial=partial,
        audited=verdicts.samples,
        flagged=verdicts.flagged_samples,
        pairs=len(verdicts.flagged),
        flagged_pairs=int(verdicts.flagged.sum()),
    )


def _by_reason(irregular: Sequence[Irregular]) -> Counter[str]:
    found: Counter[str] = Counter()
    for item in irregular:
        found[item.reason] += item.samples
    return found
