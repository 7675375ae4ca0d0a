"""Captioners of one's own: how they are made, and what is said when they do not keep the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srdscan.models.captioners.check import check_captioner
from srdscan.models.captioners.load import load_captioner
from srdscan.models.captioners.own import Own
from srdscan.models.fetch import ModelError

SOURCE = """
from srdscan.models.captioners.load import load_captioner

class Base:
    fingerprint, encoder_fingerprint = "f", "e"
    def encode(self, images): ...
    def describe(self, encoding, *, attention=False): ...
    def score(self, encoding, captions): ...

class Takes(Base):
    def __init__(self, device):
        self.device = device

class Plain(Base):
    pass

class Any_(Base):
    def __init__(self, **options):
        self.device = options["device"]

class Needs(Base):
    def __init__(self, weights):
        pass

class Raises(Base):
    def __init__(self, device):
        raise FileNotFoundError("no weights\\nat all")

class Half:
    fingerprint = "f"
    def __init__(self, device):
        pass

class Nameless(Base):
    fingerprint = None

def make(device):
    return Takes(device)

class Outer:
    Inner = Takes

ready = Plain()
family = lambda device: load_captioner("captioner", device)
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("def x(:\n")
    (tmp_path / "raises.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "mine", raising=False)


def inner(spec: str) -> Any:
    loaded = load_captioner(spec, "cpu")
    assert isinstance(loaded, Own)
    assert loaded.name == spec
    return loaded.inner


@pytest.mark.parametrize("name", ["Takes", "Any_", "make", "Outer.Inner"])
def test_a_class_or_function_that_takes_a_device_gets_it(name: str) -> None:
    assert inner(f"mine:{name}").device == "cpu"


@pytest.mark.parametrize("name", ["Plain", "ready"])
def test_a_class_without_parameters_and_a_ready_captioner_will_do(name: str) -> None:
    assert type(inner(f"mine:{name}")).__name__ == "Plain"


def test_one_of_the_families_in_disguise_stays_what_it_is() -> None:
    loaded = load_captioner("mine:family")
    assert not isinstance(loaded, Own)
    assert loaded.name == "mine:family"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("mine:Needs", ("Needs() failed: TypeError: ", "'weights'", 'srdscan calls Class(device="cpu"), or Class()')),
        (
            "mine:Raises",
            ("Raises(device='cpu') failed: FileNotFoundError: no weights (", "mine.py, line", "srdscan calls"),
        ),
        ("mine:Half", ("lacks encode, describe, score, encoder_fingerprint: srdscan calls",)),
        ("mine:Nameless", ("lacks fingerprint: ",)),
        ("mine:Absent", ("cannot be imported", "PYTHONPATH")),
        ("broken:X", ("cannot be imported: SyntaxError",)),
        ("raises:X", ("cannot be imported: ZeroDivisionError", "raises.py, line 1")),
        (":X", ("cannot be imported",)),
        ("mine:", ("cannot be imported",)),
    ],
)
def test_what_cannot_be_made_is_told_how_it_is_called(spec: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        load_captioner(spec)
    said = str(caught.value)
    assert said.startswith(f"{spec}: ")
    assert "\n" not in said
    for word in words:
        assert word in said


class Bent:
    """The embedded captioner, with its answers bent."""

    def __init__(self, captioner: Any, method: str, bend: Callable[[Any], Any]) -> None:
        self.captioner, self.method, self.bend = captioner, method, bend
        self.fingerprint, self.encoder_fingerprint = captioner.fingerprint, captioner.encoder_fingerprint

    def _answer(self, method: str, answer: Any) -> Any:
        return self.bend(answer) if method == self.method else answer

    def encode(self, images: Any) -> Any:
        return self._answer("encode", self.captioner.encode(images))

    def describe(self, encoding: Any, *, attention: bool = False) -> Any:
        return self._answer("describe", self.captioner.describe(encoding, attention=attention))

    def score(self, encoding: Any, captions: Any) -> Any:
        return self._answer("score", self.captioner.score(encoding, captions))


def used(captioner: Any, pictures: list[Image.Image]) -> None:
    """What an audit does with it."""
    encoding = captioner.encode(pictures)
    captioner.score(encoding, captioner.describe(encoding, attention=True).captions)


def replaced(**fields: Any) -> Callable[[Any], Any]:
    return lambda answer: dataclasses.replace(answer, **fields)


def fail(answer: Any) -> Any:
    raise KeyError("patience")


@pytest.mark.parametrize(
    ("method", "bend", "clause"),
    [
        ("encode", lambda answer: answer.memory, "encode(images) gives something without `features`"),
        ("encode", replaced(features=np.zeros((1, 4), np.float32)), "features have shape (1, 4), not (3, F)"),
        ("encode", replaced(features=np.full((3, 4), np.nan)), "features are not finite"),
        ("describe", lambda answer: answer.captions, "describe gives something without `captions`"),
        ("describe", replaced(captions=["one"]), "describe gives 1 captions, not 3"),
        ("describe", replaced(captions=[None] * 3), "captions are not all strings"),
        ("describe", replaced(log_probs=[]), "describe gives 0 arrays for 3 captions"),
        ("describe", replaced(log_probs=[[-1.0]] * 3), "log-probabilities are one-dimensional arrays"),
        ("describe", replaced(attention=np.ones(3)), "AttributeError: 'numpy.ndarray' object has no attribute 'first'"),
        ("score", lambda answer: answer[1:], "score gives 2 arrays for 3 captions"),
        ("score", lambda answer: [np.exp(values) for values in answer], "log-probabilities are finite and at most 0"),
        ("score", lambda answer: None, "TypeError"),
    ],
)
def test_a_broken_clause_is_named_in_the_middle_of_an_audit(
    captioner: Any, pictures: list[Image.Image], method: str, bend: Callable[[Any], Any], clause: str
) -> None:
    with pytest.raises(ModelError) as caught:
        used(Own("mine:Bent", Bent(captioner, method, bend)), pictures[:3])
    said = str(caught.value)
    assert said.startswith("mine:Bent: does not keep the contract of captioners: ")
    assert clause in said
    assert "\n" not in said


@pytest.mark.parametrize("method", ["encode", "describe", "score"])
def test_what_a_method_raises_is_told_with_its_place(captioner: Any, pictures: list[Image.Image], method: str) -> None:
    with pytest.raises(
        ModelError, match=rf"mine:Bent: {method} failed: KeyError: 'patience' \(.*test_own.py, line \d+"
    ):
        used(Own("mine:Bent", Bent(captioner, method, fail)), pictures[:2])


def test_a_device_without_room_is_left_to_whoever_takes_fewer_images(
    captioner: Any, pictures: list[Image.Image]
) -> None:
    def full(answer: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    with pytest.raises(RuntimeError, match="can't allocate memory"):
        used(Own("mine:Bent", Bent(captioner, "encode", full)), pictures[:2])


def test_maps_may_not_change_their_grid_between_batches(captioner: Any, pictures: list[Image.Image]) -> None:
    own = Own("mine:Bent", Bent(captioner, "none", fail))
    used(own, pictures[:2])
    own.inner.method, own.inner.bend = "describe", replaced(attention=None)
    with pytest.raises(
        ModelError, match=r"its attention maps are None an image, and were \(\d+, \d+, \d+, \d+\) in the"
    ):
        used(own, pictures[:2])


def test_a_captioner_that_keeps_the_contract_passes_unchanged(captioner: Any, pictures: list[Image.Image]) -> None:
    own = Own("mine:Bent", Bent(captioner, "none", fail))
    check_captioner(own, pictures[:3])
    given, expected = (c.describe(c.encode(pictures), attention=True) for c in (own, captioner))
    assert given.captions == expected.captions
    assert (given.attention.first == expected.attention.first).all()
