"""What commands print on: streams that take any text, and that outlive their reader."""

import io
import os
import sys
from typing import Any, TextIO


class _Pipe(io.FileIO):
    """The write end of a pipe. When its reader has gone (`| head`) the rest is for nobody, and no error."""

    def write(self, data: Any, /) -> int:
        """Bytes taken, all of them where nobody reads."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def lasting_streams() -> None:
    """Makes stdout and stderr replace what they cannot encode, go on when their reader ends, and be there at all."""
    # What was closed before the start (`>&-`) leaves a number that the next file opened would get, and be printed into.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):  # a notebook's, or a test's
        return stream
    if stream.isatty() or _number(stream) != number:
        stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Pipe(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
    )


def _number(stream: TextIO) -> int:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return -1
