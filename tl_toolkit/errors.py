"""The errors that a user can act on."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class InputError(ValueError):
    """Something that the user gave is wrong; the message names it, what was expected, and the way out.

    The command line prints the message alone and ends with `exit_code`; every exception without one is a
    defect and keeps its traceback.

    Examples:
        >>> try:
        ...     tl.Recipe(data="digits", strategy="new_hat")
        ... except tl.InputError as error:
        ...     print(error)
        Unknown strategy 'new_hat'. Did you mean 'new_head'? Known: auto, from_scratch, full_fine_tune, last_layers, new_head.
    """

    exit_code = 2


class StoppedError(KeyboardInterrupt):
    """Ctrl-C stopped a run; the same call resumes from its checkpoint, where there is a folder for it."""

    exit_code = 130  # 128 + SIGINT, as shells have it


class PreemptedError(StoppedError):
    """SIGTERM stopped it, which schedulers send to make room."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again


class LostWorkerError(RuntimeError):
    """Another process of the run is gone."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits.h


def is_disk_full(error: BaseException) -> bool:
    """Whether the system, or TensorFlow in its words, said that there is no room on the disk."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return full or "No space left on device" in str(error)


def unknown_name(kind: str, value: object, choices: Iterable[str], hint: str = "") -> InputError:
    """Returns the error for a name that is not one of `choices`, with the nearest right ones first."""
    choices = sorted(choices)
    nearest = difflib.get_close_matches(str(value), choices, n=3, cutoff=0.5)
    suggestion = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    known = ", ".join(choices) if choices else "none"
    return InputError(f"Unknown {kind} {value!r}.{suggestion} Known: {known}.{hint and ' ' + hint}")


def missing_package(extra: str, error: ImportError) -> InputError:
    """Returns the error for an exported format whose package is not installed."""
    return InputError(
        f"{error.name or error} is not installed, which this format needs: pip install 'tl-toolkit[{extra}]'."
    )
