"""From an audit's report to a baseline."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from srdscan.cli.commands import app
from srdscan.decide import fingerprints
from srdscan.decide.accept import Done, accept
from srdscan.decide.baseline import read_baseline
from srdscan.errors import ConfigError

DAY = datetime.date(2126, 3, 1)


def a_result(rule: str, term: str, **changes: Any) -> dict[str, Any]:
    made = {
        "rule": rule,
        "severity": "error",
        "state": "new",
        "fingerprint": fingerprints.of_term(rule, term),
        "message": f"'{term}': in many captions",
        "samples": 6,
        "decides": True,
        "term": term,
        "locations": [{"shard": "a.tar", "key": "1", "place": "1.txt"}],
        "reason": "",
        "expires": "",
        "images": [],
    }
    return made | changes


def a_run(folder: Path, *results: dict[str, Any], verdict: str = "fail") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "report.json").write_text(json.dumps({"verdict": verdict, "results": results}), encoding="utf-8")
    table = {
        "flagged": [True, True, False],
        "rules": [["SRD101"], ["SRD301"], []],
        "image_sha256": ["aa", "bb", "cc"],
        "caption": ["banana", "a caption\nof two lines", "honest"],
    }
    pq.write_table(pa.table(table), folder / "samples.parquet")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    of_samples = a_result("SRD301", "", message="1 of 3 samples")
    ignored = a_result("SRD104", "lumora", state="ignored", decides=False)
    of_audit = a_result("SRD905", "")
    return a_run(tmp_path / "run", a_result("SRD101", "banana"), of_samples, ignored, of_audit)


def test_findings_are_accepted_as_wholes_and_samples_one_by_one(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.yaml"
    assert accept(run, " a footer ", DAY, out, by="me") == Done(added=2, renewed=0, kept=0, unseen=0)
    first, second = read_baseline(out).accepted
    assert (first.code, first.about, first.samples, first.reason, first.by) == ("SRD101", "banana", 6, "a footer", "me")
    assert first.fingerprint == fingerprints.of_term("SRD101", "Banana")
    assert (second.code, second.about) == ("SRD301", "a caption␊of two lines")
    assert second.fingerprint == fingerprints.of_sample("SRD301", "bb", "a caption\nof two lines")
    assert {entry.expires for entry in (first, second)} == {DAY}


def test_what_is_accepted_stays_and_what_is_over_is_renewed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "b.yaml"
    accept(run, "first", datetime.date(2126, 1, 1), out, ["SRD101"])
    again = datetime.date(2126, 6, 1)
    assert accept(run, "second", again, out) == Done(added=1, renewed=0, kept=1, unseen=0)
    assert [entry.reason for entry in read_baseline(out).accepted] == ["first", "second"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(datetime.datetime(2126, 2, 1, tzinfo=datetime.UTC).timestamp()))
    assert accept(run, "third", again, out) == Done(added=0, renewed=1, kept=1, unseen=0)
    assert [entry.reason for entry in read_baseline(out).accepted] == ["third", "second"]
    assert accept(a_run(tmp_path / "clean"), "fourth", again, out).unseen == 1


def test_a_piece_of_picture_is_known_by_most_of_its_images(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.yaml"
    piece = a_result("SRD201", "", fingerprint="11", images=["a", "b", "c"], message="the same piece")
    assert accept(a_run(run, piece), "logo", DAY, out, ["SRD201"]).added == 1
    moved = piece | {"fingerprint": "22", "images": ["a", "b", "c", "d"]}
    assert accept(a_run(run, moved), "logo", DAY, out, ["SRD201"]) == Done(added=0, renewed=0, kept=1, unseen=0)


@pytest.mark.parametrize("verdict", ["incomplete", "inconclusive"])
def test_only_a_complete_audit_has_something_to_accept(tmp_path: Path, verdict: str) -> None:
    run = a_run(tmp_path / "run", a_result("SRD101", "banana"), verdict=verdict)
    with pytest.raises(ConfigError, match=f"the audit is {verdict}; only what a complete audit found can be accepted"):
        accept(run, "r", DAY, tmp_path / "b.yaml")
    assert not (tmp_path / "b.yaml").exists()


def test_what_is_wrong_is_named_with_its_remedy(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.yaml"
    with pytest.raises(ConfigError, match="--reason: must say why"):
        accept(run, "  ", DAY, out)
    with pytest.raises(ConfigError, match="--expires 2020-01-01: is over already"):
        accept(run, "r", datetime.date(2020, 1, 1), out)
    with pytest.raises(ConfigError, match="has no finding of SRD102; nothing to accept"):
        accept(run, "r", DAY, out, ["SRD102"])
    with pytest.raises(ConfigError, match=r"report\.json: cannot be read .* No such file.* Pass the --out folder"):
        accept(tmp_path, "r", DAY, out)
    (run / "report.json").write_text('{"verdict": "fail", "results": [{"rule": "SRD101"}]}', encoding="utf-8")
    with pytest.raises(ConfigError, match="another version of srdscan"):
        accept(run, "r", DAY, out)


def test_the_command_wants_a_reason_and_a_day(run: Path, tmp_path: Path) -> None:
    command = ["baseline", str(run), "--out", str(tmp_path / "b.yaml")]
    for given in ([], ["--reason", "r"], ["--expires", "2126-03-01"], ["--reason", "r", "--expires", "soon"]):
        assert CliRunner().invoke(app, [*command, *given]).exit_code == 2
    done = CliRunner().invoke(app, [*command, "--reason", "r", "--expires", "2126-03-01"])
    assert done.exit_code == 0 and "2 accepted, 0 renewed, 0 kept as they were" in done.output
