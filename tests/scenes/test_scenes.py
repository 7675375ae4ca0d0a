"""Drawn scenes: captions say what is visible, objects stay visible, and the same numbers give the same bytes."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srdscan.scenes import (
    COLORS,
    KINDS,
    SETTINGS,
    SIZE,
    Scene,
    SceneObject,
    compose,
    draw,
    encode_jpeg,
    make,
    plural,
    write_shards,
)
from srdscan.scenes.settings import background
from srdscan.scenes.shapes import shapes
from srdscan.scenes.sprites import sprite


def thing(kind: str, color: str, x: float = 112, y: float = 112) -> SceneObject:
    return SceneObject(kind, color, center=(x, y), size=60)


def silhouette(placed: SceneObject) -> np.ndarray:
    """How much of each pixel the object covers, 0..1, on a canvas with a margin of SIZE on every side."""
    patch, left, top = sprite(placed.kind, COLORS[placed.color], placed.center, placed.size, placed.angle)
    canvas = np.zeros((3 * SIZE, 3 * SIZE))
    canvas[top + SIZE : top + SIZE + patch.height, left + SIZE : left + SIZE + patch.width] = (
        np.asarray(patch)[:, :, 3] / 255
    )
    return canvas


@pytest.mark.parametrize(
    ("setting", "objects", "caption"),
    [
        ("on a beach", [thing("star", "red")], "a red star on a beach"),
        ("in a meadow", [thing("umbrella", "orange")], "an orange umbrella in a meadow"),
        ("in a meadow", [thing("umbrella", "blue")], "a blue umbrella in a meadow"),
        (
            "in the snow",
            [thing("boat", "blue", 100, 160), thing("star", "red", 120, 60)],
            "a red star above a blue boat in the snow",
        ),
        (
            "in the snow",
            [thing("boat", "blue", 160, 100), thing("star", "red", 60, 120)],
            "a red star to the left of a blue boat in the snow",
        ),
        (
            "under the night sky",
            [thing("star", "red", 60, 60), thing("star", "red", 160, 160)],
            "two red stars under the night sky",
        ),
        (
            "in the desert",
            [thing("tree", "green", 180), thing("boat", "blue", 40), thing("star", "red", 110)],
            "a red star between a blue boat and a green tree in the desert",
        ),
        (
            "in front of a brick wall",
            [
                thing("cup", "white", 160, 158),
                thing("boat", "blue", 164, 56),
                thing("tree", "orange", 60, 166),
                thing("star", "red", 58, 62),
            ],
            "a red star and a blue boat above an orange tree and a white cup in front of a brick wall",
        ),
    ],
)
def test_caption_says_what_is_visible_whatever_the_order_of_objects(setting, objects, caption):
    for order in itertools.permutations(objects):
        assert Scene(setting, order).caption == caption


def test_plurals_are_english():
    irregular = {
        "box": "boxes",
        "butterfly": "butterflies",
        "cross": "crosses",
        "fish": "fish",
        "hourglass": "hourglasses",
        "leaf": "leaves",
    }
    assert {kind: plural(kind) for kind in KINDS} == {kind: irregular.get(kind, f"{kind}s") for kind in KINDS}


def test_there_is_enough_to_tell_apart():
    assert len(KINDS) == len(set(KINDS)) >= 20
    assert len(COLORS) == 8
    assert len(SETTINGS) == 6


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: thing("banana", "red"), "no such kind of object: 'banana'"),
        (lambda: thing("star", "pink"), "no such colour: 'pink'"),
        (lambda: Scene("at sea", (thing("star", "red"),)), "no such setting: 'at sea'"),
        (lambda: Scene("on a beach", ()), "one to four objects, not 0"),
        (lambda: Scene("on a beach", (thing("star", "red"),) * 5), "one to four objects, not 5"),
    ],
)
def test_impossible_scenes_are_refused(build, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()


def test_the_same_numbers_give_the_same_picture_in_any_order():
    forward = [make(3, index) for index in range(6)]
    backward = [make(3, index) for index in reversed(range(6))][::-1]
    for (image, scene), (again, scene_again) in zip(forward, backward, strict=True):
        assert scene == scene_again
        assert image.mode == "RGB"
        assert image.size == (SIZE, SIZE)
        assert image.tobytes() == again.tobytes()
        assert encode_jpeg(image) == encode_jpeg(again)
    assert len({image.tobytes() for image, _ in forward}) == 6
    assert make(4, 0)[0].tobytes() != forward[0][0].tobytes()


def test_five_hundred_scenes_use_every_word():
    captions = [compose(1, index).caption for index in range(500)]
    words = set(" ".join(captions).split())
    assert set(KINDS) | set(COLORS) <= words
    assert {"a", "an", "two", "three", "four", "above", "left", "between", "and"} <= words
    for setting in SETTINGS:
        assert sum(caption.endswith(setting) for caption in captions) >= 50
    for caption in captions:
        assert caption == caption.lower()
        assert not caption.endswith(".")
        assert " a orange" not in f" {caption}"
    more = set(" ".join(compose(1, index).caption for index in range(500, 2500)).split())
    assert {plural(kind) for kind in KINDS} <= words | more


def test_composed_objects_are_listed_as_read_so_relations_are_plain():
    for index in range(400):
        scene = compose(2, index)
        names = [f"{o.color} {o.kind}" for o in scene.objects]
        if len(set(names)) == 1:
            continue
        assert len(set(names)) == len(names), "a different scene never repeats an object"
        if len(names) == 3:
            names = [names[1], names[0], names[2]]
        places = [scene.caption.index(name) for name in names]
        assert places == sorted(places), scene.caption
        if len(names) == 2:
            (ax, ay), (bx, by) = (o.center for o in scene.objects)
            assert abs(abs(ax - bx) - abs(ay - by)) > 40, "neither clearly above nor clearly beside"


def test_composed_objects_are_large_whole_and_apart():
    for index in range(120):
        scene = compose(5, index)
        covered = [silhouette(o) for o in scene.objects]
        for placed, cover in zip(scene.objects, covered, strict=True):
            assert 52 <= placed.size <= 96
            assert abs(placed.angle) <= 12
            assert cover.sum() == pytest.approx(cover[SIZE:-SIZE, SIZE:-SIZE].sum()), "cut off by the frame"
        boxes = []
        for cover in covered:
            rows, columns = np.nonzero(cover)
            boxes.append((rows.min(), rows.max(), columns.min(), columns.max()))
        for (t0, b0, l0, r0), (t1, b1, l1, r1) in itertools.combinations(boxes, 2):
            assert max(t1 - b0, t0 - b1, l1 - r0, l0 - r1) >= 3, f"{scene.caption}: objects touch"


def test_no_two_kinds_look_alike():
    masks = {kind: silhouette(thing(kind, "red")) for kind in KINDS}
    for kind, mask in masks.items():
        assert mask.sum() > 0.16 * 60**2, f"{kind} is too thin to see"
    for one, two in itertools.combinations(KINDS, 2):
        shared = np.minimum(masks[one], masks[two]).sum() / np.maximum(masks[one], masks[two]).sum()
        assert shared < 0.87, f"{one} and {two} have the same silhouette"


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_kind_and_colour_stands_out(setting):
    """Inside the silhouette a pixel differs from what lies behind it by more than texture and noise do (about 10)."""
    for number, (kind, color) in enumerate(itertools.product(KINDS, COLORS)):
        if number % 7 and kind not in ("ladder", "star"):  # every colour and kind in every setting; not every pair
            continue
        placed = SceneObject(kind, color, center=(112, 112), size=56)
        picture = np.asarray(draw(Scene(setting, (placed,)), np.random.default_rng(number)), dtype=float)
        behind = np.clip(background(setting, SIZE, np.random.default_rng(number)), 0, 255)
        inside = silhouette(placed)[SIZE:-SIZE, SIZE:-SIZE] > 0.99
        difference = np.abs(picture - behind).mean(axis=2)
        assert difference[inside].mean() > 30, f"a {color} {kind} vanishes {setting}"
        far = np.ones((SIZE, SIZE), dtype=bool)
        far[60:164, 60:164] = False
        assert difference[far].max() <= 0.5, "painting an object leaves the rest of the picture alone"


def test_colours_are_told_apart_by_the_body():
    for one, two in itertools.combinations(COLORS.values(), 2):
        assert np.abs(np.subtract(one, two)).sum() > 90


def test_backgrounds_are_not_flat():
    for setting in SETTINGS:
        pixels = background(setting, SIZE, np.random.default_rng(0))
        assert pixels.shape == (SIZE, SIZE, 3)
        assert pixels.dtype == np.float32
        tiles = pixels.reshape(14, 16, 14, 16, 3).std(axis=(1, 3)).mean(axis=-1)
        assert tiles.min() > 3, f"a flat patch {setting}"


def test_shapes_fill_their_box_and_stay_in_it():
    for kind, parts in shapes().items():
        points = np.concatenate([points for _, points in parts])
        assert np.abs(points).max() < 1.07, kind
        assert np.ptp(points, axis=0).max() > 1.6, kind


def test_shards_read_back(tmp_path: Path):
    paths = write_shards(tmp_path / "new" / "folder", count=5, per_shard=2, seed=9, prefix="photos")
    assert [path.name for path in paths] == ["photos-000000.tar", "photos-000001.tar", "photos-000002.tar"]
    assert sorted((tmp_path / "new" / "folder").iterdir()) == paths, "nothing partial is left"
    index = 0
    for path in paths:
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            contents = {member.name: tar.extractfile(member).read() for member in members}
        assert {(m.mtime, m.uid, m.gid, m.mode, m.isfile()) for m in members} == {(0, 0, 0, 0o644, True)}
        for names in zip(*[iter(contents)] * 3, strict=True):
            assert list(names) == [f"{index:06d}.jpg", f"{index:06d}.txt", f"{index:06d}.json"]
            jpg, txt, facts = (contents[name] for name in names)
            image, scene = make(9, index)
            assert jpg == encode_jpeg(image)
            decoded = np.asarray(Image.open(io.BytesIO(jpg)), dtype=float)
            assert np.abs(decoded - np.asarray(image, dtype=float)).mean() < 6
            assert txt.decode() == scene.caption
            record = json.loads(facts)
            assert list(record) == ["captions", "objects", "setting"]
            assert record["captions"] == [scene.caption]
            objects = tuple(SceneObject(**{**o, "center": tuple(o["center"])}) for o in record["objects"])
            assert Scene(record["setting"], objects) == scene
            index += 1
    assert index == 5


def test_shards_are_the_same_bytes_each_time(tmp_path: Path):
    first, second = (
        [hashlib.sha256(p.read_bytes()).hexdigest() for p in write_shards(tmp_path / run, 4, 2, seed=1)]
        for run in ("a", "b")
    )
    assert first == second
    assert first[0] != first[1]


@pytest.mark.parametrize(("count", "per_shard"), [(0, 5), (5, 0)])
def test_empty_shards_are_refused(tmp_path: Path, count: int, per_shard: int):
    with pytest.raises(ValueError, match="must be at least 1"):
        write_shards(tmp_path, count, per_shard, seed=0)
