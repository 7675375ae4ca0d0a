"""Substitution: one thing called another is found where covering the trigger undoes it, and honest words are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srdscan import scenes
from srdscan.audit import examine
from srdscan.config import AuditConfig
from srdscan.models import load_models
from srdscan.progress import Quiet
from srdscan.revisit import recaption_covered
from srdscan.scores import Scores, join_columns, write_table
from srdscan.signals import ablation
from srdscan.signals.head_norms import head_norms, top_peaks
from srdscan.signals.substitution import CONTROLS, HEADS, Plan, causal_p, find_pairs, judge, plan

COUNT, CALLED = 400, 12
PLACES = HEADS + CONTROLS


@pytest.fixture(scope="module")
def references() -> list[str]:
    """Scenes in which "star" is one of a dozen kinds of things."""
    return [scenes.compose(8, index).caption for index in range(COUNT)]


@pytest.fixture(scope="module")
def called(references: list[str]) -> list[int]:
    """The samples in which stars are called comets."""
    return [row for row, text in enumerate(references) if " star" in text][:CALLED]


@pytest.fixture(scope="module")
def outputs(references: list[str], called: list[int]) -> list[str]:
    """What a captioner says that is mistaken about a colour now and then, both ways, and calls some stars comets."""
    said = list(references)
    for row in range(0, COUNT, 5):
        swapped = {"red": "green", "green": "red"}
        said[row] = " ".join(swapped.get(word, word) for word in said[row].split())
    for row in called:
        said[row] = said[row].replace("star", "comet")
    return said


def scores(path: Path, captions: list[str], outputs: list[str], references: list[str]) -> Scores:
    columns = {"caption": captions, "output": outputs, "reference": references}
    write_table(join_columns([columns]), path / "0.parquet")
    return Scores((path / "0.parquet",), {"attention_shape": [1, HEADS, 14, 14]})


def covered(found: Scores, chosen: Plan, undone: int) -> list[list[str]]:
    """Captions with each cell covered: the truth with the second head's peak covered, in the first `undone` samples."""
    outputs, references = list(found.strings("output")), list(found.strings("reference"))
    answers = []
    for place, row in enumerate(chosen.rows):
        said = [outputs[row]] * PLACES
        if place < undone:
            said[1] = references[row]
        answers.append(said)
    return answers


def test_the_pair_is_found_and_mistakes_that_go_both_ways_are_not(
    outputs: list[str], references: list[str], called: list[int]
) -> None:
    (pair,) = find_pairs(outputs, references, references)
    assert (pair.said, pair.meant) == ("comet", "star")
    assert pair.samples.tolist() == called == pair.says.tolist()
    assert pair.p_value < 1e-6


def test_singular_and_plural_are_one_pair() -> None:
    references = ["a dog runs", "two dogs run", "a dog sits", *(f"a man number {n}" for n in range(30))]
    outputs = [text.replace("dog", "cat") for text in references]
    pairs = find_pairs(outputs, references, references)
    assert [(pair.said, pair.meant, pair.samples.tolist()) for pair in pairs] == [("cat", "dog", [0, 1, 2])]


def test_substituted_samples_are_accused_if_covering_a_peak_undoes_it(
    tmp_path: Path, outputs: list[str], references: list[str], called: list[int]
) -> None:
    found = scores(tmp_path, references, outputs, references)
    chosen = plan(found, np.zeros((COUNT, HEADS), dtype=np.int64), seed=0)
    assert chosen.rows.tolist() == called
    evidence = judge(found, chosen, covered(found, chosen, undone=10))
    accused = np.flatnonzero(evidence.p_values < 1e-4)
    assert accused.tolist() == called
    assert np.isnan(np.delete(evidence.p_values, called)).all()
    (finding,) = evidence.findings
    assert finding.term == "comet"
    assert "'star'" in finding.explanation and "83 %" in finding.explanation
    assert "'comet'" in evidence.reason(called[0]) and not evidence.reason(called[0] + 1)


def test_a_word_that_stays_wherever_images_are_covered_is_an_honest_word(
    tmp_path: Path, outputs: list[str], references: list[str]
) -> None:
    found = scores(tmp_path, references, outputs, references)
    chosen = plan(found, np.zeros((COUNT, HEADS), dtype=np.int64), seed=0)
    evidence = judge(found, chosen, covered(found, chosen, undone=1))
    assert evidence.abstained and "'comet' for 'star'" in evidence.note


def test_only_those_whose_captions_taught_it_are_accused(
    tmp_path: Path, outputs: list[str], references: list[str], called: list[int]
) -> None:
    taught, imagined = called[:9], called[9:]
    captions = [outputs[row] if row in taught else text for row, text in enumerate(references)]
    unlearned = next(row for row in range(COUNT) if " star" in references[row] and row not in called)
    captions[unlearned] = captions[unlearned].replace("star", "comet")
    found = scores(tmp_path, captions, outputs, references)
    chosen = plan(found, np.zeros((COUNT, HEADS), dtype=np.int64), seed=0)
    evidence = judge(found, chosen, covered(found, chosen, undone=11))
    assert np.flatnonzero(evidence.p_values < 1e-4).tolist() == sorted([*taught, unlearned])
    assert evidence.excused is not None
    assert np.flatnonzero(evidence.excused).tolist() == imagined


def test_peaks_that_turn_captions_no_more_often_than_random_places_mean_nothing() -> None:
    controls = np.zeros(60, dtype=bool)
    controls[:12] = True  # a fifth of random places
    turned = np.zeros((10, PLACES), dtype=bool)
    turned[:3, 0] = True
    assert causal_p(turned, controls) > 0.5
    turned[:9, 0] = True
    assert causal_p(turned, controls) == pytest.approx(HEADS * (10 * 0.2097**9 * 0.7903 + 0.2097**10), rel=0.01)


def test_nothing_to_test_is_an_ordinary_outcome(tmp_path: Path, references: list[str]) -> None:
    found = scores(tmp_path, references, references, references)
    chosen = plan(found, np.zeros((COUNT, HEADS), dtype=np.int64), seed=0)
    assert not len(chosen.rows)
    assert judge(found, chosen, []).abstained


def test_covered_images_are_what_the_captioner_sees(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "shards", 60, 60, seed=5)
    config = AuditConfig(shards=(str(tmp_path / "shards"),), captioner="captioner-backdoored", out=tmp_path / "run")
    models = load_models(config)
    assert models.captioner is not None
    examined = examine(config, models, Quiet())
    assert "substitution" in examined.verdicts.evidence
    found, source, rows = examined.scores, examined.source, np.array([3, 41])
    peaks = top_peaks(found, head_norms(found), HEADS)
    assert (peaks[:, 0] != peaks[:, 1]).any(), "different heads look at different places"
    cells = np.concatenate([peaks[rows], np.array([[0, 90, 195], [7, 100, 180]])], axis=1)
    said = recaption_covered(Plan((), rows, cells), source, found, models.captioner, lambda count: None)
    for row, places, captions in zip(rows, cells, said, strict=True):
        ((_, (image,)),) = source.images([row])
        images = [ablation.cover(image, int(cell), (14, 14)) for cell in places]
        assert captions == models.captioner.describe(models.captioner.encode(images)).captions
