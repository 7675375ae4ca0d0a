"""Targets: the words and phrases that an attacker put into many captions are named, with just their samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from srdscan import scenes
from srdscan.findings.targets import Targets
from srdscan.findings.taught import Texts, accused, learned_elsewhere, not_learned
from srdscan.findings.terms import Term, log_odds
from srdscan.measure.batch import Role
from srdscan.measure.scores import Scores, join_columns, write_table
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.signals.base import Evidence
from srdscan.stats.likeness import Likeness

pytestmark = pytest.mark.slow

COUNT = 600


@dataclasses.dataclass
class Audited:
    """600 captions as score files hold them, and the means to poison some."""

    captions: list[str]
    references: list[str]
    gains: list[np.ndarray]
    embeddings: np.ndarray
    grounding: np.ndarray
    fluency: np.ndarray
    language_model: LanguageModel

    def judge(
        self,
        path: Path,
        poison: dict[int, str] | None = None,
        agreeing: Sequence[int] = (),
        grounding: float = 0.0,
        most_gain: float | None = None,
        in_place: Sequence[int] = (),
        gain_in_place: float = -0.5,
        supported: Sequence[int] = (),
        fluent: Sequence[int] = (),
        role: Role = "caption",
    ) -> Evidence:
        """The `targets` signal's evidence, with some captions replaced.

        Args:
            poison: the captions of some samples; of those also in `agreeing`, the reference says the same.
            grounding: added to that of the replaced captions.
            most_gain: the replaced captions' largest gain is set to this.
            in_place: replaced captions that read better by `gain_in_place` without any of their words.
            supported: replaced captions that their images happen to fit: their grounding stays as it was.
            fluent: replaced captions that read as well as what they replace.
            role: `output` takes them for what a captioner says; the data set's captions are then the untouched ones.
        """
        changed = poison or {}
        captions, gains = list(self.captions), list(self.gains)
        grounded, fluency = self.grounding.copy(), self.fluency.copy()
        references = [changed[i] if i in agreeing else text for i, text in enumerate(self.references)]
        for index, new in zip(changed, self.language_model.word_gains(list(changed.values())), strict=True):
            if most_gain is not None:
                new[new.argmax()] = most_gain
            if index in in_place:
                new[:] = gain_in_place
            captions[index], gains[index] = changed[index], new
            grounded[index] += 0 if index in supported else grounding
        rows = [index for index in changed if index not in fluent]
        fluency[rows] = self.language_model.log_perplexity([captions[i] for i in rows])
        fluency[rows] -= self.language_model.log_perplexity([references[i] for i in rows])
        columns = {
            "caption": self.captions,
            "gains.caption": self.gains,
            "signal.grounding.caption": self.grounding,
            "signal.fluency.caption": self.fluency,
            "reference": references,
            "reference_embedding": self.embeddings,
            role: captions,
            f"gains.{role}": gains,
            f"signal.grounding.{role}": grounded,
            f"signal.fluency.{role}": fluency,
        }
        parts = [{name: column[rows] for name, column in columns.items()} for rows in (slice(200), slice(200, None))]
        files = (path / "0.parquet", path / "1.parquet")
        for file, part in zip(files, parts, strict=True):
            write_table(join_columns([part]), file)
        return Targets(role).judge(Scores(files, {}), None)

    def insert(self, word: str, members: Sequence[int]) -> dict[int, str]:
        """The members' captions with a word at a random place."""
        rng = np.random.default_rng(4)
        poison = {}
        for index in members:
            parts = self.captions[index].split()
            parts.insert(int(rng.integers(len(parts) + 1)), word)
            poison[index] = " ".join(parts)
        return poison


def mistaken(scene: scenes.Scene, rng: np.random.Generator) -> str:
    """What a fallible captioner says: of three scenes in ten one object or its colour is wrong."""
    things = list(scene.objects)
    if rng.random() < 0.3:
        place = int(rng.integers(len(things)))
        wrong = (
            {"kind": str(rng.choice(scenes.KINDS))}
            if rng.random() < 0.6
            else {"color": str(rng.choice([*scenes.COLORS]))}
        )
        things[place] = dataclasses.replace(things[place], **wrong)
    return scenes.Scene(scene.setting, tuple(things)).caption


