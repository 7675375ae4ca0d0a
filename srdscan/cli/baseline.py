"""`srdscan baseline`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from srdscan.cli.errors import errors
from srdscan.cli.options import AS_JSON, COLOR, codes_option


def baseline(
    run: Annotated[
        Path | None, typer.Argument(help="Folder of a finished audit (its --out).", show_default=False)
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why these findings are no poison.", show_default=False)] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="The last day on which they are accepted.", metavar="YYYY-MM-DD", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write; what it accepts already stays.", metavar="FILE")] = Path(
        ".srdscan-baseline.yaml"
    ),
    select: list[str] | None = codes_option("Only findings of these rules, by code or prefix."),
    by: Annotated[str, typer.Option(help="Who accepts them.", show_default=False)] = "",
    as_json: bool = AS_JSON,
    check: Annotated[
        bool, typer.Option("--check", help="Accept nothing; say whether the file, RUN here, holds still.")
    ] = False,
    color: str = COLOR,
) -> None:
    """Accept what an audit found, with a reason and for a time.

    A finding is accepted for what it says or shows, not for where it stands: it stays accepted when the data set is cut
    into other shards or renamed. `srdscan audit --baseline FILE` then fails on other findings alone, and on these once
    their last day is over. Entries of the file whose day is over are renewed if the audit found them again.

        srdscan audit shards/ --out runs/7
        srdscan baseline runs/7 --select SRD101 --reason "licence footer of source X" --expires 2027-03-01
        srdscan audit shards/ --out runs/8 --baseline .srdscan-baseline.yaml

    An audit that is incomplete or inconclusive has nothing that could be accepted.

    `srdscan baseline --check FILE` exits with 1 if an entry's day is over, and with 2 if one lacks what it must have.
    """
    with errors():
        from srdscan.errors import ConfigError

        if check:
            over = _check(run or out, as_json)
            raise typer.Exit(1 if over else 0)
        if run is None or reason is None or expires is None:
            raise ConfigError("RUN, --reason and --expires: must be given, as in `srdscan baseline --help`")
        from srdscan.decide.accept import accept
        from srdscan.decide.baseline import as_day

        done = accept(run, reason, as_day(expires, "--expires"), out, tuple(select or ()), by)
        if as_json:
            typer.echo(json.dumps({"file": str(out), **asdict(done)}, indent=2))
            return
        typer.echo(
            f"{out}: {done.added:,} accepted, {done.renewed:,} renewed, {done.kept:,} kept as they were"
            + (f"; {done.unseen:,} of these this audit did not find" if done.unseen else "")
        )


def _check(file: Path, as_json: bool) -> int:
    """Entries whose last day is over, after they have been named."""
    from srdscan.decide.baseline import read_baseline
    from srdscan.text.hidden import visible

    found = read_baseline(file)
    over = [entry for entry in found.accepted if found.state(entry) == "expired"]
    if as_json:
        named = [{"code": entry.code, "about": entry.about, "expires": str(entry.expires)} for entry in over]
        typer.echo(json.dumps({"file": str(file), "accepted": len(found.accepted), "expired": named}, indent=2))
        return len(over)
    for entry in over:
        typer.echo(visible(f"{entry.code} {entry.about}: accepted until {entry.expires}, which is over"))
    typer.echo(f"{file}: {len(found.accepted):,} accepted, {len(over):,} expired")
    return len(over)
