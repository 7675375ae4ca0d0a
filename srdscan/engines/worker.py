"""A worker process: loads what a task names, scores the units it is given, and ends when nobody wants it any more.

Nothing heavy is imported before it watches its parent: libraries and models take seconds to load.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srdscan.measure.state import UnitRecord


@dataclass(frozen=True)
class Ready:
    """The models are loaded; what goes wrong from now on has to do with a unit."""


@dataclass(frozen=True)
class Advanced:
    """So many more images of the unit are done."""

    images: int


@dataclass(frozen=True)
class Done:
    """The unit's score file is written."""

    record: UnitRecord


@dataclass(frozen=True)
class Failed:
    """An error that another attempt does not mend."""

    error: Exception


class WorkerError(RuntimeError):
    """An error of a worker that cannot be handed on as it is; the message is its traceback."""


def work(task: bytes, pipe: Connection[Any, Any]) -> None:
    """The whole life of a worker: numbers of units come through the pipe, until it is closed or the parent ends it.

    Args:
        task: a pickled `ScoringTask`.
        pipe: takes numbers, gives `Ready`, `Advanced`, `Done` and `Failed`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, for the whole group: the parent sees to it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True, name="srdscan-orphan").start()
    try:
        from srdscan.engines.task import prepare

        scorer = prepare(pickle.loads(task))
        pipe.send(Ready())
        while True:
            pipe.send(Done(scorer.score(pipe.recv(), lambda images: pipe.send(Advanced(images)))))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        pipe.send(Failed(portable(error)))


def portable(error: Exception) -> Exception:
    """The error with its traceback as a note, if another process can be handed it; else a `WorkerError` of that."""
    trace = "".join(traceback.format_exception(error))
    try:
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            error.add_note(trace)
            return error
    except Exception:  # whatever a class of a library makes of being pickled
        return WorkerError(trace)
    return WorkerError(trace)


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
