"""What GitHub Actions shows: annotations, which are commands printed to the log, and the summary of the step.

Whatever a step prints may be a command to the runner if it stands at the start of a line: text of a data set is put
into one line, behind the command, and what else the audit prints is fenced off (`fenced`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from srdscan.report.schema import Report
from srdscan.report.told import heard, title, told

MOST: Final = 10
"""Annotations of each level that GitHub shows of a step."""


def to_annotations(report: Report) -> str:
    """A workflow command a finding, a line each; what fails the gate first."""
    lines: dict[str, list[str]] = {"error": [], "warning": [], "notice": []}
    for result in heard(report):
        level = result.severity if result.decides and result.severity != "note" else "notice"
        lines[level].append(f"::{level} title={_property(title(result))}::{_data(told(result))}\n")
    return "".join(line for level in lines.values() for line in level[:MOST])


def publish(report: Report, summary: Path, environment: Mapping[str, str], write: Callable[[str], object]) -> None:
    """Prints the annotations and adds to the step's summary, where GitHub Actions runs this.

    Args:
        summary: the report in Markdown.
        environment: `GITHUB_ACTIONS` and `GITHUB_STEP_SUMMARY` say whether and where.
        write: prints to the log.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        write(to_annotations(report))
    if target := environment.get("GITHUB_STEP_SUMMARY"):
        with Path(target).open("a", encoding="utf-8", newline="\n") as file:
            file.write(summary.read_text(encoding="utf-8") + "\n")


@contextmanager
def fenced(write: Callable[[str], object]) -> Iterator[None]:
    """Keeps GitHub's runner from reading commands in what is printed meanwhile; nothing happens elsewhere."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        yield
        return
    token = secrets.token_hex(16)  # a data set must not guess it
    write(f"::stop-commands::{token}\n")
    try:
        yield
    finally:
        write(f"::{token}::\n")


def _data(text: str) -> str:
    """https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts, escapeData."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace("##[", "## [")  # the older form of a command, which may stand anywhere in a line


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
