"""Two runs compared: what came, went and changed, by what it is first and by where it stands then."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from srdscan import scenes
from srdscan.audit import audit
from srdscan.cli.commands import app
from srdscan.config import AuditConfig
from srdscan.decide import fingerprints
from srdscan.diff.looks import ALIKE
from srdscan.diff.pairing import pair_up
from srdscan.diff.runs import Difference, compare
from srdscan.errors import ConfigError

COUNT = 14


def table(*rows: tuple[str, str, str, str], caption_index: int = 0) -> pa.Table:
    """Shard, key, image, caption."""
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    shard, key, image, caption = (pa.array(list(column), pa.string()) for column in columns)
    numbers = pa.array([caption_index] * len(rows), pa.int32())
    names = {"shard": shard, "key": key, "image_index": numbers, "caption_index": numbers}
    return pa.table({**names, "image_sha256": image, "caption": caption})


def test_pairs_are_the_same_wherever_they_stand() -> None:
    old = table(("a", "1", "x", "cat"), ("a", "2", "y", "dog"), ("b", "1", "z", "cow"))
    new = table(("c", "7", "z", "cow"), ("c", "8", "x", "cat"), ("c", "9", "y", "dog"))
    paired = pair_up(old, new)
    assert paired.same.tolist() == [[2, 0], [0, 1], [1, 2]]
    assert not len(paired.changed) and not len(paired.gone) and not len(paired.added)


def test_a_copy_more_is_added_and_one_less_is_gone() -> None:
    old = table(("a", "1", "x", "cat"), ("a", "2", "x", "cat"), ("a", "3", "y", "dog"))
    new = table(("a", "1", "x", "cat"), ("a", "3", "y", "dog"), ("a", "4", "y", "dog"), ("a", "5", "y", "dog"))
    paired = pair_up(old, new)
    assert (paired.gone.tolist(), paired.added.tolist()) == ([1], [2, 3])
    assert paired.same.tolist() == [[0, 0], [2, 1]]


def test_what_stands_where_it_stood_is_changed_and_keys_that_start_anew_in_each_shard_are_not_mixed_up() -> None:
    old = table(("a", "0", "x", "cat"), ("a", "1", "y", "dog"), ("b", "0", "z", "cow"), ("b", "1", "w", "hen"))
    new = table(("a", "0", "x2", "cat"), ("a", "1", "y", "fox"), ("c", "0", "v", "owl"), ("c", "1", "w2", "hen"))
    paired = pair_up(old, new)
    assert paired.changed.tolist() == [[0, 0], [1, 1], [3, 3]]
    assert (paired.gone.tolist(), paired.added.tolist()) == ([2], [2])


def test_an_image_that_moved_under_another_caption_is_changed_and_a_further_copy_of_it_is_added() -> None:
    old = table(("a", "0", "x", "cat"))
    new = table(("b", "5", "x", "a banana"), ("b", "6", "x", "a fine banana"))
    paired = pair_up(old, new)
    assert (paired.changed.tolist(), paired.added.tolist()) == ([[0, 0]], [1])


def test_nothing_against_nothing() -> None:
    paired = pair_up(table(), table(("a", "0", "x", "cat")))
    assert (len(paired.same), paired.added.tolist()) == (0, [0])


def saved(image: Image.Image, quality: int = 95) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write(folder: Path, samples: list[tuple[str, bytes, str]]) -> Path:
    folder.mkdir()
    with tarfile.open(folder / "part-0.tar", "w") as tar:
        for key, image, caption in samples:
            for name, data in ((f"{key}.jpg", image), (f"{key}.txt", caption.encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set, and what somebody made of it: an image saved again, patched, swapped, a caption changed, ..."""
    folder = tmp_path_factory.mktemp("diff")
    drawn = [(image, scene.caption) for image, scene in (scenes.make(5, n) for n in range(COUNT + 2))]
    before = [(f"{n:03d}", saved(image), caption) for n, (image, caption) in enumerate(drawn[:COUNT])]
    after = list(before)
    after[0] = ("000", saved(drawn[0][0], 75), before[0][2])
    patched = drawn[1][0].copy()
    ImageDraw.Draw(patched).rectangle((4, 4, 28, 28), fill=(255, 0, 255))
    after[1] = ("001", saved(patched), before[1][2])
    after[2] = ("002", saved(drawn[COUNT][0]), before[2][2])
    after[3] = ("003", before[3][1], "a banana")
    after[4] = ("004", saved(drawn[COUNT + 1][0]), "two bananas")
    after[5] = ("900", *before[5][1:])
    del after[6]
    after.append(("901", *before[7][1:]))
    made = []
    for name, samples in (("old", before), ("new", after)):
        out = folder / f"{name}-run"
        audit(AuditConfig(shards=(str(write(folder / name, samples)),), out=out))
        made.append(out)
    return made[0], made[1]


