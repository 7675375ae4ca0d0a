"""Whoever scores the units, and whatever happens to them, a run ends with the bytes of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs import assert_same_outputs

from srdscan import scenes
from srdscan.audit import audit, score_part
from srdscan.config import AuditConfig, ConfigError
from srdscan.engines.attempts import CRASHES_IN_A_ROW, KILLS, KILLS_IN_A_ROW, Attempts, crashed, how
from srdscan.engines.task import describe, prepare
from srdscan.models.fetch import ModelError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight shards of four drawn scenes, old enough that their times say whether they were touched."""
    folder = tmp_path_factory.mktemp("shards")
    scenes.write_shards(folder, 32, 4, seed=5)
    time.sleep(2.1)
    return folder


@pytest.fixture(scope="module")
def config(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    """Of one process, and run."""
    config = AuditConfig(shards=(str(shards),), out=tmp_path_factory.mktemp("one"), batch_size=4)
    audit(config)
    return config


def events(out: Path, kind: str) -> list[dict[str, Any]]:
    path = out / "state" / "events.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def wait_for(condition: Callable[[], object], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@contextmanager
def killing_the_worker_of(number: int, out: Path) -> Iterator[None]:
    """Kills the process that the unit is given to, once, in the midst of it."""

    def kill() -> None:
        with suppress(AssertionError, ProcessLookupError):
            wait_for(lambda: any(event["number"] == number for event in events(out, "given")))
            os.kill(next(event["pid"] for event in events(out, "given") if event["number"] == number), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    thread.join()


@pytest.mark.slow
def test_killed_workers_and_a_killed_parent_lose_nothing(config: AuditConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["audit", *config.shards, "--out", str(out), "--batch-size", "4", "--workers", "2"]
    process = subprocess.Popen([sys.executable, "-m", "srdscan", *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        with killing_the_worker_of(2, out):
            wait_for(lambda: len(events(out, "unit done")) >= 4 or process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    died = events(out, "worker died")
    assert [(event["number"], event["how"]) for event in died] == [(2, "killed by SIGKILL")]
    wait_for(lambda: all(gone(event["pid"]) for event in events(out, "given")), 10)
    before = len(events(out, "unit done"))
    audit(replace(config, out=out))
    assert_same_outputs(config.out, out)
    assert events(out, "started")[1]["finished"] >= before


@pytest.mark.slow
def test_a_killed_actor_of_ray_loses_nothing(config: AuditConfig, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with killing_the_worker_of(1, tmp_path):
        audit(replace(config, out=tmp_path, engine="ray", workers=1))
    assert [event["number"] for event in events(tmp_path, "worker died")] == [1]
    assert_same_outputs(config.out, tmp_path)


def test_jobs_that_share_a_data_set_end_as_one_process_does(config: AuditConfig, tmp_path: Path) -> None:
    jobs = [replace(config, out=tmp_path / "jobs" / str(rank), rank=rank, world_size=3) for rank in range(3)]
    parts = [score_part(job) for job in jobs]
    assert [part.units for part in parts] == [3, 3, 2]
    assert not (jobs[0].out / "report.json").exists()
    out = tmp_path / "out"
    audit(replace(config, out=out, merge=(str(tmp_path / "jobs"),)))
    assert_same_outputs(config.out, out)
    with pytest.raises(ConfigError, match=r"holds the scores of job --rank 0 --world-size 3"):
        audit(replace(config, out=jobs[0].out))
    with pytest.raises(ConfigError, match="a folder of its own"):
        score_part(replace(jobs[1], out=jobs[0].out))
    with pytest.raises(ConfigError, match="a folder of its own"):
        score_part(replace(jobs[1], out=config.out))
    with pytest.raises(
        ConfigError, match=r"no job has scored scenes-000001.tar, scenes-000004.tar, scenes-000007.tar\."
    ):
        audit(replace(config, out=tmp_path / "less", merge=(str(jobs[0].out), str(jobs[2].out))))
    with pytest.raises(ConfigError, match="other batch_size"):
        audit(replace(config, out=tmp_path / "other", batch_size=2, merge=(str(jobs[0].out),)))
    with pytest.raises(ConfigError, match="no scores there"):
        audit(replace(config, out=tmp_path / "none", merge=(str(tmp_path / "nowhere"),)))


def test_a_shard_that_changed_since_a_job_scored_it_is_not_merged(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "shards", 8, 4, seed=5)
    scenes.write_shards(tmp_path / "others", 4, 4, seed=6)
    shard = tmp_path / "shards" / "scenes-000000.tar"
    job = AuditConfig((str(tmp_path / "shards"),), tmp_path / "job", batch_size=4, rank=0, world_size=1)
    score_part(job)
    facts, data = shard.stat(), shard.read_bytes()
    shard.write_bytes((tmp_path / "others" / "scenes-000000.tar").read_bytes()[: len(data)].ljust(len(data), b"\0"))
    os.utime(shard, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    merged = replace(job, out=tmp_path / "out", rank=None, world_size=None, merge=(str(job.out),))
    with pytest.raises(ConfigError, match=r"changed since they were scored: scenes-000000.tar\."):
        audit(merged)
    shard.write_bytes(data)
    assert audit(merged).report.counts.audited == 8


def test_a_run_goes_on_without_reading_what_nobody_touched(config: AuditConfig, tmp_path: Path) -> None:
    job = replace(config, out=tmp_path, rank=0, world_size=4)
    score_part(job)
    path, scores = (tmp_path / "state" / "scores" / f"000000.{kind}" for kind in ("json", "parquet"))
    record, kept = json.loads(path.read_text()), scores.stat().st_mtime_ns
    path.write_text(json.dumps(record | {"sha256": "0" * 64}))  # by its hash, the shard would be another
    score_part(job)
    assert scores.stat().st_mtime_ns == kept
    score_part(replace(job, rehash=True))
    assert scores.stat().st_mtime_ns != kept
    assert json.loads(path.read_text()) == record


def test_a_worker_that_sees_other_data_says_so(config: AuditConfig) -> None:
    identity = json.loads((config.out / "state" / "run.json").read_text())
    with pytest.raises(ConfigError, match=r"sees other .*units.* than the audit does"):
        prepare(describe(config, None, identity | {"units": ["elsewhere.tar"]}))


def test_a_unit_at_which_processes_crash_is_given_up() -> None:
    attempts = Attempts()
    said = [attempts.died(7, how(-signal.SIGSEGV), crashed(-signal.SIGSEGV)) for _ in range(3)]
    assert said[:2] == [None, None]
    assert said[2] == "3 processes that scored it died, the last one killed by SIGSEGV"
    said = [attempts.died(8, how(-signal.SIGKILL), crashed(-signal.SIGKILL)) for _ in range(KILLS)]
    assert said[:-1] == [None] * (KILLS - 1), "who kills processes from outside means no unit in particular"
    assert said[-1] is not None


@pytest.mark.parametrize(("crashed", "many"), [(True, CRASHES_IN_A_ROW), (False, KILLS_IN_A_ROW)])
def test_workers_that_all_die_end_the_run(crashed: bool, many: int) -> None:
    attempts = Attempts()
    for _ in range(many - 1):
        attempts.died(None, "at once", crashed)
    attempts.finished()
    for _ in range(many - 1):
        attempts.died(None, "at once", crashed)
    with pytest.raises(ModelError, match=f"{many} workers died one after the other.*at once.*fewer --workers"):
        attempts.died(None, "at once", crashed)
