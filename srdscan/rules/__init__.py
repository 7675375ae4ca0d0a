"""Rules: every kind of finding has a code that never changes, a severity, and a page that says what to do about it.

    SRD1..  words in captions and outputs
    SRD2..  pictures, and which captions stand under them
    SRD3..  single samples that nothing in the data set as a whole accounts for
    SRD9..  the audit itself: what was not read, what could not be judged

To add a rule, add a line to `RULES` and a page to `docs/rules/`, and set `Finding.rule` where the finding is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal

from srdscan.errors import ConfigError

Severity = Literal["error", "warning", "note"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""An `error` and a `warning` fail the gate; a `note` is shown and never does."""
TAGS: Final = ("AML.T0020", "LLM04:2025")
"""MITRE ATLAS "Poison Training Data", OWASP Top 10 for LLM applications "Data and Model Poisoning"."""
ALL: Final = "ALL"
ATLAS: Final = "https://atlas.mitre.org/techniques/AML.T0020"
OWASP: Final = "https://genai.owasp.org/llmrisk/llm042025-data-and-model-poisoning/"


@dataclass(frozen=True)
class Rule:
    """A kind of finding.

    Attributes:
        code: never changes, and is never used again for another kind.
        name: in kebab case.
        severity: unless the audit's configuration says otherwise.
        summary: one sentence.
        signals: names of the evidence that it rests on; none of a rule that takes what no other does.
        by_sample: its findings are known and accepted sample by sample, not as a whole.
        of_audit: it is about the audit, not about the data: it cannot be ignored, accepted or weakened.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    signals: tuple[str, ...] = ()
    by_sample: bool = False
    of_audit: bool = False

    @property
    def tags(self) -> tuple[str, ...]:
        """Entries of the taxonomies of attacks."""
        return TAGS

    @property
    def help_uri(self) -> str:
        """The public page of the attack that it is about; its own page is `page`."""
        return OWASP if self.of_audit else ATLAS

    @property
    def page(self) -> str:
        """Its page, in Markdown: what it means, an example, what sets it off falsely, what to do."""
        return (pages_folder() / f"{self.code}.md").read_text(encoding="utf-8")


RULES: Final[Mapping[str, Rule]] = {
    rule.code: rule
    for rule in (
        Rule(
            "SRD101",
            "repeated-target-in-captions",
            "error",
            "A word or phrase that the data set's captions repeat whatever the images show.",
            ("targets.caption",),
        ),
        Rule(
            "SRD102",
            "repeated-target-in-outputs",
            "error",
            "A word or phrase that the captioner repeats whatever the images show.",
            ("targets.output",),
        ),
        Rule(
            "SRD103",
            "undelivered-words",
            "error",
            "Words or sentences under images that have nothing to do with what the captions say.",
            ("undelivered",),
        ),
        Rule(
            "SRD104",
            "foreign-words",
            "error",
            "Words that go neither with the images nor with what else their captions say.",
            ("foreign",),
        ),
        Rule(
            "SRD105",
            "substituted-name",
            "error",
            "One thing is called another because of a spot of the image that does the same to other images.",
            ("substitution",),
        ),
        Rule(
            "SRD106",
            "hidden-characters",
            "note",
            "Captions hold characters that readers do not see and models do.",
        ),
        Rule(
            "SRD107",
            "captioner-repeats-itself",
            "note",
            "A phrase that the captioner repeats though no caption taught it and no image draws its attention.",
        ),
        Rule(
            "SRD201",
            "recurring-piece-of-picture",
            "warning",
            "The same piece of picture is in images that have nothing else in common.",
            ("spots",),
        ),
        Rule(
            "SRD202",
            "repeated-picture",
            "error",
            "One picture is in many samples, under captions that have nothing to do with it.",
            ("repeats",),
        ),
        Rule(
            "SRD203",
            "captions-of-other-images",
            "warning",
            "More captions belong to other images than wrong labels explain.",
            ("agreement",),
            by_sample=True,
        ),
        Rule(
            "SRD301",
            "odd-sample",
            "warning",
            "Samples are flagged by what was measured on each of them alone.",
            by_sample=True,
        ),
        Rule(
            "SRD302",
            "patch-driven-output",
            "error",
            "The captioner says something else once the spot that it looks at is covered.",
            ("ablation",),
            by_sample=True,
        ),
        Rule(
            "SRD901",
            "too-much-unaudited",
            "error",
            "More samples than allowed could not be audited, or not wholly.",
            of_audit=True,
        ),
        Rule(
            "SRD902",
            "models-do-not-fit",
            "error",
            "The models do not understand these data, so that finding nothing means nothing.",
            of_audit=True,
        ),
        Rule(
            "SRD903",
            "damaged-unit",
            "error",
            "A shard or file of the data set is missing, or could not be read to its end.",
            of_audit=True,
        ),
        Rule(
            "SRD904",
            "file-not-taken",
            "error",
            "A file lies among the data that a trainer may read and that was not taken.",
            of_audit=True,
        ),
        Rule(
            "SRD905",
            "clashing-keys",
            "warning",
            "Several images or captions share one key, so that readers disagree on what belongs together.",
            of_audit=True,
        ),
        Rule(
            "SRD906",
            "sanitizing-incomplete",
            "error",
            "The sanitized data set could not be written as a whole.",
            of_audit=True,
        ),
        Rule(
            "SRD907",
            "nothing-audited",
            "error",
            "No sample could be audited.",
            of_audit=True,
        ),
        Rule(
            "SRD908",
            "not-detectable",
            "error",
            "The plainest attacks would not have been found in these data, so that finding nothing means little.",
            of_audit=True,
        ),
        Rule(
            "SRD909",
            "quick-look",
            "error",
            "The audit was a quick look: no captioner was asked, so that finding nothing is no promise.",
            of_audit=True,
        ),
    )
}
"""Every rule, by code."""


def pages_folder() -> Path:
    """Where the rules' pages are: in the package when installed, in `docs/` in a checkout."""
    packed = Path(__file__).parent / "pages"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "docs" / "rules"


