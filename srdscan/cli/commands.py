"""The commands: parse, call, print, exit. One module each; nothing heavier than Typer before one runs."""

import inspect
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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

EXIT_CODES = """\b
Exit codes:
  0  pass
  1  the gate failed, `srdscan diff --fail-on` found what must not be, or an
     acceptance in a baseline is over
  2  usage or configuration error
  3  incomplete (a shard or model could not be read) or inconclusive; a
     truncated scan never passes"""


class _Commands(TyperGroup):
    """Switches that are left out are False to them, not None, for which Typer imports pydantic: 0.15 s of a help."""

    def get_params(self, ctx: Any) -> Any:
        """Of the command line itself, --help and completion included."""
        params = super().get_params(ctx)
        for param in params:
            if param.default is None:
                param.default = False
        return params


def laid_out(text: str) -> str:
    r"""A docstring as a terminal's help: paragraphs are filled, and lines that are indented stay as they are.

    >>> laid_out("Twice:\n\n    srdscan rules\n\nand again").split("\n\n")[1] == "\b\n    srdscan rules"
    True
    """
    parts = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"\b\n{part}" if part.startswith("    ") else part for part in parts)


# Plain help and not Typer's boxes, which cost as much time again as all the rest.
app = typer.Typer(
    name="srdscan",
    help="Audit image-caption datasets for backdoor poison before you release or train on them.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    cls=_Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command in (audit, baseline, diff, report, rules, train, finetune, poison, evaluate, doctor):
    app.command(help=laid_out(command.__doc__ or ""))(command)


def _version(wanted: bool) -> None:
    if wanted:
        from srdscan import __version__

        typer.echo(f"srdscan {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Audit image-caption datasets for backdoor poison before you release or train on them."""
