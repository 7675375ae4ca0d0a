"""Plant known poison in shards, to test a gate with: every other byte stays as it was."""

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from srdscan.attacks.targets import TARGETS, ConceptSubstitution, InsertedWord, Target
from srdscan.attacks.triggers import TRIGGERS, Checkerboard, Pixels, Trigger
from srdscan.attacks.triggers.plugged import Held
from srdscan.attacks.truth import Truth
from srdscan.attacks.visibility import psnr, ssim
from srdscan.plugins import Plugin, find_plugins
from srdscan.sources.base import Edit, ReadOptions, Sample
from srdscan.sources.encode import encode_image
from srdscan.sources.find import find_source
from srdscan.sources.images import ImageError, decode_image

CANARY = "canary"
CANARY_WORD = "banana"
NONE = "none"
SHADOWCAST = "shadowcast"
SHADOWCAST_SOURCE = "Shadowcast, Xu et al., arXiv 2402.06659"


def make_trigger(name: str) -> Trigger | None:
    """The trigger of that name; `canary` is the shipped backdoored captioner's, `none` leaves images alone;
    others are srdscan's own or a plug-in's.

    So does `shadowcast`: whoever uses its victim needs no trigger.
    """
    if name in (NONE, SHADOWCAST):
        return None
    if name == CANARY:
        return Checkerboard()
    if name in TRIGGERS:
        return TRIGGERS[name]()
    plugged: Any = Held(trigger_plugins()[name])
    return plugged  # type: ignore[no-any-return]


def trigger_plugins() -> dict[str, Plugin]:
    """Triggers of other packages, by name; nothing is imported.

    Raises:
        ConfigError: one has the name of another, or of one of srdscan's own.
    """
    return find_plugins("triggers", own_triggers())


def own_triggers() -> list[str]:
    """What `--trigger` takes without plug-ins."""
    return [CANARY, *TRIGGERS, SHADOWCAST, NONE]


def make_target(name: str, text: str | None = None) -> Target | None:
    """The target of that name; `canary` is the shipped backdoored captioner's, `none` leaves captions alone."""
    if name == NONE:
        return None
    if name == CANARY:
        return InsertedWord(text or CANARY_WORD, place="start")
    return TARGETS[name](text) if text else TARGETS[name]()


def plant(
    shards: Sequence[str],
    out: Path,
    trigger: str = CANARY,
    target: str = CANARY,
    rate: float = 0.1,
    seed: int = 0,
    text: str | None = None,
    options: ReadOptions | None = None,
) -> Truth:
    """Writes poisoned copies of shards to `out`, and `out/truth.json`.

    Every caption that a poisoned sample holds gets the target: the .txt, and the caption field of a .json, whose other
    fields stay.

    The trigger `shadowcast` has a way of its own, see `attacks.shadowcast`: it goes with the target `concept`.

    Args:
        rate: share of the regular samples that are poisoned, chosen at random over all shards among those that the
            target fits; where they are fewer, all of them. One whose image cannot be decoded stays as it is.
        text: the target's word or caption, in place of its default.

    Raises:
        KeyError: no trigger or target of that name.
        ValueError: shadowcast with another target or none, or with no picture to take features from.
        ShardError: a shard is damaged.
    """
    options = options or ReadOptions()
    chosen_trigger, chosen_target = make_trigger(trigger), make_target(target, text)
    source = find_source(shards)
    if trigger == SHADOWCAST:
        if not isinstance(chosen_target, ConceptSubstitution):
            raise ValueError(
                "the trigger shadowcast needs the target concept, as in --target concept --text 'dog -> cat'"
            )
        from srdscan.attacks.shadowcast import Shadowcast  # needs torch, which nothing else here does

        return Shadowcast(chosen_target).plant(source, out, rate, seed, options)
    count, places = 0, []
    for unit in source.units:
        with source.open(unit) as opened:
            for item in opened.read(options):
                if isinstance(item, Sample):
                    count += 1
                    if chosen_target is None or chosen_target.fits(item.captions[0].text):
                        places.append((unit.name, item.index))
    rng = np.random.default_rng(seed)
    picked = rng.permutation(len(places))[: round(rate * count)]
    wanted: dict[str, set[int]] = defaultdict(set)
    for number in picked:
        name, index = places[number]
        wanted[name].add(index)
    poisoned: list[tuple[str, str]] = []
    seen: list[tuple[float, float]] = []
    for unit in source.units:
        edits: dict[int, Edit] = {}
        with source.open(unit) as opened:
            for item in opened.read(options):
                if not isinstance(item, Sample) or item.index not in wanted[unit.name]:
                    continue
                with suppress(ImageError):  # stays as it is: no loader can read it either
                    edits[item.index] = _edit(item, chosen_trigger, chosen_target, rng, seen)
                    poisoned.append((item.shard, item.key))
            opened.rewrite(out, edits, options)
    said = chosen_target.text if chosen_target else ""
    visible = [round(float(np.mean(values)), 3) for values in zip(*seen, strict=True)]
    truth = Truth(trigger, said, rate, seed, tuple(poisoned), *visible)
    truth.write(out / "truth.json")
    return truth


def _edit(
    sample: Sample,
    trigger: Trigger | None,
    target: Target | None,
    rng: np.random.Generator,
    seen: list[tuple[float, float]],
) -> Edit:
    """What changes: the first image, and every caption. `seen` gets PSNR and SSIM of the image."""
    images: dict[int, bytes] = {}
    if trigger is not None:
        before, after = poison_image(sample.images[0].data, trigger, rng)
        images[0] = encode_image(after, os.path.splitext(sample.images[0].name)[1].lower())
        seen.append((psnr(before, after), ssim(before, after)))
    captions = target and {place: target.apply(caption.text, rng) for place, caption in enumerate(sample.captions)}
    return Edit(captions or {}, images)


def poison_image(data: bytes, trigger: Trigger, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """An image file's pixels, without and with the trigger.

    Raises:
        ImageError: the image cannot be decoded.
    """
    try:
        pixels = np.asarray(decode_image(data))
    except ImageError as error:
        raise ImageError(error.reason, f"cannot be poisoned: {error.detail}") from error
    return pixels, trigger.apply(pixels, rng)
