"""The embedded captioners' own decoder says what `generate` says, of any batch, and looks where it looks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutput

from srdscan import scenes
from srdscan.measure.batch import score_each
from srdscan.models.captioners import grid_search
from srdscan.models.captioners.grid_search import Search
from srdscan.models.captioners.load import load_captioner
from srdscan.models.captioners.vision_encoder_decoder import VisionEncoderDecoderCaptioner


@pytest.fixture(scope="module")
def blends() -> list[Image.Image]:
    """Two scenes at once keep several beams alive, which change places and end at different steps."""
    drawn = [np.asarray(scenes.make(11, index)[0], dtype=float) for index in range(24)]
    return [Image.fromarray(((a + b) / 2).astype(np.uint8)) for a, b in zip(drawn[:12], drawn[12:], strict=True)]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_it_says_and_sees_what_generate_and_a_second_pass_do(blends: list[Image.Image], num_beams: int) -> None:
    captioner = load_captioner("captioner", num_beams=num_beams)
    encoding = captioner.encode(blends)
    own = captioner.describe(encoding, attention=True)
    theirs = VisionEncoderDecoderCaptioner.describe(captioner, encoding, attention=True)
    assert own.captions == theirs.captions
    assert len({len(row) for row in own.log_probs}) > 2  # else nothing is dropped on the way
    for mine, given in zip(own.log_probs, theirs.log_probs, strict=True):
        np.testing.assert_allclose(mine, given, atol=1e-4)
    np.testing.assert_allclose(own.attention.first, theirs.attention.first, atol=1e-5)
    np.testing.assert_allclose(own.attention.mean, theirs.attention.mean, atol=1e-5)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_an_images_caption_does_not_depend_on_its_batch(
    blends: list[Image.Image], num_beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = load_captioner("captioner", num_beams=num_beams)
    encoding = captioner.encode(blends)
    whole = captioner.describe(encoding, attention=True)
    alone = [captioner.describe(encoding.take([n]), attention=True) for n in range(len(blends))]
    monkeypatch.setattr(grid_search, "DROPPED", 0.0)
    kept = captioner.describe(encoding)
    assert whole.captions == [one.captions[0] for one in alone] == kept.captions
    np.testing.assert_allclose(whole.attention.mean, np.concatenate([one.attention.mean for one in alone]), atol=1e-5)


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("longest", [1, 5])
@torch.inference_mode()
def test_a_caption_that_comes_to_no_end_is_cut_where_generate_cuts_it(
    captioner: Any, blends: list[Image.Image], num_beams: int, longest: int
) -> None:
    encoding = captioner.encode(blends[:4])
    memory = captioner.memory(encoding)
    search = replace(captioner.search, beams=num_beams, longest=longest)
    tokens, log_probs = grid_search.describe(captioner.grid, captioner._seen(encoding), search)
    options = {"num_beams": num_beams, "max_length": longest + 1, "do_sample": False}
    given = captioner.model.generate(encoder_outputs=BaseModelOutput(last_hidden_state=memory), **options)
    assert tokens == given[:, 1:].tolist()
    assert [len(row) for row in log_probs] == [longest] * 4


def test_several_captions_of_an_image_are_scored_like_one_each(captioner: Any, blends: list[Image.Image]) -> None:
    encoding = captioner.encode(blends[:3])
    images = np.array([0, 0, 0, 2, 2])  # none of the second
    captions = ["a red star", "two dogs play on the beach", "a", "a man in a boat on a lake", "a red star"]
    several = score_each(captioner, encoding, images, captions)
    for image, caption, found in zip(images, captions, several, strict=True):
        given = VisionEncoderDecoderCaptioner.score(captioner, encoding.take([image]), [caption])[0]
        np.testing.assert_allclose(found, given, atol=1e-4)


def test_a_generation_config_that_asks_for_more_is_left_to_generate(captioner: Any) -> None:
    config = captioner.model.generation_config
    assert Search.of(config, 3, 0) == Search(beams=3, start=0, end=1, longest=31)
    for name, value in (("no_repeat_ngram_size", 2), ("early_stopping", True), ("repetition_penalty", 1.2)):
        other = type(config).from_dict(config.to_dict() | {name: value})
        assert Search.of(other, 3, 0) is None
