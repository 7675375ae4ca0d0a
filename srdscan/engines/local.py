"""Pass 1 in worker processes on this machine, one a GPU, or several on a CPU."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from srdscan.engines.attempts import Attempts, crashed, how
from srdscan.engines.base import Watch
from srdscan.engines.task import ScoringTask
from srdscan.engines.worker import Advanced, Done, Failed, Ready, work
from srdscan.measure.state import RunState, UnitRecord
from srdscan.measure.units import given_up
from srdscan.sources.base import Source

PATIENCE = 10.0
"""Seconds that a worker that gave up has to end."""

OF_KILLED = "ignore:resource_tracker:UserWarning"
"""What libraries had open in a worker that was ended is closed by Python, which says so."""


@dataclass
class Worker:
    """A worker process, as its parent sees it."""

    slot: int
    process: BaseProcess
    pipe: Connection[Any, Any]
    unit: int | None = None
    ready: bool = False
    images: int = 0


@dataclass
class Local:
    """Worker processes; a unit whose worker dies is scored again by another.

    Attributes:
        source: the data set, for the names of units.
        state: where units are completed.
        workers: processes at a time.
        gpus: what each sees of the machine's GPUs, in turn; none on a CPU.
    """

    source: Source
    state: RunState
    workers: int
    gpus: Sequence[str] = ()
    name: str = field(default="local", init=False)

    def score(self, task: ScoringTask, numbers: Sequence[int], watch: Watch) -> Iterator[tuple[int, UnitRecord]]:
        """See `Engine`."""
        cores = os.cpu_count() or 1
        if not self.gpus and self.workers * task.threads > cores and "OMP_NUM_THREADS" not in os.environ:
            watch.note(
                f"{self.workers} workers with {task.threads} threads each share {cores} cores. Set OMP_NUM_THREADS="
                f"{max(1, cores // self.workers)} to be faster; other numbers of threads round otherwise"
            )
        waiting, attempts = deque(numbers), Attempts()
        crew: dict[Connection[Any, Any], Worker] = {}
        free = set(range(self.workers))
        try:
            while waiting or any(worker.unit is not None for worker in crew.values()):
                for worker in crew.values():
                    self._give(worker, waiting, watch)
                while waiting and free:
                    worker = self._hire(task, min(free))
                    free.discard(worker.slot)
                    crew[worker.pipe] = worker
                    self._give(worker, waiting, watch)
                for pipe in connection.wait(list(crew)):
                    worker = crew[pipe]  # type: ignore[index]
                    try:
                        said = worker.pipe.recv()
                    except (EOFError, OSError):
                        del crew[worker.pipe]
                        free.add(worker.slot)
                        yield from self._bury(worker, waiting, attempts, watch)
                        continue
                    match said:
                        case Ready():
                            worker.ready = True
                        case Advanced(images):
                            assert worker.unit is not None
                            worker.images += images
                            watch.advance(worker.unit, images)
                        case Done(record):
                            assert worker.unit is not None
                            attempts.finished()
                            number, worker.unit = worker.unit, None
                            self._give(worker, waiting, watch)
                            yield number, record
                        case Failed(error):
                            raise error
        finally:
            for worker in crew.values():
                worker.process.kill()
            for worker in crew.values():
                worker.process.join()
                if worker.unit is not None:
                    self.state.tidy(worker.unit)

    def _hire(self, task: ScoringTask, slot: int) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(pickle.dumps(task), theirs), daemon=True, name=f"srdscan-worker-{slot}"
        )
        variables = {
            "OMP_WAIT_POLICY": "PASSIVE",  # threads of several workers that wait must not hold the cores
            "PYTHONWARNINGS": ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), OF_KILLED))),
        }
        if self.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        with _environment(variables):
            process.start()
        theirs.close()  # the worker's copy is the only one left: its death closes the pipe
        return Worker(slot, process, ours)

    def _give(self, worker: Worker, waiting: deque[int], watch: Watch) -> None:
        """The next unit for a worker without one, if there is any."""
        if worker.unit is not None or not waiting:
            return
        worker.unit, worker.images = waiting.popleft(), 0
        with suppress(OSError):  # of a worker that is dead, as its pipe will say in its turn
            worker.pipe.send(worker.unit)
        watch.event("given", worker=worker.slot, pid=worker.process.pid, number=worker.unit)

    def _bury(
        self, worker: Worker, waiting: deque[int], attempts: Attempts, watch: Watch
    ) -> Iterator[tuple[int, UnitRecord]]:
        """What becomes of the unit of a worker that is gone: it waits again, or counts as damaged."""
        worker.process.join(PATIENCE)
        worker.process.kill()  # what closed its pipe and does not end
        worker.process.join()
        worker.pipe.close()
        number, exitcode = worker.unit, worker.process.exitcode
        unit = self.source.units[number] if number is not None else None
        watch.event(
            "worker died",
            worker=worker.slot,
            pid=worker.process.pid,
            how=how(exitcode),
            number=number,
            name=unit and unit.name,
        )
        if number is not None:
            self.state.tidy(number)
            watch.advance(number, -worker.images)
        problem = attempts.died(number if worker.ready else None, how(exitcode), crashed(exitcode))
        if number is None or unit is None:
            return
        if problem is None:
            waiting.appendleft(number)
            return
        record = given_up(unit, problem)
        self.state.complete(number, record, None)
        yield number, record


def visible_gpus(device: str) -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls each GPU that may be used; none where one is named, or a CPU."""
    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return []
    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] if len(named) >= count else [str(number) for number in range(count)]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables that a process started within inherits; this one has read its own long ago."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
