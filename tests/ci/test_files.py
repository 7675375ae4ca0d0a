"""What other systems of CI read of this repository: hooks of pre-commit, GitLab's template, the Dockerfile."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from srdscan.cli.commands import app
from srdscan.report.formats import FORMS

ROOT = Path(__file__).parents[2]
COMMANDS: Any = typer.main.get_command(app)
ENTRY = """schema: srdscan-baseline/1
accepted:
- {code: SRD101, fingerprint: ab, about: getty images, reason: licence footer, expires: DAY}
"""


def known_options(command: list[str]) -> None:
    """The command line's options exist."""
    options = {name for parameter in COMMANDS.commands[command[1]].params for name in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= options, command


def test_hooks_of_pre_commit_run_commands_that_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert [hook["id"] for hook in hooks] == ["srdscan-baseline", "srdscan-audit"]
    for hook in hooks:
        command = shlex.split(hook["entry"])
        assert command[0] == "srdscan" and hook["language"] == "python"
        known_options(command)
    baseline, audit = (re.compile(hook["files"]) for hook in hooks)
    assert baseline.search("release/.srdscan-baseline.yaml") and not baseline.search("srdscan-baseline.yaml.md")
    changed = ["data/metadata.jsonl", "train.parquet", "captions_val2017.json", "data/x-000.tar.dvc", "README.md"]
    assert [bool(audit.search(name)) for name in changed] == [True, True, True, True, False]


@pytest.mark.parametrize(("day", "code", "said"), [("2126-03-01", 0, "0 expired"), ("2026-03-01", 1, "getty images")])
def test_a_baseline_is_checked_without_a_run(tmp_path: Path, day: str, code: int, said: str) -> None:
    file = tmp_path / ".srdscan-baseline.yaml"
    file.write_text(ENTRY.replace("DAY", day))
    done = CliRunner().invoke(app, ["baseline", "--check", str(file)])
    assert (done.exit_code, said in done.output) == (code, True), done.output
    done = CliRunner().invoke(app, ["baseline", "--check", str(file), "--json"])
    assert (done.exit_code, json.loads(done.output)["accepted"]) == (code, 1)


def test_a_baseline_without_a_reason_is_refused_by_the_check(tmp_path: Path) -> None:
    file = tmp_path / "b.yaml"
    file.write_text(ENTRY.replace("reason: licence footer, ", ""))
    done = CliRunner().invoke(app, ["baseline", "--check", str(file)])
    assert done.exit_code == 2 and "has no reason" in done.output


def test_gitlabs_template_reads_the_files_that_an_audit_writes() -> None:
    template = yaml.safe_load((ROOT / "docs/ci/gitlab.yml").read_text(encoding="utf-8"))
    job = template["srdscan"]
    (command,) = (shlex.split(line) for line in job["script"] if line.startswith("srdscan"))
    known_options(command)
    forms = [command[number + 1] for number, word in enumerate(command) if word == "--report"]
    written = {f"$SRDSCAN_OUT/{FORMS[form][0]}" for form in forms}
    assert set(job["artifacts"]["reports"].values()) <= written
    assert job["artifacts"]["when"] == "always"
    used = set(re.findall(r"\$(SRDSCAN_\w+)", (ROOT / "docs/ci/gitlab.yml").read_text(encoding="utf-8")))
    assert used <= set(template["variables"])


def test_the_image_runs_offline_as_a_user_without_privileges() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    last = dict(lines)
    assert last["USER"].isdigit() and int(last["USER"]) > 0
    assert last["ENTRYPOINT"] == '["srdscan"]' and "HF_HUB_OFFLINE=1" in last["ENV"]
    bases = [rest.split()[0] for word, rest in lines if word == "FROM"]
    assert set(bases) == {"python:3.12-slim"}
    assert not {"ADD", "MAINTAINER"} & set(last) and "curl" not in text


def test_the_image_is_built_from_what_the_wheel_needs() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    wheel = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    sources = re.findall(r'^"([\w/.-]+)" = "srdscan/', wheel, re.MULTILINE)
    assert sources and all(any(path == name or path.startswith(f"{name}/") for name in kept) for path in sources)
    assert {"srdscan", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= kept
    assert all((ROOT / name).exists() for name in kept)
