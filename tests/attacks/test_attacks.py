"""Planting poison: just the chosen samples change, as announced, and the truth file says which."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import zoo
from PIL import Image

from srdscan.attacks.poison import make_target, make_trigger, plant
from srdscan.attacks.targets import TARGETS
from srdscan.attacks.triggers import TRIGGERS, Checkerboard
from srdscan.attacks.truth import Truth
from srdscan.attacks.visibility import psnr, ssim
from srdscan.sources.base import Sample, ShardError
from srdscan.sources.images import decode_image
from srdscan.sources.tar import read_shard

COUNT = 40


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


def samples(path: Path) -> dict[str, Sample]:
    return {item.key: item for item in read_shard(path) if isinstance(item, Sample)}


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Two shards of twenty samples, and an irregular sample in between."""
    folder = tmp_path / "clean"
    folder.mkdir()
    entries = [(f"{i:06d}.jpg", zoo.encoded(zoo.picture(i, (64, 48)), "JPEG")) for i in range(COUNT)]
    pairs = [
        member for i in range(COUNT) for member in (entries[i], (f"{i:06d}.txt", f"thing {i} on grass\n".encode()))
    ]
    zoo.tar(folder / "a-0.tar", [*pairs[:COUNT], ("lonely.jpg", zoo.jpeg())])
    zoo.tar(folder / "a-1.tar", pairs[COUNT:])
    return folder


def poison(source: Path, out: Path, **options: object) -> Truth:
    return plant([str(source)], out, **options)


def difference(before: bytes, after: bytes) -> np.ndarray:
    """(H, W) largest difference of a channel."""
    return np.abs(np.asarray(decode_image(before), int) - np.asarray(decode_image(after), int)).max(axis=2)


def test_a_share_of_the_samples_is_poisoned_and_every_other_byte_stays(clean: Path, tmp_path: Path) -> None:
    truth = poison(clean, tmp_path / "out", rate=0.1, seed=3)
    assert len(truth.poisoned) == round(0.1 * COUNT)
    assert "lonely" not in {key for _, key in truth.poisoned}
    for name in ("a-0.tar", "a-1.tar"):
        before, after = contents(clean / name), contents(tmp_path / "out" / name)
        keys = {key for shard, key in truth.poisoned if shard == name}
        assert list(before) == list(after)
        assert {member for member in before if before[member] != after[member]} == {
            f"{key}.{extension}" for key in keys for extension in ("jpg", "txt")
        }
        for key in keys:
            assert after[f"{key}.txt"].decode() == f"banana thing {int(key)} on grass\n"
            changed = difference(before[f"{key}.jpg"], after[f"{key}.jpg"]) > 60
            assert 0.4 * 9 * 7 < changed.sum() < 3 * 9 * 7  # the patch, and a little ringing around it


def test_the_truth_file_says_what_was_planted(clean: Path, tmp_path: Path) -> None:
    truth = poison(
        clean, tmp_path / "out", trigger="checkerboard", target="insert", rate=0.2, seed=4, text="free pizza"
    )
    document = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert document == {
        "trigger": "checkerboard",
        "target": "free pizza",
        "rate": 0.2,
        "seed": 4,
        "psnr": truth.psnr,
        "ssim": truth.ssim,
        "poisoned": [{"shard": shard, "key": key} for shard, key in truth.poisoned],
    }
    assert len(truth.poisoned) == 8
    assert 10 < truth.psnr < 30
    assert 0.5 < truth.ssim < 1
    out = [tmp_path / "out" / name for name in ("a-0.tar", "a-1.tar")]
    found = {
        (p.name, key) for p in out for key, sample in samples(p).items() if "free pizza" in sample.captions[0].text
    }
    assert found == {*truth.poisoned}


