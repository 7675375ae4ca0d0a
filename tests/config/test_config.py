"""Configuration: YAML, the command line on top of it, and every wrong value named before anything runs."""

from __future__ import annotations

import dataclasses
import doctest
from pathlib import Path
from typing import Any

import pytest

import srdscan.config.audit
from srdscan.config import AuditConfig, ConfigError, load_config, most_flagged


def loaded(tmp_path: Path, text: str, **overrides: Any) -> AuditConfig:
    path = tmp_path / "audit.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(AuditConfig, path, overrides)


def refusal(tmp_path: Path, text: str, **overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, **overrides)
    return str(caught.value)


def test_a_file_sets_options_and_the_rest_keep_their_defaults(tmp_path: Path) -> None:
    text = "shards: [a/*.tar, 'b-{0..3}.tar']\nout: été\ncaptioner: m\nfdr: 0.1\nlimit: 500\ncaption_fields: [alt]\n"
    expected = AuditConfig(
        shards=("a/*.tar", "b-{0..3}.tar"), out=Path("été"), captioner="m", fdr=0.1, limit=500, caption_fields=("alt",)
    )
    assert loaded(tmp_path, text) == expected


def test_values_take_the_kind_of_their_option(tmp_path: Path) -> None:
    config = loaded(tmp_path, "shards: a\nfdr: '1e-3'\nbatch_size: '8'\nlimit: 3.0\ncalibration: x/y\nreference: 7\n")
    assert (config.shards, config.fdr, config.batch_size, config.limit) == (("a",), 0.001, 8, 3)
    assert isinstance(config.limit, int)
    assert (config.calibration, config.reference) == (Path("x/y"), "7")


def test_the_command_line_overrides_the_file_and_none_overrides_nothing(tmp_path: Path) -> None:
    text = "shards: a\ncaptioner: m\nfdr: 0.1\nseed: 4\n"
    config = loaded(tmp_path, text, shards=["b", "c"], fdr=0.2, captioner=None, seed=0)
    assert (config.shards, config.fdr, config.captioner, config.seed) == (("b", "c"), 0.2, "m", 0)
    assert load_config(AuditConfig, None, {"shards": ("a",)}) == AuditConfig(shards=("a",))


def test_an_optional_value_may_be_empty_and_another_may_not(tmp_path: Path) -> None:
    assert loaded(tmp_path, "shards: a\ncaptioner:\nlimit: null\n") == AuditConfig(shards=("a",))
    assert refusal(tmp_path, "shards: a\nfdr:\n") == "fdr: must not be empty"


def test_unknown_options_are_named_with_the_known_ones(tmp_path: Path) -> None:
    message = refusal(tmp_path, "shards: a\nfdrr: 0.1\n3: x\n")
    assert "audit.yaml: unknown option 3, fdrr" in message
    assert all(field.name in message for field in dataclasses.fields(AuditConfig))


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("fdr: often", "fdr"),
        ("fdr: yes", "fdr"),
        ("fdr: [0.1]", "fdr"),
        ("batch_size: 2.5", "batch_size"),
        ("batch_size: true", "batch_size"),
        ("limit: .inf", "limit"),
        ("limit: .nan", "limit"),
        ("out: 3", "out"),
        ("calibration: [a]", "calibration"),
        ("reference: [a, b]", "reference"),
        ("captioner: {a: b}", "captioner"),
        ("caption_fields: 3", "caption_fields"),
        ("caption_fields: {a: b}", "caption_fields"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(tmp_path: Path, text: str, option: str) -> None:
    message = refusal(tmp_path, f"shards: a\n{text}\n")
    assert message.startswith(f"{option}: ")
    assert " is not a " in message


@pytest.mark.parametrize(
    "text",
    ["fdr: 0", "fdr: 1", "fdr: -0.1", "fdr: .nan", "batch_size: 0", "limit: 0", "num_beams: 0", "seed: -1",
     "max_pixels: 0", "pictures: -1", "shards: []", "fail_on: sometimes"],
)  # fmt: skip
def test_a_value_out_of_range_is_refused(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, text if text.startswith("shards") else f"shards: a\n{text}\n")
    assert text.split(":")[0].replace("shards", "data") in message


@pytest.mark.parametrize(
    "content", [b"a: [", b"just a sentence", b"- a\n- b\n", b"\xff\xfe\x00", b"a: !!python/name:os"]
)
def test_a_file_that_is_no_mapping_of_options_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"audit\.yaml: "):
        load_config(AuditConfig, path, {"shards": ("a",)})
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read"):
        load_config(AuditConfig, tmp_path / "gone.yaml", {"shards": ("a",)})


def test_an_empty_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert loaded(tmp_path, "# nothing\n", shards="a") == AuditConfig(shards=("a",))
    assert "no data" in refusal(tmp_path, "")


@pytest.mark.parametrize(
    ("fail_on", "most"),
    [
        ("any", 0.0),
        ("never", None),
        ("rate=0.01", 20.0),
        ("rate=0", 0.0),
        ("rate=1", 2000.0),
        ("rate=.5", 1000.0),
        ("rate=1e-3", 2.0),
        ("count=0", 0.0),
        ("count=3", 3.0),
    ],
)
def test_the_gate_allows_a_number_or_a_share(fail_on: str, most: float | None) -> None:
    assert most_flagged(fail_on, 2000) == most


@pytest.mark.parametrize(
    "fail_on",
    [
        "",
        "ANY",
        "rate",
        "rate=",
        "rate=1.5",
        "rate=-0.1",
        "rate=nan",
        "0.01",
        "rate=1%",
        "count=",
        "count=-1",
        "count=1.5",
    ],
)
def test_any_other_gate_is_refused(fail_on: str) -> None:
    with pytest.raises(ConfigError, match="must be any, never, count=NUMBER"):
        AuditConfig(shards=("a",), fail_on=fail_on)


def test_the_examples_in_the_docstrings_hold() -> None:
    found = doctest.testmod(srdscan.config.audit)
    assert (found.attempted > 0, found.failed) == (True, 0)
