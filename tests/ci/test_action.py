"""The action's own steps, run by bash as GitHub's runner does: inputs in the environment, outputs in files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from srdscan import scenes

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
BASH = shutil.which("bash")

pytestmark = pytest.mark.skipif(BASH is None or os.name == "nt", reason="the action's steps need bash")


class Runner:
    """A workspace with the files of GitHub's runner.

    Args:
        folder: of the workspace.
        srdscan: what stands in for the installed command, a bash script.
    """

    def __init__(self, folder: Path, srdscan: str) -> None:
        self.folder, self.bin = folder, folder / ".bin"
        self.bin.mkdir()
        for name, script in (("srdscan", srdscan), ("python", f'exec "{sys.executable}" "$@"')):
            (self.bin / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
            (self.bin / name).chmod(0o755)
        self.files = {name: folder / f".{name}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        self.log = ""

    def run(self, name: str, inputs: Mapping[str, str], outputs: Mapping[str, str] | None = None) -> int:
        """Runs a step; its exit code."""
        for path in self.files.values():
            path.write_text("")
        known = {f"inputs.{key}": str(item.get("default", "")) for key, item in ACTION["inputs"].items()}
        known |= {f"inputs.{key}": value for key, value in inputs.items()}
        known |= {f"steps.{key}": value for key, value in (outputs or {}).items()} | {"github.action_path": str(ROOT)}
        step = STEPS[name]
        assert "${{" not in step["run"], "what a workflow passes must not become part of a script"
        given = {
            key: re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], value)
            for key, value in step.get("env", {}).items()
        }
        environment = {**os.environ, **given, **{key: str(path) for key, path in self.files.items()}}
        environment |= {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(self.folder)}
        environment["PATH"] = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        command = [str(BASH), "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)
        self.log = done.stdout + done.stderr
        return done.returncode

    @property
    def outputs(self) -> dict[str, str]:
        """What the last step wrote to GITHUB_OUTPUT."""
        lines = self.files["GITHUB_OUTPUT"].read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.mark.slow
def test_the_action_audits_and_says_what_came_out(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "my data", 6, 6, seed=3)
    runner = Runner(tmp_path, f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m srdscan "$@"')
    assert runner.run("Audit", {"shards": '"my data"', "args": "--seed 1", "out": "out"}) == 0, runner.log
    assert runner.outputs == {"code": "0", "report": "out/report.html", "verdict": "pass", "flagged": "0"}, runner.log
    assert {"report.html", "results.sarif", "junit.xml", "annotations.txt"} <= set(os.listdir(tmp_path / "out"))
    assert "PASS" in runner.files["GITHUB_STEP_SUMMARY"].read_text()
    assert "::stop-commands::" in runner.log


def shown(tmp_path: Path) -> Runner:
    """A runner whose srdscan prints its arguments, a line each."""
    return Runner(tmp_path, "printf '%s\\n' \"$@\"; exit ${SRDSCAN_TEST_CODE:-0}")


def test_inputs_are_words_and_are_never_evaluated(tmp_path: Path) -> None:
    runner = shown(tmp_path)
    given = {
        "shards": "a/ 'b c/' $(touch evaluated) `touch evaluated`;touch evaluated",
        "args": '--ignore SRD104\n--prompt "a photo of"',
        "baseline": "base line.yaml",
        "fail-on": "rate=0.01",
    }
    assert runner.run("Audit", given) == 0
    words = runner.log.splitlines()
    assert words[:5] == ["audit", "--ignore", "SRD104", "--prompt", "a photo of"]
    assert words[words.index("--baseline") + 1] == "base line.yaml"
    assert words[words.index("--") + 1 :][:2] == ["a/", "b c/"] and "$(touch" in words
    assert words[words.index("--fail-on") + 1] == "rate=0.01"
    assert not list(tmp_path.rglob("evaluated"))


def test_an_audit_that_ends_early_leaves_its_exit_code_and_no_verdict(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SRDSCAN_TEST_CODE", "2")
    runner = shown(tmp_path)
    (tmp_path / "srdscan-report").mkdir()
    (tmp_path / "srdscan-report/report.json").write_text('{"verdict": "pass"}')
    assert runner.run("Audit", {"shards": "nothing/"}) == 0
    assert runner.outputs == {"code": "2", "report": "srdscan-report/report.html"}, "not that of an earlier run"
    assert [runner.run("Gate", {}, {"audit.outputs.code": code}) for code in "0123"] == [0, 1, 2, 3]


def test_the_cache_belongs_to_the_names_of_the_files(tmp_path: Path) -> None:
    runner = shown(tmp_path)
    (tmp_path / "data").mkdir()

    def key(shards: str, args: str = "") -> str:
        assert runner.run("Name the cache", {"shards": shards, "args": args}) == 0, runner.log
        return runner.outputs["key"]

    (tmp_path / "data/a-0.tar").write_text("x")
    before = {spec: key(spec) for spec in ("data", "data/a-*.tar", "data/a-{0..9}.tar")}
    (tmp_path / "data/a-0.tar").write_text("other bytes")
    assert before == {spec: key(spec) for spec in before}
    (tmp_path / "data/a-1.tar").write_text("x")
    assert all(key(spec) != before[spec] for spec in before)
    assert key("data") != key("data", "--canary")


def test_every_step_is_bash_that_parses_and_every_action_is_pinned() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS.values():
        if "run" in step:
            assert step["shell"] == "bash"
            assert subprocess.run([str(BASH), "-n", "-c", step["run"]], capture_output=True).returncode == 0
        else:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}|github/codeql-action/upload-sarif@v\d+", step["uses"])
    assert set(ACTION["outputs"]) == {"verdict", "flagged", "report", "exit-code"}
    assert list(STEPS)[-1] == "Gate", "the report is kept before the step fails"
