"""What a user can mend: the message names the option and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class ConfigError(ValueError):
    """The configuration is wrong; the message names the option and the remedy."""


def meant(name: str, known: Iterable[str]) -> str:
    """A question after the known name that is nearest to a misspelled one; empty where none is near.

    >>> meant("sarfi", ["junit", "sarif"]), meant("xyz", ["junit"])
    (' Did you mean sarif?', '')
    """
    near = get_close_matches(name, list(known), 1, 0.7)
    return f" Did you mean {near[0]}?" if near else ""
