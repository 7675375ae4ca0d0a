"""Workers that die: how often a unit is tried again, and when it is time to give up."""

from __future__ import annotations

import signal
from collections import Counter

from srdscan.models.fetch import ModelError

CRASHES, KILLS = 3, 40
"""Deaths at a unit. Of its own accord a process dies again at the same image: a third try is for what was not the
image's fault. Where somebody else ended it, mostly the unit had no part in it."""
CRASHES_IN_A_ROW, KILLS_IN_A_ROW = 20, 100
"""Deaths with no unit finished in between, after which nothing good is to be hoped for."""

FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT) if hasattr(signal, "SIGKILL") else ()


class Attempts:
    """Counts deaths."""

    def __init__(self) -> None:
        self._of: Counter[int] = Counter()
        self._shares: Counter[int] = Counter()
        self._in_a_row = self._deaths = 0

    def finished(self) -> None:
        """A unit was finished."""
        self._in_a_row = self._deaths = 0

    def died(self, number: int | None, how: str, crashed: bool) -> str | None:
        """A worker died.

        Args:
            number: of the unit that it worked on; None while it loaded its models.
            how: in words.
            crashed: of its own accord, as far as is known.

        Returns:
            What is wrong with the unit, if it is not to be tried again.

        Raises:
            ModelError: too many died in a row.
        """
        self._deaths += 1
        self._in_a_row += KILLS_IN_A_ROW if crashed else CRASHES_IN_A_ROW
        if self._in_a_row >= CRASHES_IN_A_ROW * KILLS_IN_A_ROW:
            raise ModelError(
                f"{self._deaths} workers died one after the other with no shard finished, the last one {how}. "
                "If memory ran out, take fewer --workers or a smaller --batch-size, and run the same command again: "
                "it continues"
            )
        if number is None:
            return None
        self._of[number] += 1
        self._shares[number] += KILLS if crashed else CRASHES
        if self._shares[number] < CRASHES * KILLS:
            return None
        return f"{self._of[number]} processes that scored it died, the last one {how}"


def crashed(exitcode: int | None) -> bool:
    """Whether a process ended of its own accord, and not by a signal that others send."""
    return exitcode not in FROM_OUTSIDE


def how(exitcode: int | None) -> str:
    """How a process ended, in words.

    >>> how(-9), how(3)
    ('killed by SIGKILL', 'with exit code 3')
    """
    if exitcode is None:
        return "for an unknown reason"
    if exitcode >= 0:
        return f"with exit code {exitcode}"
    try:
        return f"killed by {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"killed by signal {-exitcode}"