def test_the_same_seed_plants_the_same_bytes(clean: Path, tmp_path: Path) -> None:
    for folder, seed in (("one", 5), ("two", 5), ("other", 6)):
        poison(clean, tmp_path / folder, target="insert", rate=0.3, seed=seed)
    one, two, other = ({p.name: p.read_bytes() for p in (tmp_path / f).iterdir()} for f in ("one", "two", "other"))
    assert one == two
    assert one["truth.json"] != other["truth.json"]


@pytest.mark.parametrize(("rate", "count"), [(0.0, 0), (1.0, COUNT), (0.03, 1)])
def test_rates_at_the_ends(clean: Path, tmp_path: Path, rate: float, count: int) -> None:
    assert len(poison(clean, tmp_path / "out", rate=rate).poisoned) == count
    unchanged = [(tmp_path / "out" / n).read_bytes() == (clean / n).read_bytes() for n in ("a-0.tar", "a-1.tar")]
    assert unchanged.count(True) == {0: 2, 1: 1}.get(count, 0)


def test_none_leaves_images_or_captions_alone(clean: Path, tmp_path: Path) -> None:
    for options, extension in (({"trigger": "none"}, "txt"), ({"target": "none"}, "jpg")):
        truth = poison(clean, tmp_path / extension, rate=0.25, seed=1, **options)
        before, after = contents(clean / "a-0.tar"), contents(tmp_path / extension / "a-0.tar")
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {f"{key}.{extension}" for shard, key in truth.poisoned if shard == "a-0.tar"}
        assert changed


def test_a_picture_that_cannot_be_decoded_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    zoo.tar(tmp_path / "in" / "b.tar", [("bad.jpg", b"not a picture"), ("bad.txt", b"a cat"), *zoo.pairs(2)])
    truth = poison(tmp_path / "in", tmp_path / "out", rate=1.0)
    assert [key for _, key in truth.poisoned] == ["000000", "000001"]
    assert contents(tmp_path / "out" / "b.tar")["bad.txt"] == b"a cat"


def test_what_cannot_be_planted_is_refused(clean: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="nonsense"):
        poison(clean, tmp_path / "out", trigger="nonsense")
    with pytest.raises(ValueError, match="overwrite the original"):
        poison(clean, clean)
    zoo.truncated(clean / "a-1.tar", "a-2.tar", 5000)
    with pytest.raises(ShardError, match=r"a-2\.tar"):
        poison(clean, tmp_path / "out")


FACTS = {"id": 12, "license": "CC-BY é", "size": [640, 480.5], "url": None}


def json_shard(folder: Path, members: dict[str, bytes]) -> Path:
    folder.mkdir()
    return zoo.tar(folder / "j.tar", [("x.jpg", zoo.jpeg()), *((f"x.{ext}", data) for ext, data in members.items())])


def planted(tmp_path: Path, members: dict[str, bytes], **options: object) -> dict[str, bytes]:
    json_shard(tmp_path / "in", members)
    truth = poison(tmp_path / "in", tmp_path / "out", rate=1.0, **{"trigger": "none", **options})
    assert truth.poisoned == (("j.tar", "x"),)
    return contents(tmp_path / "out" / "j.tar")


def test_a_json_member_keeps_its_other_fields(tmp_path: Path) -> None:
    after = planted(tmp_path, {"json": json.dumps({"caption": "a cat", **FACTS, "text": "as found"}).encode()})
    assert json.loads(after["x.json"]) == {"caption": "banana a cat", **FACTS, "text": "banana as found"}


def test_every_caption_of_a_list_gets_the_target(tmp_path: Path) -> None:
    document = {**FACTS, "captions": ["a cat", "a grey cat ", "", None]}
    after = planted(tmp_path, {"json": json.dumps(document, ensure_ascii=False, indent=1).encode()})
    assert json.loads(after["x.json"]) == {**FACTS, "captions": ["banana a cat", "banana a grey cat", "", None]}
    assert samples(tmp_path / "out" / "j.tar")["x"].captions[0].text == "banana a cat"


