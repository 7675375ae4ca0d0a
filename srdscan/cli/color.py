"""Whether what is printed is coloured."""

import os

import typer


def heed_color(wanted: str) -> str:
    """Sets the variables that decide about colour, here and in processes started from here: NO_COLOR, FORCE_COLOR.

    Raises:
        BadParameter: it is neither `auto`, `always` nor `never`.
    """
    if wanted not in ("auto", "always", "never"):
        raise typer.BadParameter(f"{wanted!r} must be auto, always or never")
    if wanted == "always":
        os.environ.pop("NO_COLOR", None)
        os.environ["FORCE_COLOR"] = "1"
    elif wanted == "never":
        os.environ.pop("FORCE_COLOR", None)
        os.environ["NO_COLOR"] = "1"
    return wanted


def is_colored() -> bool | None:
    """Whether to colour by these variables; None leaves it to whether it is a terminal (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None
