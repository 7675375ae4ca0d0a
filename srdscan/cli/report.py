"""`srdscan report`."""

from pathlib import Path
from typing import Annotated

import typer

from srdscan.cli.errors import errors
from srdscan.cli.options import AS_JSON, COLOR, REPORTS, several


def report(
    run: Annotated[Path, typer.Argument(help="--out folder of a finished audit.", show_default=False)],
    report: list[str] | None = several(
        "Form of the report for other tools; may be given several times. [default: those of the audit]", REPORTS
    ),
    out: Annotated[
        Path | None, typer.Option(help="Folder for them, made if it is not there. [default: RUN]", show_default=False)
    ] = None,
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Write the report of an audit again: report.html, summary.md and the forms for other tools.

    Nothing is audited: it takes what RUN holds, and needs neither the data set nor a model. The verdict is the audit's,
    and the exit code is 0 whatever it is.

        srdscan report runs/7 --report sarif --report attestation
    """
    with errors():
        from srdscan.config.audit import chosen_reports
        from srdscan.report.draw import draw
        from srdscan.report.load import read_report
        from srdscan.report.schema import to_json

        found = read_report(run)
        forms = tuple(report) if report else tuple(map(str, found.config.get("report") or ()))  # type: ignore[call-overload]
        page = draw(run, found, chosen_reports(forms), out)
        if as_json:
            typer.echo(to_json(found), nl=False)
            return
        typer.echo(f"{found.verdict.upper()}  {found.headline}")
        typer.echo(f"Report: {page}")
