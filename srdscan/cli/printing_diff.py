"""What `srdscan diff` prints."""

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from srdscan.decide.baseline import Accepted
from srdscan.diff.looks import ALIKE
from srdscan.diff.runs import KINDS, Difference
from srdscan.text.hidden import shorten, visible

MOST: Final = 20
"""Samples and findings that are printed; --json has more, --out all."""
NAMES: Final = {
    "added": "added",
    "gone": "gone",
    "image": "another image",
    "caption": "another caption",
    "image+caption": "another image and caption",
}


def print_difference(found: Difference) -> None:
    """Counts of the pairs, the first of each kind, then the findings."""
    console = Console(highlight=False)
    for run, verdict in zip((found.old, found.new), found.verdicts, strict=True):
        if verdict not in ("pass", "fail"):
            console.print(f"[yellow]{verdict}[/] {escape(run)}: what it did not see is not compared")
    counts = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "pairs", "samples"):
        counts.add_column(heading, justify="right" if heading else "left")
    counts.add_row("in both", f"{found.same:,}", "")
    for kind in KINDS:
        counts.add_row(NAMES[kind], f"{found.counts[kind]:,}", f"{found.samples[kind]:,}")
    console.print(counts)
    if found.replaced:
        console.print(f"  [red]another picture[/] under {found.replaced:,} of them: their images do not look alike")
    for kind in KINDS:
        for change in [change for change in found.changes if change.kind == kind][:MOST]:
            said = (
                _line(change.caption) if change.before is None else f"{_line(change.before)} → {_line(change.caption)}"
            )
            alike = "" if change.likeness is None else f" likeness {change.likeness:.2f}"
            alike += " (another picture)" if change.likeness is not None and change.likeness < ALIKE else ""
            where = escape(visible(f"{change.shard} {change.key}"))
            console.print(f"  [yellow]{NAMES[kind]}[/] {where}: {said}{alike}", soft_wrap=True)
        if found.counts[kind] > MOST:
            console.print(f"  and {found.counts[kind] - MOST:,} more")
    for name, style, entries in (("new", "red", found.found), ("gone", "green", found.lost), ("kept", "", found.kept)):
        console.print(f"Findings {name}: {len(entries):,}")
        for entry in entries[:MOST]:
            console.print(_finding(entry, style), soft_wrap=True)


def _finding(entry: Accepted, style: str) -> str:
    code = f"[{style}]{entry.code}[/]" if style else entry.code
    return f"  {code} {_line(entry.about)} ({entry.samples:,})"


def _line(text: str) -> str:
    return escape(shorten(visible(text[:81]), 80))
