"""Checks an exported SavedModel in this process, in place of a fresh one, which takes seconds to start."""

import contextlib

from tl_toolkit.export import reload_check


class ThisProcess:
    """Does as `FreshProcess` does."""

    def ask(self, *paths):
        self._paths = map(str, paths)

    def wait(self):
        reload_check.answer(*self._paths)


@contextlib.contextmanager
def this_process():
    """Does as `fresh_process` does."""
    yield ThisProcess()
