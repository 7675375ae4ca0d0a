"""Pass 1 on a Ray cluster: actors that load the models once and score units by number, a GPU each if there are any.

Actors write score files into the run's folder themselves: it must be one that all nodes share, as must the data.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from srdscan.engines.attempts import Attempts
from srdscan.engines.base import Watch
from srdscan.engines.task import ScoringTask, prepare
from srdscan.errors import ConfigError
from srdscan.measure.state import RunState, UnitRecord
from srdscan.measure.units import Scorer, given_up
from srdscan.sources.base import Source

LOOK_AGAIN = 5.0
"""Seconds that a network file system has to show what another node wrote."""
SHOWN = ("CPU", "GPU")
"""What a cluster has, in the events."""


class RemoteScorer:
    """What an actor is: a scorer, loaded at the first call."""

    def __init__(self, task: ScoringTask) -> None:
        self._task = task
        self._scorer: Scorer | None = None

    def load(self) -> int:
        """Loads models and source; returns the actor's process id."""
        self._scorer = prepare(self._task)
        return os.getpid()

    def score(self, number: int) -> UnitRecord:
        """Scores a unit."""
        assert self._scorer is not None
        return self._scorer.score(number)


@dataclass
class Actor:
    """An actor, as the driver sees it."""

    handle: Any
    pid: int | None = None
    unit: int | None = None


@dataclass
class OnRay:
    """An actor pool; a unit whose actor dies is scored again by another.

    Attributes:
        source: the data set, for the names of units.
        state: where units are completed.
        wanted: actors; None takes one a GPU of the cluster, or one a node if it has none.
        address: of a running cluster, as `ray.init` takes it; None starts Ray on this machine, unless RAY_ADDRESS names
            a cluster.
        workers: actors that there are, once the cluster is known.

    Raises:
        ConfigError: Ray is not installed.
    """

    source: Source
    state: RunState
    wanted: int | None = None
    address: str | None = None
    name: str = field(default="ray", init=False)
    workers: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        _ray()

    def score(self, task: ScoringTask, numbers: Sequence[int], watch: Watch) -> Iterator[tuple[int, UnitRecord]]:
        """See `Engine`; images count when their unit is done.

        Raises:
            ConfigError: no cluster is at the address, or `--out` is not shared by its nodes.
        """
        ray = _ray()
        waiting, attempts = deque(numbers), Attempts()
        busy: dict[Any, Actor] = {}
        with _cluster(self.address):
            hire = self._hiring(task)
            watch.event("cluster", workers=self.workers, **_resources(ray))
            try:
                while waiting or busy:
                    while waiting and len(busy) < self.workers:
                        actor = Actor(hire())
                        actor.unit = waiting.popleft()
                        busy[actor.handle.load.remote()] = actor
                    for call in ray.wait(list(busy), num_returns=1)[0]:
                        actor = busy.pop(call)
                        number = actor.unit
                        assert number is not None
                        try:
                            said = ray.get(call)
                        except ray.exceptions.RayTaskError as error:
                            raise getattr(error, "cause", None) or error from error
                        except ray.exceptions.RayError as error:
                            yield from self._bury(actor, str(error), waiting, attempts, watch)
                            continue
                        if isinstance(said, UnitRecord):
                            attempts.finished()
                            self._see(number, said)
                            watch.advance(number, said.scored)
                            yield number, said
                            if not waiting:
                                ray.kill(actor.handle)
                                continue
                            actor.unit = waiting.popleft()
                        else:
                            actor.pid = said
                        watch.event("given", pid=actor.pid, number=actor.unit)
                        busy[actor.handle.score.remote(actor.unit)] = actor
            finally:
                for actor in busy.values():
                    ray.kill(actor.handle)

    def _hiring(self, task: ScoringTask) -> Any:
        """What makes an actor, with its share of the cluster."""
        ray = _ray()
        there = ray.cluster_resources()
        gpus = there.get("GPU", 0.0) if task.config.device in ("auto", "cuda") else 0.0
        nodes = sum(node["Alive"] for node in ray.nodes())
        self.workers = self.wanted or int(gpus) or nodes
        options = {
            "num_cpus": min(1.0, there.get("CPU", 1.0) / self.workers),
            "num_gpus": min(1.0, gpus / self.workers),
            "max_restarts": 0,  # a new actor is made in its place, and counted
            "scheduling_strategy": "SPREAD",
            # Ray gives an actor one thread a CPU that it reserved; other numbers of threads round otherwise
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(task.threads)}},
        }
        remote = ray.remote(RemoteScorer).options(**options)
        return lambda: remote.remote(task)

    def _bury(
        self, actor: Actor, error: str, waiting: deque[int], attempts: Attempts, watch: Watch
    ) -> Iterator[tuple[int, UnitRecord]]:
        """What becomes of the unit of an actor that is gone: it waits again, or counts as damaged."""
        number = actor.unit
        assert number is not None
        unit, words = self.source.units[number], " ".join(error.split())[:300]
        watch.event("worker died", pid=actor.pid, how=words, number=number, name=unit.name)
        problem = attempts.died(number if actor.pid is not None else None, f"with the words: {words}", crashed=False)
        if problem is None:
            waiting.appendleft(number)
            return
        record = given_up(unit, problem)
        self.state.complete(number, record, None)
        yield number, record

    def _see(self, number: int, record: UnitRecord) -> None:
        """Makes sure that what an actor wrote has arrived here."""
        until = time.monotonic() + LOOK_AGAIN
        while record.rows and not self.state.table_path(number).exists():
            if time.monotonic() > until:
                raise ConfigError(
                    f"--out {self.state.out}: a worker wrote its scores elsewhere. Name a folder that all nodes share"
                )
            time.sleep(0.2)


def _resources(ray: Any) -> dict[str, float]:
    there = ray.cluster_resources()
    return {name: there.get(name, 0.0) for name in SHOWN}


def _ray() -> Any:
    """The package, which an extra installs.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError("--engine ray: Ray is not installed. Run: pip install 'srdscan[ray]'") from error
    return ray


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Ray, attached to a cluster or started here; left alone if somebody in this process has it already.

    Raises:
        ConfigError: no cluster is at the address.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    address = address or os.environ.get("RAY_ADDRESS")
    here = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--ray-address {address}: {' '.join(str(error).split())[:300]}") from error
    try:
        for number, handler in handlers.items() if threading.current_thread() is threading.main_thread() else ():
            signal.signal(number, handler)  # Ray's own would leave the command without a word
        yield
    finally:
        ray.shutdown()
