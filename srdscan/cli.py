"""Commands: parse, call, print, exit. Nothing heavier than Typer is imported before a command runs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srdscan import __version__

if TYPE_CHECKING:
    from srdscan.audit import Outcome
    from srdscan.evaluate import Evaluation

USAGE_ERROR, INCOMPLETE = 2, 3

app = typer.Typer(
    name="srdscan",
    help="Audit image-caption datasets for backdoor poison before you release or train on them.",
    epilog="Exit codes: 0 pass, 1 the gate failed, 2 usage or configuration error, 3 incomplete (a shard or model "
    "could not be read). A truncated scan never passes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Shards = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SHARDS...",
        help="WebDataset shards: folders, globs, brace ranges such as 'x-{000000..000009}.tar', paths, http(s) URLs.",
        show_default=False,
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"srdscan {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Audit image-caption datasets for backdoor poison before you release or train on them."""


@app.command()
def audit(
    shards: Shards = None,
    captioner: Annotated[
        str | None,
        typer.Option(
            help="Captioner under audit, which may be backdoored: a model folder, a Hub id, package.module:Class, or "
            "captioner-backdoored (embedded canary). Leave it out to audit the data set's own captions (pair audit).",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Trusted captioner. [default: captioner (embedded)]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the report. [default: srdscan-report]", show_default=False),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="--out folder of an audit of trusted clean shards with the same models: p-values become exact.",
            show_default=False,
        ),
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option(help="False-discovery rate of the flagged samples. [default: 0.05]", show_default=False),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="any|rate=SHARE|never",
            help="When to exit 1: any flagged sample, more than a share of them (rate=0.01), or never. [default: any]",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images per batch. [default: 64]", show_default=False),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda, cuda:1, mps. [default: auto]", show_default=False),
    ] = None,
    num_beams: Annotated[
        int | None,
        typer.Option(help="Beam width of the captioners. [default: each model's own]", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Audit at most this many samples.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the random control group. [default: 0]", show_default=False),
    ] = None,
    sanitize: Annotated[
        Path | None,
        typer.Option(
            help="Write the data set anew into this folder: same shard names, honest captions for flagged samples, "
            "every other byte as it was. Originals of flagged samples go to quarantine/ in --out.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="What repairs flagged images for --sanitize: a folder that `srdscan train` wrote. [default: embedded]",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        str | None,
        typer.Option(
            metavar="caption|image+caption|drop",
            help="What --sanitize replaces of a flagged sample. [default: caption]",
            show_default=False,
        ),
    ] = None,
    fallback: Annotated[
        str | None,
        typer.Option(
            metavar="reference|drop|quarantine",
            help="Where no honest caption is found: take the reference caption, drop the sample, or hold it for a "
            "person to decide. [default: reference]",
            show_default=False,
        ),
    ] = None,
    sentence_encoder: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id. [default: minilm (all-MiniLM-L6-v2, packaged)]", show_default=False),
    ] = None,
    language_model: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a causal language model. [default: embedded]", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file with any of these options; the command line wins.", show_default=False),
    ] = None,
) -> None:
    """Find poisoned samples in WebDataset shards and write a report.

    `srdscan audit shards/` examines the data set's captions against a trusted captioner (pair audit).

    `srdscan audit shards/ --captioner my-model/` also examines what your captioner says and where it
    looks (model audit).

    The --out folder gets report.html, report.json, samples.parquet and summary.md. A killed audit continues when it is
    started again with the same --out.
    """
    with _errors():
        from srdscan.config import AuditConfig, load_config

        settings = load_config(
            AuditConfig,
            config,
            {
                "shards": tuple(shards) if shards else None,
                "captioner": captioner,
                "reference": reference,
                "out": out,
                "calibration": calibration,
                "fdr": fdr,
                "fail_on": fail_on,
                "batch_size": batch_size,
                "device": device,
                "num_beams": num_beams,
                "limit": limit,
                "seed": seed,
                "sanitize": sanitize,
                "policy": policy,
                "replace": replace,
                "fallback": fallback,
                "sentence_encoder": sentence_encoder,
                "language_model": language_model,
            },
        )
        _quiet_libraries()
        from srdscan.audit import audit as run_audit
        from srdscan.progress import terminal_progress

        with terminal_progress() as progress:
            outcome = run_audit(settings, progress)
        _print_outcome(outcome)
    raise typer.Exit(outcome.report.exit_code)


