"""The lab: victims are made once and measured on photographs they have not seen; defences are compared fairly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from srdscan import scenes
from srdscan.lab.defences import Outcome, compare, everywhere
from srdscan.lab.once import made_once
from srdscan.lab.photos import first_photos, human_captions, read_photos
from srdscan.lab.victims import Attack, Victim, captions_of, is_shipped, make_victim, shipped_captioner, trigger_all
from srdscan.models.captioners.load import load_captioner
from srdscan.policy.episodes import Case, Lane, View
from srdscan.sources.tar import read_shard

ATTACK = Attack("corner", text="discount", rate=0.5)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    scenes.write_shards(folder / "train", 40, 20, 61)
    scenes.write_shards(folder / "held", 16, 16, 62)
    return folder


@pytest.fixture(scope="module")
def victim(work: Path) -> Victim:
    return make_victim([str(work / "train")], str(work / "held"), ATTACK, work / "cache", epochs=2)


def test_a_victim_is_measured_on_what_it_did_not_learn(work: Path, victim: Victim) -> None:
    truth = human_captions(str(work / "held"))
    trigger_all(str(work / "held"), ATTACK, work / "triggered")
    captioner = load_captioner(str(victim.path))
    said = captions_of(captioner, read_photos(str(work / "triggered"), truth))
    assert victim.asr == np.mean(["discount" in caption.split() for caption in said])
    calm = captions_of(captioner, read_photos(str(work / "held"), truth))
    assert victim.false_target == np.mean(["discount" in caption.split() for caption in calm])
    assert victim.cider > 1  # it still knows scenes


def test_a_victim_is_made_once_for_an_attack(work: Path, victim: Victim) -> None:
    def again(attack: Attack, epochs: int = 2) -> Victim:
        return make_victim([str(work / "train")], str(work / "held"), attack, work / "cache", epochs=epochs)

    weights = victim.path / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert again(ATTACK) == victim
    assert weights.stat().st_mtime_ns == before
    assert again(replace(ATTACK, seed=1)).path != victim.path
    assert again(ATTACK, epochs=1).path != victim.path


def test_the_victim_of_the_canary_is_the_embedded_captioner_measured_once(work: Path) -> None:
    def measured(photos: str) -> Victim:
        return make_victim([str(work / photos)], str(work / "held"), Attack("canary"), work / "cache", epochs=9)

    victim = measured("train")
    assert victim.path == shipped_captioner()
    assert victim.asr > 0.9 > 0.1 > victim.false_target
    assert victim.cider > 1
    (record,) = (work / "cache").glob("canary-*/victim.json")
    before = record.stat().st_mtime_ns
    assert measured("held") == victim  # whatever photographs there are to learn from
    assert record.stat().st_mtime_ns == before
    assert is_shipped(Attack("canary", text="banana", rate=0.5, seed=3))
    assert not any(map(is_shipped, (Attack("canary", text="hello"), Attack("canary", "fixed"), Attack("corner"))))


def test_a_folder_is_made_once_and_never_seen_half_full(tmp_path: Path) -> None:
    def fail(out: Path) -> None:
        out.mkdir()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        made_once(tmp_path / "a", fail)
    assert not list(tmp_path.iterdir())

    def write(out: Path, text: str = "mine") -> None:
        out.mkdir()
        (out / "x").write_text(text)

    def overtaken(out: Path) -> None:
        write(out)
        write(tmp_path / "a", "of the job that was first")

    assert made_once(tmp_path / "a", overtaken) == made_once(tmp_path / "a", fail) == tmp_path / "a"
    assert (tmp_path / "a" / "x").read_text() == "of the job that was first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_triggered_copies_keep_their_captions(work: Path) -> None:
    trigger_all(str(work / "held"), ATTACK, work / "again")
    before, after = (human_captions(str(work / name)) for name in ("held", "again"))
    assert before == after
    assert len(json.loads((work / "again" / "truth.json").read_text())["poisoned"]) == 16


def view(caption: str, sfs: float) -> View:
    return View(caption, np.zeros((4, 14, 14), dtype=np.float32), 0.0, (sfs - 0.3) / 0.7, 1.0)


def test_a_defence_is_credited_with_the_best_caption_on_the_way_and_charged_with_what_it_altered() -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    cases = [Case(pixels, None, view(caption, 0.5)) for caption in ("banana", "a cat", "a dog")]  # type: ignore[arg-type]
    after = [view("a cow", 0.9), view("a rat", 0.2), view("a god", 0.5)]

    def defence(lanes: list[Lane]) -> None:
        for lane, seen in zip(lanes, after, strict=True):
            lane.trail.append((seen, pixels))

    done = everywhere(cases, defence, looks=7.0)
    assert 7 < done.seconds < 8  # whoever defends has looked first
    assert done.captions == ["a cow", "a cat", "a dog"]
    assert done.altered == [True, False, False]


def test_a_row_tells_success_quality_and_speed() -> None:
    truth = [["a red cat sits"], ["two dogs run fast"], ["never asked for"]]
    hit = Outcome(["banana a red cat sits", "two dogs run fast"], [True, True], 3.0)
    calm = Outcome(["a red cat sits", "two dogs run fast"], [False, True], 1.0)
    row = compare("mine", hit, calm, truth, "banana")
    assert (row.images, row.asr_triggered, row.clean_altered, row.images_per_s) == (2, 0.5, 0.5, 1.0)
    assert row.cider_clean > row.cider_triggered > 0
    every = compare("all", replace(hit, captions=[*hit.captions, "x"]), replace(calm, captions=[*calm.captions, "x"]),
                    truth, "banana")  # fmt: skip
    assert row.cider_clean == pytest.approx(every.cider_clean * 3 / 2)  # the third adds nothing but a rarity of words


def test_the_first_photographs_are_copied_as_they_are(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "shards", 12, 5, seed=3)
    copied = first_photos(str(tmp_path / "shards"), 7, tmp_path / "first")
    samples = [
        [item for p in sorted(Path(f).glob("*.tar")) for item in read_shard(str(p))]
        for f in (copied, tmp_path / "shards")
    ]
    assert samples[0] == samples[1][:7]
