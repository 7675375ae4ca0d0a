"""An audit: pass 1 scores every sample, `verdicts` decides, pass 2 revisits the flagged ones, the report is written."""

import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np

from srdscan.captioners.load import load_captioner
from srdscan.config import AuditConfig, allowed_share
from srdscan.device import pick_device, reuse_large_allocations
from srdscan.fidelity import SentenceEncoder
from srdscan.language_model import LanguageModel
from srdscan.report.html import FlaggedSample, write_html
from srdscan.report.markdown import to_markdown
from srdscan.report.schema import (
    Counts,
    Gate,
    IrregularSample,
    ModelRecord,
    Report,
    ShardSummary,
    to_json,
)
from srdscan.report.table import write_samples
from srdscan.revisit import Located, ablate, illustrate
from srdscan.scores import Scores
from srdscan.scoring import Models, score_shard
from srdscan.shards import ReadOptions, ShardError, expand_shards, open_shard, shard_name
from srdscan.signals import SIGNALS, ablation
from srdscan.state import RunState, ShardRecord, load_scores, replace_text
from srdscan.verdicts import Verdicts, decide, judge_signals

PASS, FAILED, INCOMPLETE = 0, 1, 3
MOST_IRREGULAR = 1000
VERSIONED = ("srdscan", "torch", "transformers", "sentence-transformers", "numpy", "pillow", "pyarrow")


class Progress(Protocol):
    """Where an audit reports how far it is."""

    def stage(self, name: str, total: int | None) -> None:
        """A stage begins; `total` samples lie ahead, if that is known."""
        ...

    def advance(self, count: int) -> None:
        """`count` more samples are done."""
        ...


class Quiet:
    """No progress."""

    def stage(self, name: str, total: int | None) -> None: ...

    def advance(self, count: int) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """What an audit leaves: the report document, the verdicts and where they are."""

    report: Report
    verdicts: Verdicts
    html: Path


def audit(config: AuditConfig, progress: Progress | None = None) -> Outcome:
    """Runs an audit and writes the report.

    Raises:
        ConfigError: an option is wrong, or `out` holds another audit.
        ShardSpecError: a shard pattern is wrong or matches nothing.
        ModelError: a model cannot be loaded.
    """
    progress = progress or Quiet()
    locations = expand_shards(config.shards)
    calibration = load_scores(config.calibration) if config.calibration else None
    progress.stage("loading models", None)
    models = load_models(config)
    records_of_models = model_records(models)
    state = RunState(config.out, _identity(config, locations, records_of_models))

    records = score(config, locations, models, state, progress)
    scores = state.scores(records)
    verdicts = judge(config, locations, records, scores, models, calibration, progress)

    flagged = np.flatnonzero(verdicts.flagged)
    worst = flagged[np.argsort(verdicts.p_values[flagged], kind="stable")][: config.pictures]
    progress.stage("illustrating", len(worst))
    pictures = illustrate(
        locate(worst, locations, records),
        scores,
        models,
        read_options(config),
        config.batch_size,
        config.max_pixels,
        progress.advance,
    )
    rows = write_samples(config.out / "samples.parquet", scores, [r for r in records if r.scored], verdicts)
    shown = [
        FlaggedSample(**rows[int(row)], thumbnail=pictures[int(row)].thumbnail, overlay=pictures[int(row)].overlay)
        for row in worst
    ]
    report = make_report(config, records, verdicts, records_of_models)
    replace_text(config.out / "report.json", to_json(report))
    replace_text(config.out / "summary.md", to_markdown(report, shown))
    html = config.out / "report.html"
    write_html(html, report, shown, verdicts.p_values)
    return Outcome(report, verdicts, html)


def load_models(config: AuditConfig) -> Models:
    """All models of an audit, on its device."""
    device = pick_device(config.device)
    if device == "cpu":
        reuse_large_allocations()
    reference = load_captioner(config.reference, device, config.num_beams)
    same = config.captioner == config.reference
    suspect = reference if same else config.captioner and load_captioner(config.captioner, device, config.num_beams)
    return Models(
        reference=reference,
        sentence_encoder=SentenceEncoder(config.sentence_encoder, device),
        language_model=LanguageModel(config.language_model, device),
        captioner=suspect or None,
    )


def read_options(config: AuditConfig) -> ReadOptions:
    """How shards are read."""
    return ReadOptions(caption_fields=config.caption_fields)


def score(
    config: AuditConfig, locations: Sequence[str], models: Models, state: RunState, progress: Progress
) -> list[ShardRecord]:
    """Pass 1 over all shards; those that an earlier run completed are not read again."""
    progress.stage("scoring", config.limit)
    records: list[ShardRecord] = []
    left = config.limit
    for number, location in enumerate(locations):
        if left is not None and left <= 0:
            break
        record = _score_one(config, number, location, models, state, left, progress)
        records.append(record)
        if left is not None:
            left -= record.scored
    return records


