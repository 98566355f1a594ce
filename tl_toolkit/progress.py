"""How long work reports itself. Every layer takes a `Progress`; only the command line draws one.

This file stands at the root because every layer below `cli` uses it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Table:
    """Text in columns, to be drawn by whoever shows it.

    Attributes:
        columns: Headings.
        rows: Cells of each row, as many as there are columns.
        caption: A line below.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


class Stage:
    """One piece of work under way. This one shows nothing."""

    def advance(self, count: int = 1) -> None:
        """Counts units of work that are done; may be called from any thread."""

    def describe(self, text: str) -> None:
        """Replaces the text that stands behind the bar, such as the last epoch's figures."""


class Progress:
    """Receives what a run reports. This one shows nothing; subclass it to show something.

    Attributes:
        log_file: Where TensorFlow's own messages go; a finished run keeps a copy. None: nowhere.

    Examples:
        >>> class Printed(tl.Progress):
        ...     def message(self, text):
        ...         print(text)
        >>> Printed().message("one line that stays")
        one line that stays
        >>> found = tl.audit("folder:photos", features=False, progress=Printed())
    """

    log_file: pathlib.Path | None = None

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None = None, done: int = 0) -> Iterator[Stage]:
        """Shows a piece of work until the block ends.

        Args:
            title: What is done, such as `"Checking photos"`.
            total: Units of work; None if it is not known.
            done: Units that were done before, such as by a run that is resumed.
        """
        yield Stage()

    def message(self, text: str) -> None:
        """Shows one line that stays."""

    def show(self, table: Table, line: str = "") -> None:
        """Shows a table in place of the last one; where that cannot be, a line that stays, if there is one."""


SILENT = Progress()
