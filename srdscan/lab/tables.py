"""Tables of results, in Markdown, CSV and JSON."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from srdscan.measure.state import replace_text


@dataclass
class Table:
    """Rows of text under a head."""

    name: str
    head: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """A row; as many cells as the head has."""
        if len(cells) != len(self.head):
            raise ValueError(f"{self.name}: {len(cells)} cells under {len(self.head)} heads")
        self.rows.append([str(cell) for cell in cells])

    def markdown(self) -> str:
        """A GitHub table."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def write(self, folder: Path) -> None:
        """NAME.md, NAME.csv and NAME.json."""
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(folder / f"{self.name}.md", self.markdown())
        with open(folder / f"{self.name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([self.head, *self.rows])
        documents = [dict(zip(self.head, row, strict=True)) for row in self.rows]
        replace_text(folder / f"{self.name}.json", json.dumps(documents, indent=1) + "\n")


def mean_or_dash(values: Iterable[float | None], digits: int = 3) -> str:
    """The mean of what there is; a dash if there is nothing.

    >>> mean_or_dash([0.5, None, 1.0]), mean_or_dash([None])
    ('0.750', '-')
    """
    present = [value for value in values if value is not None]
    return f"{np.mean(present):.{digits}f}" if present else "-"
