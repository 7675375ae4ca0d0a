"""What a command does when something goes wrong."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

USAGE_ERROR, INCOMPLETE = 2, 3


@contextmanager
def errors() -> Iterator[None]:
    """Turns expected errors into one line on stderr and the right exit code.

    A bug exits with 3, after its traceback: the audit is incomplete, and 1 would say that the gate failed.
    """
    try:
        yield
    except (typer.Exit, KeyboardInterrupt):
        raise
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            traceback.print_exc()
            typer.secho("srdscan: a bug in srdscan; please report the lines above", fg=typer.colors.RED, err=True)
            raise typer.Exit(INCOMPLETE) from None
        typer.secho(f"srdscan: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(code) from None


def _exit_code(error: Exception) -> int | None:
    """2 for what the user can mend on the command line, 3 for what cannot be read, None for a bug."""
    if isinstance(error, ValueError | FileNotFoundError | PermissionError):
        return USAGE_ERROR
    if {base.__name__ for base in type(error).__mro__} & {"ModelError", "ShardError", "ImageError"}:
        return INCOMPLETE
    return None


def quiet_libraries() -> None:
    """Keeps the progress bars and warnings of libraries out of ours; must come before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # of transformers' GGUF reader, which heeds none of the above
