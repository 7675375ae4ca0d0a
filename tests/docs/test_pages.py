"""The documentation holds: commands exist with their options, examples run, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml
from pages import PAGES, ROOT, Block, anchors, blocks, commands, lines_of, links, quoted
from typer.testing import CliRunner

from srdscan.attacks.triggers import TRIGGERS
from srdscan.cli.commands import app
from srdscan.cli.options import settings
from srdscan.config import AuditConfig
from srdscan.errors import ConfigError
from srdscan.plugins import GROUPS
from srdscan.rules import RULES, find_rule
from srdscan.signals import SIGNALS

COMMANDS: Any = typer.main.get_command(app)
NAMES = set(COMMANDS.commands)
FIRST = ROOT / "docs/first-audit.md"
SHELL = ("", "sh", "bash", "yaml")
VARIABLE = re.compile(r"\$\w+")
NAME_OF_FILE = re.compile(r"# ([\w.-]+\.ya?ml)\n")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def check_command(call: list[str], where: str) -> None:
    """srdscan would take it: the command, its options, their values, and for an audit how they go together."""
    words = [VARIABLE.sub(lambda found: "16" if found[0].endswith("COUNT") else "1", word) for word in call]
    try:
        if words[0].startswith("-"):
            COMMANDS.make_context("srdscan", words, resilient_parsing=True)
            return
        context = COMMANDS.commands[words[0]].make_context(words[0], words[1:])
        if words[0] == "audit":
            settings(AuditConfig, context)
        if words[0] == "rules" and context.params["code"]:
            find_rule(context.params["code"])
    except (KeyError, click.UsageError, ConfigError) as error:
        pytest.fail(f"{where}: srdscan {shlex.join(call)}: {error}")


@every_page
def test_commands_are_such_as_srdscan_takes(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".srdscan-baseline.yaml").write_text("schema: srdscan-baseline/1\naccepted: []\n")
    found = blocks(page)
    for block in found:
        if block.language == "yaml" and (name := NAME_OF_FILE.match(block.text)):
            (tmp_path / name[1]).write_text(block.text, encoding="utf-8")
    for block in found:
        if block.language in SHELL:
            for call in commands(block, NAMES):
                check_command(call, block.where)


@every_page
def test_commands_within_sentences_have_the_options_that_they_name(page: Path) -> None:
    for call in quoted(page):
        if call[0].isupper() or call[0].startswith("-"):
            continue
        assert call[0] in NAMES, call
        options = {name for parameter in COMMANDS.commands[call[0]].params for name in parameter.opts} | {"--help"}
        assert {word for word in call if word.startswith("--")} <= options, call


@every_page
def test_other_commands_name_files_targets_and_extras_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = "\n".join(line for block in blocks(page) if block.language in ("", "sh") for line in lines_of(block))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in re.findall(r"^make ((?:[a-z]+ ?)+)", shown, re.MULTILINE):
        assert set(line.split()) <= targets, line
    for path in re.findall(r"python ((?:benchmarks|models)/[\w/]+\.py)", text):
        assert (ROOT / path).is_file(), path
    for path in re.findall(r"srdscan\.lab run ([\w/.-]+)", text):
        assert path == "EXPERIMENT.yaml" or (ROOT / path).is_file(), path
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"srdscan\[(\w+)\]", text)) <= set(extras)


@every_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and target.is_relative_to(ROOT), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


@every_page
def test_blocks_of_data_are_well_formed_and_what_is_not_run_says_why(page: Path) -> None:
    for block in blocks(page):
        if block.language in ("yaml", "yml"):
            assert yaml.safe_load(block.text) is not None, block.where
        if block.language == "toml":
            groups = tomllib.loads(block.text)["project"]["entry-points"]
            assert groups and groups.keys() <= {f"srdscan.{group}" for group in GROUPS}, block.where
        assert block.mark != "not run" or block.note, f"{block.where}: says no reason"
        assert block.language in (*SHELL, "python", "toml"), f"{block.where}: {block.language} is looked at by no test"


def run_command(call: list[str], block: Block) -> None:
    done = CliRunner().invoke(app, call)
    expected = int(block.note.removeprefix("exit code ")) if block.note.startswith("exit code") else 0
    assert done.exit_code == expected, f"{block.where}: {shlex.join(call)}\n{done.output}"
    said = re.sub(r"\s+", " ", done.output)
    for told in blocks(block.page):  # what the page says that it prints, if it says so right below
        if not told.language and told.line == block.line + len(block.text.splitlines()) + 3:
            assert re.sub(r"\s+", " ", told.text).strip() in said, f"{told.where}: is not what it prints:\n{said}"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the first audit was gone through, command by command."""
    folder = tmp_path_factory.mktemp("walked")
    (folder / "examples").symlink_to(ROOT / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_page(FIRST)
        yield folder


def run_page(page: Path) -> None:
    """Runs all blocks of Python, and those of commands that are marked, in order."""
    names: dict[str, Any] = {"__name__": f"example of {page.name}"}
    for block in blocks(page):
        if block.language == "python" and block.mark != "not run":
            exec(compile(block.text, block.where, "exec"), names)  # the page's own code, from this repository
        elif block.mark == "run" and block.language == "sh":
            for line in lines_of(block):
                calls = list(commands(Block(page, block.line, "sh", line), NAMES))
                assert len(calls) == 1, f"{block.where}: {line}: one command a line is run"
                run_command(calls[0], block)


@pytest.mark.slow
def test_the_first_audit_can_be_gone_through(walked: Path) -> None:
    assert {path.name for path in (walked / "runs/first").iterdir()} >= {"report.html", "results.sarif", "junit.xml"}
    accepted = yaml.safe_load((walked / ".srdscan-baseline.yaml").read_text(encoding="utf-8"))["accepted"]
    assert [item["code"] for item in accepted] == ["SRD101"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["captioner", "extending", "report", "rules"])
def test_the_examples_of_a_page_run(name: str, walked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(walked)
    for registry in (SIGNALS, TRIGGERS):
        for added in set(registry):
            monkeypatch.setitem(registry, added, registry[added])
    before = [dict(registry) for registry in (SIGNALS, TRIGGERS)]
    try:
        run_page(ROOT / f"docs/{name}.md")
        if name == "extending":
            assert (SIGNALS["length"].name, TRIGGERS["red-corner"].__name__) == ("length", "RedCorner")
    finally:
        for registry, old in zip((SIGNALS, TRIGGERS), before, strict=True):
            registry.clear()
            registry.update(old)


def test_every_page_with_examples_is_run() -> None:
    with_examples = {
        block.page.stem
        for page in PAGES
        for block in blocks(page)
        if block.mark == "run" or (block.language == "python" and block.mark != "not run")
    }
    assert with_examples == {"first-audit", "captioner", "extending", "report", "rules"}


def test_the_first_audit_is_what_make_demo_runs() -> None:
    (block,) = (block for block in blocks(FIRST) if "examples/truth.json" in block.text)
    made = re.findall(r"\$\(BIN\)/(srdscan .+?)(?:;|$)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert lines_of(block) == made


def test_the_table_of_rules_holds_every_rule() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\(rules/(\w+)\.md\) \| (.+) \|$", (ROOT / "docs/rules.md").read_text(), re.MULTILINE
    )
    assert rows == [(code, code, f"{rule.name} | {rule.severity} | {rule.summary}") for code, rule in RULES.items()]


def test_every_signal_has_a_section() -> None:
    page = (ROOT / "docs/signals.md").read_text(encoding="utf-8")
    assert {name.partition(".")[0] for name in SIGNALS} <= set(re.findall(r"[a-z]+", page))
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    of_signals = [section for section in sections if re.match(r"[A-Z][a-z]+( and fluency)?\n", section)]
    assert len(of_signals) == 12
    for section in of_signals:
        assert "**Measured**" in section and "**Evaded by**" in section, section[:40]


def test_the_readme_is_short_and_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert "\n    make demo " in text and "\n    make test " in text
