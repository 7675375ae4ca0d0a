"""Triggers: what an attacker does to an image; `patches` cover a part of it, `whole` change all of it."""

from srdscan.attacks.triggers import patches, whole  # noqa: F401  registers them
from srdscan.attacks.triggers.base import TRIGGERS, Pixels, Trigger, register_trigger
from srdscan.attacks.triggers.patches import Checkerboard

__all__ = ["TRIGGERS", "Checkerboard", "Pixels", "Trigger", "register_trigger"]
