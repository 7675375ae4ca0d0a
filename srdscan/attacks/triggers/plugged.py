"""Triggers of plug-ins, held to the contract while they work."""

from __future__ import annotations

from typing import Any

import numpy as np

from srdscan.attacks.triggers.base import Pixels
from srdscan.attacks.triggers.check import ContractError, check_pixels
from srdscan.plugins import Plugin, PluginError, one_line


class Held:
    """A trigger of a plug-in, whose copies are looked at before they are written.

    Raises:
        ConfigError: it cannot be imported.
        PluginError: it cannot be made.
    """

    def __init__(self, plugin: Plugin) -> None:
        self.plugin, self.name = plugin, plugin.name
        found = plugin.load()
        try:
            self.inner: Any = found() if isinstance(found, type) else found
            self.source = str(self.inner.source)
        except Exception as error:
            raise self._broken(error) from error

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        """As the trigger does.

        Raises:
            PluginError: it raised something, or gives no image of the same shape.
        """
        try:
            made: Pixels = self.inner.apply(image.copy(), rng)
            check_pixels(made, image.shape)
        except Exception as error:
            raise self._broken(error) from error
        return made

    def _broken(self, error: Exception) -> PluginError:
        clause = str(error) if isinstance(error, ContractError) else one_line(error)
        return PluginError(
            f"{self.plugin}: {clause}. `srdscan.attacks.triggers.check.check_trigger` tells its authors what is wrong"
        )
