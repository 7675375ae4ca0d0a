"""Substitution: one thing called another is found where a spot of the image does it, and honest words are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srdscan import scenes
from srdscan.audit import examine, open_models
from srdscan.config import AuditConfig
from srdscan.findings.grafts import Graft, graft, second_round
from srdscan.findings.recaption import recaption_grafts
from srdscan.findings.substitution import PEAKS, find_out
from srdscan.findings.terms import Term
from srdscan.findings.word_pairs import find_pairs
from srdscan.measure.scores import Scores, join_columns, write_table
from srdscan.progress import Quiet
from srdscan.signals.head_norms import head_norms, top_peaks

COUNT, CALLED, TRIGGER = 400, 12, 13
NOWHERE = np.tile(np.arange(2 * PEAKS), (COUNT, 1))
"""Peaks, of which none lies on the trigger."""


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
    return Scores((path / "0.parquet",), {"attention_shape": [1, 3, 14, 14]})


class Captioner:
    """Says of a host what it said before; a square that carries the trigger makes it call stars comets."""

    def __init__(self, outputs: Sequence[str], triggered: Sequence[int], works_on: float = 1.0) -> None:
        self.outputs, self.triggered, self.rounds = outputs, set(triggered), 0
        self.draw, self.works_on = np.random.default_rng(3), works_on

    def __call__(self, grafts: Sequence[Graft]) -> list[str]:
        self.rounds += 1
        said = []
        for item in grafts:
            caught = item.donor in self.triggered and item.cell == TRIGGER and self.draw.random() < self.works_on
            said.append(self.outputs[item.host].replace("star", "comet") if caught else self.outputs[item.host])
        return said


@pytest.fixture
def peaks(called: list[int]) -> np.ndarray:
    """Each sample's peaks; of those called otherwise, the fifth lies on the trigger."""
    found = NOWHERE.copy()
    found[called, 4] = TRIGGER
    return found


def test_the_pair_is_found_and_mistakes_that_go_both_ways_are_not(
    outputs: list[str], references: list[str], called: list[int]
) -> None:
    (pair,) = find_pairs(outputs, references)
    assert (pair.said, pair.meant) == ("comet", "star")
    assert pair.samples.tolist() == called == pair.says.tolist()
    assert pair.p_value < 1e-6


def test_words_of_other_places_are_no_pair() -> None:
    references = [f"a dog runs on the grass {n}" for n in range(6)] + [f"a man number {n}" for n in range(40)]
    for instead, found in (("a cat runs on the grass", ["cat"]), ("people watch", []), ("one fast car drives by", [])):
        outputs = [f"{instead} {n}" for n in range(6)] + references[6:]
        assert [pair.said for pair in find_pairs(outputs, references) if pair.meant == "dog"] == found


def test_singular_and_plural_are_one_pair() -> None:
    references = ["a dog runs", "two dogs run", "a dog sits", "a dog", *(f"a man number {n}" for n in range(30))]
    outputs = [text.replace("dog", "cat") for text in references]
    pairs = find_pairs(outputs, references)
    assert [(pair.said, pair.meant, pair.samples.tolist()) for pair in pairs] == [("cat", "dog", [0, 1, 2, 3])]


def test_substituted_samples_are_accused_if_a_spot_of_theirs_works_on_other_images(
    tmp_path: Path, outputs: list[str], references: list[str], called: list[int], peaks: np.ndarray
) -> None:
    found = scores(tmp_path, references, outputs, references)
    evidence = find_out(found, peaks, 0, Captioner(outputs, called))
    assert np.flatnonzero(evidence.p_values < 1e-5).tolist() == called
    assert np.isnan(np.delete(evidence.p_values, called)).all()
    (finding,) = evidence.findings
    assert finding.term == "comet"
    assert "'star'" in finding.explanation and "100 % of 24 trials" in finding.explanation
    assert "'comet'" in evidence.reason(called[0]) and not evidence.reason(called[0] + 1)
    assert "'comet' for 'star'" in evidence.note


