"""From shard records and verdicts to the report document, with the gate's verdict and exit code."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from srdscan.decide.fit import Fit
from srdscan.decide.verdicts import Verdicts
from srdscan.findings import ablation, substitution
from srdscan.measure.state import ShardRecord
from srdscan.models.loaded import ModelRecord
from srdscan.repair.sanitize import Sanitized
from srdscan.report.schema import Counts, Gate, Mode, Report, ShardSummary, Verdict
from srdscan.signals import SIGNALS

EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "incomplete": 3, "inconclusive": 3}
MOST_IRREGULAR = 1000
VERSIONED = ("srdscan", "torch", "transformers", "sentence-transformers", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True)
class Settings:
    """What the report has to know of an audit's settings.

    Attributes:
        mode: kind of audit.
        fail_on: the gate's rule, as it was given.
        allowed_share: the share of flagged samples up to which the gate passes; None never fails.
        fdr: false-discovery rate of the flagged samples.
        config: all settings, to be printed.
    """

    mode: Mode
    fail_on: str
    allowed_share: float | None
    fdr: float
    config: Mapping[str, object]


def make_report(
    settings: Settings,
    records: Sequence[ShardRecord],
    verdicts: Verdicts,
    models: tuple[ModelRecord, ...],
    sanitized: Sanitized | None = None,
    fit: tuple[Fit, ...] = (),
) -> Report:
    """The report document."""
    irregular = [item for record in records for item in record.irregular]
    audited, flagged = len(verdicts.flagged), int(verdicts.flagged.sum())
    damaged = sum(record.problem is not None for record in records)
    share = settings.allowed_share
    failed = share is not None and flagged > share * audited
    incomplete = damaged > 0 or audited == 0 or bool(sanitized and sanitized.problems)
    # Damage outranks the gate: a truncated scan never passes, and says so even when what was read already fails.
    verdict: Verdict = "incomplete" if incomplete else "fail" if failed else "pass"
    if not incomplete and not all(item.fits for item in fit):
        verdict = "inconclusive"
    per_shard, start = [], 0
    for record in records:
        found = int(verdicts.flagged[start : start + record.scored].sum())
        start += record.scored
        per_shard.append(
            ShardSummary(
                record.name,
                record.sha256,
                record.scored + len(record.irregular),
                len(record.irregular),
                found,
                record.problem,
            )
        )
    descriptions = {name: signal.description for name, signal in SIGNALS.items()} | {
        ablation.NAME: ablation.DESCRIPTION,
        substitution.NAME: substitution.DESCRIPTION,
    }
    return Report(
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        mode=settings.mode,
        counts=Counts(len(records), damaged, audited + len(irregular), len(irregular), audited, flagged),
        gate=Gate(settings.fail_on, settings.fdr, verdicts.threshold),
        targets=verdicts.findings,
        signals=verdicts.summaries(descriptions),
        shards=tuple(per_shard),
        irregular=dict(sorted(Counter(item.reason for item in irregular).items())),
        irregular_samples=tuple(irregular[:MOST_IRREGULAR]),
        config=dict(settings.config),
        versions={"python": platform.python_version()} | {name: version(name) for name in VERSIONED},
        models=models,
        sanitized=sanitized,
        fit=fit,
    )
