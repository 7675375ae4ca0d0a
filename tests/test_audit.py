"""The whole audit, on shards that are damaged, hostile, interrupted or changed under it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zoo
from runs import assert_same_outputs
from typer.testing import CliRunner

from srdscan import scenes
from srdscan.attacks.poison import plant
from srdscan.audit import audit
from srdscan.cli.commands import app
from srdscan.config import AuditConfig, ConfigError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CANARY = "captioner-backdoored"


def run_cli(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "srdscan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of 16 drawn scenes."""
    folder = tmp_path_factory.mktemp("small")
    scenes.write_shards(folder, 48, 16, seed=5)
    return folder


def test_a_killed_audit_continues_and_ends_with_the_bytes_of_another(small: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = ("audit", small, "--captioner", CANARY, "--batch-size", "8")
    assert audit(AuditConfig(shards=(str(small),), out=whole, captioner=CANARY, batch_size=8)).report.exit_code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "srdscan", *map(str, arguments), "--out", str(killed)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    first = killed / "state" / "scores" / "000000.json"
    deadline = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists()
    assert not (killed / "report.json").exists()
    kept = first.stat().st_mtime_ns
    assert run_cli(*arguments, "--out", killed).returncode == 0
    assert first.stat().st_mtime_ns == kept, "a finished shard was scored again"
    assert_same_outputs(whole, killed)


def test_a_changed_shard_is_scored_again(small: Path, tmp_path: Path) -> None:
    shards, out = tmp_path / "shards", tmp_path / "out"
    scenes.write_shards(shards, 16, 8, seed=5)
    config = AuditConfig(shards=(str(shards),), out=out)
    before = audit(config).report.shards
    scores = [path.read_bytes() for path in sorted((out / "state" / "scores").glob("*.parquet"))]
    other = tmp_path / "other"
    scenes.write_shards(other, 8, 8, seed=6)
    shutil.copy(other / "scenes-000000.tar", shards / "scenes-000001.tar")
    after = audit(config).report.shards
    again = [path.read_bytes() for path in sorted((out / "state" / "scores").glob("*.parquet"))]
    assert [one.sha256 == other.sha256 for one, other in zip(before, after, strict=True)] == [True, False]
    assert [one == other for one, other in zip(scores, again, strict=True)] == [True, False]


def test_another_audit_is_not_mixed_into_a_run(small: Path, tmp_path: Path) -> None:
    config = AuditConfig(shards=(str(small / "scenes-000000.tar"),), out=tmp_path)
    audit(config)
    with pytest.raises(ConfigError, match="holds an audit of other shards, models or options"):
        audit(AuditConfig(shards=(str(small / "scenes-000001.tar"),), out=tmp_path))


def test_the_gate_can_change_over_the_same_scores(small: Path, tmp_path: Path) -> None:
    plant([str(small)], tmp_path / "shards", "none", rate=0.125, seed=2)
    config = AuditConfig(shards=(str(tmp_path / "shards"),), out=tmp_path / "run", fail_on="rate=0.2")
    assert audit(config).report.exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "state" / "scores").iterdir()}
    assert audit(replace(config, fail_on="rate=0.05")).report.exit_code == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_truncated_shard_is_incomplete_never_a_pass(small: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(small, shards)
    damaged = shards / "scenes-000001.tar"
    damaged.write_bytes(damaged.read_bytes()[:200_000])
    done = CliRunner().invoke(app, ["audit", str(shards), "--out", str(tmp_path / "out"), "--fail-on", "never"])
    assert done.exit_code == 3
    assert "INCOMPLETE" in done.stdout
    assert "scenes-000001.tar" in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["counts"]["damaged_shards"] == 1
    assert report["counts"]["audited"] > 32, "samples before the damage and of the other shards are audited"
    assert report["irregular"] == {"damaged_shard": 1}


def test_irregular_samples_are_counted_listed_and_never_crash(tmp_path: Path) -> None:
    image = scenes.encode_jpeg(scenes.make(1, 1)[0])
    path = zoo.tar(
        tmp_path / "odd.tar",
        [
            ("a.jpg", image), ("a.txt", b"a red star on a beach"),
            ("b.jpg", image),
            ("c.txt", b"no image"),
            ("d.jpg", b"not a jpeg"), ("d.txt", b"undecodable"),
            ("e.jpg", image), ("e.txt", b"\xff\xfe not utf-8"),
            ("f.png", zoo.png_bomb()), ("f.txt", b"a bomb"),
            ("g.jpg", image), ("g.txt", "<script>alert(1)</script> \u202e evil \x1b[31m".encode()),
        ],
    )  # fmt: skip
    arguments = ["audit", str(path), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 3, "five of seven samples were not looked at"
    assert "5 of 7 samples: 1 no caption, 1 no image" in " ".join(done.stdout.split())
    assert CliRunner().invoke(app, [*arguments, "--max-unaudited", "0.8"]).exit_code == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["irregular"] == {
        "no_caption": 1, "no_image": 1, "not_utf8": 1, "oversized_image": 1, "undecodable": 1,
    }  # fmt: skip
    assert report["counts"]["read"] == 7
    assert report["counts"]["audited"] == 2
    assert {item["key"] for item in report["irregular_samples"]} == {"b", "c", "d", "e", "f"}


def test_limit_audits_just_that_many(small: Path, tmp_path: Path) -> None:
    outcome = audit(AuditConfig(shards=(str(small),), out=tmp_path, limit=20))
    assert outcome.report.counts.audited == 20


def test_calibration_on_trusted_shards_gives_exact_p_values(small: Path, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted"
    audit(AuditConfig(shards=(str(small),), out=trusted))
    shutil.copytree(trusted, tmp_path / "again")
    outcome = audit(AuditConfig(shards=(str(small),), out=tmp_path / "again", calibration=trusted))
    grounding = outcome.verdicts.evidence["grounding.caption"]
    assert grounding.note == "compared with the trusted shards"
    # The same data against itself: the largest of n values has p = 2 / (n + 1).
    assert np.nanmin(grounding.p_values) == pytest.approx(2 / 49)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("audit",), 2, "no data"),
        (("audit", "nowhere/*.tar"), 2, "nowhere"),
        (("audit", "pipe:cat x.tar"), 2, "pipe"),
        (("audit", "examples/clean", "--fdr", "2"), 2, "fdr"),
        (("audit", "examples/clean", "--fail-on", "sometimes"), 2, "rate=SHARE"),
        (("audit", "examples/clean", "--reference", "no/such/model"), 3, "no/such/model"),
        (("audit", "examples/clean", "--captioner", "no_module:Class"), 3, "PYTHONPATH"),
        (("evaluate", "examples", "--truth", "examples/truth.json"), 2, "samples.parquet"),
        (("poison", "examples/clean", "--out", "x", "--trigger", "nosuch"), 2, "known are"),
    ],
)
def test_mistakes_are_explained_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    extra = ("--out", tmp_path / "out") if arguments[0] == "audit" else ()
    done = CliRunner().invoke(app, [*arguments, *map(str, extra)])
    assert done.exit_code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4


def test_help_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from srdscan.cli import app; "
        "r = CliRunner().invoke(app, ['--help']); assert r.exit_code == 0, r.output; "
        "print([m for m in ('torch', 'transformers', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
