"""TensorFlow's own messages go to a file; the terminal keeps what this toolkit and the user's code say."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import logging
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO

from tl_toolkit.files.user_cache import provide_temporary_folder

LOGGERS = ("tensorflow", "absl")  # of the Python side; the C++ side writes to file descriptor 2


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[pathlib.Path]:
    """Within it file descriptor 2 is a log file, and `sys.stderr` is still the terminal.

    TensorFlow's first lines are written before it reads any log level: nothing else keeps them away. Enter it
    before TensorFlow is imported. The log is removed at the end, unless an unexpected error ends the block.

    Yields:
        The log file.

    Raises:
        UnavailableError: There is no folder for temporary files.
    """
    provide_temporary_folder()
    descriptor, name = tempfile.mkstemp(prefix="tl_toolkit_", suffix=".log")
    log, is_kept = pathlib.Path(name), False
    try:
        with _descriptor_2_is(descriptor), _loggers_write_to(log):
            yield log
    except Exception as error:
        is_kept = not hasattr(error, "exit_code")
        if is_kept:
            print(f"TensorFlow's messages are in {log}", file=sys.stderr)
        raise
    finally:
        os.close(descriptor)
        if not is_kept:
            log.unlink(missing_ok=True)


@contextlib.contextmanager
def _descriptor_2_is(descriptor: int) -> Iterator[None]:
    """Points file descriptor 2 elsewhere, and `sys.stderr`, if it was that, to where it was."""
    stderr, before = sys.stderr, os.dup(2)
    shown = None
    if _writes_to_descriptor_2(stderr):
        stderr.flush()
        shown = os.fdopen(
            os.dup(before), "w", buffering=1, encoding=stderr.encoding, errors="backslashreplace"
        )
        sys.stderr = shown
        _swap_streams(stderr, shown)
        if not (had_faulthandler := faulthandler.is_enabled()):
            faulthandler.enable(shown)  # a crash is still seen
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        if shown is not None:
            if not had_faulthandler:
                faulthandler.disable()
            _swap_streams(shown, stderr)
            sys.stderr = stderr
            shown.close()


@contextlib.contextmanager
def _loggers_write_to(log: pathlib.Path) -> Iterator[None]:
    # Unbuffered: where the disk is full nothing waits for room.
    with io.TextIOWrapper(
        log.open("ab", buffering=0), "utf-8", "backslashreplace", write_through=True
    ) as file:
        redirect = _Redirect(file)
        for logger in LOGGERS:
            logging.getLogger(logger).addFilter(redirect)
        try:
            yield
        finally:
            for logger in LOGGERS:
                logging.getLogger(logger).removeFilter(redirect)


class _Redirect(logging.Filter):
    """Writes a logger's records to a file, and keeps them from its handlers."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self._file = file

    def filter(self, record: logging.LogRecord) -> bool:
        with contextlib.suppress(OSError):  # such as a disk that is full by now
            self._file.write(f"{record.levelname} {record.name}: {record.getMessage()}\n")
        return False


def _swap_streams(before: TextIO, after: TextIO) -> None:
    """Gives handlers that the user's code set up on one stream the other one."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and handler.stream is before:
            handler.setStream(after)


def _writes_to_descriptor_2(stream: TextIO | None) -> bool:
    # A notebook's stream, or one that a test has put there, does not.
    try:
        return stream is not None and stream.fileno() == 2
    except (OSError, ValueError, AttributeError):
        return False
