"""Pages in Markdown taken apart: blocks of code with what is to be done with them, commands, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")),
        ROOT / "benchmarks/README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
MARK = re.compile(r"<!-- (run|not run)(?:: (.+))? -->")


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        language: of a fenced one; empty of one that is indented.
        mark: what stands above it: `run`, `not run`, or nothing.
        note: how it ends (`exit code 1`), or why it is not run.
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str = ""
    note: str = ""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Fenced and indented blocks, in order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        start, line = at, lines[at]
        at += 1
        if line.startswith("```"):
            while lines[at] != "```":
                at += 1
            text = "\n".join(lines[start + 1 : at])
            at += 1
            marked = MARK.fullmatch(lines[start - 1]) if start else None
            mark, note = (marked[1], marked[2] or "") if marked else ("", "")
            found.append(Block(page, start + 1, line[3:].strip(), text, mark, note))
        elif line.startswith("    ") and (start == 0 or not lines[start - 1].strip()):
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                at += 1
            found.append(Block(page, start + 1, "", "\n".join(text[4:] for text in lines[start:at])))
    return found


def lines_of(block: Block) -> list[str]:
    """Its lines of shell, those that are continued put together."""
    return block.text.replace("\\\n", " ").splitlines()


def commands(block: Block, names: set[str]) -> Iterator[list[str]]:
    """The arguments of every call of srdscan in it, wherever in a line it stands.

    Args:
        names: of its commands; a line that begins with `srdscan` calls one in any case.
    """
    for line in lines_of(block):
        text = re.sub(r"^\s*-? *(\$ )?", "", line)
        if "srdscan " not in text:
            continue
        try:
            words = shlex.split(text, comments=True)
        except ValueError:
            assert not text.startswith("srdscan"), f"{block.where}: {line}"
            continue
        nested = [word for word in words if word.startswith("srdscan ")]
        for call in (words, *map(shlex.split, nested)):
            for place, word in enumerate(call[:-1]):
                if word == "srdscan" and (place == 0 or call[place + 1] in names):
                    end = next((n for n, other in enumerate(call) if n > place and other[0] in ";&|>"), len(call))
                    yield call[place + 1 : end]
                    break


def quoted(page: Path) -> list[list[str]]:
    """Calls of srdscan within sentences."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(call)[1:] for call in re.findall(r"`(srdscan\s+[^`]+)`", text)]


def links(page: Path) -> list[str]:
    """Where its links and pictures lead to, but for other sites."""
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """Names of its headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
