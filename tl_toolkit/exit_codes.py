"""How the command line ends: the code for each error that a user can act on."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from tl_toolkit.errors import InputError, LostWorkerError, PreemptedError

# As in sysexits.h: wrong usage aside, something is unavailable, or it is to be tried again.
WRONG_INPUT, LOST_WORKER, PREEMPTED, INTERRUPTED = 2, 69, 75, 130


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """Within it SIGTERM is an exception, and what a user can act on becomes a message and an exit code."""
    signal.signal(signal.SIGTERM, _raise_preempted)
    try:
        yield
    except InputError as error:
        _end(f"error: {error}", WRONG_INPUT)
    except LostWorkerError as error:
        _end(f"error: {error}", LOST_WORKER)
    except PreemptedError as stop:
        _end(str(stop), PREEMPTED)
    except KeyboardInterrupt as stop:
        _end(str(stop), INTERRUPTED)


def _end(message: str, code: int) -> None:
    if message:
        print(message, file=sys.stderr)
    raise SystemExit(code) from None


def _raise_preempted(signum: int, frame: FrameType | None) -> None:
    # While it trains the step loop has a handler of its own, which lets the step end.
    raise PreemptedError("stopped by SIGTERM; the same command goes on")
