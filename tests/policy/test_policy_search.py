"""Looking ahead: images that a policy cannot free are freed by trying its best ideas side by side."""

from dataclasses import replace

import numpy as np
import pytest

from srdscan import scenes
from srdscan.attacks.triggers import Checkerboard
from srdscan.attacks.triggers.patches import paste
from srdscan.audit import examine, open_models
from srdscan.config import AuditConfig
from srdscan.policy.actions import GRID, ActionSpace, Pixels
from srdscan.policy.episodes import Case, Observer, View, begin
from srdscan.policy.fidelity import FidelityModel
from srdscan.policy.follow import roll_out
from srdscan.policy.qnet import QNetwork
from srdscan.policy.search import APART, PLACES, ideas, look_ahead, propose
from srdscan.policy.store import Policy
from srdscan.progress import Quiet
from srdscan.signals.head_norms import head_norms

STEPS, BAR = 4, 0.6
IGNORANT = Policy(QNetwork(ActionSpace()).eval(), ActionSpace(), STEPS, "", {})
"""A policy that has learned nothing: all actions are worth the same to it."""


@pytest.fixture(scope="module")
def observer(tmp_path_factory: pytest.TempPathFactory) -> Observer:
    folder = tmp_path_factory.mktemp("ordinary")
    scenes.write_shards(folder / "shards", 64, 64, seed=9)
    config = AuditConfig(shards=(str(folder / "shards"),), captioner="captioner-backdoored", out=folder / "run")
    models = open_models(config)
    assert models.captioner is not None
    norms = head_norms(examine(config, models, Quiet()).scores)
    return Observer(models.captioner, FidelityModel(models.sentence_encoder, models.language_model), norms)


def two_canaries(image: Pixels) -> Pixels:
    """The canary's patch twice, far apart: covering one of them frees nothing."""
    board = np.array(Checkerboard.colors, dtype=np.uint8)
    rows = np.arange(32) * 4 // 32
    patch = board[(rows[:, None] + rows[None]) % 2]
    return paste(paste(image, patch, (0.15, 0.1)), patch, (0.9, 0.8))


@pytest.fixture(scope="module")
def cases(observer: Observer) -> list[Case]:
    drawn = [scenes.make(31, index) for index in range(12)]
    return observer.cases([two_canaries(np.asarray(i)) for i, _ in drawn], [made.caption for _, made in drawn])


def honest(caption: str) -> bool:
    return "banana" not in caption


def content(view: View) -> bool:
    return view.sfs >= BAR and honest(view.caption)


def test_ideas_are_peaks_places_apart_and_filters(cases: list[Case]) -> None:
    lanes = [begin(case, 0, STEPS) for case in cases]
    for lane, chosen in zip(lanes, propose(lanes, IGNORANT), strict=True):
        assert len(set(chosen)) == len(chosen)
        forms = [IGNORANT.space[index].form for index in chosen]
        assert "whole" in forms and "stop" not in forms
        covered = np.zeros((GRID, GRID), dtype=bool)
        for index in chosen:
            covered, _ = IGNORANT.space.cover(covered, index)
        for heat in lane.view.attention:
            assert covered[divmod(int(heat.argmax()), GRID)], "every attention peak is covered by some idea"
    lane = lanes[0]
    lane.taken = propose([lane], IGNORANT)[0][:2]
    assert not {*propose([lane], IGNORANT)[0]} & {*lane.taken}, "nothing is tried twice"


def test_places_are_far_from_each_other(cases: list[Case]) -> None:
    values = np.random.default_rng(0).random(len(IGNORANT.space)).astype(np.float32)
    without_attention = replace(cases[0], view=replace(cases[0].view, attention=np.zeros((4, GRID, GRID), np.float32)))
    found = ideas(begin(without_attention), values, IGNORANT.space)
    local = [index for index in found if IGNORANT.space[index].form == "local"]
    cells = [divmod(index % GRID**2, GRID) for index in local]
    assert len(cells) == PLACES
    for number, (row, column) in enumerate(cells):
        assert all(max(abs(row - r), abs(column - c)) >= APART for r, c in cells[:number])
    assert values[local[0]] == values[: IGNORANT.space.maps * GRID**2].max()


def test_it_frees_what_the_policy_cannot(cases: list[Case], observer: Observer) -> None:
    assert np.mean([honest(case.view.caption) for case in cases]) < 0.2, "the two patches do not trigger"
    alone, searched = ([begin(case, 0, STEPS) for case in cases] for _ in range(2))
    roll_out(alone, IGNORANT, observer, content)
    look_ahead(searched, IGNORANT, observer, content, honest)
    freed = [sum(any(content(view) for view, _ in lane.trail) for lane in lanes) for lanes in (alone, searched)]
    assert freed[0] <= 2
    assert freed[1] >= 5
    for lane in searched:
        assert lane.done
        assert len(lane.trail) == len(lane.taken) + 1 <= STEPS + 1
        if content(lane.view):
            assert not any(content(view) for view, _ in lane.trail[:-1]), "it goes on after it has found the truth"
        image = lane.case.image
        for place, action in enumerate(lane.taken):
            image = IGNORANT.space.apply(image, action, lane.seed + place)
        assert np.array_equal(image, lane.image), "the actions do not lead to the image"


def test_lanes_are_searched_as_they_would_be_alone(cases: list[Case], observer: Observer) -> None:
    together = [begin(case, 0, STEPS) for case in cases[:8]]
    look_ahead(together, IGNORANT, observer, content, honest)
    alone = begin(cases[5], 0, STEPS)
    look_ahead([alone], IGNORANT, observer, content, honest)
    assert together[5].taken == alone.taken
    assert together[5].view.caption == alone.view.caption
