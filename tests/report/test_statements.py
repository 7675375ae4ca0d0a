"""What is said of a data set elsewhere: statements, checksums, cards, and lists of what to keep and what to remove."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Parsed
from reports import HOSTILE, a_table, hostile, report, result

from srdscan.report import schema
from srdscan.report.attestation import to_statement
from srdscan.report.card import to_card, to_croissant
from srdscan.report.digests import MOST, to_checksums
from srdscan.report.formats import LISTS, write_reports
from srdscan.rules import RULES


def test_the_lists_say_what_to_keep_and_what_to_remove_and_accepted_findings_stay(tmp_path: Path) -> None:
    write_reports(tmp_path, ["removal-list", "keep-list"], report(result()), a_table(tmp_path / "samples.parquet"))
    removed = pq.read_table(tmp_path / "removal-list.parquet").to_pylist()
    assert [(row["shard"], row["key"], row["caption_index"], row["rules"]) for row in removed] == [
        ("a.tar", "0001", 0, ["SRD101"])
    ]
    kept = pq.read_table(tmp_path / "keep-list.parquet").to_pylist()
    assert [(row["shard"], row["key"]) for row in kept] == [("a.tar", "0000"), ("b.tar", "0000"), ("b.tar", "0001")]


@pytest.mark.parametrize("verdict", ["incomplete", "inconclusive"])
def test_of_what_was_not_audited_nothing_is_said_to_be_kept(tmp_path: Path, verdict: Any) -> None:
    write_reports(tmp_path, LISTS, report(verdict=verdict), a_table(tmp_path / "samples.parquet"))
    assert not (tmp_path / "keep-list.parquet").exists()
    assert (tmp_path / "removal-list.parquet").exists()


def stated(made: schema.Report) -> Any:
    """The statement's predicate and subjects, once in-toto's own package has read and validated it."""
    text = to_statement(made)
    assert text.isascii()
    document = json.loads(text)
    known = {**{key: value for key, value in document.items() if key != "_type"}, "type": document["_type"]}
    Statement.copy_from_pb(json_format.ParseDict(known, Parsed())).validate()
    return {**document["predicate"], "subject": document["subject"]}


def test_the_statement_names_every_digest_and_every_rule() -> None:
    said = stated(report(result(), result(rule="SRD106", severity="note", decides=False)))
    assert said["subject"] == [{"name": "data/a-000000.tar", "digest": {"sha256": "ab" * 32}}]
    assert said["result"] == "FAILED" and said["failedTests"] == ["SRD101 repeated-target-in-captions"]
    assert said["warnedTests"] == ["SRD106 hidden-characters"]
    assert len(said["passedTests"]) == len(RULES) - 3, "SRD104 was not heard, and has passed nothing"
    settings = next(item for item in said["configuration"] if item["name"] == "settings")
    assert json.loads(base64.b64decode(settings["content"])) == {}


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (report(verdict="pass"), "PASSED"),
        (report(result(state="known", decides=False), verdict="pass"), "WARNED"),
        (report(verdict="incomplete"), "FAILED"),
        (report(verdict="inconclusive"), "FAILED"),
    ],
)
def test_a_statement_passes_only_what_the_gate_passed(made: schema.Report, outcome: str) -> None:
    assert stated(made)["result"] == outcome


def test_without_a_digest_there_is_no_statement(tmp_path: Path) -> None:
    unread = report(shards=(schema.ShardSummary("a.tar", "", 0, 0, 0, "not there", "a.tar"),), verdict="incomplete")
    write_reports(tmp_path, ["attestation"], unread, tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["SHA256SUMS"]


def test_of_many_shards_the_checksum_file_is_the_subject_and_sha256sum_reads_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shards = []
    for name in [f"data/s-{number:05d}.tar" for number in range(MOST)] + ["data/a\nb\\c.tar"]:
        (tmp_path / name).write_bytes(name.encode())
        digest = hashlib.sha256(name.encode()).hexdigest()
        shards.append(schema.ShardSummary(Path(name).name, digest, 1, 0, 0, None, name))
    folder = schema.ShardSummary("pictures", "cd" * 32, 1, 0, 0, None, "pictures")
    many = report(shards=(*shards, folder, schema.ShardSummary("lost.tar", "", 0, 0, 0, "gone", "lost.tar")))
    sums = to_checksums(many)
    (subject,) = stated(many)["subject"]
    assert subject == {"name": "SHA256SUMS", "digest": {"sha256": hashlib.sha256(sums.encode()).hexdigest()}}
    assert len(stated(report(shards=tuple(shards[:MOST])))["subject"]) == MOST
    (tmp_path / "SHA256SUMS").write_text(sums)
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    assert "# not read: lost.tar" in sums and f"# srdscanUnitV1 {'cd' * 32}  pictures" in sums


def test_croissant_and_card_say_what_was_done_and_what_it_cannot_say() -> None:
    made = report(result())
    document = json.loads(to_croissant(made))
    assert document["@context"]["rai"] == "http://mlcommons.org/croissant/RAI/"
    (file,) = document["distribution"]
    assert (file["@type"], file["sha256"], file["encodingFormat"]) == ("cr:FileObject", "ab" * 32, "application/x-tar")
    assert "14 samples were flagged" in document["rai:dataPreprocessingProtocol"][0]
    assert "Rules that were not heard: SRD104" in document["rai:dataLimitations"][0]
    card = to_card(made)
    assert card.startswith("## Poison audit\n") and "The gate failed" in card
    assert "- SRD101 repeated-target-in-captions: A word" in card


@pytest.mark.parametrize("text", HOSTILE)
def test_statements_and_cards_stay_well_formed_whatever_a_data_set_says(text: str) -> None:
    made = hostile(text)
    assert stated(made)["result"] == "FAILED"
    assert json.loads(to_croissant(made))["@type"] == "sc:Dataset"
    assert not text.strip() or text[:40].strip() not in to_card(made)
    assert all(re.match(r"#|\\?[0-9a-f]{64}  ", line) for line in to_checksums(made).split("\n")[:-1])
