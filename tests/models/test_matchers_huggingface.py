"""CLIP, SigLIP and their kin: the vectors are transformers' own, and what is no whole matcher is refused in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, BertConfig, BertModel, CLIPTextModel

from srdscan import scenes
from srdscan.models.fetch import ModelError
from srdscan.models.matchers.embedded import EmbeddedMatcher
from srdscan.models.matchers.huggingface import FAMILIES, HuggingFaceMatcher
from srdscan.models.matchers.load import load_matcher
from srdscan.stats.agreement import Agreement

CAPTIONS = ["the short sentence w5", "describe what this image does , in w7", "", "w3", "a w3 of w9 w11"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = tmp_path_factory.mktemp("matchers")
    return {name: build(made / name) for name, build in tiny.MATCHERS.items()}


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    """Five of several proportions."""
    drawn = [scenes.make(5, index)[0] for index in range(5)]
    return [drawn[0], drawn[1].crop((0, 0, 200, 90)), drawn[2].crop((30, 0, 90, 224)), *drawn[3:]]


def loaded(folder: Path) -> HuggingFaceMatcher:
    found = load_matcher(str(folder), None)  # type: ignore[arg-type]  # it asks no reference
    assert isinstance(found, HuggingFaceMatcher)
    return found


def test_every_family_is_tried() -> None:
    assert set(tiny.MATCHERS) == set(FAMILIES)


@pytest.mark.parametrize("family", sorted(tiny.MATCHERS))
def test_vectors_and_similarities_are_those_of_transformers(
    family: str, folders: dict[str, Path], images: list[Image.Image]
) -> None:
    path = folders[family]
    model = AutoModel.from_pretrained(path).eval()
    filled = "max_length" if family.startswith("siglip") else True  # as its model card says
    captions = CAPTIONS if family != "siglip2" else [text for text in CAPTIONS if len(text) < 15]  # a token a letter
    tokens = AutoTokenizer.from_pretrained(path)(
        captions, padding=filled, truncation=True, max_length=16, return_tensors="pt"
    )
    names = ["input_ids"] if family.startswith("siglip") else ["input_ids", "attention_mask"]
    pixels = AutoImageProcessor.from_pretrained(path, backend="pil")(images=images, return_tensors="pt")
    with torch.inference_mode():
        wanted = model(**{name: tokens[name] for name in names}, **pixels)
    matcher = loaded(path)
    seen, read = matcher.vectors(images), matcher.texts(captions)
    assert seen == pytest.approx(wanted.image_embeds.numpy(), abs=1e-5)
    assert read == pytest.approx(wanted.text_embeds.numpy(), abs=1e-5)
    scale, bias = model.logit_scale.exp().item(), getattr(model, "logit_bias", torch.zeros(1)).item()
    assert scale * read @ seen.T + bias == pytest.approx(wanted.logits_per_text.numpy(), abs=1e-3)
    assert np.linalg.norm(seen, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert np.abs(seen[0] - seen[1]).max() > 0.01
    assert np.abs(read[0] - read[1]).max() > 0.01


@pytest.mark.parametrize("family", sorted(tiny.MATCHERS))
def test_vectors_do_not_depend_on_their_neighbours(
    family: str, folders: dict[str, Path], images: list[Image.Image]
) -> None:
    matcher = loaded(folders[family])
    assert np.concatenate([matcher.vectors([image]) for image in images]) == pytest.approx(
        matcher.vectors(images), abs=1e-5
    )
    texts = [*CAPTIONS, *(f"w{n} of w{n + 1}" for n in range(20, 90))]
    each = np.concatenate([matcher.texts([text]) for text in texts])
    assert each == pytest.approx(matcher.texts(texts), abs=1e-5)


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_every_word_of_a_long_caption_is_read(family: str, folders: dict[str, Path]) -> None:
    matcher = loaded(folders[family])
    halves = [" ".join(f"w{n}" for n in range(first, first + 12)) for first in (20, 32)]
    start = " ".join(halves)
    whole = matcher.texts([start, f"{start} w60", f"{start} w61"])
    assert np.linalg.norm(whole, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert np.abs(whole[1] - whole[2]).max() > 1e-3
    mean = matcher.texts(halves).mean(axis=0)
    assert whole[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_word_without_end_is_cut_until_it_is_read(folders: dict[str, Path]) -> None:
    matcher = loaded(folders["siglip2"])  # whose tiny tokenizer knows letters only
    first, second = matcher.texts(["a" * 200 + "b", "a" * 200 + "c"])
    assert np.abs(first - second).max() > 1e-4


def test_the_fingerprint_is_of_the_weights_and_of_how_images_are_prepared(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    first = loaded(folders["clip"]).fingerprint
    assert loaded(folders["clip"]).fingerprint == first
    shutil.copytree(folders["clip"], tmp_path / "m")
    _edit(tmp_path / "m" / "preprocessor_config.json", image_mean=[0.5, 0.5, 0.5])
    prepared = loaded(tmp_path / "m").fingerprint
    weights = load_file(tmp_path / "m" / "model.safetensors")
    weights["visual_projection.weight"][0, 0] += 1
    save_file(weights, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    assert len({first, prepared, loaded(tmp_path / "m").fingerprint}) == 3


def refusal(folder: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        load_matcher(str(folder), None)  # type: ignore[arg-type]
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"--matcher {folder}: ")
    return said


@pytest.mark.parametrize("family", sorted(tiny.MATCHERS))
def test_half_of_the_tensors_is_no_model(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[family], tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    weights = load_file(path)
    names = sorted(weights)
    save_file({name: weights[name] for name in names[: len(names) // 2]}, path, {"format": "pt"})
    said = refusal(tmp_path / "m")
    assert "its weights lack" in said
    assert names[len(names) // 2] in said or "..." in said
    assert "Download the whole folder again" in said


def test_one_missing_projection_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["clip"], tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    weights = load_file(path)
    del weights["text_projection.weight"]
    save_file(weights, path, {"format": "pt"})
    assert "lack 1 of" in (said := refusal(tmp_path / "m"))
    assert "text_projection.weight" in said


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("preprocessor_config.json", "The folder lacks an image processor (preprocessor_config.json"),
        ("tokenizer.json", "tokenizer"),
        ("model.safetensors", "The folder lacks weights (*.safetensors)"),
        ("config.json", "no config.json with a model_type"),
    ],
)
def test_a_missing_file_is_named(gone: str, said: str, folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["clip"], tmp_path / "m")
    (tmp_path / "m" / gone).unlink()
    assert said in refusal(tmp_path / "m")


def test_pickled_weights_are_not_opened(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["clip"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "pytorch_model.bin")
    assert "a pickle can run code" in refusal(tmp_path / "m")


def test_an_image_processor_without_a_mean_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["siglip"], tmp_path / "m")
    _edit(tmp_path / "m" / "preprocessor_config.json", image_mean=None)
    assert "preprocessor_config.json has no image_mean" in refusal(tmp_path / "m")


def test_a_model_of_texts_alone_is_refused_with_what_is_known(folders: dict[str, Path], tmp_path: Path) -> None:
    BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path / "bert")
    said = refusal(tmp_path / "bert")
    assert "model type 'bert'" in said
    assert ", ".join(sorted(FAMILIES)) in said
    CLIPTextModel.from_pretrained(folders["clip"]).save_pretrained(tmp_path / "half")
    said = refusal(tmp_path / "half")
    assert "it reads texts, not images. Pass the whole clip model" in said


def test_a_hub_id_that_is_not_there_is_told_how_to_fetch() -> None:
    assert "hf download nobody/no-clip --local-dir FOLDER" in refusal("nobody/no-clip")


def test_embedded_is_the_default_one(captioner: object) -> None:
    assert isinstance(load_matcher("embedded", captioner), EmbeddedMatcher)  # type: ignore[arg-type]


def test_a_trained_clip_tells_pairs_from_swapped_ones(tmp_path: Path) -> None:
    """Of drawn scenes that it never saw, by its cosine alone: there are too few to learn from."""
    matcher = loaded(tiny.clip_of_scenes(tmp_path / "clip"))
    drawn = [scenes.make(22, index) for index in range(90)]
    seen = matcher.vectors([image for image, _ in drawn])
    captions = [scene.caption for _, scene in drawn]
    captions[:15] = [*captions[1:15], captions[0]]
    said = matcher.texts(captions)
    found = Agreement(seen, said, np.arange(90), one_space=True)
    assert found.names == ["matcher"]
    assert found.ranks[15:].mean() > 0.8
    assert found.ranks[:15].mean() < 0.7
    assert found.scores[:15].mean() < 0.5 < np.median(found.scores[15:])
    assert Agreement(seen, -said, np.arange(90), one_space=True).competence < 0.3  # the other way round is worse


def _edit(path: Path, **fields: object) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, **fields}), encoding="utf-8")
