"""How every command speaks: JSON, colour, completion, and what was meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from srdscan.cli.commands import app
from srdscan.cli.completion import CAPTIONERS
from srdscan.config import AuditConfig, ConfigError
from srdscan.config.load import load_config
from srdscan.engines.rank import Part
from srdscan.models.captioners.load import EMBEDDED
from srdscan.models.fetch import ModelError
from srdscan.models.language_model import LanguageModel

GROUP: Any = typer.main.get_command(app)
CLEAN = Path(__file__).parents[2] / "examples" / "clean"
ESCAPE = "\x1b["


def srdscan(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "srdscan", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment | variables)


@pytest.mark.parametrize("name", GROUP.commands)
def test_every_command_prints_json_and_asks_for_colour_or_not(name: str) -> None:
    options = {option for parameter in GROUP.commands[name].params for option in parameter.opts}
    assert {"--json", "--color"} <= options


def test_colour_is_for_terminals_unless_it_is_asked_for() -> None:
    assert ESCAPE not in srdscan("rules", "SRD777").stderr
    assert ESCAPE in srdscan("rules", "SRD777", "--color", "always", NO_COLOR="1").stderr
    assert ESCAPE not in srdscan("rules", "SRD777", "--color", "never", FORCE_COLOR="1").stderr
    assert ESCAPE in srdscan("poison", "--list", "--color", "always").stdout
    refused = srdscan("rules", "--color", "sometimes")
    assert refused.returncode == 2 and "must be auto, always or never" in refused.stderr


def test_poison_says_in_json_what_it_did_and_what_it_knows(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["poison", str(CLEAN), "--out", str(tmp_path / "out"), "--rate", "0.05", "--json"])
    said = json.loads(done.output)
    truth = json.loads(Path(said["truth"]).read_text())
    assert said["poisoned"] == len(truth["poisoned"]) == 6 and said["psnr"] > 10
    known = json.loads(CliRunner().invoke(app, ["poison", "--list", "--json"]).output)
    assert {"kind": "target", "name": "none", "what": "captions are left alone", "source": ""} in known
    assert [attack["name"] for attack in known].count("canary") == 2


def test_finetune_says_in_json_what_it_learned_from(tmp_path: Path) -> None:
    words = ["finetune", CLEAN, "--limit", "4", "--epochs", "1", "--out", tmp_path / "canary", "--json", "-q"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    said = json.loads(done.stdout)
    assert (said["samples"], said["irregular"]) == (4, 0)
    assert (Path(said["path"]) / "config.json").is_file()


def test_a_job_of_several_says_in_json_what_it_scored() -> None:
    part = Part(1, 4, Path("jobs/1"), 2, 8, 256, ("a.tar: cut short",))
    said = json.loads(part.to_json())
    assert (said["rank"], said["out"], said["problems"]) == (1, "jobs/1", ["a.tar: cut short"])


def completed(folder: Path, line: str) -> list[str]:
    """What bash offers for the last word of a line, by the script that `--install-completion` installs."""
    program = folder / "srdscan"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m srdscan "$@"\n')
    program.chmod(0o755)
    script = srdscan(_SRDSCAN_COMPLETE="source_bash").stdout
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _srdscan_completion srdscan"
    code = f'{script}\n{asked}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("srdscan ba", ["baseline"]),
        ("srdscan audit --require", ["--require-detection"]),
        ("srdscan audit shards/ --report s", ["sarif"]),
        ("srdscan audit --captioner captioner-", ["captioner-backdoored"]),
        ("srdscan rules SRD20", ["SRD201", "SRD202", "SRD203"]),
        ("srdscan poison --trigger faint", ["faint-patch"]),
    ],
)
def test_bash_completes_commands_options_rules_models_and_attacks(
    tmp_path: Path, line: str, offered: list[str]
) -> None:
    assert completed(tmp_path, line) == offered


def test_zsh_is_told_what_a_rule_is_called() -> None:
    done = srdscan(_SRDSCAN_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="srdscan audit --ignore SRD101")
    assert '"SRD101":"repeated-target-in-captions"' in done.stdout


def test_completed_captioners_are_those_that_are_embedded() -> None:
    assert tuple(CAPTIONERS) == EMBEDDED


def test_what_is_misspelled_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "audit.yaml"
    path.write_text("lmit: 3\n")
    with pytest.raises(ConfigError, match=r"Did you mean limit\?"):
        load_config(AuditConfig, path, {})
    with pytest.raises(ConfigError, match=r"Did you mean sarif\?"):
        AuditConfig(shards=("a",), report=("sarfi",))
    with pytest.raises(ModelError, match=r"Did you mean embedded\?"):
        LanguageModel("embeded")
    refused = CliRunner().invoke(app, ["poison", str(CLEAN), "--out", str(tmp_path), "--trigger", "bleded"])
    assert refused.exit_code == 2 and "Did you mean blended?" in refused.output