def _score_one(
    config: AuditConfig,
    number: int,
    location: str,
    models: Models,
    state: RunState,
    limit: int | None,
    progress: Progress,
) -> ShardRecord:
    name = shard_name(location)
    try:
        with open_shard(location) as shard:
            sha256 = shard.sha256()
            finished = state.done(number, sha256)
            if finished is not None:
                progress.advance(finished.scored)
                return finished
            found = score_shard(
                shard, models, read_options(config), config.batch_size, limit, config.max_pixels, progress.advance
            )
    except ShardError as error:
        record = ShardRecord(name, location, "", 0, (), str(error), {})
        state.complete(number, record, None)
        return record
    record = ShardRecord(
        name=name,
        location=location,
        sha256=sha256,
        scored=found.table.num_rows if found.table is not None else 0,
        irregular=tuple(IrregularSample(i.shard, i.key, i.reason, i.detail) for i in found.irregular),
        problem=found.problem,
        meta=found.meta,
    )
    state.complete(number, record, found.table)
    return record


def judge(
    config: AuditConfig,
    locations: Sequence[str],
    records: Sequence[ShardRecord],
    scores: Scores,
    models: Models,
    calibration: Scores | None,
    progress: Progress,
) -> Verdicts:
    """All signals, then peak ablation of the most suspicious, then the decision."""
    count = len(scores)
    progress.stage("deciding", None)
    evidence = judge_signals(scores, models.captioner is not None, calibration) if count else {}
    verdicts = decide(evidence, count, config.fdr)
    if models.captioner is None or "attention_shape" not in scores.meta or count == 0:
        return verdicts
    chosen = ablation.plan(verdicts.p_values, config.seed)
    progress.stage("covering attention peaks", len(chosen.rows))
    gains, captions = ablate(
        locate(chosen.rows, locations, records),
        scores,
        models,
        read_options(config),
        config.batch_size,
        config.max_pixels,
        progress.advance,
    )
    evidence[ablation.NAME] = ablation.judge(count, chosen, gains, captions)
    return decide(evidence, count, config.fdr)


def locate(rows: Sequence[int] | np.ndarray, locations: Sequence[str], records: Sequence[ShardRecord]) -> list[Located]:
    """Rows of the score files as places in shards, shard by shard in order."""
    return list(_locate(np.sort(np.asarray(rows, dtype=np.int64)), locations, records))


def _locate(rows: np.ndarray, locations: Sequence[str], records: Sequence[ShardRecord]) -> Iterator[Located]:
    start = 0
    for number, record in enumerate(records):
        inside = rows[(rows >= start) & (rows < start + record.scored)]
        if len(inside):
            yield Located(locations[number], start, tuple(int(row) for row in inside))
        start += record.scored


def make_report(
    config: AuditConfig, records: Sequence[ShardRecord], verdicts: Verdicts, models: tuple[ModelRecord, ...]
) -> Report:
    """The report document."""
    irregular = [item for record in records for item in record.irregular]
    audited, flagged = len(verdicts.flagged), int(verdicts.flagged.sum())
    damaged = sum(record.problem is not None for record in records)
    share = allowed_share(config.fail_on)
    failed = share is not None and flagged > share * audited
    incomplete = damaged > 0 or audited == 0
    # Damage outranks the gate: a truncated scan never passes, and says so even when what was read already fails.
    code = INCOMPLETE if incomplete else FAILED if failed else PASS
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
        ablation.NAME: ablation.DESCRIPTION
    }
    return Report(
        verdict="incomplete" if incomplete else "fail" if failed else "pass",
        exit_code=code,
        mode="pair" if config.captioner is None else "model",
        counts=Counts(len(records), damaged, audited + len(irregular), len(irregular), audited, flagged),
        gate=Gate(config.fail_on, config.fdr, verdicts.threshold),
        targets=verdicts.findings,
        signals=verdicts.summaries(descriptions),
        shards=tuple(per_shard),
        irregular=dict(sorted(Counter(item.reason for item in irregular).items())),
        irregular_samples=tuple(irregular[:MOST_IRREGULAR]),
        config=asdict(config),
        versions={"python": platform.python_version()} | {name: version(name) for name in VERSIONED},
        models=models,
    )


def model_records(models: Models) -> tuple[ModelRecord, ...]:
    """Names and fingerprints of the models."""
    records = [
        ModelRecord("reference", models.reference.name, models.reference.fingerprint),
        ModelRecord("sentence-encoder", models.sentence_encoder.name, models.sentence_encoder.fingerprint),
        ModelRecord("language-model", models.language_model.name, models.language_model.fingerprint),
    ]
    if models.captioner is not None:
        records.insert(0, ModelRecord("captioner", models.captioner.name, models.captioner.fingerprint))
    return tuple(records)


def _identity(config: AuditConfig, locations: Sequence[str], models: tuple[ModelRecord, ...]) -> dict[str, object]:
    """What scores depend on; thresholds and gates may change between runs over the same scores."""
    return {
        "version": version("srdscan"),
        "shards": list(locations),
        "models": [asdict(model) for model in models],
        "batch_size": config.batch_size,
        "device": pick_device(config.device),
        "num_beams": config.num_beams,
        "limit": config.limit,
        "caption_fields": list(config.caption_fields),
        "max_pixels": config.max_pixels,
    }