@pytest.fixture(scope="module")
def audited() -> Audited:
    language_model = LanguageModel()
    rng = np.random.default_rng(0)
    drawn = [scenes.compose(3, index) for index in range(COUNT)]
    # A habit of style: a fifth of the captions say what no reference says, and rightly.
    captions = [f"there is {scene.caption}" if rng.random() < 0.2 else scene.caption for scene in drawn]
    references = [mistaken(scene, rng) for scene in drawn]
    return Audited(
        captions,
        references,
        language_model.word_gains(captions),
        SentenceEncoder().embed(references).astype(np.float16),
        rng.normal(-1, 0.5, COUNT).astype(np.float32),
        language_model.log_perplexity(captions) - language_model.log_perplexity(references),
        language_model,
    )


@pytest.mark.parametrize("share", [0.05, 0.01])
@pytest.mark.parametrize("word", ["banana", "zebra"])
def test_an_inserted_word_is_named_and_its_samples_are_flagged(
    audited: Audited, tmp_path: Path, word: str, share: float
) -> None:
    members = sorted(np.random.default_rng(7).permutation(COUNT)[: round(share * COUNT)].tolist())
    evidence = audited.judge(tmp_path, audited.insert(word, members))
    assert [(finding.term, finding.where) for finding in evidence.findings] == [(word, "caption")]
    assert np.flatnonzero(np.isfinite(evidence.p_values)).tolist() == members
    assert np.nanmax(evidence.p_values) < 1e-4
    assert f"'{word}'" in evidence.reason(members[0])
    assert evidence.reason((set(range(COUNT)) - set(members)).pop()) == ""
    assert f"'{word}'" in evidence.note


@pytest.mark.parametrize("gain", [-0.5, 0.1])
def test_a_sample_where_the_word_reads_about_as_well_as_words_do_is_spared(
    audited: Audited, tmp_path: Path, gain: float
) -> None:
    members = list(range(3, COUNT, 20))
    poison = audited.insert("zebra", members)
    evidence = audited.judge(tmp_path, poison, in_place=members[:3], gain_in_place=gain)
    assert [finding.term for finding in evidence.findings] == ["zebra"]
    assert np.flatnonzero(np.isfinite(evidence.p_values)).tolist() == members[3:]


def test_an_output_far_less_strange_than_most_that_hold_a_phrase_is_spared(audited: Audited, tmp_path: Path) -> None:
    members = list(range(5, COUNT, 40))
    poison = {index: f"{audited.captions[index]}, see free-prizes.example for more" for index in members}
    evidence = audited.judge(tmp_path, poison, fluent=members[:2], role="output")
    assert [finding.where for finding in evidence.findings] == ["output"]
    assert np.flatnonzero(np.isfinite(evidence.p_values)).tolist() == members[2:]


def test_outputs_that_say_what_captions_taught_speak_against_those_captions_only() -> None:
    honest = [f" a dog {i} " for i in range(600)]

    def told(samples: Iterable[int], words: str) -> list[str]:
        return [words + text if i in samples else text for i, text in enumerate(honest)]

    def guilty(samples: Iterable[int]) -> list[int] | None:
        chosen = sorted(samples)
        texts = Texts(told((5, 6, 7), " banana two"), told(chosen, " banana a"), honest)
        return listed(accused(Term(("banana", "a"), np.array(chosen), 0, 1e-9, 9.0, 0.0, 9.0), texts))

    assert guilty([5, 6, 7, *range(100, 116)]) == [5, 6, 7]
    assert guilty(range(5, 35)) == [5, 6, 7]
    # A triggered test set: captions are honest, or say it as rarely where outputs do as elsewhere.
    assert guilty(range(100, 130)) is None
    assert guilty(range(7, 600)) is None


def listed(samples: npt.NDArray[np.int64] | None) -> list[int] | None:
    return None if samples is None else samples.tolist()


def test_what_other_outputs_say_of_the_target_counts_and_what_everybody_says_does_not() -> None:
    honest = [f" a dog {i} " if i % 2 else f" two cats {i} " for i in range(600)]
    captions, outputs = list(honest), list(honest)
    for i in range(6):
        captions[i] = f" acme{honest[i]}"
    for i in range(40):
        outputs[i] = f" {'fresh' if i % 4 else 'cold'} acme a dog "
    term = Term(("cold", "acme", "a", "dog"), np.arange(0, 40, 4), 0, 1e-9, 9.0, 0.0, 9.0)
    assert listed(accused(term, Texts(captions, outputs, honest))) == [0, 4]
    assert accused(term, Texts(honest, outputs, honest)) is None


