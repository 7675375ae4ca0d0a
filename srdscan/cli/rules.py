"""`srdscan rules`."""

import json
from typing import Annotated

import typer

from srdscan.cli.errors import errors


def rules(
    code: Annotated[
        str | None, typer.Argument(help="Code or name of a rule, such as SRD101.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
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
            from srdscan.cli.printing import print_rules

            print_rules(chosen)
