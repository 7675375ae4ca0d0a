"""Pass 1 of an audit: which engine, what is left to do, and how it goes."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from srdscan.config import AuditConfig
from srdscan.engines.base import Engine
from srdscan.engines.events import Events
from srdscan.engines.local import Local, visible_gpus
from srdscan.engines.ray import OnRay
from srdscan.engines.room import lack_of_room
from srdscan.engines.serial import Serial
from srdscan.engines.task import describe, scorer
from srdscan.engines.watch import Overseer
from srdscan.measure.state import RunState, UnitRecord
from srdscan.measure.units import finished_units
from srdscan.models.loaded import Models
from srdscan.progress import Progress
from srdscan.sources.base import Source


def score_units(
    config: AuditConfig,
    source: Source,
    models: Models,
    state: RunState,
    progress: Progress,
    captioner: str | None = None,
    numbers: Sequence[int] | None = None,
) -> dict[int, UnitRecord]:
    """Scores units with the engine that the configuration names; those that an earlier run completed are not read.

    Args:
        captioner: folder of the captioner under audit, where it is another than the configuration's.
        numbers: of the units to score; all if None.

    Returns:
        What was found in each unit, by number, ascending; damaged ones included. With a limit on samples the last ones
        may be missing.
    """
    wanted = range(len(source.units)) if numbers is None else numbers
    events = Events(config.out)
    overseer = Overseer([source.units[number] for number in wanted], progress, events, config.limit)
    place = {number: nth for nth, number in enumerate(wanted)}
    # with a limit, what is left of it shows unit by unit
    known = {} if config.rehash or config.limit is not None else finished_units(source, state)
    found = {number: known[number] for number in wanted if number in known}
    engine = pick_engine(config, source, models, state, len(wanted) - len(found))
    events.add(
        "started",
        engine=engine.name,
        workers=engine.workers or None,
        units=len(wanted),
        finished=len(found),
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    warning = lack_of_room(source, state, config.reading, models.captioner is not None, len(found))
    if warning is not None:
        progress.note(warning)
    overseer.begin({place[number]: record for number, record in found.items()})
    left = [number for number in wanted if number not in found]
    task = describe(config, captioner, state.identity)
    for number, record in engine.score(task, left, overseer) if left else ():
        found[number] = record
        overseer.finish(place[number], record)
    samples = sum(record.scored for record in found.values())
    events.add("finished", units=len(found), samples=samples, damaged=sum(bool(r.problem) for r in found.values()))
    return dict(sorted(found.items()))


def pick_engine(config: AuditConfig, source: Source, models: Models, state: RunState, units: int) -> Engine:
    """The engine of a configuration.

    Args:
        units: that are left to score.

    Raises:
        ConfigError: its package is not installed.
    """
    if config.engine == "ray":
        return OnRay(source, state, config.workers, config.ray_address)
    gpus = visible_gpus(config.device)
    workers = config.workers or (1 if config.limit is not None else max(1, len(gpus)))
    if min(workers, units) <= 1:
        return Serial(scorer(config, source, models, state), config.limit)
    return Local(source, state, min(workers, units), gpus)
