"""The triggers and targets that `srdscan poison` knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from srdscan.attacks.poison import CANARY, NONE, SHADOWCAST, SHADOWCAST_SOURCE, own_triggers, trigger_plugins
from srdscan.attacks.targets import TARGETS
from srdscan.attacks.triggers import TRIGGERS


@dataclass(frozen=True)
class Attack:
    """A trigger or a target, as people read of it.

    Attributes:
        kind: `trigger` or `target`.
        name: as options take it.
        what: it does, a sentence.
        source: where it comes from; empty if from here.
    """

    kind: str
    name: str
    what: str
    source: str = ""


def described_attacks() -> list[Attack]:
    """Every trigger, then every target, in the order of their names here."""
    found = []
    registries: tuple[tuple[str, Mapping[str, Any], str], ...] = (
        ("trigger", TRIGGERS, "images are left alone"),
        ("target", TARGETS, "captions are left alone"),
    )
    for kind, registry, nothing in registries:
        found.append(Attack(kind, CANARY, f"the embedded backdoored captioner's own {kind}"))
        found += [Attack(kind, name, (cls.__doc__ or "").split("\n")[0], cls.source) for name, cls in registry.items()]
        if kind == "trigger":
            what = "Images of one concept that a captioner takes for another."
            found.append(Attack(kind, SHADOWCAST, what, SHADOWCAST_SOURCE))
            found += [
                Attack(kind, plugin.name, "a plug-in's", f"{plugin.distribution} {plugin.version}")
                for plugin in trigger_plugins().values()
            ]
        found.append(Attack(kind, NONE, nothing))
    return found


def known_triggers() -> list[str]:
    """Names that `make_trigger` knows."""
    return [*own_triggers(), *trigger_plugins()]


def known_targets() -> list[str]:
    """Names that `make_target` knows."""
    return [CANARY, *TARGETS, NONE]
