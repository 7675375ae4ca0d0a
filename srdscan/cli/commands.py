"""The commands: parse, call, print, exit. One module each; nothing heavier than Typer before one runs."""

from typing import Annotated

import typer

from srdscan import __version__
from srdscan.cli.audit import audit
from srdscan.cli.baseline import baseline
from srdscan.cli.diff import diff
from srdscan.cli.doctor import doctor
from srdscan.cli.evaluate import evaluate
from srdscan.cli.finetune import finetune
from srdscan.cli.poison import poison
from srdscan.cli.report import report
from srdscan.cli.rules import rules
from srdscan.cli.train import train

EXIT_CODES = """Exit codes:

- 0: pass

- 1: the gate failed, or `srdscan diff --fail-on` found what must not be

- 2: usage or configuration error

- 3: incomplete (a shard or model could not be read) or inconclusive; a truncated scan never passes"""

app = typer.Typer(
    name="srdscan",
    help="Audit image-caption datasets for backdoor poison before you release or train on them.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (audit, baseline, diff, report, rules, train, finetune, poison, evaluate, doctor):
    app.command()(command)


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