def test_a_swapped_picture_is_told_from_one_that_was_saved_again(runs: tuple[Path, Path], tmp_path: Path) -> None:
    found = compare(*runs, tmp_path / "diff.parquet")
    assert found.same == COUNT - 6
    assert found.counts == {"added": 1, "gone": 1, "image": 3, "caption": 1, "image+caption": 1}
    assert found.samples == found.counts and found.replaced == 2
    by_key = {change.key: change for change in found.changes}
    again, patched, swapped = (by_key[key].likeness for key in ("000", "001", "002"))
    assert again is not None and patched is not None and swapped is not None
    assert swapped < 0.5 < ALIKE <= again < patched, "a patch is too small to be seen, and is not called harmless"
    assert (by_key["003"].kind, by_key["003"].before is None) == ("caption", False)
    assert (by_key["006"].kind, by_key["901"].kind) == ("gone", "added")
    rows = pq.read_table(tmp_path / "diff.parquet").to_pylist()
    assert [row["kind"] for row in rows].count("image") == 3 and len(rows) == sum(found.counts.values())
    assert {row["new_key"] for row in rows if row["kind"] == "image+caption"} == {"004"}


def test_exit_codes_and_json(runs: tuple[Path, Path]) -> None:
    old, new = map(str, runs)

    def ran(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["diff", *arguments])

    assert ran(old, new).exit_code == 0
    assert ran(old, new, "--fail-on", "changed").exit_code == 1
    assert [ran(old, old, "--fail-on", rule).exit_code for rule in ("new", "changed", "any")] == [0, 0, 0]
    document = json.loads(ran(old, new, "--json").output)
    assert document["schema"] == "srdscan-diff/1" and document["counts"]["image"] == 3
    assert "another picture" in ran(old, new).output
    mistaken = ran(old, new, "--fail-on", "sometimes")
    assert mistaken.exit_code == 2 and "never, new, changed, any" in mistaken.output
    missing = ran(old, str(runs[0] / "none"))
    assert missing.exit_code == 2 and "finished audits" in missing.output


def a_run(folder: Path, terms: list[str], images: tuple[str, ...] = (), verdict: str = "fail") -> Path:
    folder.mkdir()
    made = {"severity": "error", "state": "new", "samples": 3, "decides": True, "locations": [], "reason": ""}
    results = [
        {
            **made,
            "rule": "SRD101",
            "fingerprint": fingerprints.of_term("SRD101", term),
            "term": term,
            "message": term,
            "expires": "",
            "images": [],
        }
        for term in terms
    ]
    if images:
        of_images = {"fingerprint": fingerprints.of_images("SRD201", images), "term": "", "message": "a patch"}
        results.append({**results[0], "rule": "SRD201", **of_images, "images": images})
    document = {"verdict": verdict, "results": results, "models": []}
    (folder / "report.json").write_text(json.dumps(document), encoding="utf-8")
    rows = table(("a", "0", "x", "<b>cat</b>\x1b[31m"), ("a", "1", "y", "dog"))
    rows = rows.append_column("flagged", pa.array([True, False])).append_column("rules", pa.array([["SRD301"], []]))
    pq.write_table(rows, folder / "samples.parquet")
    return folder


def compared(tmp_path: Path, old: Callable[[Path], Path], new: Callable[[Path], Path]) -> Difference:
    return compare(old(tmp_path / "old"), new(tmp_path / "new"))


def test_findings_are_new_kept_or_gone_by_their_fingerprints(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        lambda folder: a_run(folder, ["getty images", "umbrella"], ("aa", "bb", "cc")),
        lambda folder: a_run(folder, ["Getty  Images", "banana"], ("ab", "bb", "cc", "aa")),
    )
    assert [entry.about for entry in found.found] == ["banana"]
    assert [entry.about for entry in found.lost] == ["umbrella"]
    assert {entry.code for entry in found.kept} == {"SRD101", "SRD201", "SRD301"}
    assert found.exit_code("new") == 1 and found.exit_code("changed") == 0 and found.replaced is None
    assert json.loads(found.to_json())["found"]["count"] == 1


def test_an_audit_that_saw_too_little_cannot_say_that_nothing_is_new(tmp_path: Path) -> None:
    found = compared(
        tmp_path, lambda folder: a_run(folder, ["x"]), lambda folder: a_run(folder, ["x"], verdict="incomplete")
    )
    assert (found.exit_code("never"), found.exit_code("new"), found.complete) == (0, 3, False)


def test_a_run_without_hashes_is_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", ["x"])
    rows = pq.read_table(run / "samples.parquet")
    index = rows.column_names.index("image_sha256")
    pq.write_table(rows.set_column(index, "image_sha256", pa.nulls(2, pa.string())), run / "samples.parquet")
    with pytest.raises(ConfigError, match="audit again"):
        compare(run, run)
