"""Every family of captioners: tiny random models in its own classes, saved, loaded again, held to the contract."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer

from srdscan import scenes
from srdscan.models.captioners.check import check_captioner
from srdscan.models.captioners.load import FAMILIES, load_captioner
from srdscan.models.captioners.preprocess import Preprocessor
from srdscan.models.fetch import ModelError

SHAPES = ((32, 32), (90, 40), (33, 61), (224, 224))
WITH_PROMPT = sorted({"blip", "git", "blip-2", "florence2", "llava", "idefics3", "smolvlm"})
SELF_ATTENDING = ("git", "llava", "idefics3", "smolvlm")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = tmp_path_factory.mktemp("families")
    return {name: build(made / name) for name, build in tiny.FAMILIES.items()}


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    return [scenes.make(21, index)[0].resize(shape) for index, shape in enumerate(SHAPES)]


def test_there_is_a_tiny_model_of_every_family() -> None:
    assert set(tiny.FAMILIES) == set(FAMILIES)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_contract_holds(family: str, folders: dict[str, Path], images: list[Image.Image]) -> None:
    captioner = load_captioner(str(folders[family]))
    check_captioner(captioner, images)
    described = captioner.describe(captioner.encode(images), attention=True)
    assert described.attention is not None
    assert described.attention.first.shape[3:] == (4, 4)
    assert len(set(described.captions)) > 1  # else "it does not depend on the batch" would prove nothing
    assert described.attention.first.std(axis=(3, 4)).min() > 1e-6
    assert np.abs(described.attention.first[0] - described.attention.first[1]).max() > 1e-3


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_scores_of_its_own_captions_are_the_log_probabilities(
    family: str, folders: dict[str, Path], images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = load_captioner(str(folders[family]))
    generated: list[list[int]] = []
    cut = captioner._cut
    monkeypatch.setattr(captioner, "_cut", lambda row: generated.append(cut(row)) or generated[-1])
    encoding = captioner.encode(images)
    described = captioner.describe(encoding)
    given = captioner.score(encoding, described.captions)
    read = captioner.tokens(described.captions)
    compared = 0
    for said, again, own, scored in zip(generated, read, described.log_probs, given, strict=True):
        count = len(again) - 1  # a caption cut at the length limit has no end token
        if again[:count] == said[:count] and len(said) <= len(again):  # else it holds a special token
            assert scored[:count] == pytest.approx(own[:count], abs=0.25)  # scores are computed in half precision
            compared += count
    assert compared >= 4


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_chosen_images_of_a_batch_are_described_and_scored_as_in_it(
    family: str, folders: dict[str, Path], images: list[Image.Image]
) -> None:
    captioner = load_captioner(str(folders[family]))
    encoding = captioner.encode(images)
    whole = captioner.describe(encoding, attention=True)  # fills what a decoder projects
    rows = [3, 0, 0, 2]
    taken = encoding.take(rows)
    assert len(taken) == 4
    assert (taken.features == encoding.features[rows]).all()
    described = captioner.describe(taken, attention=True)
    assert described.captions == [whole.captions[row] for row in rows]
    assert described.attention.first == pytest.approx(whole.attention.first[rows], abs=1e-4)
    assert described.attention.mean == pytest.approx(whole.attention.mean[rows], abs=1e-4)
    assert len(encoding.take([])) == 0


def plain_generate(family: str, captioner: Any, model: Any, image: Image.Image, **options: Any) -> Any:
    """What Hugging Face's own `generate` gives for one image."""
    pixels = captioner._pixels([image])
    inputs: dict[str, Any] = {"pixel_values": pixels, **options}
    if family == "florence2":
        words = torch.cat([torch.full((17,), tiny.IMAGE), captioner.question])
        inputs["input_ids"] = words[None]
    elif family in ("llava", "idefics3", "smolvlm", "blip-2"):
        inputs["input_ids"] = torch.tensor([captioner.prefix])
    if family == "blip-2":
        inputs["max_new_tokens"] = 64
    return model.generate(**inputs, do_sample=False)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_captions_are_those_of_plain_generate(
    family: str, folders: dict[str, Path], images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner: Any = load_captioner(str(folders[family]))
    captioner.autocast = None
    model = AutoModelForImageTextToText.from_pretrained(folders[family]).eval()
    ours = captioner.describe(captioner.encode(images)).captions
    for image, caption in zip(images, ours, strict=True):
        ids = plain_generate(family, captioner, model, image)[0].tolist()
        prompted = [token for token in captioner.prefix if token != tiny.IMAGE]
        said = AutoTokenizer.from_pretrained(folders[family]).decode(ids, skip_special_tokens=True)
        words = captioner.tokenizer.decode(prompted, skip_special_tokens=True)
        assert said.removeprefix(words).strip() == caption


@pytest.mark.parametrize("family", ["florence2", "git", "idefics3", "llava", "smolvlm", "vision-encoder-decoder"])
def test_attention_of_the_second_pass_is_that_of_generation(
    family: str, folders: dict[str, Path], images: list[Image.Image]
) -> None:
    captioner: Any = load_captioner(str(folders[family]), num_beams=1)
    captioner.autocast = None
    eager = AutoModelForImageTextToText.from_pretrained(folders[family], attn_implementation="eager").eval()
    described = captioner.describe(captioner.encode(images[1:2]), attention=True)
    options = {"output_attentions": True, "return_dict_in_generate": True, "num_beams": 1}
    generated = plain_generate(family, captioner, eager, images[1], **options)
    # The step that gives the first caption token: the first one, or the one after a forced token.
    step = 1 if family == "florence2" else 0
    layers = (generated.attentions if family in SELF_ATTENDING else generated.cross_attentions)[step]
    rows = torch.stack([layer[0, :, -1] for layer in layers])  # (L, H, columns), of the last position
    columns = torch.tensor([n for n, token in enumerate(captioner.prefix) if token == tiny.IMAGE] or range(1, 17))
    expected = rows[..., columns]
    expected = (expected / expected.sum(-1, keepdim=True)).reshape(*expected.shape[:2], 4, 4)
    assert described.attention is not None
    assert described.attention.first[0] == pytest.approx(expected.detach().numpy(), abs=1e-4)


@pytest.mark.parametrize("family", WITH_PROMPT)
def test_a_prompt_changes_the_captions_and_is_no_part_of_them(
    family: str, folders: dict[str, Path], images: list[Image.Image]
) -> None:
    plain, asked = (load_captioner(str(folders[family]), prompt=prompt) for prompt in (None, "what does the user"))
    captions = asked.describe(asked.encode(images)).captions
    assert captions != plain.describe(plain.encode(images)).captions
    assert not any("what does the user" in caption for caption in captions)
    check_captioner(asked, images)


def test_a_prompt_for_a_family_that_takes_none_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="takes no prompt"):
        load_captioner(str(folders["vision-encoder-decoder"]), prompt="describe")


