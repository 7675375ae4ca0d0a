"""`srdscan audit`."""

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import typer

from srdscan.cli.errors import errors, quiet_libraries
from srdscan.cli.options import (
    AS_JSON,
    CAPTION_COLUMN,
    COLOR,
    CONFIG,
    DEVICE,
    FORMAT,
    IMAGE_COLUMN,
    IMAGES,
    LANGUAGE_MODEL,
    MATCHER,
    NUM_BEAMS,
    PROMPT,
    QUIET,
    REFERENCE,
    REFERENCE_PROMPT,
    REPORTS,
    SEED,
    SENTENCE_ENCODER,
    SHARDS,
    TXT,
    VERBOSE,
    captioner_option,
    codes_option,
    flag,
    option,
    settings,
    several,
    signals_option,
    uploaded,
)


def audit(
    context: typer.Context,
    shards: list[str] | None = SHARDS,
    format: str | None = FORMAT,
    images: Path | None = IMAGES,
    image_column: str | None = IMAGE_COLUMN,
    caption_column: list[str] | None = CAPTION_COLUMN,
    txt: str | None = TXT,
    captioner: str | None = captioner_option(
        "Captioner under audit, which may be backdoored: a model folder, a Hub id, package.module:Class, or "
        "captioner-backdoored (embedded canary). Leave it out to audit the data set's own captions (pair audit).",
    ),
    canary: bool | None = flag(
        "--canary",
        "Fine-tune a captioner on the shards first, and audit that one: it has learned whatever they teach.",
    ),
    quick: bool | None = flag(
        "--quick",
        "A first look, at the speed of the image encoder: no captioner is asked. Words inserted into true captions and "
        "poison that only a captioner shows stay unseen, so that it fails or is inconclusive, and never passes.",
    ),
    reference: str | None = REFERENCE,
    matcher: str | None = MATCHER,
    out: str | None = option("Folder for the report, or the s3:// or gs:// URL of one. [default: srdscan-report]"),
    calibration: Path | None = option(
        "--out folder of an audit of trusted clean shards with the same models: p-values become exact."
    ),
    fdr: float | None = option("False-discovery rate of the flagged samples. [default: 0.01]"),
    max_unaudited: float | None = option(
        "Share of samples that could not be audited, or not wholly, above which the audit is incomplete (exit 3). "
        "[default: 0.01]"
    ),
    fail_on: str | None = option(
        "When to exit 1: any flagged sample, more than a number of them (count=3), more than a share (rate=0.01; the "
        "same poison is a smaller share of more data: prefer a number), or never. [default: any]",
        "any|count=NUMBER|rate=SHARE|never",
    ),
    limits: str | None = option(
        "Plant known poison into the audit's own scores, and report from how many samples on it would have been found; "
        "off saves the time. [default: on]",
        "on|off",
    ),
    require_detection: int | None = option(
        "In how many samples an inserted word and a repeated sentence must have been found, or finding nothing is "
        "inconclusive (exit 3); 0 demands nothing. [default: 25 or 1 %, of 250 samples or more]"
    ),
    baseline: Path | None = option(
        "File of accepted findings, as `srdscan baseline` writes it: only what is not in it fails the gate."
    ),
    select: list[str] | None = codes_option("Rules that are heard, by code or prefix: SRD101, SRD1. [default: all]"),
    ignore: list[str] | None = codes_option(
        "Rules that are not heard; of two that match, the longer code or prefix counts. `srdscan rules` lists them."
    ),
    report: list[str] | None = several(
        "Also write the report for other tools: SARIF, JUnit, GitHub's annotations and step summary, GitLab's code "
        "quality, an in-toto statement, checksums, Croissant's RAI fields, a paragraph for a dataset card, tables of "
        "what to keep and what to remove, DataComp's uids, or all but these. May be given several times.",
        REPORTS,
    ),
    signal: list[str] | None = signals_option(
        "Signal of a plug-in that is heard, too; may be given several times. `srdscan doctor` lists plug-ins."
    ),
    batch_size: int | None = option(
        "Images per batch; fewer are taken where they do not fit into memory. [default: 64]"
    ),
    device: str | None = DEVICE,
    num_beams: int | None = NUM_BEAMS,
    prompt: str | None = PROMPT,
    reference_prompt: str | None = REFERENCE_PROMPT,
    limit: int | None = option("Audit at most this many samples."),
    seed: int | None = SEED,
    sanitize: str | None = option(
        "Write the data set anew into this folder or URL: same form and names, honest captions for flagged ones, "
        "every other byte as it was. Originals of flagged samples go to quarantine/ in --out.",
    ),
    policy: str | None = option(
        "What repairs flagged images for --sanitize: a folder that `srdscan train` wrote. [default: embedded]"
    ),
    replace: str | None = option(
        "What --sanitize replaces: the flagged caption, the image too, or nothing: drop takes the sample out, "
        "drop-caption only the caption. [default: caption]",
        "caption|image+caption|drop|drop-caption",
    ),
    fallback: str | None = option(
        "Where no honest caption is found: take the reference caption, drop the sample, or hold it for a person to "
        "decide. [default: reference]",
        "reference|drop|quarantine",
    ),
    workers: int | None = option(
        "Shards that are scored at once, each by a process of its own. [default: one a GPU, else 1]"
    ),
    engine: str | None = option("What scores the shards: this machine, or Ray. [default: local]", "local|ray"),
    ray_address: str | None = option(
        "Of a running Ray cluster (auto, ray://HOST:10001, HOST:6379). [default: RAY_ADDRESS, or Ray is started here]"
    ),
    rank: int | None = option(
        "Which of --world-size jobs this is, from 0: score its shards into --out, decide nothing. In a Slurm array "
        "`--rank $SLURM_ARRAY_TASK_ID --world-size $SLURM_ARRAY_TASK_COUNT`, in a Kubernetes indexed job "
        "`--rank $JOB_COMPLETION_INDEX`."
    ),
    world_size: int | None = option("How many jobs share the data set."),
    merge: list[str] | None = several(
        "--out folder of such a job, or a folder of these: decide over what all of them scored.", "RUN"
    ),
    rehash: bool | None = flag(
        "--rehash",
        "When a run continues, hash finished shards again, and do not go by the size and times of their files.",
    ),
    sentence_encoder: str | None = SENTENCE_ENCODER,
    language_model: str | None = LANGUAGE_MODEL,
    config: Path | None = CONFIG,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Find poisoned samples in an image-caption data set and write a report.

    Read are WebDataset shards (.tar, .tar.gz), Parquet, folders of images with captions beside them or in metadata
    files, COCO captions, CSV and TSV tables, and conversations (LLaVA, ShareGPT). Every image with every one of its
    captions is a pair, and every pair is judged.

    `srdscan audit shards/` examines the data set's captions against a trusted captioner (pair audit).

    `srdscan audit shards/ --captioner my-model/` also examines what your captioner says and where it
    looks (model audit).

    `srdscan audit shards/ --canary` does the same with a captioner that it first fine-tunes on the shards (canary
    audit): no model of yours is needed.

    The --out folder gets report.html, report.json, samples.parquet and summary.md. A killed audit continues when it is
    started again with the same --out.

    Several jobs: `srdscan audit shards/ --rank 0 --world-size 4 --out jobs/0`, the same with 1, 2 and 3, then
    `srdscan audit shards/ --merge jobs/`: docs/at-scale.md.

    In CI: `srdscan audit shards/ --report sarif --baseline .srdscan-baseline.yaml` fails on what nobody has looked at
    yet. `srdscan rules SRD101` says what a finding means and what to do about it; `srdscan baseline RUN` accepts what
    a run found, with a reason and for a time.
    """
    with errors(), ExitStack() as stack:
        from srdscan.config import AuditConfig, ConfigError

        quiet_libraries()
        uploads = stack.enter_context(uploaded(context.params, ("out", "sanitize")))
        chosen = settings(AuditConfig, context)
        from srdscan.audit import Outcome, score_part
        from srdscan.audit import audit as run_audit
        from srdscan.cli.printing import print_outcome, print_part
        from srdscan.engines.rank import Part
        from srdscan.progress import shown_progress
        from srdscan.report.github import fenced, publish

        if chosen.engine == "ray" and "out" in uploads:
            raise ConfigError("--engine ray: --out must be a folder that all nodes share, not a URL")
        with shown_progress(quiet, verbose) as progress:
            done = run_audit(chosen, progress) if chosen.rank is None else score_part(chosen, progress)
        write = partial(typer.echo, nl=False)
        if as_json and isinstance(done, Outcome):
            write((chosen.out / "report.json").read_text(encoding="utf-8"))
        elif as_json and isinstance(done, Part):
            write(done.to_json())
        else:
            with fenced(write):
                if isinstance(done, Part):
                    print_part(done)
                else:
                    print_outcome(done, quiet)
            if isinstance(done, Outcome) and "github" in chosen.reports:
                publish(done.report, chosen.out / "summary.md", os.environ, write)
        for option_name, url in uploads.items():
            typer.echo(f"Uploading --{option_name}: {url}", err=as_json)
    raise typer.Exit(0 if isinstance(done, Part) else done.report.exit_code)
