"""`RUN/state/events.jsonl`: what happened when, for people and dashboards; nothing is decided by it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

NAME = "events.jsonl"


class Events:
    """Appends a line of JSON for each event: `time`, `event`, and what belongs to it.

    Args:
        out: the run's folder.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / "state" / NAME
        if self.path.exists() and not self.path.read_bytes().endswith(b"\n"):
            self._write("\n")  # of a line that a killed process began

    def add(self, kind: str, **facts: object) -> None:
        """One event."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write(json.dumps({"time": time, "event": kind, **facts}) + "\n")

    def _write(self, text: str) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
