"""Ctrl-C and SIGTERM: one line, an exit code of their own, and nothing half-written, whatever the program is at."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

STOPPED = "srdscan: stopped. Run the same command again to continue.\n"
SHOW_CURSOR = "\x1b[?25h"
PATIENCE = 10.0
"""Seconds that temporary files get to be removed in, and a thread that waits for a network to end."""


class Stopped(BaseException):
    """Raised in the main thread by the first signal, so that what is open is closed on the way out.

    Neither `Exception` nor `KeyboardInterrupt`, which libraries and Typer answer in ways of their own.
    """


_signal: int | None = None


def is_stopped() -> bool:
    """Whether a signal has come; any error from then on is its doing."""
    return _signal is not None


@contextmanager
def stoppable() -> Iterator[None]:
    """The first signal unwinds what runs within, a second one ends the process at once.

    Files are written under another name and put in place whole, so that nothing half-written counts either way.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # of `nohup`, or a shell's job in the background
            signal.signal(number, _stop)
    try:
        yield
    except BaseException:
        if not is_stopped():
            raise
    if is_stopped():
        with suppress(AttributeError, OSError, ValueError):
            sys.stdout.flush()
        _leave()


def _stop(number: int, frame: FrameType | None) -> None:
    global _signal
    if _signal is not None:
        _leave()
    _signal = number
    # An exception that is raised inside a finaliser or a library's callback is printed there, and lost.
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    timer = threading.Timer(PATIENCE, _leave)
    timer.daemon = True
    timer.start()
    raise Stopped


def _leave() -> NoReturn:
    """The line and the exit code, without waiting for threads or for libraries to take themselves down."""
    assert _signal is not None
    line = (SHOW_CURSOR if os.isatty(2) else "") + STOPPED
    with suppress(OSError):
        os.write(2, line.encode())
    os._exit(128 + _signal)