def test_blip2_maps_follow_the_queries_that_the_language_model_reads(
    folders: dict[str, Path], images: list[Image.Image]
) -> None:
    captioner: Any = load_captioner(str(folders["blip-2"]))
    encoding = captioner.encode(images)
    looked = encoding.extra["looked"]
    assert looked.shape == (len(images), 2, 2, 5, 17)
    read = torch.zeros(len(images), 2, 4, 1, 5)
    read[..., 3] = 1.0  # the language model reads the fourth query alone
    maps = captioner._map_rows(read, encoding)
    assert torch.allclose(maps[..., 0, :], looked[:, :, :, 3, 1:])


def test_blip2_over_an_encoder_decoder_model_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["blip-2"], tmp_path / "t5")
    config = json.loads((tmp_path / "t5" / "config.json").read_text())
    config["use_decoder_only_language_model"] = False
    config["text_config"] = {"model_type": "t5", "vocab_size": 96, "d_model": 32, "num_layers": 1, "num_heads": 2}
    (tmp_path / "t5" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"flan-t5"):
        load_captioner(str(tmp_path / "t5"))


@pytest.mark.parametrize(
    ("family", "part", "shared"),
    [
        ("blip", "text_decoder", True),
        ("git", "visual_projection", True),
        ("llava", "multi_modal_projector", False),
        ("smolvlm", "connector", False),
        ("blip-2", "qformer", False),
        ("florence2", "language_model.encoder", False),
    ],
)
def test_encodings_are_shared_only_where_all_that_makes_them_is_the_same(
    family: str, part: str, shared: bool, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folders[family])
    (weight,) = [w for name, w in model.named_parameters() if part in name and w.ndim > 1][:1]
    with torch.no_grad():
        weight.add_(0.5)
    shutil.copytree(folders[family], tmp_path / "other")
    model.save_pretrained(tmp_path / "other")
    one, other = load_captioner(str(folders[family])), load_captioner(str(tmp_path / "other"))
    assert one.fingerprint != other.fingerprint
    assert (one.encoder_fingerprint == other.encoder_fingerprint) is shared


def test_idefics_images_are_not_split(folders: dict[str, Path]) -> None:
    captioner: Any = load_captioner(str(folders["smolvlm"]))
    assert captioner._pixels([Image.new("RGB", (300, 90), "red")] * 2).shape == (2, 1, 3, tiny.SIDE, tiny.SIDE)
    assert isinstance(captioner.preprocess, Preprocessor)


@pytest.mark.parametrize("family", ["llava", "idefics3", "smolvlm"])
def test_an_image_token_in_a_caption_takes_no_feature(
    family: str, folders: dict[str, Path], images: list[Image.Image]
) -> None:
    captioner: Any = load_captioner(str(folders[family]))
    memory = captioner.memory(captioner.encode(images[:2]))
    ids = torch.tensor([[*captioner.prefix, captioner.image_token, 5]]).repeat(2, 1)  # a model may say it
    with torch.inference_mode():
        logits, _ = captioner.decode(memory, ids, torch.ones_like(ids), attention=False)
    assert torch.isfinite(logits).all()
    assert logits.shape[:2] == ids.shape
