"""How a run says how far it is: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
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

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        """A stage begins, of `total` samples if that is known; an earlier run has done some of them."""
        ...

    def expect(self, total: int) -> None:
        """So many samples there are in all, by a better estimate than before."""
        ...

    def advance(self, count: int) -> None:
        """`count` more samples are done."""
        ...

    def note(self, text: str) -> None:
        """A line worth keeping, such as how learning goes."""
        ...


class Quiet:
    """No progress."""

    def stage(self, name: str, total: int | None, done: int = 0) -> None: ...

    def expect(self, total: int) -> None: ...

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

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        """Finishes the bar before and starts another."""
        if self._task is not None:
            self._bars.update(self._task, visible=False)
        self._task = self._bars.add_task(name, total=total, completed=done)

    def expect(self, total: int) -> None:
        """Moves the end of the bar."""
        assert self._task is not None
        self._bars.update(self._task, total=total)

    def advance(self, count: int) -> None:
        """Moves the bar."""
        assert self._task is not None
        self._bars.advance(self._task, count)

    def note(self, text: str) -> None:
        """Prints above the bars, terminal or not."""
        self._bars.console.print(text, markup=False, highlight=False)


class LineProgress:
    """A line now and then, for logs: after a minute, after two, four, ... and from then on every hour.

    Args:
        console: where lines go.
        clock: seconds.
        stages: whether each stage has a line of its own.
    """

    FIRST, LAST = 60.0, 3600.0

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic, stages: bool = False) -> None:
        self._console, self._clock, self._stages = console, clock, stages
        self.stage("", None)

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        """Begins to count."""
        self._name, self._total, self._before, self._done = name, total, done, done
        self._begun = self._clock()
        self._pause, self._next = self.FIRST, self._begun + self.FIRST
        if self._stages and name:
            self.note(f"srdscan: {name}" + (f" ({total:,})" if total else ""))

    def expect(self, total: int) -> None:
        """Takes note of a better estimate."""
        self._total = total

    def advance(self, count: int) -> None:
        """Counts, and prints a line when it is time."""
        self._done += count
        now = self._clock()
        if now < self._next:
            return
        self.note(self.line(now))
        self._pause = min(2 * self._pause, self.LAST)
        self._next = now + self._pause

    def line(self, now: float) -> str:
        """How far the stage is, how fast it goes, and how long it may take yet."""
        rate = (self._done - self._before) / max(now - self._begun, 1e-9)
        parts = [f"{self._name}: {self._done:,}"]
        if self._total is not None:
            parts[0] += f" of about {max(self._total, self._done):,}"
        parts.append(f"{rate:.1f}/s")
        if self._total is not None and rate > 0:
            parts.append(f"about {duration(max(self._total - self._done, 0) / rate)} left")
        return ", ".join(parts)

    def note(self, text: str) -> None:
        """Prints a line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """For people.

    >>> duration(59), duration(7500), duration(200000)
    ('1 min', '2 h 05 min', '2 d 7 h')
    """
    minutes = max(1, round(seconds / 60))
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """Bars on stderr where that is a terminal, else lines."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield LineProgress(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        yield TerminalProgress(bars)


@contextmanager
def shown_progress(quiet: bool, verbose: bool) -> Iterator[Progress]:
    """Nothing, lines, or bars on a terminal."""
    if quiet or verbose:
        yield Quiet() if quiet else LineProgress(Console(stderr=True), stages=True)
        return
    with terminal_progress() as progress:
        yield progress
