"""What a run reports, drawn in the terminal."""

from __future__ import annotations

import contextlib
import importlib
import pathlib
import threading
import time
from collections.abc import Iterable, Iterator

import rich.progress
import rich.table
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.text import Text

from tl_toolkit.cli.quiet import quiet_tensorflow
from tl_toolkit.progress import Progress, Stage, Table

SECONDS_BETWEEN_LINES = 30.0
SECONDS_WORTH_A_LINE = 1.0  # of a stage whose progress is not counted
SHORT_NAME = 16  # letters of a row's name that are kept on one line


@contextlib.contextmanager
def terminal(
    verbose: bool = False, beside_json: bool = False, with_tensorflow: bool = True
) -> Iterator[TerminalProgress]:
    """Shows progress in the terminal, and keeps TensorFlow's own messages out of it.

    It imports TensorFlow, unless told otherwise: only messages of a TensorFlow that was not imported before are
    kept out from the first one on. `import tl_toolkit` does not import it.

    Args:
        verbose: Leave TensorFlow's messages in the terminal.
        beside_json: Show progress on standard error: standard output is for a program.
        with_tensorflow: Whether TensorFlow is imported, for work that begins with it.

    Raises:
        InputError: Keras' backend is not TensorFlow.

    Yields:
        For the argument `progress` of `tl.run` and `tl.search`.

    Examples:
        >>> with tl.terminal() as progress:
        ...     progress.message("for the argument progress of tl.run and the others")
        for the argument progress of tl.run and the others
    """
    with contextlib.nullcontext(None) if verbose else quiet_tensorflow() as log:
        progress = TerminalProgress(Console(stderr=beside_json), log)
        # No work of the user's: a file that takes the output gets no line of it.
        is_shown = progress.console.is_terminal
        if with_tensorflow:
            with progress.stage("Loading TensorFlow") if is_shown else contextlib.nullcontext():
                # Refuses another Keras backend, in this toolkit's words, before Keras is imported.
                importlib.import_module("tl_toolkit.models")
        yield progress


class TerminalProgress(Progress):
    """Bars with the time left; if the console is not a terminal, a line every half a minute, and one with the seconds
    when what cannot be counted is done.

    Args:
        console: Where to.
        log_file: Where TensorFlow's messages go.
    """

    def __init__(self, console: Console, log_file: pathlib.Path | None = None) -> None:
        self.console = console
        self.log_file = log_file
        self._lock = threading.RLock()
        self._bars = _Bars(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            _Count(),
            _TimeLeft(),
            rich.progress.TextColumn("{task.fields[figures]}"),
            console=console,
            transient=True,
        )
        self._open_stages = 0

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None = None, done: int = 0) -> Iterator[Stage]:
        if not self.console.is_terminal:
            with self._line_at_the_end(title if total is None else None):
                yield _Lines(self.console, title, total, done)
            return
        with self._lock:
            if self._open_stages == 0:
                self._bars.start()
            self._open_stages += 1
            task = self._bars.add_task(escape(title), total=total, completed=done, figures="")
        try:
            yield _Bar(self._bars, task)
        finally:
            with self._lock:
                self._bars.remove_task(task)
                self._open_stages -= 1
                if self._open_stages == 0:
                    self._bars.stop()

    @contextlib.contextmanager
    def _line_at_the_end(self, title: str | None) -> Iterator[None]:
        """Prints a line with the seconds, for a stage within no other that has a title and took its time."""
        with self._lock:
            self._open_stages += 1
            is_outermost = self._open_stages == 1
        begin = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._open_stages -= 1
        seconds = time.monotonic() - begin
        if title is not None and is_outermost and seconds >= SECONDS_WORTH_A_LINE:
            self.message(f"{title}: {seconds:.1f} s")

    def message(self, text: str) -> None:
        self.console.print(escape(text), soft_wrap=True)

    def show(self, table: Table, line: str = "") -> None:
        if not self.console.is_terminal:
            if line:
                self.message(line)
            return
        self._bars.above = drawn(table)


class _Bars(rich.progress.Progress):
    above: RenderableType | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.above is not None:
            yield self.above
        yield from super().get_renderables()


class _Count(rich.progress.MofNCompleteColumn):
    def render(self, task: rich.progress.Task) -> Text:
        return super().render(task) if task.total is not None else Text()


class _TimeLeft(rich.progress.TimeRemainingColumn):
    def render(self, task: rich.progress.Task) -> Text:
        return super().render(task) if task.total is not None else Text()


class _Bar(Stage):
    def __init__(self, bars: rich.progress.Progress, task: rich.progress.TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, count: int = 1) -> None:
        self._bars.advance(self._task, count)

    def describe(self, text: str) -> None:
        self._bars.update(self._task, figures=escape(text), refresh=True)


class _Lines(Stage):
    def __init__(self, console: Console, title: str, total: int | None, done: int) -> None:
        self._console = console
        self._title = title
        self._total = total
        self._done = done
        self._text = ""
        self._last_line = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self._done += count
        self._print_if_due()

    def describe(self, text: str) -> None:
        self._text = text
        self._print_if_due()

    def _print_if_due(self) -> None:
        if time.monotonic() - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = time.monotonic()
        of_total = f" of {self._total}" if self._total is not None else ""
        line = f"{self._title}: {self._done}{of_total} {self._text}".rstrip()
        self._console.print(escape(line), soft_wrap=True)


def drawn(table: Table) -> RenderableType:
    """Returns a table as rich draws it: numbers to the right, text to the left."""
    columns = rich.table.Table()
    for number, (heading, *cells) in enumerate(zip(table.columns, *table.rows, strict=True)):
        is_numeric = all(cell[:1].isdigit() or cell in ("–", "") for cell in cells)
        columns.add_column(
            escape(heading),
            justify="right" if is_numeric else "left",
            overflow="fold",  # in a narrow terminal nothing is cut off
            no_wrap=number == 0 and max(map(len, cells), default=0) <= SHORT_NAME,
        )
    for row in table.rows:
        columns.add_row(*map(escape, row))
    return Group(columns, Text(table.caption)) if table.caption else columns
