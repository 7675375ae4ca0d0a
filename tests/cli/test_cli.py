"""From the words on a command line to a configuration."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from srdscan.cli import app
from srdscan.cli.errors import errors
from srdscan.cli.options import MANNERS, settings
from srdscan.config import AuditConfig, ConfigError, FinetuneConfig, TrainConfig
from srdscan.models.captioners.load import load_captioner
from srdscan.progress import shown_progress

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
    options = {parameter.name for parameter in GROUP.commands[name].params} - {"config", "help", *MANNERS}
    named = {"caption_column": "caption_fields", "signal": "signals"}
    options = {named.get(str(option), option) for option in options}
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


def test_an_audit_of_nothing_says_what_to_type() -> None:
    result = CliRunner().invoke(app, ["audit"])
    assert result.exit_code == 2 and "`srdscan audit shards/`" in result.output


def test_a_name_that_is_almost_right_is_asked_for() -> None:
    for words in (["adit"], ["audit", "x", "--captionr", "y"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2 and words[-2 if len(words) > 1 else 0].lstrip("-")[:3] in result.output
    with pytest.raises(ConfigError, match="Did you mean captioner-backdoored"):
        load_captioner("captioner-backdored")


def test_the_help_lists_every_exit_code() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(f"\n    {code}  " in shown for code in range(4))


@pytest.mark.parametrize("variable", [{}, {"NO_COLOR": "1"}])
def test_errors_are_red_on_a_terminal_unless_somebody_minds(variable: dict[str, str]) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | variable
    command = [sys.executable, "-m", "srdscan", "rules", "SRD777"]
    done = subprocess.run(command, stderr=theirs, stdout=theirs, env=environment | {"TERM": "xterm"})
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert done.returncode == 2 and "SRD777" in shown
    assert ("\x1b[" in shown) == (not variable)


def test_stages_are_lines_if_asked_for_and_nothing_if_not(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet, verbose, said in ((False, True, "srdscan: scoring (1,024)\n"), (True, False, ""), (False, False, "")):
        with shown_progress(quiet, verbose) as progress:
            progress.stage("scoring", 1024)
            progress.advance(3)
        assert capsys.readouterr().err == said


def test_how_a_command_speaks_is_no_part_of_its_settings() -> None:
    assert configured("audit", "a", "-q", "--json") == configured("audit", "a", "-v") == AuditConfig(shards=("a",))


def test_a_bug_is_no_failed_gate(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, errors():
        raise ZeroDivisionError("of all things")
    assert left.value.exit_code == 3
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: of all things" in shown
    assert "please report" in shown
