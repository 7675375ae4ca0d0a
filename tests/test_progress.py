"""Progress in a log: few lines, with rate and what is left."""

import io

from rich.console import Console

from srdscan.progress import LineProgress


def test_a_log_gets_a_line_after_a_minute_then_ever_fewer() -> None:
    text, now = io.StringIO(), [0.0]
    progress = LineProgress(Console(file=text, width=40), lambda: now[0])
    progress.stage("scoring", None, 1000)
    lines = []
    for minute in range(24 * 60):
        now[0] = 60.0 * (minute + 1)
        progress.expect(100_000)
        progress.advance(60)
        if text.getvalue().count("\n") > len(lines):
            lines.append(minute + 1)
    assert lines[:7] == [1, 3, 7, 15, 31, 63, 123]
    assert lines[7] - lines[6] == 60
    assert text.getvalue().splitlines()[0] == "scoring: 1,060 of about 100,000, 1.0/s, about 1 d 3 h left"


def test_without_an_estimate_the_line_says_what_is_done() -> None:
    text, now = io.StringIO(), [0.0]
    progress = LineProgress(Console(file=text), lambda: now[0])
    progress.stage("scoring", None)
    progress.advance(5)
    now[0] = 61.0
    progress.advance(117)
    assert text.getvalue() == "scoring: 122, 2.0/s\n"
