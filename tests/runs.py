"""What runs left, compared."""

from pathlib import Path

OF_A_TIME = ("state/events.jsonl", "state/job.json")
"""What says when something happened and who did it, not what was found."""


def outputs(out: Path) -> dict[str, bytes]:
    """Every file that a run leaves, by relative path, but for what is of its time."""
    files = {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    return {name: data for name, data in files.items() if name not in OF_A_TIME}


def assert_same_outputs(first: Path, second: Path) -> None:
    """Two runs left the same files, byte for byte, but for their own folder, which the reports name."""
    left, right = outputs(first), outputs(second)
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].replace(bytes(first), bytes(second)) == right[name], name