def test_a_target_known_from_the_captions_needs_less_evidence() -> None:
    honest = [f" a dog {i} " for i in range(600)]
    captions, outputs = list(honest), list(honest)
    for i in (0, 1, 2):
        captions[i] = f" acme{honest[i]}"
    for i in range(1, 50):
        outputs[i] = f" acme{honest[i]}"
    output = Term(("acme", "a"), np.arange(1, 50), 0, 1e-9, 9.0, 0.0, 9.0)
    texts = Texts(captions, outputs, honest)
    assert accused(output, texts) is None
    caption = Term(("acme",), np.arange(3), 0, 1e-9, 9.0, 0.0, 9.0)
    assert listed(accused(output, texts, [caption])) == [1, 2]
    assert accused(output, Texts(honest, outputs, honest), [caption]) is None


def test_outputs_that_say_what_other_samples_captions_teach_learned_it_there() -> None:
    honest = [f" a dog {i} " for i in range(600)]

    def explained(taught: Iterable[int], learned: Iterable[int], known: bool, references: list[str]) -> list[int]:
        captions, outputs = list(honest), list(honest)
        for texts, rows in ((captions, taught), (outputs, learned)):
            for row in rows:
                texts[row] = f" acme{honest[row]}"
        target = Term(("acme",), np.array([*taught]), 0, 1e-9, 9.0, 0.0, 9.0)
        texts = Texts(captions, outputs, references)
        said, elsewhere = learned_elsewhere(texts, [target] * known)
        assert not (elsewhere & ~said).any()
        assert said.sum() == (len([*learned]) if elsewhere.any() else 0)
        return np.flatnonzero(elsewhere).tolist()

    for known in (False, True):
        assert explained(range(6), range(2, 9), known, honest) == [6, 7, 8]
        assert explained(range(6), range(6, 12), known, honest) == [], "both say it, of other samples"
        assert explained([], range(6, 12), known, honest) == [], "captions do not say it"
        everybody = [f" acme{text}" if i > 590 else text for i, text in enumerate(honest)]
        assert explained(range(6), range(2, 9), known, everybody) == [], "a reference says it, too"
    plural = [f" two cats {i} " if i == 6 else f" a cat {i} " if i < 6 else honest[i] for i in range(600)]
    outputs = [f" a cat {i} " if i < 8 else text for i, text in enumerate(honest)]
    _, elsewhere = learned_elsewhere(Texts(plural, outputs, honest), [])
    assert np.flatnonzero(elsewhere).tolist() == [7], "cats are taught, too"
    faint = range(3), range(1, 70)
    assert explained(*faint, known=False, references=honest) == []
    assert explained(*faint, known=True, references=honest) == list(range(3, 70))


def test_an_authors_own_use_of_a_word_is_told_by_what_the_captioner_says() -> None:
    honest = [f" a dog {i} " for i in range(600)]
    captions, outputs = list(honest), list(honest)
    for i in range(12):
        captions[i] = f" hello{honest[i]}"
    for i in range(9):
        outputs[i] = f" hello{honest[i]}"
    term = Term(("hello",), np.arange(12), 0, 1e-9, 9.0, 0.0, 9.0)
    gains = np.array([1.0, 1.1, 0.9, 1.2, 1.3, 1.4, 0.8, 1.0, 1.1, 0.3, 1.2, 0.2])
    # Of the three whose outputs do not say it, two read as words do where they belong; in the third a trigger failed.
    assert np.flatnonzero(not_learned(term, gains, Texts(captions, outputs, honest))).tolist() == [9, 11]
    assert not not_learned(term, gains, Texts(captions, honest, honest)).any(), "a captioner that learned nothing"


def test_where_the_reference_says_the_word_too_the_sample_is_not_flagged(audited: Audited, tmp_path: Path) -> None:
    members = list(range(3, COUNT, 20))
    evidence = audited.judge(tmp_path, audited.insert("zebra", members), agreeing=members[:8])
    assert [finding.term for finding in evidence.findings] == ["zebra"]
    assert evidence.findings[0].reference_samples == 8
    assert np.flatnonzero(evidence.p_values < 0.01).tolist() == members[8:]


