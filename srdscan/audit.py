"""An audit: pass 1 scores every sample, `verdicts` decides, pass 2 revisits the flagged ones, the report is written."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from srdscan.config import AuditConfig, FinetuneConfig, allowed_share
from srdscan.decide.fit import measure_fit
from srdscan.decide.verdicts import Verdicts, decide, judge_signals
from srdscan.findings import ablation, substitution
from srdscan.findings.recaption import ablate, recaption_grafts
from srdscan.findings.target_search import find_targets
from srdscan.finetune.canary import BASE, make_canary
from srdscan.measure.batch import Role
from srdscan.measure.revisit import ImageSource
from srdscan.measure.scores import Scores
from srdscan.measure.scoring import Room, score_shard
from srdscan.measure.state import RunState, ShardRecord, load_scores, replace_text
from srdscan.models.device import module_fingerprint, pick_device
from srdscan.models.loaded import ModelRecord, Models, load_models, model_records
from srdscan.policy.store import Policy, load_policy
from srdscan.progress import Progress, Quiet
from srdscan.repair import Repair, discard, repair
from srdscan.repair.sanitize import Sanitized, Sanitizer, check_destination
from srdscan.report.build import Settings, make_report
from srdscan.report.html import FlaggedSample, write_html
from srdscan.report.illustrate import Pictures, illustrate
from srdscan.report.markdown import to_markdown
from srdscan.report.pictures import thumbnail
from srdscan.report.schema import Mode, Report, to_json
from srdscan.report.table import write_samples
from srdscan.signals import signals_for
from srdscan.signals.head_norms import anomalous_heads, head_norms, top_peaks
from srdscan.sources.base import IrregularSample, ShardError
from srdscan.sources.tar import expand_shards, open_shard, shard_name


@dataclass(frozen=True)
class Examined:
    """What is known of a data set once every sample is scored and judged."""

    records: list[ShardRecord]
    scores: Scores
    verdicts: Verdicts
    source: ImageSource
    calibration: Scores | None


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
    progress.stage("loading models", None)
    if config.sanitize is not None:
        check_destination(config.sanitize, expand_shards(config.shards))
    models = open_models(config, str(make_canary(_canary(config), progress)) if config.canary else None)
    wanted = config.sanitize is not None and config.replace != "drop" and models.captioner is not None
    policy = load_policy(config.policy, pick_device(config.device)) if wanted else None
    examined = examine(config, models, progress)
    scores, verdicts = examined.scores, examined.verdicts

    repairs: dict[int, Repair] = {}
    sanitized: Sanitized | None = None
    roles: tuple[Role, ...] = ("caption", "output") if models.captioner is not None else ("caption",)
    fit = measure_fit(scores, roles)
    if config.sanitize is not None and all(item.fits for item in fit):
        repairs, sanitized = write_sanitized(config, models, policy, examined, progress)

    flagged = np.flatnonzero(verdicts.flagged)
    worst = flagged[np.argsort(verdicts.p_values[flagged], kind="stable")][: config.pictures]
    progress.stage("illustrating", len(worst))
    heads = None
    if models.captioner is not None and "attention_shape" in scores.meta and len(worst):
        heads = anomalous_heads(scores, head_norms(scores, examined.calibration))[0]
    pictures = illustrate(worst, heads, examined.source, models.captioner, progress.advance)
    scored = [record for record in examined.records if record.scored]
    rows = write_samples(config.out / "samples.parquet", scores, scored, verdicts, repairs)
    shown = [_shown(rows[int(row)], pictures[int(row)], repairs.get(int(row))) for row in worst]
    records = model_records(models)
    if policy is not None:
        records += (ModelRecord("policy", policy.name, module_fingerprint(policy.network)),)
    report = make_report(_settings(config), examined.records, verdicts, records, sanitized, fit)
    replace_text(config.out / "report.json", to_json(report))
    replace_text(config.out / "summary.md", to_markdown(report, shown))
    html = config.out / "report.html"
    write_html(html, report, shown, verdicts.p_values)
    return Outcome(report, verdicts, html)


def open_models(config: AuditConfig, captioner: str | None = None) -> Models:
    """The models that an audit's configuration names.

    Args:
        captioner: the captioner under audit, where it is another than the configuration's.
    """
    return load_models(
        config.reference,
        captioner or config.captioner,
        config.sentence_encoder,
        config.language_model,
        config.device,
        config.num_beams,
        config.prompt,
        config.reference_prompt,
    )


def _canary(config: AuditConfig) -> FinetuneConfig:
    """How the canary is fine-tuned."""
    return FinetuneConfig(
        shards=config.shards,
        base=BASE,
        out=config.out / "canary",
        epochs=config.canary_epochs,
        seed=config.seed,
        caption_fields=config.caption_fields,
        max_pixels=config.max_pixels,
    )


def _settings(config: AuditConfig) -> Settings:
    mode: Mode = "canary" if config.canary else "pair" if config.captioner is None else "model"
    return Settings(mode, config.fail_on, allowed_share(config.fail_on), config.fdr, asdict(config))


def _shown(row: dict[str, Any], pictures: Pictures, repair: Repair | None) -> FlaggedSample:
    """A flagged sample for the report."""
    if repair is None:
        return FlaggedSample(**row, thumbnail=pictures.thumbnail, overlay=pictures.overlay)
    return FlaggedSample(
        **row,
        thumbnail=pictures.thumbnail,
        overlay=pictures.overlay,
        fate=repair.fate,
        sanitized=repair.caption,
        actions=repair.actions,
        perturbed=thumbnail(Image.fromarray(repair.image)) if repair.image is not None else None,
    )


def write_sanitized(
    config: AuditConfig, models: Models, policy: Policy | None, examined: Examined, progress: Progress
) -> tuple[dict[int, Repair], Sanitized]:
    """Pass 2: repairs the flagged samples, and writes the data set anew."""
    scores, flagged = examined.scores, np.flatnonzero(examined.verdicts.flagged)
    progress.stage("repairing", len(flagged))
    if config.replace == "drop":
        repairs = {int(row): discard(int(row)) for row in flagged}
    else:
        repairs = repair(
            examined.verdicts.flagged,
            examined.source,
            scores,
            models,
            policy,
            examined.verdicts.findings,
            config.fallback,
            progress,
            config.seed,
            examined.calibration,
            images_wanted=config.replace == "image+caption",
        )
    progress.stage("writing shards", sum(record.scored for record in examined.records))
    source = examined.source
    assert config.sanitize is not None
    sanitizer = Sanitizer(
        config.sanitize,
        config.out / "quarantine",
        config.reading,
        source.locations,
        examined.records,
        source.indices,
        repairs,
        images_too=config.replace == "image+caption",
    )
    return repairs, sanitizer.write(progress)


def examine(config: AuditConfig, models: Models, progress: Progress) -> Examined:
    """Pass 1 and the decision: every sample scored and judged; a run that was killed continues.

    Raises:
        ConfigError: an option is wrong, or `out` holds another audit.
        ShardSpecError: a shard pattern is wrong or matches nothing.
    """
    locations = expand_shards(config.shards)
    calibration = load_scores(config.calibration) if config.calibration else None
    state = RunState(config.out, _identity(config, locations, model_records(models)))
    records = score(config, locations, models, state, progress)
    scores = state.scores(records)
    source = ImageSource(locations, records, scores, config.reading, config.batch_size, config.max_pixels)
    verdicts = judge(config, source, scores, models, calibration, progress)
    return Examined(records, scores, verdicts, source, calibration)


def score(
    config: AuditConfig, locations: Sequence[str], models: Models, state: RunState, progress: Progress
) -> list[ShardRecord]:
    """Pass 1 over all shards; those that an earlier run completed are not read again."""
    progress.stage("scoring", config.limit)
    records: list[ShardRecord] = []
    left = config.limit
    room = Room(config.batch_size)
    for number, location in enumerate(locations):
        if left is not None and left <= 0:
            break
        record = _score_one(config, number, location, models, state, left, room, progress)
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
    room: Room,
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
                shard,
                models,
                signals_for(models.captioner is not None),
                config.reading,
                config.batch_size,
                limit,
                config.max_pixels,
                progress.advance,
                room,
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
    source: ImageSource,
    scores: Scores,
    models: Models,
    calibration: Scores | None,
    progress: Progress,
) -> Verdicts:
    """All signals, then what is measured on changed images: peak ablation and substitution; then the decision."""
    count = len(scores)
    progress.stage("deciding", None)
    evidence = judge_signals(scores, models.captioner is not None, calibration) if count else {}
    verdicts = decide(evidence, count, config.fdr)
    if models.captioner is None or "attention_shape" not in scores.meta or count == 0:
        return verdicts
    chosen = ablation.plan(verdicts.p_values, config.seed)
    progress.stage("covering attention peaks", len(chosen.rows))
    norms = head_norms(scores, calibration)
    _, peaks, _ = anomalous_heads(scores, norms)
    gains, captions = ablate(chosen.rows, peaks, source, scores, models, progress.advance)
    evidence[ablation.NAME] = ablation.judge(count, chosen, gains, captions)
    progress.stage("testing substitutions", None)
    captioner = models.captioner
    evidence[substitution.NAME] = substitution.find_out(
        scores,
        top_peaks(scores, norms, substitution.PEAKS),
        config.seed,
        lambda grafts: recaption_grafts(grafts, source, scores, captioner, progress.advance),
        find_targets(scores, "caption"),
    )
    return decide(evidence, count, config.fdr)


def _identity(config: AuditConfig, locations: Sequence[str], models: tuple[ModelRecord, ...]) -> dict[str, object]:
    """What scores depend on; thresholds and gates may change between runs over the same scores."""
    return {
        "version": version("srdscan"),
        "shards": list(locations),
        "models": [asdict(model) for model in models],
        "batch_size": config.batch_size,
        "device": pick_device(config.device),
        "num_beams": config.num_beams,
        "prompt": config.prompt,
        "reference_prompt": config.reference_prompt,
        "limit": config.limit,
        "caption_fields": list(config.caption_fields),
        "max_pixels": config.max_pixels,
    }