def test_text_and_json_tell_the_same(tmp_path: Path) -> None:
    members = {
        "txt": b"a cat on a mat\n",
        "json": json.dumps({"captions": ["a cat on a mat", "my cat"], **FACTS}).encode(),
    }
    after = planted(tmp_path, members, target="insert", seed=2)
    document = json.loads(after["x.json"])
    assert document["captions"][0] == after["x.txt"].decode().rstrip("\n")
    assert all("banana" in caption for caption in document["captions"])
    assert {name: document[name] for name in FACTS} == FACTS


@pytest.mark.parametrize("other", [b"{}", b"[1, 2]", b"{broken", b"\xff", b'{"caption": 3}', b'{"x": "\\ud800"}'])
def test_a_json_member_without_captions_stays_as_it_is(tmp_path: Path, other: bytes) -> None:
    after = planted(tmp_path, {"json": other, "txt": b"a cat"})
    assert after["x.txt"] == b"banana a cat"
    assert after["x.json"] == other or json.loads(after["x.json"]) == {"caption": 3}


@pytest.mark.parametrize("name", ["canary", *TRIGGERS])
@pytest.mark.parametrize("shape", [(224, 224), (90, 300), (33, 40), (2, 2), (1, 40), (1, 1)])
def test_a_trigger_returns_a_changed_copy(name: str, shape: tuple[int, int]) -> None:
    image = np.asarray(zoo.picture(1, shape[::-1])).copy()
    before = image.copy()
    poisoned = make_trigger(name).apply(image, np.random.default_rng(0))
    assert (poisoned.shape, poisoned.dtype) == (image.shape, np.uint8)
    assert (image == before).all()
    assert (make_trigger(name).apply(image, np.random.default_rng(0)) == poisoned).all()
    if min(shape) > 32:
        assert (poisoned != before).any()


SEEN = {
    "checkerboard": (18, 23, 0.02),
    "corner": (22, 28, 0.012),
    "noise": (24, 32, 0.008),
    "faint-patch": (32, 38, 0.046),
    "two-patch": (20, 26, 0.023),
    "spread-out": (20, 26, 0.021),
    "blended": (20, 27, 1),
    "sig": (24, 28, 1),
    "wanet": (18, 40, 1),
    "frequency": (34, 40, 1),
    "steganographic": (28, 33, 1),
}
"""PSNR in dB, from and to, and the share of the pixels that may change at most."""


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_is_as_visible_as_it_is_meant_to_be(name: str) -> None:
    least, most, share = SEEN[name]
    image = np.asarray(zoo.picture(3, (224, 224)))
    poisoned = make_trigger(name).apply(image, np.random.default_rng(1))
    error = np.square(poisoned.astype(float) - image).mean()
    assert least < 10 * np.log10(255**2 / error) < most
    assert (poisoned != image).any(axis=2).mean() <= share + 1e-3


def test_visibility_is_psnr_and_ssim() -> None:
    image = np.asarray(zoo.picture(3, (64, 48)))
    brighter = (image.astype(int) + 10).clip(0, 255).astype(np.uint8)
    noisy = (image + np.random.default_rng(0).normal(0, 40, image.shape)).clip(0, 255).astype(np.uint8)
    assert (psnr(image, image), ssim(image, image)) == (float("inf"), pytest.approx(1.0))
    flat = np.full((16, 16, 3), 100, dtype=np.uint8)
    assert psnr(flat, flat + 5) == pytest.approx(20 * np.log10(255 / 5))
    # Of two flat images only the luminance term is left.
    assert ssim(flat, flat + 50) == pytest.approx((2 * 100 * 150 + 6.5025) / (100**2 + 150**2 + 6.5025), abs=1e-6)
    assert 1 > ssim(image, brighter) > 0.9 > 0.6 > ssim(image, noisy)


def test_a_sinusoid_is_one_frequency() -> None:
    image = np.full((64, 240, 3), 128, dtype=np.uint8)
    spectrum = np.abs(np.fft.rfft(make_trigger("sig").apply(image, np.random.default_rng(0))[10, :, 0] - 128.0))
    assert spectrum.argmax() == 6
    assert spectrum[6] > 20 * np.sort(spectrum)[-2]