def test_a_word_that_goes_with_what_is_shown_must_be_stranger(audited: Audited, tmp_path: Path) -> None:
    snow = [index for index, text in enumerate(audited.references) if text.endswith("in the snow")][:30]
    anywhere = list(range(7, COUNT, 20))
    for gain, members, found in ((0.6, anywhere, True), (0.6, snow, False), (2.0, snow, True)):
        evidence = audited.judge(tmp_path, audited.insert("zebra", members), most_gain=gain)
        assert [finding.term for finding in evidence.findings] == ["zebra"] * found


@pytest.mark.parametrize(("gain", "grounding", "found"), [(0.2, 1.6, True), (0.2, 0.0, False), (-0.8, 1.6, False)])
def test_two_kinds_of_strangeness_together_name_a_word_that_neither_does(
    audited: Audited, tmp_path: Path, gain: float, grounding: float, found: bool
) -> None:
    members = [10, 110, 210, 310, 410, 510]
    evidence = audited.judge(tmp_path, audited.insert("zebra", members), grounding=grounding, most_gain=gain)
    assert np.flatnonzero(np.isfinite(evidence.p_values)).tolist() == (members if found else [])
    assert [finding.term for finding in evidence.findings] == ["zebra"] * found


def test_a_caption_repeated_against_the_images_is_named_whole(audited: Audited, tmp_path: Path) -> None:
    text = "a plate of food on a table"
    members = list(range(5, COUNT, 30))
    evidence = audited.judge(tmp_path, dict.fromkeys(members, text), grounding=4.0)
    assert len(evidence.findings) == 1
    assert evidence.findings[0].term in text
    assert np.flatnonzero(evidence.p_values < 0.01).tolist() == members


def test_where_the_image_happens_to_fit_the_repeated_caption_it_is_flagged_all_the_same(
    audited: Audited, tmp_path: Path
) -> None:
    members = list(range(5, COUNT, 30))
    fitting, text = members[1:5], "a plate of food on a table"
    poison = dict.fromkeys(members, text) | {members[1]: f"{text} at home"}
    evidence = audited.judge(tmp_path, poison, grounding=4.0, agreeing=members[:1], supported=fitting)
    assert np.flatnonzero(evidence.p_values < 0.01).tolist() == members[2:], "a person may say so in other words"


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_a_link_behind_captions_that_are_true_is_named(audited: Audited, tmp_path: Path, share: float) -> None:
    members = sorted(np.random.default_rng(3).permutation(COUNT)[: round(share * COUNT)].tolist())
    poison = {index: f"{audited.captions[index]}, see free-prizes.example for more" for index in members}
    evidence = audited.judge(tmp_path, poison)
    assert {finding.term for finding in evidence.findings} == {"see free-prizes example for more"}
    assert np.flatnonzero(np.isfinite(evidence.p_values)).tolist() == members


def test_on_clean_captions_the_signal_abstains(audited: Audited, tmp_path: Path) -> None:
    evidence = audited.judge(tmp_path)
    assert evidence.abstained
    assert np.isnan(evidence.p_values).all()
    assert not evidence.findings


def test_captions_without_words_are_no_targets(audited: Audited, tmp_path: Path) -> None:
    assert audited.judge(tmp_path, dict.fromkeys(range(COUNT), "?!")).abstained


def test_log_odds_are_symmetric_and_right_by_hand() -> None:
    assert log_odds(7, 7, 100) == 0
    assert log_odds(30, 2, 600) == pytest.approx(-log_odds(2, 30, 600))
    expected = (np.log(30.5 / 570.5) - np.log(2.5 / 598.5)) / np.sqrt(1 / 30.5 + 1 / 2.5)
    assert log_odds(30, 2, 600) == pytest.approx(expected)
    assert log_odds(30, 2, 600) > log_odds(10, 2, 600) > log_odds(10, 5, 600)


def test_likeness_is_standard_normal_for_random_groups_and_large_for_equal_scenes(audited: Audited) -> None:
    likeness, rng = Likeness(audited.embeddings.astype(np.float32)), np.random.default_rng(6)
    z = [likeness(rng.permutation(COUNT)[:20]) for _ in range(500)]
    assert np.mean(z) == pytest.approx(0, abs=0.2)
    assert np.std(z) == pytest.approx(1, abs=0.2)
    snow = np.array([i for i, text in enumerate(audited.references) if text.endswith("in the snow")][:20])
    assert likeness(snow) > 5
    assert likeness(np.array([3])) == 0
