"""How a run says how far it is: a bar on a terminal, nothing elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text


class Progress(Protocol):
    """Where an audit reports how far it is."""

    def stage(self, name: str, total: int | None) -> None:
        """A stage begins; `total` samples lie ahead, if that is known."""
        ...

    def advance(self, count: int) -> None:
        """`count` more samples are done."""
        ...

    def note(self, text: str) -> None:
        """A line worth keeping, such as how learning goes."""
        ...


class Quiet:
    """No progress."""

    def stage(self, name: str, total: int | None) -> None: ...

    def advance(self, count: int) -> None: ...

    def note(self, text: str) -> None: ...


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} images/s" if speed else "", style="progress.data.speed")


class TerminalProgress:
    """Stages of an audit as bars."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def stage(self, name: str, total: int | None) -> None:
        """Finishes the bar before and starts another."""
        if self._task is not None:
            self._bars.update(self._task, visible=False)
        self._task = self._bars.add_task(name, total=total)

    def advance(self, count: int) -> None:
        """Moves the bar."""
        assert self._task is not None
        self._bars.advance(self._task, count)

    def note(self, text: str) -> None:
        """Prints above the bars, terminal or not."""
        self._bars.console.print(text, markup=False, highlight=False)


@contextmanager
def terminal_progress() -> Iterator[TerminalProgress]:
    """Bars on stderr; nothing is drawn when stderr is not a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bars:
        yield TerminalProgress(bars)


class LineProgress:
    """Stages of an audit as lines on stderr."""

    def stage(self, name: str, total: int | None) -> None:
        """Names the stage, and how much lies ahead."""
        print(f"srdscan: {name}" + (f" ({total:,})" if total else ""), file=sys.stderr, flush=True)

    def advance(self, count: int) -> None: ...

    def note(self, text: str) -> None:
        """Prints it."""
        print(f"srdscan: {text}", file=sys.stderr, flush=True)


@contextmanager
def shown_progress(quiet: bool, verbose: bool) -> Iterator[Progress]:
    """Nothing, lines, or bars on a terminal."""
    if quiet or verbose:
        yield Quiet() if quiet else LineProgress()
        return
    with terminal_progress() as progress:
        yield progress
