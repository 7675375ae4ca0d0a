"""Rules: a page each, codes that every finding carries, and what a configuration makes of them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from srdscan import rules
from srdscan.cli.commands import app
from srdscan.config import AuditConfig, ConfigError, load_config
from srdscan.rules import RULES, find_rule, ignored_codes, pages_folder, severities, signals_of
from srdscan.signals import SIGNALS

PACKAGE = Path(rules.__file__).parents[1]
PARTS = ("What it means", "Example", "What sets it off falsely", "What to do")


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    assert {path.stem for path in pages_folder().glob("*.md")} == set(RULES)


@pytest.mark.parametrize("code", RULES)
def test_a_page_says_what_it_means_what_sets_it_off_falsely_and_what_to_do(code: str) -> None:
    rule, page = RULES[code], RULES[code].page
    assert page.startswith(f"# {code} {rule.name}\n\n{rule.summary} Severity: {rule.severity}.")
    assert tuple(re.findall(r"^## (.+)$", page, re.MULTILINE)) == PARTS
    assert all(part.strip() for part in re.split(r"^## .+$", page, flags=re.MULTILINE))
    assert all(tag in page for tag in rule.tags)
    named = set(re.findall(r"SRD\d{3}", page))
    assert named <= set(RULES)


def test_codes_and_names_are_of_one_form_and_each_its_own() -> None:
    assert all(re.fullmatch(r"SRD[1-9]\d\d", code) for code in RULES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name) for rule in RULES.values())
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


def test_codes_never_change() -> None:
    assert {code: rule.name for code, rule in RULES.items()} == {
        "SRD101": "repeated-target-in-captions",
        "SRD102": "repeated-target-in-outputs",
        "SRD103": "undelivered-words",
        "SRD104": "foreign-words",
        "SRD105": "substituted-name",
        "SRD106": "hidden-characters",
        "SRD107": "captioner-repeats-itself",
        "SRD201": "recurring-piece-of-picture",
        "SRD202": "repeated-picture",
        "SRD203": "captions-of-other-images",
        "SRD301": "odd-sample",
        "SRD302": "patch-driven-output",
        "SRD901": "too-much-unaudited",
        "SRD902": "models-do-not-fit",
        "SRD903": "damaged-unit",
        "SRD904": "file-not-taken",
        "SRD905": "clashing-keys",
        "SRD906": "sanitizing-incomplete",
        "SRD907": "nothing-audited",
        "SRD908": "not-detectable",
        "SRD909": "quick-look",
    }


def _findings(path: Path) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Finding"]


def test_every_finding_is_made_with_a_rule() -> None:
    made = [(path, call) for path in PACKAGE.rglob("*.py") for call in _findings(path)]
    assert len(made) >= 7
    for path, call in made:
        with_rule = [keyword.value for keyword in call.keywords if keyword.arg == "rule"] or call.args[7:]
        assert with_rule, f"{path.relative_to(PACKAGE)}, line {call.lineno}: a finding without a rule"
        if isinstance(with_rule[0], ast.Constant):
            assert with_rule[0].value in RULES, f"{path.relative_to(PACKAGE)}, line {call.lineno}"


def test_the_evidence_that_rules_rest_on_is_there() -> None:
    from srdscan.findings import ablation, foreign, spots, substitution

    names = {*SIGNALS, ablation.NAME, foreign.NAME, spots.NAME, substitution.NAME}
    assert {signal for rule in RULES.values() for signal in rule.signals} <= names
    parts = [signals_of([code], names) for code in RULES]
    assert set().union(*parts) == names
    assert sum(map(len, parts)) == len(names), "no evidence belongs to two rules"
    assert {"drift.caption", "attention", "onion.output"} <= signals_of(["SRD301"], names)


def test_of_two_that_match_the_longer_code_or_prefix_counts() -> None:
    of_words = {"SRD101", "SRD102", "SRD103", "SRD104", "SRD105", "SRD106", "SRD107"}
    assert ignored_codes() == frozenset()
    assert ignored_codes(ignore=["SRD1"]) == of_words
    assert ignored_codes(select=["SRD101"], ignore=["SRD1"]) >= of_words - {"SRD101"}
    assert "SRD101" not in ignored_codes(select=["SRD101"], ignore=["SRD1"])
    assert ignored_codes(select=["ALL"], ignore=["srd101, SRD104"]) == {"SRD101", "SRD104"}
    assert ignored_codes(select=["SRD2"]) == of_words | {"SRD301", "SRD302"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ignore": ("SRD7",)}, "ignore SRD7: no rule has this code or begins with it"),
        ({"ignore": ("SRD901",)}, "SRD901 says what the audit could not do, and is never ignored"),
        ({"ignore": ("SRD9",)}, "never ignored"),
        ({"ignore": ("ALL",)}, "leave no rule"),
        ({"severity": {"SRD101": "high"}}, "severity SRD101: 'high' must be one of error, warning, note"),
        ({"severity": {"SRD903": "note"}}, "severity SRD903: a rule about the audit itself keeps its severity"),
        ({"report": ("sarf",)}, "report 'sarf': must be one of sarif, junit, github, gitlab, attestation,"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        AuditConfig(shards=("x",), **changes)  # type: ignore[arg-type]


def test_severities_stand_in_the_yaml(tmp_path: Path) -> None:
    path = tmp_path / "audit.yaml"
    path.write_text("shards: [x]\nignore: [SRD104]\nseverity:\n  SRD1: warning\n  SRD101: note\n", encoding="utf-8")
    config = load_config(AuditConfig, path, {})
    assert config.ignored == {"SRD104"}
    levels = severities(config.severity)
    assert (levels["SRD101"], levels["SRD102"], levels["SRD202"]) == ("note", "warning", "error")
    path.write_text("shards: [x]\nseverity: note\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="severity: 'note' is not a"):
        load_config(AuditConfig, path, {})


def test_the_command_prints_a_table_or_a_page() -> None:
    run = CliRunner().invoke(app, ["rules"])
    assert run.exit_code == 0 and all(code in run.output for code in RULES)
    for name in ("SRD101", "srd101", "repeated-target-in-captions"):
        assert CliRunner().invoke(app, ["rules", name]).output == RULES["SRD101"].page
    listed = json.loads(CliRunner().invoke(app, ["rules", "--json"]).output)
    assert [rule["code"] for rule in listed] == list(RULES)
    wrong = CliRunner().invoke(app, ["rules", "SRD11"])
    assert wrong.exit_code == 2
    with pytest.raises(ConfigError, match="Did you mean SRD101"):
        find_rule("SRD11")
