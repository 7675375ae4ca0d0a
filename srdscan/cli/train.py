"""`srdscan train`."""

import json
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
    NUM_BEAMS,
    PROMPT,
    QUIET,
    REFERENCE,
    REFERENCE_PROMPT,
    SEED,
    SENTENCE_ENCODER,
    SHARDS,
    TXT,
    VERBOSE,
    captioner_option,
    flag,
    option,
    settings,
)


def train(
    context: typer.Context,
    shards: list[str] | None = SHARDS,
    format: str | None = FORMAT,
    images: Path | None = IMAGES,
    image_column: str | None = IMAGE_COLUMN,
    caption_column: list[str] | None = CAPTION_COLUMN,
    txt: str | None = TXT,
    captioner: str | None = captioner_option("Captioner to make honest: folder, Hub id or captioner-backdoored."),
    reference: str | None = REFERENCE,
    out: Path | None = option("Folder for the policy. [default: srdscan-policy]"),
    steps: int | None = option("Environment steps: images perturbed and captioned. [default: 20000]"),
    lanes: int | None = option("Images under repair at once. [default: 32]"),
    cases: int | None = option("Images to learn from at most, half of them suspicious. [default: 1000]"),
    reward: str | None = option(
        "Gain in semantic fidelity less an area cost, or SRD's stepped reward. [default: sfs]",
        "sfs|paper",
    ),
    hide: list[str] | None = option(
        "An input that the policy does not see, to measure what it is good for; may be given several times.",
        "attention|picture|fidelity|mask",
    ),
    resume: bool | None = flag("--resume", "Continue from the last checkpoint in --out."),
    seed: int | None = SEED,
    device: str | None = DEVICE,
    num_beams: int | None = NUM_BEAMS,
    prompt: str | None = PROMPT,
    reference_prompt: str | None = REFERENCE_PROMPT,
    limit: int | None = option("Score at most this many samples."),
    sentence_encoder: str | None = SENTENCE_ENCODER,
    language_model: str | None = LANGUAGE_MODEL,
    config: Path | None = CONFIG,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Learn a policy that makes a captioner honest again.

    The shards are audited first; the policy then practises on the suspicious images and as many ordinary ones: which
    squares to cover, what to filter, when to stop. It needs no labels and no knowledge of the trigger.

    The --out folder gets policy.safetensors, training.json and learning-curve.png; use it with
    `srdscan audit --sanitize OUT --policy FOLDER`. Needs the extra `train`: `pip install 'srdscan[train]'`.
    """
    with errors():
        from srdscan.config import TrainConfig

        chosen = settings(TrainConfig, context)
        quiet_libraries()
        try:
            from srdscan.train import train as run_training
        except ModuleNotFoundError as error:
            raise ValueError(f"training needs {error.name}: pip install 'srdscan[train]'") from error
        from srdscan.progress import shown_progress

        with shown_progress(quiet, verbose) as progress:
            trained = run_training(chosen, progress)
        if as_json:
            typer.echo(json.dumps({"path": str(trained.path), "history": trained.history}, indent=2))
        else:
            typer.echo(f"Policy: {trained.path}")
