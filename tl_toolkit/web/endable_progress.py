"""Work in the background that ends where it next says how far it is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from tl_toolkit.progress import Progress, Stage, Table


class EndedError(Exception):
    """The work is no longer wanted."""


class EndableProgress(Progress):
    """Shows what another one shows, until an event is set: then every call raises `EndedError`.

    Args:
        shown: Shows it.
        ending: The event.
    """

    def __init__(self, shown: Progress, ending: threading.Event) -> None:
        self.log_file = shown.log_file
        self._shown, self._ending = shown, ending

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None = None, done: int = 0) -> Iterator[Stage]:
        self.check()
        with self._shown.stage(title, total, done) as stage:
            yield _EndableStage(stage, self)

    def message(self, text: str) -> None:
        self.check()
        self._shown.message(text)

    def show(self, table: Table, line: str = "") -> None:
        self.check()
        self._shown.show(table, line)

    def check(self) -> None:
        """Raises `EndedError` where the event is set."""
        if self._ending.is_set():
            raise EndedError


class _EndableStage(Stage):
    def __init__(self, shown: Stage, progress: EndableProgress) -> None:
        self._shown, self._progress = shown, progress

    def advance(self, count: int = 1) -> None:
        self._progress.check()
        self._shown.advance(count)

    def describe(self, text: str) -> None:
        self._progress.check()
        self._shown.describe(text)