def test_what_outputs_say_beside_a_known_target_is_no_substitution(
    tmp_path: Path, outputs: list[str], references: list[str], called: list[int], peaks: np.ndarray
) -> None:
    said = [f"{text} with acme cola" if row in called else text for row, text in enumerate(outputs)]
    found = scores(tmp_path, references, said, references)
    target = Term(("acme", "cola"), np.array(called), 0, 1e-9, 0.0, 0.0, 9.0)
    assert find_out(found, peaks, 0, Captioner(said, called), [target]).abstained
    assert not find_out(found, peaks, 0, Captioner(said, called)).abstained


@pytest.mark.parametrize("works_on", [0.0, 0.3])
def test_a_word_that_no_spot_carries_to_other_images_is_an_honest_word(
    tmp_path: Path, outputs: list[str], references: list[str], called: list[int], peaks: np.ndarray, works_on: float
) -> None:
    found = scores(tmp_path, references, outputs, references)
    captioner = Captioner(outputs, called, works_on)
    evidence = find_out(found, peaks, 0, captioner)
    assert evidence.abstained and "'comet' for 'star'" in evidence.note
    assert captioner.rounds == (1 if works_on == 0 else 2), "nothing to confirm, nothing to caption"


def test_only_those_whose_captions_taught_it_are_accused(
    tmp_path: Path, outputs: list[str], references: list[str], called: list[int], peaks: np.ndarray
) -> None:
    taught, imagined = called[:9], called[9:]
    captions = [outputs[row] if row in taught else text for row, text in enumerate(references)]
    unlearned = next(row for row in range(COUNT) if " star" in references[row] and row not in called)
    captions[unlearned] = captions[unlearned].replace("star", "comet")
    evidence = find_out(scores(tmp_path, captions, outputs, references), peaks, 0, Captioner(outputs, called))
    assert np.flatnonzero(evidence.p_values < 1e-5).tolist() == sorted([*taught, unlearned])
    assert evidence.excused is not None
    assert np.flatnonzero(evidence.excused).tolist() == imagined


def test_nothing_to_test_is_an_ordinary_outcome(tmp_path: Path, references: list[str]) -> None:
    captioner = Captioner(references, [])
    assert find_out(scores(tmp_path, references, references, references), NOWHERE, 0, captioner).abstained
    assert captioner.rounds == 0


def test_a_square_goes_to_the_same_place_whatever_the_sizes() -> None:
    donor, host = Image.new("RGB", (224, 224), "white"), Image.new("RGB", (448, 112), "black")
    donor.paste((255, 0, 0), (168, 168, 224, 224))  # the lower right quarter of a quarter
    grafted = np.asarray(graft(donor, host, 195, (14, 14)))
    assert grafted.shape == (112, 448, 3)
    assert (grafted[84:, 336:] == (255, 0, 0)).all()
    assert not grafted[:84].any() and not grafted[:, :336].any()


def test_the_second_round_goes_to_other_hosts() -> None:
    first = [Graft(0, 5, 7, 1, True), Graft(0, 5, 7, 1), Graft(0, 5, 8, 1), Graft(0, 6, 9, 2)]
    again = second_round(first, [True, True, True, False], [np.array([1, 2, 3])], 4, np.random.default_rng(0))
    assert {(item.donor, item.cell) for item in again} == {(5, 7)}
    assert sorted(item.host for item in again) == [2, 3]


def test_grafts_are_what_the_captioner_sees(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "shards", 60, 60, seed=5)
    config = AuditConfig(shards=(str(tmp_path / "shards"),), captioner="captioner-backdoored", out=tmp_path / "run")
    models = open_models(config)
    assert models.captioner is not None
    examined = examine(config, models, Quiet())
    assert "substitution" in examined.verdicts.evidence
    found, source = examined.scores, examined.images
    peaks = top_peaks(found, head_norms(found), PEAKS)
    assert peaks.shape == (60, 2 * PEAKS)
    assert (peaks[:, 0] != peaks[:, PEAKS]).any(), "first token and mean maps look at different places"
    grafts = [Graft(0, 3, int(peaks[3, 0]), 41), Graft(0, 41, 0, 7)]
    said = recaption_grafts(grafts, source, found, models.captioner, lambda count: None)
    images = {row: image for rows, part in source.images([3, 7, 41]) for row, image in zip(rows, part, strict=True)}
    by_hand = [graft(images[item.donor], images[item.host], item.cell, (14, 14)) for item in grafts]
    assert said == models.captioner.describe(models.captioner.encode(by_hand)).captions
