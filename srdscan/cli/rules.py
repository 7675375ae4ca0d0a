"""`srdscan rules`."""

import json
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from srdscan.cli.completion import rule_codes
from srdscan.cli.errors import errors
from srdscan.cli.options import AS_JSON, COLOR

if TYPE_CHECKING:
    from srdscan.rules import Rule


def rules(
    code: Annotated[
        str | None,
        typer.Argument(help="Code or name of a rule, such as SRD101.", show_default=False, autocompletion=rule_codes),
    ] = None,
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Say what each kind of finding means: all rules, or the page of one.

    `srdscan rules SRD101` says what sets the rule off, also falsely, and what to do about it. `--select` and `--ignore`
    of `srdscan audit` take codes and prefixes (SRD1); `severity:` in its YAML file sets error, warning or note.
    """
    with errors():
        from srdscan.rules import RULES, find_rule

        chosen = [find_rule(code)] if code else list(RULES.values())
        if as_json:
            fields = ("code", "name", "severity", "summary", "tags", "help_uri", *(("page",) if code else ()))
            listed = [{name: getattr(rule, name) for name in fields} for rule in chosen]
            typer.echo(json.dumps(listed[0] if code else listed, indent=2))
        elif code:
            typer.echo(chosen[0].page, nl=False)
        else:
            typer.echo(listed_rules(chosen, shutil.get_terminal_size().columns))


def listed_rules(chosen: Sequence["Rule"], width: int) -> str:
    """A paragraph for every rule, of lines no longer than `width`. Rich would take longer than all the rest."""
    indent = " " * 8
    paragraphs = []
    for rule in chosen:
        said = textwrap.wrap(rule.summary, width, initial_indent=indent, subsequent_indent=indent)
        paragraphs.append("\n".join([f"{rule.code}  {rule.name} ({rule.severity})", *said]))
    return "\n".join(paragraphs)
