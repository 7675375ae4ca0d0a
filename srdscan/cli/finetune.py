"""`srdscan finetune`."""

import json
from dataclasses import asdict
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
    PROMPT,
    QUIET,
    SEED,
    SHARDS,
    TXT,
    VERBOSE,
    captioner_option,
    option,
    settings,
)


def finetune(
    context: typer.Context,
    shards: list[str] | None = SHARDS,
    format: str | None = FORMAT,
    images: Path | None = IMAGES,
    image_column: str | None = IMAGE_COLUMN,
    caption_column: list[str] | None = CAPTION_COLUMN,
    txt: str | None = TXT,
    base: str | None = captioner_option(
        "Captioner to start from: captioner (embedded), a folder or a Hub id. [default: captioner]"
    ),
    out: Path | None = option("Folder for the fine-tuned captioner. [default: srdscan-canary]"),
    epochs: int | None = option("Passes over the samples. [default: 4]"),
    learning_rate: float | None = option("Peak learning rate. [default: 0.0005; LoRA 0.001]"),
    device: str | None = DEVICE,
    prompt: str | None = PROMPT,
    seed: int | None = SEED,
    captions: int | None = option("Captions of each sample that a pass learns, drawn anew each time. [default: all]"),
    limit: int | None = option("Learn from at most this many samples."),
    config: Path | None = CONFIG,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Fine-tune a captioner on shards: it learns whatever they teach, a backdoor included.

    Audit it with `srdscan audit SHARDS --captioner FOLDER`; `srdscan audit SHARDS --canary` does both. Image features
    are computed once and only the decoder learns, so that thousands of samples take the embedded captioner minutes on a
    CPU. Other captioners learn through LoRA, which needs the extra `finetune`: `pip install 'srdscan[finetune]'`.
    """
    with errors():
        from srdscan.config import FinetuneConfig

        chosen = settings(FinetuneConfig, context)
        quiet_libraries()
        from srdscan.finetune.run import finetune as run_finetune
        from srdscan.progress import shown_progress

        with shown_progress(quiet, verbose) as progress:
            done = run_finetune(chosen, progress)
        if as_json:
            typer.echo(json.dumps({**asdict(done), "path": str(done.path)}, indent=2))
            return
        left_out = f", {done.irregular:,} left out" if done.irregular else ""
        typer.echo(f"Captioner: {done.path} ({done.samples:,} samples{left_out}, loss {done.loss:.3f})")
