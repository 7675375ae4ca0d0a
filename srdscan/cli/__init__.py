"""The command line. What is imported before `main` runs is little: a Ctrl-C is heeded from then on."""

from typing import Any


def main() -> None:
    """The console script."""
    from srdscan.cli.stopping import stoppable

    with stoppable():
        from srdscan.cli.console import lasting_streams

        lasting_streams()
        from srdscan.cli.commands import app

        app(prog_name="srdscan")


def __getattr__(name: str) -> Any:
    if name == "app":
        from srdscan.cli.commands import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
