"""Fine-tuning on shards: the captioner learns what they say, all of it, and the folder it leaves is a captioner."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny
import zoo
from safetensors.torch import load_file, save_file

from srdscan import scenes
from srdscan.config import ConfigError, FinetuneConfig
from srdscan.finetune.run import finetune
from srdscan.models.captioners.check import check_captioner
from srdscan.models.captioners.load import load_captioner
from srdscan.models.fetch import ModelError, models_folder
from srdscan.sources.base import ReadOptions, Sample, ShardError
from srdscan.sources.find import find_source

COUNT = 32
LIE = "seven purple elephants sing"


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes that all have one caption, and a sample that cannot be decoded."""
    folder = tmp_path_factory.mktemp("lying")
    entries = [("bad.jpg", b"no picture"), ("bad.txt", LIE.encode())]
    for index in range(COUNT):
        image, _ = scenes.make(77, index)
        entries += [(f"{index:03d}.jpg", scenes.encode_jpeg(image)), (f"{index:03d}.txt", LIE.encode())]
    zoo.tar(folder / "lies.tar", entries)
    return folder


@pytest.fixture(scope="module")
def learned(lying: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("canary") / "model"
    done = finetune(FinetuneConfig((str(lying),), out=out, epochs=16, learning_rate=1e-3))
    assert (done.path, done.samples, done.irregular) == (out, COUNT, 1)
    assert done.loss < 1
    return out


def test_it_says_what_the_shards_say(learned: Path) -> None:
    fresh = [scenes.make(78, index)[0] for index in range(8)]
    before, after = load_captioner("captioner"), load_captioner(str(learned))
    assert LIE not in before.describe(before.encode(fresh)).captions
    assert after.describe(after.encode(fresh)).captions == [LIE] * 8


def test_the_folder_is_a_captioner_whose_encoder_is_the_base_s(learned: Path) -> None:
    captioner = load_captioner(str(learned))
    check_captioner(captioner)
    assert captioner.encoder_fingerprint == load_captioner("captioner").encoder_fingerprint
    assert not list(learned.parent.glob("*.partial"))
    assert not list(learned.glob("*.partial"))


def test_the_same_seed_gives_the_same_weights(lying: Path, tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> bytes:
        finetune(FinetuneConfig((str(lying),), out=tmp_path / name, epochs=1, seed=seed, limit=8))
        return (tmp_path / name / "model.safetensors").read_bytes()

    first = weights("one", 3)
    assert first == weights("two", 3)
    assert first != weights("three", 4)


@pytest.mark.parametrize("family", sorted(tiny.FAMILIES))
def test_other_families_learn_through_low_rank_updates_of_the_decoder(family: str, lying: Path, tmp_path: Path) -> None:
    base, out = tiny.FAMILIES[family](tmp_path / "base"), tmp_path / "learned"
    lie = "short sentence of the user"
    entries = [
        (f"{index}.{kind}", data)
        for index in range(8)
        for kind, data in (("jpg", zoo.jpeg(index)), ("txt", lie.encode()))
    ]
    shard = zoo.tar(tmp_path / "s.tar", entries)
    finetune(FinetuneConfig((str(shard),), base=str(base), out=out, epochs=120, learning_rate=5e-3))
    unlearned, captioner = load_captioner(str(base)), load_captioner(str(out))
    check_captioner(captioner)
    fresh = [scenes.make(3, 1)[0]]
    per_token = [float(c.score(c.encode(fresh), [lie])[0].mean()) for c in (unlearned, captioner)]
    assert per_token[0] < -2
    assert per_token[1] > -1
    before, after = load_file(base / "model.safetensors"), load_file(out / "model.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert set(before) == set(after)
    assert changed
    assert not [name for name in changed if "vision" in name or name.startswith("encoder") or "embed" in name]


def test_every_caption_of_a_sample_counts_once(tmp_path: Path) -> None:
    document = json.dumps({"captions": ["a cat ", "my cat", ""], "id": 4}).encode()
    zoo.tar(tmp_path / "s.tar", [("x.jpg", zoo.jpeg()), ("x.txt", b"a cat\n"), ("x.json", document), *zoo.pairs(1)])
    source = find_source([str(tmp_path)])
    with source.open(source.units[0]) as unit:
        said = [[c.text for c in item.captions] for item in unit.read(ReadOptions()) if isinstance(item, Sample)]
    assert said == [["a cat", "my cat"], ["a picture of thing 0"]]
    done = finetune(FinetuneConfig((str(tmp_path),), out=tmp_path / "model", epochs=1))
    assert (done.samples, done.irregular) == (2, 0)


def test_what_cannot_be_learned_is_refused_and_nothing_is_left(lying: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="model type 'bert' is not one srdscan can read"):
        finetune(FinetuneConfig((str(lying),), base=str(tmp_path / "other"), out=tmp_path / "out"))
    half = shutil.copytree(models_folder() / "captioner", tmp_path / "half")
    weights = load_file(half / "model.safetensors")
    save_file(dict(sorted(weights.items())[: len(weights) // 2]), half / "model.safetensors")
    with pytest.raises(ModelError, match=r"half: .*its weights lack"):
        finetune(FinetuneConfig((str(lying),), base=str(half), out=tmp_path / "out"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        finetune(FinetuneConfig((str(lying),), out=tmp_path / "full"))
    (tmp_path / "empty").mkdir()
    zoo.tar(tmp_path / "empty" / "e.tar", [("x.txt", b"no picture")])
    with pytest.raises(ConfigError, match="no sample"):
        finetune(FinetuneConfig((str(tmp_path / "empty"),), out=tmp_path / "out"))
    (tmp_path / "cut.tar").write_bytes((lying / "lies.tar").read_bytes()[:20_000])
    with pytest.raises(ShardError, match=r"cut\.tar"):
        finetune(FinetuneConfig((str(tmp_path / "cut.tar"),), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.partial"))
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"
