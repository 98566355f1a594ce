"""Checks an exported SavedModel in this process, in place of `FreshProcess`, which takes seconds to start."""

from tl_toolkit.export import reload_check


class ThisProcess:
    """Does as `FreshProcess` does."""

    def ask(self, *paths):
        self._paths = map(str, paths)

    def wait(self):
        reload_check.answer(*self._paths)

    def close(self):
        pass
