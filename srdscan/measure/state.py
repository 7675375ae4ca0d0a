"""The state of a run: what is done of each shard, so that a killed audit continues where it stopped."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from srdscan.errors import ConfigError
from srdscan.measure.scores import Scores, write_table
from srdscan.sources.base import Irregular
from srdscan.sources.stamp import changed_at

SETTLED_NS: Final = 2_000_000_000
"""A file may change again within the same tick of a clock: one that was so young when it was read is read again."""


@dataclass(frozen=True)
class UnitRecord:
    """A scored unit.

    Attributes:
        name: of the unit.
        location: path or URL it was read from.
        sha256: of its bytes; empty if it could not be opened.
        scored: samples that have scores.
        rows: pairs in its score file.
        irregular: samples, or parts of them, that could not be scored.
        problem: why it counts as damaged; None if it was read to its end.
        meta: shapes of the attention maps.
        stamp: of its file, before and after it was read (`sources.stamp`); empty if that says nothing.
    """

    name: str
    location: str
    sha256: str
    scored: int
    rows: int
    irregular: tuple[Irregular, ...]
    problem: str | None
    meta: Mapping[str, Any]
    stamp: str = ""


class RunState:
    """RUN/state: `run.json` says of which audit, `scores/` holds a Parquet file and a completion file a unit.

    Args:
        out: the run's folder; made if it is not there.
        identity: everything that the scores depend on; a folder of another audit is refused.

    Raises:
        ConfigError: the folder holds another audit, or cannot be written.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        self.out, self.identity = out, identity
        self.folder = out / "state" / "scores"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--out {out}: cannot be made: {error.strerror}") from error
        document = json.dumps(identity, indent=1, sort_keys=True) + "\n"
        path = out / "state" / "run.json"
        if not path.exists():
            replace_text(path, document)
        elif path.read_text(encoding="utf-8") != document:
            raise ConfigError(
                f"--out {out}: holds an audit of other shards, models or options. Remove it, or choose another folder"
            )

    def table_path(self, number: int) -> Path:
        """The score file of a shard."""
        return self.folder / f"{number:06d}.parquet"

    def record(self, number: int) -> UnitRecord | None:
        """What is noted of a shard, damaged or not; None if it was not completed."""
        path = self.folder / f"{number:06d}.json"
        return read_record(path) if path.exists() else None

    def done(self, number: int, sha256: str) -> UnitRecord | None:
        """The record of a shard if it is complete and its bytes are still the same."""
        record = self.record(number)
        if record is None or not sha256 or record.sha256 != sha256 or record.problem is not None:
            return None
        return record

    def unchanged(self, number: int, stamp: str) -> UnitRecord | None:
        """The record of a shard if it is complete and its file was not touched since, as far as its stamp tells.

        None says nothing: `done` is asked then, with the hash of the bytes.
        """
        record = self.record(number) if stamp else None
        if record is None or record.stamp != stamp or record.problem is not None:
            return None
        completed = (self.folder / f"{number:06d}.json").stat().st_mtime_ns
        return record if completed - changed_at(stamp) > SETTLED_NS else None

    def complete(self, number: int, record: UnitRecord, table: pa.Table | None) -> None:
        """Writes the scores, then the completion file that makes them count."""
        if table is not None:
            write_table(table, self.table_path(number))
        replace_text(self.folder / f"{number:06d}.json", json.dumps(asdict(record), indent=1, sort_keys=True) + "\n")

    def tidy(self, number: int) -> None:
        """Removes what a process left half-written of a shard when it was killed."""
        for path in self.folder.glob(f"{number:06d}.*.partial"):
            path.unlink(missing_ok=True)

    def scores(self, records: list[UnitRecord]) -> Scores:
        """The scores of all shards that have any."""
        meta: dict[str, Any] = {}
        for record in records:
            meta |= record.meta
        files = tuple(self.table_path(number) for number, record in enumerate(records) if record.rows)
        return Scores(files, meta)


def read_record(path: Path) -> UnitRecord:
    """A completion file."""
    values = json.loads(path.read_text(encoding="utf-8"))
    irregular = tuple(Irregular(**item) for item in values.pop("irregular"))
    return UnitRecord(**values, irregular=irregular)


def load_scores(run: Path) -> Scores:
    """The scores of a finished audit, to calibrate another with.

    Raises:
        ConfigError: there are none.
    """
    folder = run / "state" / "scores"
    files = tuple(sorted(folder.glob("*.parquet")))
    if not files:
        raise ConfigError(f"--calibration {run}: no scores there; pass the --out folder of an audit of trusted shards")
    meta: dict[str, Any] = {}
    for path in files:
        meta |= json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["meta"]
    return Scores(files, meta)


def replace_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except BaseException as error:  # a full disk, or a signal: what is half-written only takes room
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # of which the system says nothing while it writes
        raise
