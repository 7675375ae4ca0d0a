"""What a command does when something goes wrong."""

import errno
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from srdscan.cli.color import is_colored
from srdscan.cli.stopping import Stopped, is_stopped

USAGE_ERROR, INCOMPLETE = 2, 3

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
FULL_WORDS = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "PytorchStreamWriter failed writing",
    "enforce fail at inline_container.cc",  # torch.save, when its file is shorter than what it wrote
)
"""Of libraries that pass on the system's words or their own, and not its number."""

MISTAKEN = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
MISTAKEN_NUMBERS = (errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)
"""What a user can mend by naming another path."""

NETWORK = {"ConnectionError", "TimeoutError", "Timeout", "gaierror", "URLError", "SSLError", "RequestException"}
"""Names of exceptions of the standard library and of requests."""


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
        if is_stopped():  # what a library made of it
            raise Stopped from None
        known = explained(error)
        if known is None:
            traceback.print_exc()
            _say("a bug in srdscan; please report the lines above")
            raise typer.Exit(INCOMPLETE) from None
        code, line = known
        _say(line)
        raise typer.Exit(code) from None


def _say(line: str) -> None:
    """One line on stderr, red where colour is wanted."""
    typer.secho(f"srdscan: {line}", fg=typer.colors.RED, err=True, color=is_colored())


def explained(error: Exception) -> tuple[int, str] | None:
    """Exit code and line: 2 for what the user can mend on the command line, 3 for the rest; None for a bug."""
    full = _disk_full(error)
    if full is not None:
        return INCOMPLETE, (
            f"the disk is full, or a limit on the size of files is reached ({_file_and_reason(full)}). Free space and "
            "run the same command again: it continues"
        )
    kinds = {base.__name__ for base in type(error).__mro__}
    if kinds & {"ModelError", "ShardError", "ImageError", "PluginError"}:
        return INCOMPLETE, str(error)
    if isinstance(error, OSError):
        return _explained_by_the_system(error)
    if isinstance(error, ValueError):
        return USAGE_ERROR, str(error)
    if isinstance(error, MemoryError) or "OutOfMemoryError" in kinds:
        return INCOMPLETE, "out of memory. Take a smaller --batch-size, smaller models or another --device"
    return None


def _explained_by_the_system(error: OSError) -> tuple[int, str]:
    reason = _file_and_reason(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return INCOMPLETE, f"{reason}. Raise the limit (ulimit -n 4096) and run the same command again"
    if isinstance(error, MISTAKEN) or error.errno in MISTAKEN_NUMBERS:
        return USAGE_ERROR, reason
    if {base.__name__ for base in type(error).__mro__} & NETWORK:
        return INCOMPLETE, f"the network: {reason}. Run the same command again when it is back"
    return INCOMPLETE, reason


def _disk_full(error: BaseException | None) -> BaseException | None:
    """The error of a disk that takes no more, which may be the cause of the one raised."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error
        of_a_library = isinstance(error, OSError | RuntimeError) or type(error).__name__ == "SafetensorError"
        if of_a_library and any(words in str(error) for words in FULL_WORDS):
            return error
        error = error.__cause__
    return None


def _file_and_reason(error: BaseException) -> str:
    """One line: the file, if the error knows it, and what the system says."""
    if isinstance(error, OSError) and error.errno is not None:
        # pyarrow puts a sentence with the file's name where others put the system's words.
        words = os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else str(error.strerror)
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        return ": ".join([*names[:1], words])
    return " ".join(str(error).split()) or type(error).__name__


def quiet_libraries() -> None:
    """Keeps the progress bars and warnings of libraries out of ours; must come before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # of transformers' GGUF reader, which heeds none of the above
