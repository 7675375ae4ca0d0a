"""A part of an audit: the units of one job of several, scored into a folder of the job's own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from srdscan.errors import ConfigError
from srdscan.measure.state import replace_text

NAME = "job.json"


@dataclass(frozen=True)
class Part:
    """What a job leaves.

    Attributes:
        rank: of the job, from 0.
        world_size: jobs in all.
        out: its folder.
        units: that it scored, an earlier run of it included.
        all_units: of the data set.
        samples: that have scores.
        problems: of damaged units, in words.
    """

    rank: int
    world_size: int
    out: Path
    units: int
    all_units: int
    samples: int
    problems: tuple[str, ...]

    def to_json(self) -> str:
        """All fields as JSON."""
        return json.dumps({**asdict(self), "out": str(self.out)}, indent=2) + "\n"


def units_of(rank: int, world_size: int, units: int) -> range:
    """The units of a job: every `world_size`-th, so that jobs get large and small ones alike.

    >>> [list(units_of(rank, 3, 7)) for rank in range(3)]
    [[0, 3, 6], [1, 4], [2, 5]]
    """
    return range(rank, units, world_size)


def mark(out: Path, rank: int, world_size: int) -> None:
    """Says in a run's state which job it is.

    Raises:
        ConfigError: it is another, or a whole audit.
    """
    path = out / "state" / NAME
    document = json.dumps({"rank": rank, "world_size": world_size}) + "\n"
    if path.exists():
        if path.read_text(encoding="utf-8") != document:
            raise ConfigError(f"--out {out}: holds {_named(path)}. Give every job a folder of its own")
    elif any((out / "state" / "scores").glob("*.json")):
        raise ConfigError(f"--out {out}: holds a whole audit. Give every job a folder of its own")
    else:
        replace_text(path, document)


def check_whole(out: Path) -> None:
    """Lets the folder of a whole audit pass.

    Raises:
        ConfigError: a job's part lies there.
    """
    path = out / "state" / NAME
    if path.exists():
        raise ConfigError(
            f"--out {out}: holds {_named(path)}. Name it with --merge, and another folder with --out; or give --rank "
            "and --world-size again to continue the job"
        )


def _named(path: Path) -> str:
    values = json.loads(path.read_text(encoding="utf-8"))
    return f"the scores of job --rank {values['rank']} --world-size {values['world_size']}"