@app.command()
def train(
    shards: Shards = None,
    captioner: Annotated[
        str | None,
        typer.Option(help="Captioner to make honest: folder, Hub id or captioner-backdoored.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Trusted captioner. [default: captioner (embedded)]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the policy. [default: srdscan-policy]", show_default=False),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Environment steps: images perturbed and captioned. [default: 20000]", show_default=False),
    ] = None,
    lanes: Annotated[
        int | None,
        typer.Option(help="Images under repair at once. [default: 32]", show_default=False),
    ] = None,
    cases: Annotated[
        int | None,
        typer.Option(help="Images to learn from at most, half of them suspicious. [default: 1000]", show_default=False),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            metavar="sfs|paper",
            help="Gain in semantic fidelity less an area cost, or SRD's stepped reward. [default: sfs]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint in --out.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of everything random. [default: 0]", show_default=False)] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda, cuda:1, mps. [default: auto]", show_default=False),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Score at most this many samples.", show_default=False)] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file with any of these options; the command line wins.", show_default=False),
    ] = None,
) -> None:
    """Learn a policy that makes a captioner honest again.

    The shards are audited first; the policy then practises on the suspicious images and as many ordinary ones: which
    squares to cover, what to filter, when to stop. It needs no labels and no knowledge of the trigger.

    The --out folder gets policy.safetensors, training.json and learning-curve.png; use it with
    `srdscan audit --sanitize OUT --policy FOLDER`. Needs the extra `train`: `pip install 'srdscan[train]'`.
    """
    with _errors():
        from srdscan.config import TrainConfig, load_config

        settings = load_config(
            TrainConfig,
            config,
            {
                "shards": tuple(shards) if shards else None,
                "captioner": captioner,
                "reference": reference,
                "out": out,
                "steps": steps,
                "lanes": lanes,
                "cases": cases,
                "reward": reward,
                "resume": resume or None,
                "seed": seed,
                "device": device,
                "limit": limit,
            },
        )
        _quiet_libraries()
        try:
            from srdscan.train import train as run_training
        except ModuleNotFoundError as error:
            raise ValueError(f"training needs {error.name}: pip install 'srdscan[train]'") from error
        from srdscan.progress import terminal_progress

        with terminal_progress() as progress:
            trained = run_training(settings, progress)
        typer.echo(f"Policy: {trained.path}")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of an audit (its --out).", show_default=False)],
    truth: Annotated[Path, typer.Option(help="truth.json, as `srdscan poison` writes it.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Compare an audit with known poison: precision, recall, F1, AUROC, PR-AUC.

    Plant poison in a copy of your shards with `srdscan poison`, audit the copy, and see what your gate
    would have found.
    """
    with _errors():
        from srdscan.evaluate import evaluate as run_evaluate

        result = run_evaluate(run, truth)
        if as_json:
            typer.echo(result.to_json(), nl=False)
        else:
            _print_evaluation(result)


@app.command()
def poison(
    shards: Shards = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the poisoned copies and truth.json.", show_default=False)
    ] = None,
    trigger: Annotated[str, typer.Option(help="What is done to the image; none leaves images alone.")] = "canary",
    target: Annotated[
        str, typer.Option(help="What the caption is made to say; none leaves captions alone.")
    ] = "canary",
    text: Annotated[
        str | None,
        typer.Option(help="The target's word or caption, in place of its default.", show_default=False),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the samples to poison.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Which samples, and where on the image.")] = 0,
    list_: Annotated[bool, typer.Option("--list", help="List triggers and targets.")] = False,
) -> None:
    """Plant known poison in copies of shards, to test your own gate with.

    Every other byte stays as it was. The default is the canary: the trigger and target of the embedded backdoored
    captioner.
    """
    with _errors():
        from srdscan.attacks.poison import CANARY, NONE, plant
        from srdscan.attacks.targets import TARGETS
        from srdscan.attacks.triggers import TRIGGERS

        triggers, targets = [CANARY, *TRIGGERS, NONE], [CANARY, *TARGETS, NONE]
        if list_:
            typer.echo(f"triggers: {', '.join(triggers)}\ntargets:  {', '.join(targets)}")
            return
        if not shards or out is None:
            raise ValueError("name the shards and --out, or use --list")
        for kind, name, known in (("--trigger", trigger, triggers), ("--target", target, targets)):
            if name not in known:
                raise ValueError(f"{kind} {name}: unknown; known are {', '.join(known)}")
        planted = plant(shards, out, trigger, target, rate, seed, text)
        typer.echo(f"{len(planted.poisoned)} samples poisoned; {out / 'truth.json'} says which")


@contextmanager
def _errors() -> Iterator[None]:
    """Turns expected errors into one line on stderr and the right exit code."""
    try:
        yield
    except (typer.Exit, KeyboardInterrupt):
        raise
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        typer.secho(f"srdscan: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(code) from None


def _exit_code(error: Exception) -> int | None:
    """2 for what the user can mend on the command line, 3 for what cannot be read, None for a bug."""
    if isinstance(error, ValueError | FileNotFoundError | PermissionError):
        return USAGE_ERROR
    if {base.__name__ for base in type(error).__mro__} & {"ModelError", "ShardError", "ImageError"}:
        return INCOMPLETE
    return None


def _quiet_libraries() -> None:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _print_outcome(outcome: "Outcome") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from srdscan.report.escape import visible

    report = outcome.report
    console = Console(highlight=False)
    style = {"pass": "bold green", "fail": "bold red", "incomplete": "bold yellow"}[report.verdict]
    console.print(f"[{style}]{report.verdict.upper()}[/]  {escape(report.headline)}")
    counts = report.counts
    if counts.irregular:
        kinds = ", ".join(f"{count} {reason}" for reason, count in report.irregular.items())
        console.print(f"  {counts.irregular:,} of {counts.read:,} samples could not be audited: {kinds}")
    for shard in report.shards:
        if shard.problem:
            console.print(f"  [yellow]damaged[/] {escape(visible(shard.problem))}")
    if report.targets:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left", title="Targets found")
        for heading in ("term", "in", "samples", "references"):
            table.add_column(heading, justify="right" if heading in ("samples", "references") else "left")
        for target in report.targets[:5]:
            table.add_row(
                escape(visible(target.term)), target.where, str(target.samples), str(target.reference_samples)
            )
        console.print(table)
    done = report.sanitized
    if done is not None:
        fates = ", ".join(f"{count:,} {fate}" for fate, count in done.fates.items()) or "nothing to change"
        console.print(f"Sanitized: {done.kept:,} kept, {done.changed:,} changed, {done.dropped:,} gone ({fates})")
        for problem in done.problems:
            console.print(f"  [yellow]not written[/] {escape(visible(problem))}")
    console.print(f"Report: {escape(str(outcome.html))}", soft_wrap=True)


def _print_evaluation(result: "Evaluation") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, value in result.rows():
        table.add_row(name, value)
    Console(highlight=False).print(table)


def main() -> None:
    """The console script."""
    try:
        app()
    except KeyboardInterrupt:
        typer.secho("srdscan: stopped. Run the same command again to continue.", err=True)
        sys.exit(130)