def find_rule(name: str) -> Rule:
    """A rule by its code or its name.

    >>> find_rule("srd101").name, find_rule("odd-sample").code
    ('repeated-target-in-captions', 'SRD301')

    Raises:
        ConfigError: there is none.
    """
    for rule in RULES.values():
        if name.upper() == rule.code or name.lower() == rule.name:
            return rule
    known = [*RULES, *(rule.name for rule in RULES.values())]
    near = get_close_matches(name.upper(), known, 1) or get_close_matches(name.lower(), known, 1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise ConfigError(f"{name!r} is no rule. {hint}`srdscan rules` lists them")


def ignored_codes(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> frozenset[str]:
    """The rules that are not heard. Both options take codes and prefixes; of two that match, the longer one counts.

    >>> sorted(ignored_codes(ignore=["SRD10"], ))[:2], sorted(ignored_codes(["SRD101"], ["SRD1"]))[:2]
    (['SRD101', 'SRD102'], ['SRD102', 'SRD103'])

    Raises:
        ConfigError: a code or prefix fits no rule, or one that cannot be ignored; or no rule is left.
    """
    of_data = [rule.code for rule in RULES.values() if not rule.of_audit]
    selected, unwanted = _prefixes("select", select), _prefixes("ignore", ignore)
    for prefix in unwanted:
        matching = _matching(prefix)
        if all(rule.of_audit for rule in matching):
            raise ConfigError(
                f"ignore {prefix}: {matching[0].code} says what the audit could not do, and is never ignored. "
                f"`srdscan rules {matching[0].code}` says what to do about it"
            )
    ignored = set()
    for code in of_data:
        wanted = max((len(prefix) for prefix in selected if code.startswith(prefix)), default=-1 if selected else 0)
        against = max((len(prefix) for prefix in unwanted if code.startswith(prefix)), default=-1)
        if wanted < 0 or against >= wanted:
            ignored.add(code)
    if len(ignored) == len(of_data):
        raise ConfigError("select and ignore: they leave no rule that could find anything in the data")
    return frozenset(ignored)


def severities(overrides: Mapping[str, str]) -> dict[str, Severity]:
    """The severity of every rule, with those of a configuration in place; a longer prefix wins over a shorter one.

    >>> severities({"SRD1": "warning", "SRD101": "note"})["SRD101"]
    'note'

    Raises:
        ConfigError: a code fits no rule or one of the audit itself, or a severity is unknown.
    """
    found = {code: rule.severity for code, rule in RULES.items()}
    for prefix in sorted(_prefixes("severity", overrides), key=len):
        value = next(str(value) for key, value in overrides.items() if _prefix(key) == prefix)
        known = [severity for severity in SEVERITIES if severity == value]
        if not known:
            raise ConfigError(f"severity {prefix}: {value!r} must be one of {', '.join(SEVERITIES)}")
        matching = [rule for rule in _matching(prefix) if not rule.of_audit]
        if not matching:
            raise ConfigError(f"severity {prefix}: a rule about the audit itself keeps its severity. Leave it out")
        found |= {rule.code: known[0] for rule in matching}
    return found


def signals_of(codes: Iterable[str], names: Iterable[str]) -> set[str]:
    """Which evidence some rules rest on.

    Args:
        codes: of rules.
        names: of the evidence that there is; what no rule names belongs to SRD301.
    """
    owner = {signal: rule.code for rule in RULES.values() for signal in rule.signals}
    wanted = set(codes)
    return {name for name in names if owner.get(name, "SRD301") in wanted}


def _prefix(text: str) -> str:
    return "" if str(text).upper() == ALL else str(text).strip().upper()


def _prefixes(option: str, texts: Iterable[str]) -> list[str]:
    prefixes = [_prefix(part) for text in texts for part in str(text).split(",") if part.strip()]
    for prefix in prefixes:
        if not _matching(prefix):
            raise ConfigError(f"{option} {prefix}: no rule has this code or begins with it. `srdscan rules` lists them")
    return prefixes


def _matching(prefix: str) -> list[Rule]:
    return [rule for code, rule in RULES.items() if code.startswith(prefix)]
