"""Plug-ins: captioners, signals, sources and triggers of other packages, by the entry points that these declare.

    [project.entry-points."srdscan.triggers"]
    stripes = "my_package.triggers:Stripes"

| group | named by | the object |
|---|---|---|
| `srdscan.captioners` | `--captioner`, `--reference` | a class or function, as for `package.module:Class` |
| `srdscan.signals` | `--signal` | a class without arguments, or a signal (`srdscan.signals.base.Signal`) |
| `srdscan.sources` | `--format` | a function of patterns and the folder of images, or None, that makes a `Source` |
| `srdscan.triggers` | `srdscan poison --trigger` | a class without arguments (`srdscan.attacks.triggers.Trigger`) |

They are read in the metadata of what is installed; a plug-in is imported when an option names it, and not before. It is
code that somebody installed on this machine: no data set, baseline or model folder can name one. Before publishing one,
hold it to its contract: `check_captioner`, `check_signal`, `check_source`, `check_trigger`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from srdscan.errors import ConfigError

Group = Literal["captioners", "signals", "sources", "triggers"]
GROUPS: Final[tuple[Group, ...]] = ("captioners", "signals", "sources", "triggers")
_NAME: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")


class PluginError(Exception):
    """A plug-in fails at its work, or does not keep its contract."""


@dataclass(frozen=True)
class Plugin:
    """An entry point.

    Attributes:
        group: what kind it is.
        name: as options take it.
        target: `package.module:object`.
        distribution: the package that declares it, as it is installed.
        version: of the package.
    """

    group: Group
    name: str
    target: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plug-in {self.name} of {self.distribution} {self.version} (srdscan.{self.group})"

    def load(self) -> Any:
        """The object, imported now.

        Raises:
            ConfigError: it cannot be imported.
        """
        from importlib.metadata import EntryPoint

        try:
            return EntryPoint(self.name, self.target, f"srdscan.{self.group}").load()
        except Exception as error:
            raise ConfigError(
                f"{self}: {self.target} cannot be imported: {one_line(error)}. Update {self.distribution}, or "
                "uninstall it"
            ) from error


def installed(group: Group) -> list[Plugin]:
    """The entry points of a group, sorted by name and package; nothing is imported."""
    from importlib.metadata import entry_points

    found = set()
    for entry in entry_points(group=f"srdscan.{group}"):
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else ("an unnamed package", "")
        found.add(Plugin(group, entry.name, entry.value, name, version))
    return sorted(found, key=lambda plugin: (plugin.name, plugin.distribution, plugin.target))


def faults(plugins: Sequence[Plugin], own: Collection[str]) -> dict[Plugin, str]:
    """What is wrong with the names of some plug-ins of a group, in words.

    Args:
        own: names of srdscan's own of this kind, which no other may have.
    """
    found = {}
    for plugin in plugins:
        others = [other for other in plugins if other.name == plugin.name and other != plugin]
        if not _NAME.fullmatch(plugin.name):
            found[plugin] = "its name is not of lower-case letters and digits, joined by . _ or -"
        elif plugin.name in own:
            found[plugin] = "its name is one of srdscan's own, which no plug-in may take"
        elif others:
            found[plugin] = f"{others[0].distribution} {others[0].version} has one of the same name"
    return found


def find_plugins(group: Group, own: Collection[str]) -> dict[str, Plugin]:
    """The plug-ins of a group by name; nothing is imported.

    Args:
        own: names of srdscan's own of this kind.

    Raises:
        ConfigError: a name is one of these, is given twice, or is no name.
    """
    plugins = installed(group)
    for plugin, fault in faults(plugins, own).items():
        raise ConfigError(f"{plugin}: {fault}. Uninstall {plugin.distribution}, or ask its authors for another name")
    return {plugin.name: plugin for plugin in plugins}


def versions_of(names: Sequence[tuple[Group, str | None]]) -> dict[str, str]:
    """Versions of the packages that some plug-ins are of, by package; names that are no plug-in's are left out."""
    wanted = {name for name in names if name[1] is not None}
    plugins = [plugin for group in dict.fromkeys(group for group, _ in names) for plugin in installed(group)]
    return {plugin.distribution: plugin.version for plugin in plugins if (plugin.group, plugin.name) in wanted}


def one_line(error: BaseException) -> str:
    """An error in one line: its kind, and the first line of what it says."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}{': ' + first.rstrip('.') if first else ''}"
