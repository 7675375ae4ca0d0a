"""From the words on a command line to a configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from srdscan.cli import app
from srdscan.cli.errors import errors
from srdscan.cli.options import settings
from srdscan.config import AuditConfig, FinetuneConfig, TrainConfig

COMMANDS = {"audit": AuditConfig, "train": TrainConfig, "finetune": FinetuneConfig}
GROUP: Any = typer.main.get_command(app)


def configured(name: str, *arguments: object) -> Any:
    """The configuration that a command would run with."""
    context = GROUP.commands[name].make_context(name, [str(argument) for argument in arguments])
    return settings(COMMANDS[name], context)


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    path = tmp_path / "audit.yaml"
    path.write_text("shards: [from-the-file]\nseed: 4\nlimit: 9\n")
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_a_field_of_its_configuration(name: str) -> None:
    options = {parameter.name for parameter in GROUP.commands[name].params} - {"config", "help"}
    options = {"caption_fields" if option == "caption_column" else option for option in options}
    assert options <= {field.name for field in dataclasses.fields(COMMANDS[name])}


def test_what_is_left_out_keeps_its_default() -> None:
    assert configured("audit", "a.tar", "b.tar") == AuditConfig(shards=("a.tar", "b.tar"))
    assert configured("train", "a", "--captioner", "m") == TrainConfig(shards=("a",), captioner="m")
    assert configured("finetune", "a") == FinetuneConfig(shards=("a",))


def test_a_matcher_is_named_in_a_file_or_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.yaml"
    path.write_text("shards: [a]\nmatcher: my-clip/\n")
    assert configured("audit", "--config", path).matcher == "my-clip/"
    assert configured("audit", "--config", path, "--matcher", "embedded").matcher == "embedded"
    assert configured("audit", "a").matcher == "embedded"


def test_flags_are_on_when_given_or_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flags.yaml"
    path.write_text("canary: true\n")
    assert configured("audit", "a", "--canary").canary is True
    assert configured("audit", "a", "--config", path).canary is True
    assert configured("train", "a", "--captioner", "m", "--resume").resume is True


def test_the_command_line_wins_over_the_file_also_with_a_zero(yaml: Path) -> None:
    assert configured("audit", "--config", yaml) == AuditConfig(shards=("from-the-file",), seed=4, limit=9)
    won = configured("audit", "given", "--config", yaml, "--seed", 0, "--limit", 2)
    assert won == AuditConfig(shards=("given",), seed=0, limit=2)


@pytest.mark.parametrize("option", ["--limit", "--fdr", "--batch-size", "--num-beams"])
def test_a_zero_is_refused_where_it_makes_no_sense(yaml: Path, option: str) -> None:
    result = CliRunner().invoke(app, ["audit", "--config", str(yaml), option, "0"])
    assert result.exit_code == 2
    assert f"{option[2:].replace('-', '_')} 0" in result.output


def test_a_bug_is_no_failed_gate(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, errors():
        raise ZeroDivisionError("of all things")
    assert left.value.exit_code == 3
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: of all things" in shown
    assert "please report" in shown
