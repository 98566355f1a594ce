"""How the command line ends: a message and an exit code for each error that a user can act on."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from tl_toolkit.errors import InputError, LostWorkerError, PreemptedError, StoppedError


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """Within it SIGTERM is an exception, and what a user can act on becomes a message and an exit code."""
    signal.signal(signal.SIGTERM, _raise_preempted)
    try:
        yield
    except (InputError, LostWorkerError) as error:
        _end(f"error: {error}", error.exit_code)
    except StoppedError as stop:
        _end(str(stop), stop.exit_code)
    except KeyboardInterrupt as stop:
        _end(str(stop), StoppedError.exit_code)


def _end(message: str, code: int) -> None:
    if message:
        print(message, file=sys.stderr)
    raise SystemExit(code) from None


def _raise_preempted(signum: int, frame: FrameType | None) -> None:
    # While it trains the step loop has a handler of its own, which lets the step end.
    raise PreemptedError("stopped by SIGTERM; the same command resumes")
