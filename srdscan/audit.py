"""An audit: pass 1 scores every sample, `verdicts` decides, pass 2 revisits the flagged ones, the report is written."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from srdscan.config import AuditConfig, FinetuneConfig
from srdscan.config.audit import HOW
from srdscan.decide.accusations import Elsewhere
from srdscan.decide.baseline import Baseline, read_baseline
from srdscan.decide.fit import Fit, measure_fit
from srdscan.decide.results import find_results
from srdscan.decide.verdicts import Verdicts, decide, judge_signals, of_images, of_pairs
from srdscan.engines.merge import merge
from srdscan.engines.rank import Part, check_whole, mark, units_of
from srdscan.engines.run import score_units
from srdscan.engines.task import identity, plugins_of
from srdscan.engines.task import open_models as open_models
from srdscan.findings import ablation, foreign, quirks, spots, substitution
from srdscan.findings.copies import Spot
from srdscan.findings.hidden import find_hidden, hidden_findings
from srdscan.findings.kept import kept
from srdscan.findings.recaption import ablate, recaption_grafts
from srdscan.findings.target_search import find_targets
from srdscan.finetune.canary import BASE, make_canary
from srdscan.limits.limit import DetectionLimits, required_of
from srdscan.limits.search import Audited, find_limits, measured_at_most
from srdscan.measure.batch import Role
from srdscan.measure.revisit import ImageSource
from srdscan.measure.scores import Scores
from srdscan.measure.state import RunState, UnitRecord, load_scores, replace_text
from srdscan.models.device import module_fingerprint, pick_device
from srdscan.models.loaded import Models, model_records
from srdscan.models.record import ModelRecord
from srdscan.models.sentence_encoder import Remembering
from srdscan.policy.store import Policy, load_policy
from srdscan.progress import Progress, Quiet
from srdscan.repair.fates import Repair, discard
from srdscan.repair.flagged import repair
from srdscan.repair.sanitize import Sanitized, Sanitizer, check_destination
from srdscan.report.build import Settings, make_report
from srdscan.report.draw import draw
from srdscan.report.illustrate import illustrate, pieces
from srdscan.report.schema import Mode, Report, to_json
from srdscan.report.shown import keep_pictures
from srdscan.report.table import write_samples
from srdscan.rules import severities
from srdscan.signals.head_norms import anomalous_heads, head_norms, top_peaks
from srdscan.signals.plugged import use_signals
from srdscan.sources.base import Source
from srdscan.sources.find import find_source
from srdscan.sources.own import claim


@dataclass(frozen=True)
class Examined:
    """What is known of a data set once every sample is scored and judged."""

    source: Source
    records: list[UnitRecord]
    scores: Scores
    fit: tuple[Fit, ...]
    verdicts: Verdicts
    images: ImageSource
    calibration: Scores | None
    searched: spots.Searched
    by_image: ImageSource
    embed: Remembering

    @property
    def spots(self) -> tuple[Spot, ...]:
        """Pieces of picture that recur."""
        return self.searched.found


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
    use_signals(config.signals)
    baseline = read_baseline(config.baseline) if config.baseline is not None else None
    source = find_source(config.shards, config.format, config.images)
    claim(config.out, "--out", {"kind": "audit"})
    if config.sanitize is not None:
        check_destination(config.sanitize, source)
        claim(config.sanitize, "--sanitize", {"kind": "sanitized", "units": [unit.location for unit in source.units]})
    models = open_models(config, str(make_canary(_canary(config), progress)) if config.canary else None)
    wanted = (
        config.sanitize is not None and config.replace not in ("drop", "drop-caption") and models.captioner is not None
    )
    policy = load_policy(config.policy, pick_device(config.device)) if wanted else None
    examined = examine(config, models, progress, source)
    scores, verdicts = examined.scores, examined.verdicts

    limits = measure_limits(config, models, examined, progress)
    repairs: dict[int, Repair] = {}
    sanitized: Sanitized | None = None
    fit = examined.fit
    if config.sanitize is not None and all(item.fits for item in fit):
        repairs, sanitized = write_sanitized(config, models, policy, examined, progress)

    flagged = np.flatnonzero(verdicts.flagged)
    worst = flagged[np.argsort(verdicts.p_values[flagged], kind="stable")][: config.pictures]
    progress.stage("illustrating", len(worst))
    heads = None
    if models.captioner is not None and "attention_shape" in scores.meta and len(worst):
        each, trusted = scores.by_image, examined.calibration and examined.calibration.by_image
        heads = anomalous_heads(each, head_norms(each, trusted))[0][scores.image_of]
    pictures = illustrate(worst, heads, examined.images, models.captioner, progress.advance)
    scored = [record for record in examined.records if record.rows]
    hidden_found = tuple(hidden_findings(find_hidden(scores.strings("caption"))))
    spots_found = tuple(spots.spot_findings(examined.spots, len(examined.searched.images)))
    found = find_results(
        verdicts,
        scores,
        [record.name for record in scored],
        config.fdr,
        Elsewhere(tuple(zip(spots_found, (spot.images for spot in examined.spots), strict=True)), hidden_found),
        config.ignored,
        severities(config.severity),
        baseline,
    )
    write_samples(config.out / "samples.parquet", scores, scored, verdicts, repairs, found.rules, found.counting)
    cuts = pieces([(spot.images, spot.boxes) for spot in examined.spots], examined.images, scores.image_of)
    keep_pictures(config.out, worst, pictures, repairs, cuts)
    records = model_records(models)
    if policy is not None:
        records += (ModelRecord("policy", policy.name, module_fingerprint(policy.network)),)
    report = make_report(
        _settings(config, baseline),
        examined.records,
        verdicts,
        records,
        sanitized,
        fit,
        tuple(examined.source.leftovers),
        hidden_found,
        spots_found,
        found,
        limits,
    )
    replace_text(config.out / "report.json", to_json(report))
    return Outcome(report, verdicts, draw(config.out, report, config.reports))


def score_part(config: AuditConfig, progress: Progress | None = None) -> Part:
    """Scores the units of one job of several, `config.rank`; `audit` decides when it merges them.

    Raises:
        ConfigError, ShardSpecError, ModelError: as `audit`.
    """
    assert config.rank is not None and config.world_size is not None
    progress = progress or Quiet()
    progress.stage("loading models", None)
    use_signals(config.signals)
    source = find_source(config.shards, config.format, config.images)
    claim(config.out, "--out", {"kind": "audit"})
    models = open_models(config)
    state = RunState(config.out, identity(config, source, model_records(models)))
    mark(config.out, config.rank, config.world_size)
    numbers = units_of(config.rank, config.world_size, len(source.units))
    records = score_units(config, source, models, state, progress, numbers=numbers).values()
    problems = tuple(record.problem for record in records if record.problem)
    samples = sum(record.scored for record in records)
    return Part(config.rank, config.world_size, config.out, len(records), len(source.units), samples, problems)


def _canary(config: AuditConfig) -> FinetuneConfig:
    """How the canary is fine-tuned."""
    return FinetuneConfig(
        shards=config.shards,
        base=BASE,
        out=config.out / "canary",
        epochs=config.canary_epochs,
        seed=config.seed,
        caption_fields=config.caption_fields,
        txt=config.txt,
        format=config.format,
        images=config.images,
        image_column=config.image_column,
        max_pixels=config.max_pixels,
    )


def _settings(config: AuditConfig, baseline: Baseline | None) -> Settings:
    mode: Mode = "model" if config.captioner is not None else "pair"
    mode = "canary" if config.canary else "quick" if config.quick else mode
    return Settings(
        mode,
        config.fail_on,
        config.fdr,
        config.max_unaudited,
        {name: value for name, value in asdict(config).items() if name not in HOW},
        tuple(sorted(config.ignored)),
        severities(config.severity),
        (str(config.baseline), baseline) if baseline is not None else None,
        config.require_detection,
        plugins_of(config),
    )


def write_sanitized(
    config: AuditConfig, models: Models, policy: Policy | None, examined: Examined, progress: Progress
) -> tuple[dict[int, Repair], Sanitized]:
    """Pass 2: repairs the flagged pairs, and writes the data set anew."""
    scores, flagged = examined.scores, np.flatnonzero(examined.verdicts.flagged)
    progress.stage("repairing", len(flagged))
    if config.replace in ("drop", "drop-caption"):
        repairs = {int(row): discard(int(row), only_caption=config.replace == "drop-caption") for row in flagged}
    else:
        repairs = repair(
            examined.verdicts.flagged,
            examined.images,
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
    assert config.sanitize is not None
    sanitizer = Sanitizer(
        config.sanitize,
        config.out / "quarantine",
        config.reading,
        examined.source,
        examined.records,
        scores,
        repairs,
        images_too=config.replace == "image+caption",
    )
    return repairs, sanitizer.write(progress)


def examine(config: AuditConfig, models: Models, progress: Progress, source: Source | None = None) -> Examined:
    """Pass 1 and the decision: every pair scored and judged; a run that was killed continues.

    Args:
        source: the data set, if it is found already.

    Raises:
        ConfigError: an option is wrong, or `out` holds another audit.
        ShardSpecError: what was named is no data set.
    """
    use_signals(config.signals)
    source = source or find_source(config.shards, config.format, config.images)
    calibration = load_scores(config.calibration) if config.calibration else None
    known = identity(config, source, model_records(models))
    if config.merge:
        progress.stage("merging", None)
        state, records = merge([Path(run) for run in config.merge], config.out, source, known)
    else:
        check_whole(config.out)
        state = RunState(config.out, known)
        canary = models.captioner.name if config.canary and models.captioner is not None else None
        records = list(score_units(config, source, models, state, progress, canary).values())
    scores = state.scores(records)
    images = ImageSource(source, records, scores, config.reading, config.batch_size, config.max_pixels)
    roles: tuple[Role, ...] = ("caption", "output") if models.captioner is not None else ("caption",)
    fit = () if models.quick else measure_fit(scores, roles)
    embed = Remembering(models.sentence_encoder.embed)
    verdicts = judge(config, source, records, scores, models, calibration, fit, progress, embed)
    each = scores.by_image
    by_image = ImageSource(source, records, each, config.reading, config.batch_size, config.max_pixels)
    progress.stage("comparing pieces of pictures", len(spots.sample(each, config.seed)))
    searched = kept(
        state.out / "state" / "images.safetensors",
        {**known, "units": [record.sha256 for record in records], "seed": config.seed},
        lambda: spots.search(each, by_image, config.seed, progress.advance),
    )
    verdicts = with_spots(verdicts, searched.found, scores, config)
    return Examined(source, records, scores, fit, verdicts, images, calibration, searched, by_image, embed)


def measure_limits(config: AuditConfig, models: Models, examined: Examined, progress: Progress) -> DetectionLimits:
    """What the audit would have found in this data set, had it been there."""
    verdicts = examined.verdicts
    if config.limits == "off":
        return DetectionLimits(verdicts.samples, (), "What would have been found was not measured (--limits off).")
    progress.stage("planting known poison", measured_at_most(verdicts.samples))
    audited = audited_of(config, models, examined)
    return find_limits(audited, required_of(verdicts.samples, config.require_detection), progress.advance)


def audited_of(config: AuditConfig, models: Models, examined: Examined) -> Audited:
    """A data set that was examined, as the search for limits of detection takes it."""
    return Audited(
        scores=examined.scores,
        verdicts=examined.verdicts,
        images=examined.by_image,
        searched=examined.searched,
        models=models,
        embed=examined.embed,
        calibration=examined.calibration,
        misunderstood=[item.role for item in examined.fit if not item.reference],
        fdr=config.fdr,
        ignored=config.ignored,
        seed=config.seed,
    )


def with_spots(verdicts: Verdicts, found: Sequence[Spot], scores: Scores, config: AuditConfig) -> Verdicts:
    """The decision with what spots add to it: they are held against what else was found."""
    if not len(scores):
        return verdicts
    evidence = {**verdicts.evidence, **verdicts.ignored, spots.NAME: spots.judge(found, scores, verdicts.flagged)}
    return decide(evidence, scores.sample_of, config.fdr, config.ignored)


def judge(
    config: AuditConfig,
    source: Source,
    records: Sequence[UnitRecord],
    scores: Scores,
    models: Models,
    calibration: Scores | None,
    fit: Sequence[Fit],
    progress: Progress,
    embed: foreign.Embed,
) -> Verdicts:
    """All signals, then what is measured on changed captions and images: foreign words, ablation, substitution.

    Args:
        embed: the audit's sentence encoder.
    """
    progress.stage("deciding", None)
    poor = [item.role for item in fit if not item.reference]
    evidence = (
        judge_signals(scores, models.captioner is not None, calibration, poor, models.quick) if len(scores) else {}
    )
    if len(scores):
        evidence[foreign.NAME] = foreign.find_out(scores, embed, config.seed)
    verdicts = decide(evidence, scores.sample_of, config.fdr, config.ignored)
    captioner = models.captioner
    if captioner is None or not len(scores):
        return verdicts
    if "attention_shape" not in scores.meta:
        return decide(quirks.settle(evidence, scores), scores.sample_of, config.fdr, config.ignored)
    each = scores.by_image
    images = ImageSource(source, records, each, config.reading, config.batch_size, config.max_pixels)
    chosen = ablation.plan(of_images(verdicts, scores)[0], config.seed)
    progress.stage("covering attention peaks", len(chosen.rows))
    norms = head_norms(each, calibration and calibration.by_image)
    _, peaks, _ = anomalous_heads(each, norms)
    gains, captions = ablate(chosen.rows, peaks, images, each, models, progress.advance)
    evidence[ablation.NAME] = of_pairs(ablation.judge(len(each), chosen, gains, captions), scores)
    progress.stage("testing substitutions", None)
    swapped = substitution.find_out(
        each,
        top_peaks(each, norms, substitution.PEAKS),
        config.seed,
        lambda grafts: recaption_grafts(grafts, images, each, captioner, progress.advance),
        find_targets(scores, "caption"),
    )
    evidence[substitution.NAME] = of_pairs(swapped, scores)
    return decide(quirks.settle(evidence, scores), scores.sample_of, config.fdr, config.ignored)
