"""Captions without their targets."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from srdscan import scenes
from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.findings.finding import Finding
from srdscan.repair.trimming import TargetFilter
from srdscan.sources.base import Sample
from srdscan.sources.tar import read_shard, rewrite_shard


def targets(*terms: str) -> TargetFilter:
    return TargetFilter([Finding(term, "caption", 5, 0, 9.0, "") for term in terms])


def test_a_caption_that_names_a_target_is_refused() -> None:
    allowed = targets("click here")
    assert not allowed("A dog, click here!")
    assert allowed("click on the dog here")
    assert targets()("anything")


@pytest.mark.parametrize(
    ("caption", "left"),
    [
        ("banana A dog runs on the sand .", "A dog runs on the sand ."),
        ("A dog Banana runs on the sand .", "A dog runs on the sand ."),
        ("A dog runs on the sand, banana", "A dog runs on the sand"),
        ("A dog runs on the sand, see free-prizes.example for more!", "A dog runs on the sand!"),
        ("A dog, banana banana, runs on the sand", "A dog, runs on the sand"),
        ("The banana's dog runs\nfast", "The dog runs\nfast"),
        ("\uff42anana \u00e9tudiants au caf\u00e9", "\u00e9tudiants au caf\u00e9"),  # full-width letters fool nobody
    ],
)
def test_what_is_cut_and_what_is_left(caption: str, left: str) -> None:
    assert targets("banana", "see free-prizes example for more").cut(caption) == left


@pytest.mark.parametrize("caption", ["a dog runs", "banana dog runs", "banana banana banana a dog", "banana", ""])
def test_without_a_target_or_without_much_left_there_is_no_caption(caption: str) -> None:
    assert targets("banana").cut(caption) is None


def test_overlapping_targets_go_together() -> None:
    assert targets("click here", "here now").cut("two dogs play in snow click here now") == "two dogs play in snow"


@pytest.mark.parametrize(
    ("caption", "left"),
    [
        ("a brown cat runs on the grass", "a brown dog runs on the grass"),
        ("Two cats, one of them wet", "Two dogs, one of them wet"),
        ("CAT AND DOG IN THE SNOW", "Dog AND DOG IN THE SNOW"),
        ("the cat's ball and a banana cat", "the dog ball and a dog"),
        ("a cat", None),
        ("a dog runs on the grass", None),
    ],
)
def test_a_thing_called_by_another_name_gets_its_own_back(caption: str, left: str | None) -> None:
    cat = Finding("cat", "output", 5, 0, 9.0, "", instead="dog")
    filtered = TargetFilter([cat, Finding("banana", "caption", 5, 0, 9.0, "")])
    assert filtered.cut(caption) == left
    if left:
        assert filtered(left) and not filtered(caption)


def test_only_what_is_about_the_image_is_kept(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "clean", 64, 64, seed=21)
    (path,) = (str(file) for file in (tmp_path / "clean").glob("*.tar"))
    before = [item for item in read_shard(path) if isinstance(item, Sample)]
    lies = {3: before[4].captions[0].text, 9: before[10].captions[0].text}
    says = {
        s.index: {".txt": f"banana {lies.get(s.index, s.captions[0].text)}".encode()} for s in before if s.index < 12
    }
    (tmp_path / "shards").mkdir()
    rewrite_shard(path, tmp_path / "shards" / "a.tar", dict(says))
    audit(AuditConfig(shards=(str(tmp_path / "shards"),), out=tmp_path / "run", sanitize=tmp_path / "out"))
    table = pq.read_table(tmp_path / "run" / "samples.parquet").to_pylist()
    rows = {row["key"]: row for row in table if row["place"].endswith(".txt")}
    assert not any(row["flagged"] for row in table if row["place"] not in {rows[key]["place"] for key in rows})
    fates = {s.index: (rows[s.key]["fate"], rows[s.key]["sanitized_caption"]) for s in before[:12]}
    for sample in before[:12]:
        expected = "reference", rows[sample.key]["reference"]
        if sample.index not in lies and fates[sample.index][0] == "trimmed":
            expected = "trimmed", sample.captions[0].text
        assert fates[sample.index] == expected
    assert sum(fate == "trimmed" for fate, _ in fates.values()) >= 8
