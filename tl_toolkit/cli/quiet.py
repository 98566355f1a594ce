"""TensorFlow's own messages go to a file; the terminal keeps what this toolkit and the user's code say."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO

LOGGERS = ("tensorflow", "absl")  # of the Python side; the C++ side writes to file descriptor 2


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[pathlib.Path]:
    """Within it file descriptor 2 is a log file, and `sys.stderr` is still the terminal.

    TensorFlow's first lines are written before it reads any log level: nothing else keeps them away. Enter it
    before TensorFlow is imported. The log is removed at the end, unless an unexpected error ends the block.

    Yields:
        The log file.
    """
    descriptor, name = tempfile.mkstemp(prefix="tl_toolkit_", suffix=".log")
    log, stderr, terminal = pathlib.Path(name), sys.stderr, os.dup(2)
    is_kept = False
    _flush(stderr)
    os.dup2(descriptor, 2)
    sys.stderr = shown = os.fdopen(
        os.dup(terminal), "w", buffering=1, encoding="utf-8", errors="backslashreplace"
    )
    had_faulthandler = faulthandler.is_enabled()
    faulthandler.enable(shown)  # a crash is still seen
    with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
        redirect = _Redirect(file)
        for logger in LOGGERS:
            logging.getLogger(logger).addFilter(redirect)
        try:
            yield log
        except (Exception, GeneratorExit) as error:
            if not getattr(error, "exit_code", None):
                shown.write(f"TensorFlow's messages are in {log}\n")
                is_kept = True
            raise
        finally:
            for logger in LOGGERS:
                logging.getLogger(logger).removeFilter(redirect)
            _flush(shown)
            faulthandler.disable()
            os.dup2(terminal, 2)
            sys.stderr = stderr
            if had_faulthandler:
                faulthandler.enable()
            for number in (descriptor, terminal):
                os.close(number)
            shown.close()
            if not is_kept:
                log.unlink(missing_ok=True)


class _Redirect(logging.Filter):
    """Writes a logger's records to a file, and keeps them from its handlers."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self._file = file

    def filter(self, record: logging.LogRecord) -> bool:
        self._file.write(f"{record.levelname} {record.name}: {record.getMessage()}\n")
        self._file.flush()
        return False


def _flush(stream: TextIO | None) -> None:
    with contextlib.suppress(OSError, ValueError):
        if stream is not None:
            stream.flush()
