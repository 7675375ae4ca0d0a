"""The files around the project: workflows, issue forms, the citation; and what they say of one another."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in read(workflow)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_read_alone_and_use_actions_of_one_major_version(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 90 for job in workflow["jobs"].values())
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in used), used
    for step in steps(path):
        assert ("run" in step) != ("uses" in step), step
        assert "${{" not in step.get("run", ""), "an expression within a script is code of whoever wrote its value"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on PATH")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_step_is_bash_that_parses(path: Path) -> None:
    for step in steps(path):
        if "run" in step:
            done = subprocess.run(["bash", "-n"], input=step["run"], text=True, capture_output=True)
            assert done.returncode == 0, (step["run"], done.stderr)


def test_three_systems_run_what_ci_runs() -> None:
    jobs = read(ROOT / ".github/workflows/ci.yml")["jobs"]
    assert jobs["run"]["strategy"]["matrix"]["os"] == ["ubuntu-latest", "macos-latest"]
    assert jobs["run"]["steps"][-1] == {"run": ".ci/run"}
    assert jobs["windows"]["runs-on"] == "windows-latest"
    spelled_out = "\n".join(step.get("run", "") for step in jobs["windows"]["steps"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"\$\(BIN\)/(srdscan .+?)(?:;|$)", makefile, re.MULTILINE):
        assert command in spelled_out, command
    for tool in ("ruff check .", "ruff format --check .", "mypy", "python -m pytest"):
        assert f"$(BIN)/{tool}\n" in makefile and tool in spelled_out


def test_issue_forms_are_such_as_github_takes() -> None:
    assert [path.stem for path in FORMS] == ["bug", "config", "false-alarm", "missed"]
    for path in FORMS:
        form = read(path)
        if path.stem == "config":
            continue
        assert form["name"] and form["description"]
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        assert all(field["type"] in ("input", "textarea") and field["attributes"]["label"] for field in fields)
        assert len({field["id"] for field in fields}) == len(fields) >= 3
        notes = [field for field in form["body"] if field["type"] == "markdown"]
        assert all(note["attributes"]["value"] for note in notes)
        named = set(re.findall(r"\bdocs/[\w-]+\.md|\b[A-Z]+\.md", path.read_text(encoding="utf-8")))
        assert all((ROOT / name).is_file() for name in named), named


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation, project = (
        read(ROOT / "CITATION.cff"),
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")),
    )
    assert citation["version"] == project["project"]["version"]
    assert citation["license"] == project["project"]["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert paper["url"] == "https://arxiv.org/abs/2506.04743"


def test_the_repository_has_one_address() -> None:
    names = ["mkdocs.yml", "CITATION.cff", "SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml", "docs/gate.md"]
    for name in names:
        found = set(re.findall(r"github\.com/([\w-]+/srdscan)", (ROOT / name).read_text(encoding="utf-8")))
        assert found == {"OWNER/srdscan"}, name
