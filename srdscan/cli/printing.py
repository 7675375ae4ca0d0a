"""What commands print of their results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from srdscan.text.hidden import visible

if TYPE_CHECKING:  # they bring torch with them, which some commands do without
    from srdscan.attacks.catalogue import Attack
    from srdscan.audit import Outcome
    from srdscan.doctor import Diagnosis
    from srdscan.engines.rank import Part
    from srdscan.evaluate import Evaluation
    from srdscan.report.schema import Report

STYLES = {"pass": "bold green", "fail": "bold red", "incomplete": "bold yellow", "inconclusive": "bold yellow"}


def print_outcome(outcome: "Outcome", quiet: bool = False) -> None:
    """The verdict of an audit, what could not be read, what was found, where the report is; if quiet, the verdict."""
    report = outcome.report
    console = Console(highlight=False)
    console.print(f"[{STYLES[report.verdict]}]{report.verdict.upper()}[/]  {escape(report.headline)}")
    if quiet:
        return
    if (known := report.baseline) is not None:
        console.print(
            f"  Baseline {escape(visible(known.file))}: {known.new:,} new, {known.known:,} known, "
            f"{known.expired:,} expired, {len(known.resolved):,} resolved"
        )
    for result in report.expired[:5]:
        about = escape(visible(result.term or result.message[:60]))
        reason = escape(visible(result.reason))
        console.print(f"  [red]expired[/] {result.rule} {about} was accepted until {result.expires}: {reason}")
    if report.gate.ignored:
        console.print(f"  [yellow]ignored[/] {', '.join(report.gate.ignored)}")
    if report.misfit:
        console.print(f"  {escape(report.misfit)}")
    if report.detection_limits.told:
        console.print(f"  {escape(report.detection_limits.told)}")
    for item in report.leftovers[:20]:
        console.print(f"  [yellow]not taken[/] {escape(visible(f'{item.name}: {item.reason}'))}")
    for shard in report.shards:
        if shard.problem:
            console.print(f"  [yellow]damaged[/] {escape(visible(shard.problem))}")
    if report.targets:
        console.print(_targets(report))
    for spot in report.spots[:5]:
        console.print(f"  [yellow]{escape(spot.term)}[/] {escape(spot.explanation)}")
    for found in report.hidden[:5]:
        console.print(f"  [yellow]hidden characters[/] {escape(found.term)} in {found.samples:,} captions")
    done = report.sanitized
    if done is not None:
        fates = ", ".join(f"{count:,} {fate}" for fate, count in done.fates.items()) or "nothing to change"
        console.print(f"Sanitized: {done.kept:,} kept, {done.changed:,} changed, {done.dropped:,} gone ({fates})")
        for problem in done.problems:
            console.print(f"  [yellow]not written[/] {escape(visible(problem))}")
    console.print(f"Report: {escape(str(outcome.html))}", soft_wrap=True)


def print_part(part: "Part") -> None:
    """What a job did, and what comes when all jobs are done."""
    console = Console(highlight=False, soft_wrap=True)
    for problem in part.problems[:20]:
        console.print(f"  [yellow]damaged[/] {escape(visible(problem))}")
    console.print(
        f"Job {part.rank} of {part.world_size} (from 0): {part.samples:,} samples of {part.units:,} of "
        f"{part.all_units:,} shards are scored in {escape(str(part.out))}."
    )
    console.print(
        "Nothing is decided yet. When all jobs are done, run srdscan audit with the same data and options, --merge and "
        "the --out folder of each job (or the folder that holds them all), and another --out."
    )


def _targets(report: "Report") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left", title="Targets found")
    for heading in ("term", "in", "samples", "references"):
        table.add_column(heading, justify="right" if heading in ("samples", "references") else "left")
    for target in report.targets[:5]:
        where = target.where if target.accuses else "captioner alone"
        table.add_row(escape(visible(target.term)), where, str(target.samples), str(target.reference_samples))
    return table


def print_evaluation(result: "Evaluation") -> None:
    """Names and values."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, value in result.rows():
        table.add_row(name, value)
    Console(highlight=False).print(table)


def print_diagnosis(found: "Diagnosis") -> None:
    """A line for everything that an audit needs."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, state, well in found.rows():
        mark = "[green]ok[/]" if well else "[bold red]no[/]"
        table.add_row(mark, escape(visible(name)), escape(visible(state)))
    Console(highlight=False).print(table)


def print_attacks(attacks: Sequence["Attack"]) -> None:
    """Every trigger and target, with what it does and where it comes from."""
    for kind in dict.fromkeys(attack.kind for attack in attacks):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=f"{kind}s", title_justify="left")
        for heading in ("name", "what it does", "source"):
            table.add_column(heading, overflow="fold")
        for attack in attacks:
            if attack.kind == kind:
                table.add_row(escape(attack.name), escape(attack.what), escape(attack.source))
        Console(highlight=False).print(table)
