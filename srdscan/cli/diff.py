"""`srdscan diff`."""

from pathlib import Path
from typing import Annotated

import typer

from srdscan.cli.completion import of_choices
from srdscan.cli.errors import errors
from srdscan.cli.options import AS_JSON, COLOR


def diff(
    old: Annotated[Path, typer.Argument(help="--out folder of a finished audit.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="The same of a later one.", show_default=False)],
    fail_on: Annotated[
        str,
        typer.Option(
            help="When to exit 1: on findings that OLD does not have, on samples whose image or caption is another "
            "now, or on any difference.",
            metavar="never|new|changed|any",
            autocompletion=of_choices("never|new|changed|any"),
        ),
    ] = "never",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Parquet file that gets a row for every pair that is not in both.", metavar="FILE", show_default=False
        ),
    ] = None,
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Compare two audits: samples that came, went or changed, and findings that are new.

    A pair of an image and a caption is the same where both are, wherever it stands: shards may be cut anew and keys
    renamed. Else it is the same sample with another image, another caption, or both, if it stands where it stood.

    Where the bytes of an image differ, `likeness` says whether the picture does: below 0.8 somebody put another one
    there (split view); from 0.8 on it looks the same: saved again, or changed in a part as small as a patch.

    Findings are the same by their fingerprints, as for a baseline. With `--fail-on`, an audit that was incomplete or
    inconclusive makes the exit code 3 where nothing fails, since nothing can be said then.

        srdscan diff runs/7 runs/8 --fail-on new
    """
    with errors():
        from srdscan.diff.runs import FAIL_ON, compare
        from srdscan.errors import ConfigError

        if fail_on not in FAIL_ON:
            raise ConfigError(f"--fail-on {fail_on!r}: must be one of {', '.join(FAIL_ON)}")
        found = compare(old, new, out)
        if as_json:
            typer.echo(found.to_json(), nl=False)
        else:
            from srdscan.cli.printing_diff import print_difference

            print_difference(found)
    raise typer.Exit(found.exit_code(fail_on))