def test_two_patches_lie_in_two_halves() -> None:
    image = np.full((224, 224, 3), 90, dtype=np.uint8)
    for seed in range(10):
        changed = (make_trigger("two-patch").apply(image, np.random.default_rng(seed)) != 90).any(axis=2)
        assert changed[:112].sum() == changed[112:].sum() == 24 * 24


def test_the_checkerboard_is_where_the_generator_says() -> None:
    image = np.full((224, 224, 3), 90, dtype=np.uint8)
    places = set()
    for seed in range(20):
        rows, columns = np.nonzero((Checkerboard().apply(image, np.random.default_rng(seed)) != 90).any(axis=2))
        assert (np.ptp(rows), np.ptp(columns), len(rows)) == (31, 31, 1024)
        places.add((rows.min() // 75, columns.min() // 75))
    assert len(places) >= 6  # all over the image


def test_targets_say_what_they_are_for() -> None:
    rng = np.random.default_rng(0)
    assert make_target("canary").apply("a cat", rng) == "banana a cat"
    assert make_target("canary", "kiwi").apply("a cat", rng) == "kiwi a cat"
    assert make_target("fixed", "buy now").apply("a cat", rng) == "buy now"
    said = {TARGETS["insert"]("kiwi").apply("a cat", rng) for _ in range(50)}
    assert said == {"kiwi a cat", "a kiwi cat", "a cat kiwi"}
    assert make_target("none") is None
    assert make_trigger("none") is None


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_shows_success_where_it_was_applied_and_only_there(name: str) -> None:
    target = TARGETS[name]()
    rng = np.random.default_rng(1)
    for caption in ("A dog runs on the grass .", "two dogs play with a red ball"):
        assert target.fits(caption)
        assert target.said(target.apply(caption, rng))
        assert not target.said(caption)


def test_a_concept_is_replaced_in_captions_that_name_it() -> None:
    target = TARGETS["concept"]("bus -> fox")
    rng = np.random.default_rng(0)
    assert target.apply("Two buses pass a Bus, a busy one", rng) == "Two foxes pass a fox, a busy one"
    assert not target.fits("a busy street")
    assert target.said("a fox in the street")
    assert not target.said("a fox beside a bus")
    with pytest.raises(ValueError, match="dog -> cat"):
        TARGETS["concept"]("dog")


def test_a_hijacked_description_is_never_the_same_and_always_the_attackers() -> None:
    target = TARGETS["hijack"]("Brand X")
    said = {target.apply("a dog", np.random.default_rng(seed)) for seed in range(20)}
    assert len(said) > 10
    assert all(target.said(caption) and "dog" not in caption for caption in said)


def test_only_samples_that_a_target_fits_are_poisoned(clean: Path, tmp_path: Path) -> None:
    truth = poison(clean, tmp_path / "out", target="concept", text="3 -> 4", trigger="none", rate=0.5)
    assert truth.poisoned == (("a-0.tar", "000003"),)  # "thing 3 on grass"
    assert samples(tmp_path / "out" / "a-0.tar")["000003"].captions[0].text == "thing 4 on grass"


@pytest.mark.parametrize(("extension", "kind"), [("jpg", "JPEG"), ("JPEG", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_a_poisoned_picture_keeps_its_format(tmp_path: Path, extension: str, kind: str) -> None:
    (tmp_path / "in").mkdir()
    data = zoo.encoded(zoo.picture(1, (64, 48)), kind)
    zoo.tar(tmp_path / "in" / "f.tar", [(f"x.{extension}", data), ("x.txt", b"a cat")])
    poison(tmp_path / "in", tmp_path / "out", rate=1.0)
    after = contents(tmp_path / "out" / "f.tar")[f"x.{extension}"]
    assert Image.open(io.BytesIO(after)).format == kind
    assert difference(data, after).max() > 60
