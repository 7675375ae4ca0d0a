"""What shells complete: names that are known without loading anything."""

from collections.abc import Callable

CAPTIONERS = {"captioner": "embedded, trusted", "captioner-backdoored": "embedded canary"}


def of_choices(metavar: str) -> Callable[[str], list[str]]:
    """Completes to the words of a metavar such as `any|count=NUMBER|never`; what the user fills in is left out.

    >>> of_choices("any|count=NUMBER|never")("")
    ['any', 'count=', 'never']
    """
    words = [word if word == word.lower() else word.partition("=")[0] + "=" for word in metavar.split("|")]

    def beginning_with(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return beginning_with


def captioner_names(incomplete: str) -> list[tuple[str, str]]:
    """Embedded captioners and those of plug-ins, with what they are."""
    from srdscan.plugins import installed

    known = CAPTIONERS | {plugin.name: plugin.distribution for plugin in installed("captioners")}
    return [(name, what) for name, what in known.items() if name.startswith(incomplete)]


def signal_names(incomplete: str) -> list[tuple[str, str]]:
    """Signals of plug-ins, with the packages that they are of."""
    from srdscan.plugins import installed

    found = installed("signals")
    return [(plugin.name, plugin.distribution) for plugin in found if plugin.name.startswith(incomplete)]


def rule_codes(incomplete: str) -> list[tuple[str, str]]:
    """Codes of the rules, with their names."""
    from srdscan.rules import RULES

    return [(code, rule.name) for code, rule in RULES.items() if code.startswith(incomplete)]


def trigger_names(incomplete: str) -> list[str]:
    """What `srdscan poison --trigger` knows."""
    from srdscan.attacks.catalogue import known_triggers

    return [name for name in known_triggers() if name.startswith(incomplete)]


def target_names(incomplete: str) -> list[str]:
    """What `srdscan poison --target` knows."""
    from srdscan.attacks.catalogue import known_targets

    return [name for name in known_targets() if name.startswith(incomplete)]
