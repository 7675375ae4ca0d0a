"""The tree is the way of the data: a floor imports from its own and from lower ones, never from higher ones."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "srdscan"
FLOORS = [
    "text",
    "stats",
    "sources",
    "models",
    "measure",
    "signals",
    "engines",
    "findings",
    "decide",
    "limits",
    "policy",
    "repair",
    "report",
]
"""From the lowest to the highest."""
EVERYWHERE = {"errors", "plugins", "progress", "rules", "scenes"}
"""What stands beside the house and imports none of its floors."""


def imported(path: Path) -> set[str]:
    """The parts of the package that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "srdscan":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_lower_floors_only(floor: str) -> None:
    allowed = {*FLOORS[: FLOORS.index(floor) + 1], *EVERYWHERE}
    if floor in ("engines", "policy", "report"):
        allowed |= {"config"}  # a worker is told all of it; a checkpoint holds the training's, a report the gate's
    if floor == "limits":
        allowed |= {"attacks"}  # which are planted
    modules = sorted((PACKAGE / floor).rglob("*.py"))
    assert modules
    for path in modules:
        assert imported(path) <= allowed, f"{path.relative_to(PACKAGE)} imports {imported(path) - allowed}"


@pytest.mark.parametrize("part", sorted(EVERYWHERE))
def test_what_is_imported_everywhere_imports_no_floor(part: str) -> None:
    folder = PACKAGE / part
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]:
        assert imported(path) <= EVERYWHERE, path


def test_only_commands_lie_loose_at_the_top() -> None:
    loose = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert loose == {"audit", "train", "evaluate", "doctor", "plugins", "progress", "errors"}
