"""The score files that jobs left, gathered into one run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from srdscan.engines.rank import check_whole
from srdscan.engines.task import differences
from srdscan.errors import ConfigError
from srdscan.measure.state import RunState, UnitRecord
from srdscan.sources.base import ShardError, Source, Unit
from srdscan.sources.stamp import stamp
from srdscan.sources.where import is_remote

MOST_NAMED = 5


def merge(
    runs: Sequence[Path], out: Path, source: Source, wanted: Mapping[str, Any]
) -> tuple[RunState, list[UnitRecord]]:
    """Links or copies the jobs' score files into a run of their own; nothing is scored here.

    Where several jobs have a unit, one that read it to its end counts. The device on which jobs scored may be another
    than this one. Units on the local disk whose files were touched since they were scored are hashed again.

    Args:
        runs: the jobs' folders, or folders that hold these.
        out: the run's.
        source: the data set.
        wanted: the identity that the scores must have.

    Returns:
        The run's state, and what was found in each unit.

    Raises:
        ConfigError: a folder holds no scores, or those of other data, models or options; no job scored a unit, or it
            has changed since.
    """
    check_whole(out)
    jobs = [RunState(run, _identity(run, wanted)) for folder in runs for run in _of_jobs(folder)]
    devices = {job.identity["device"] for job in jobs}
    if len(devices) > 1:
        raise ConfigError(f"--merge: jobs computed on different devices ({', '.join(sorted(devices))}), which round "
                          "otherwise. Run all of them on one kind")  # fmt: skip
    state = RunState(out, jobs[0].identity)
    records: list[UnitRecord] = []
    missing: list[str] = []
    changed: list[str] = []
    for number, unit in enumerate(source.units):
        found = _chosen(jobs, number)
        if found is None:
            missing.append(unit.name)
            continue
        job, record = found
        if _has_changed(job, number, record, source, unit):
            changed.append(unit.name)
            continue
        _take(job, state, number, record)
        records.append(record)
    if missing or changed:
        what = [f"{words} {_some(names)}" for words, names in
                (("no job has scored", missing), ("changed since they were scored:", changed)) if names]  # fmt: skip
        raise ConfigError(
            f"--merge: {'; '.join(what)}. Run the jobs of these again, with the same command: they continue"
        )
    return state, records


def _of_jobs(folder: Path) -> list[Path]:
    """A job's folder, or the jobs' folders in a folder."""
    if (folder / "state").exists() or not folder.is_dir():
        return [folder]
    return sorted(path for path in folder.iterdir() if (path / "state" / "run.json").exists()) or [folder]


def _identity(run: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A job's identity, which is the wanted one but for the device."""
    try:
        theirs: dict[str, Any] = json.loads((run / "state" / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--merge {run}: no scores there; name the --out folder of an audit with --rank and --world-size"
        ) from error
    ours: dict[str, Any] = json.loads(json.dumps({**wanted, "device": theirs.get("device")}))
    if theirs != ours:
        raise ConfigError(f"--merge {run}: its scores are of {differences(ours, theirs)}. Use the same command for all")
    return theirs


def _chosen(jobs: Sequence[RunState], number: int) -> tuple[RunState, UnitRecord] | None:
    """A job that has a unit, and what it noted; one that read it to its end before one that did not."""
    damaged = None
    for job in jobs:
        record = job.record(number)
        if record is None or not _is_whole(job.table_path(number), record):
            continue
        if record.problem is None:
            return job, record
        damaged = damaged or (job, record)
    return damaged


def _is_whole(table: Path, record: UnitRecord) -> bool:
    """Whether the score file is there that a record speaks of."""
    if not record.rows:
        return True
    try:
        return bool(pq.read_metadata(table).num_rows == record.rows)
    except (OSError, ValueError):  # pyarrow's errors are of these
        return False


def _has_changed(job: RunState, number: int, record: UnitRecord, source: Source, unit: Unit) -> bool:
    if record.problem is not None or is_remote(unit.location):
        return False
    if job.unchanged(number, stamp(source.format, unit)) is not None:
        return False
    try:
        with source.open(unit) as opened:
            return opened.sha256() != record.sha256
    except ShardError:
        return True


def _take(job: RunState, state: RunState, number: int, record: UnitRecord) -> None:
    if record.rows:
        target = state.table_path(number)
        partial = target.with_name(target.name + ".partial")
        partial.unlink(missing_ok=True)
        try:
            os.link(job.table_path(number), partial)
        except OSError:  # another disk, or one that knows no links
            shutil.copyfile(job.table_path(number), partial)
        os.replace(partial, target)
        partial.unlink(missing_ok=True)  # of two names of one file, the system keeps both
    state.complete(number, record, None)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
