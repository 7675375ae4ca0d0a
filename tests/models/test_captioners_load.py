"""load_captioner: what can be loaded by which name, and what is said of the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessorPil,
)

from srdscan import scenes
from srdscan.models.captioners.check import check_captioner
from srdscan.models.captioners.load import FAMILIES, load_captioner
from srdscan.models.captioners.vision_encoder_decoder import VisionEncoderDecoderCaptioner
from srdscan.models.fetch import ModelError, models_folder


def test_a_family_without_a_module_lists_the_known_ones_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "parrot"}))
    with pytest.raises(ModelError) as caught:
        load_captioner(str(tmp_path))
    assert "'parrot'" in str(caught.value)
    assert f"({', '.join(sorted(FAMILIES))})" in str(caught.value)
    assert "package.module:Class" in str(caught.value)


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone: cannot be loaded.*no such folder.*hf download"):
        load_captioner(str(tmp_path / "gone"))
    with pytest.raises(ModelError, match=r"no config\.json with a model_type"):
        load_captioner(str(tmp_path))
    with pytest.raises(ModelError, match=r"no\.such\.module:Class: cannot be imported"):
        load_captioner("no.such.module:Class")
    with pytest.raises(ModelError, match=r"PYTHONPATH"):
        load_captioner("srdscan.text.plain:NoSuchClass")


def test_weights_that_are_missing_or_pickled_are_refused(tmp_path: Path) -> None:
    shutil.copytree(models_folder() / "captioner", tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"lacks weights \(\*\.safetensors\).*pickled \(pytorch_model\.bin\)"):
        load_captioner(str(tmp_path / "m"))


def test_a_class_of_ones_own_is_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "from srdscan.models.captioners.load import load_captioner\n"
        "class Mine:\n"
        "    def __init__(self, device):\n"
        "        inner = load_captioner('captioner', device)\n"
        "        self.encode, self.describe, self.score = inner.encode, inner.describe, inner.score\n"
        "        self.fingerprint, self.encoder_fingerprint = inner.fingerprint, inner.encoder_fingerprint\n"
        "class Half:\n"
        "    fingerprint = 'f'\n"
        "    def __init__(self, device):\n"
        "        pass\n"
    )
    (tmp_path / "my_captioner.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = load_captioner("my_captioner:Mine")
    assert mine.name == "my_captioner:Mine"
    assert mine.describe(mine.encode([scenes.make(11, 0)[0]])).captions == [scenes.compose(11, 0).caption]
    with pytest.raises(ModelError, match="lacks encode, describe, score, encoder_fingerprint"):
        load_captioner("my_captioner:Half")


def test_a_vit_with_a_class_token_and_gpt2_loads_and_keeps_the_contract(tmp_path: Path) -> None:
    vit = ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8
    )
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    vocabulary = {word: i for i, word in enumerate([*special.values(), *(f"w{i}" for i in range(60))])}
    gpt2 = GPT2Config(
        vocab_size=64, n_positions=32, n_embd=48, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1, pad_token_id=2
    )  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(vit, gpt2)
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = 0, 1, 2
    torch.manual_seed(3)
    model = VisionEncoderDecoderModel(config)
    model.generation_config.update(decoder_start_token_id=0, eos_token_id=1, pad_token_id=2, max_length=8, num_beams=2)
    model.save_pretrained(tmp_path)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    loaded = load_captioner(str(tmp_path))
    check_captioner(loaded)
    described = loaded.describe(loaded.encode([scenes.make(11, 0)[0]]), attention=True)
    assert described.attention.first.shape == (1, 2, 4, 4, 4)
    with torch.inference_mode():  # the first step by hand: 17 columns, of which the first is the class token
        memory = loaded.project(loaded.encode([scenes.make(11, 0)[0]]).memory)
        out = loaded.model.decoder(torch.tensor([[0]]), encoder_hidden_states=memory, output_attentions=True)
    patches = torch.stack(out.cross_attentions, dim=1)[:, :, :, 0, 1:]
    expected = (patches / patches.sum(-1, keepdim=True)).reshape(1, 2, 4, 4, 4)
    assert described.attention.first == pytest.approx(expected.numpy(), abs=1e-5)
    assert isinstance(loaded, VisionEncoderDecoderCaptioner)
    assert loaded.fingerprint != load_captioner("captioner").fingerprint
