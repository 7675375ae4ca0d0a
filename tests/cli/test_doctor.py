"""`srdscan doctor` tells what works here, and what to do about what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import torch
import transformers
from typer.testing import CliRunner

from srdscan.cli import app
from srdscan.doctor import throughput


def doctor(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", "--no-speed", *options])
    return result.exit_code, result.stdout


@pytest.fixture(scope="module")
def healthy() -> dict[str, object]:
    code, output = doctor("--json", "--device", "cpu")
    assert code == 0
    return json.loads(output)


def test_versions_and_device_are_those_of_this_process(healthy: dict) -> None:
    assert healthy["healthy"] is True
    assert healthy["versions"]["torch"] == torch.__version__.split("+")[0] or healthy["versions"]["torch"]
    assert healthy["versions"]["transformers"] == transformers.__version__
    assert healthy["device"] == "cpu"
    assert healthy["threads"] == torch.get_num_threads()
    assert healthy["memory_gb"] > 0.5
    assert healthy["images_per_s"] is None


def test_every_embedded_model_loads(healthy: dict) -> None:
    assert [(model["role"], model["name"], model["problem"]) for model in healthy["models"]] == [
        ("captioner", "captioner", None),
        ("captioner", "captioner-backdoored", None),
        ("matcher", "embedded", None),
        ("sentence encoder", "minilm", None),
        ("language model", "embedded", None),
        ("policy", "embedded", None),
    ]


def test_a_model_that_cannot_be_loaded_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    code, output = doctor("--json", "--captioner", str(tmp_path / "model"), "--language-model", "nobody/nothing-lm")
    document = json.loads(output)
    problems = {model["name"]: model["problem"] for model in document["models"] if model["problem"]}
    assert code == 3
    assert set(problems) == {str(tmp_path / "model"), "nobody/nothing-lm"}
    assert "config.json" in problems[str(tmp_path / "model")]
    assert "hf download nobody/nothing-lm" in problems["nobody/nothing-lm"]
    assert document["offline"] is True


def test_a_matcher_that_lacks_its_image_processor_is_named(tmp_path: Path) -> None:
    tiny.clip(tmp_path / "clip")
    _, output = doctor("--json", "--matcher", str(tmp_path / "clip"))
    tried = {model["role"]: model for model in json.loads(output)["models"]}["matcher"]
    assert (tried["name"], tried["problem"]) == (str(tmp_path / "clip"), None)
    (tmp_path / "clip" / "preprocessor_config.json").unlink()
    code, output = doctor("--json", "--matcher", str(tmp_path / "clip"))
    tried = {model["role"]: model for model in json.loads(output)["models"]}["matcher"]
    assert code == 3
    assert "The folder lacks an image processor (preprocessor_config.json" in tried["problem"]


def test_the_table_has_a_line_for_each(tmp_path: Path) -> None:
    code, output = doctor("--captioner", str(tmp_path))
    assert code == 3
    marks = [line.split("  ")[:2] for line in output.splitlines()]
    assert ["ok", "torch"] in marks
    assert [mark for mark, *_ in marks].count("no") == 1
    assert "config.json" in output


def test_throughput_counts_images() -> None:
    assert 1 < throughput("cpu", seconds=0.5) < 100_000
