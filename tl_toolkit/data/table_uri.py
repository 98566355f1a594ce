"""What stands behind `csv:`: a table's path, and options such as the columns to read."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import urllib.parse

from tl_toolkit.data.file_names import path_in_text, user_path
from tl_toolkit.data.uri_options import parse_options
from tl_toolkit.errors import InputError

FILE, LABEL, SPLIT, WEIGHT, GROUP = "file", "label", "split", "weight", "group"
ROLES = (FILE, LABEL, SPLIT, WEIGHT, GROUP)  # of columns
SUFFIX, ROOT, DELIMITER, ENCODING, SHEET = "suffix", "root", "delimiter", "encoding", "sheet"
OPTIONS = (*ROLES, SUFFIX, ROOT, DELIMITER, ENCODING, SHEET)


@dataclasses.dataclass(frozen=True)
class TableUri:
    """A table as a user names it.

    Attributes:
        path: Of the table.
        options: By name, those of `OPTIONS` that are given.
    """

    path: pathlib.Path
    options: dict[str, str]

    @property
    def root(self) -> pathlib.Path:
        """The folder that the files' names start from: the table's own, where `root` names no other."""
        given = self.options.get(ROOT)
        return self.path.parent / user_path(path_in_text(given)) if given else self.path.parent

    def without_folders(self) -> str:
        """Returns the URI's part behind the colon without what tells where on a disk the table and the photos lie."""
        shown = dict(self.options)
        if ROOT in shown:
            shown[ROOT] = pathlib.PurePath(shown[ROOT]).name
        quoted = [f"{name}={urllib.parse.quote(value)}" for name, value in shown.items()]
        return "?".join([self.path.name, *(["&".join(quoted)] if quoted else [])])


def parse_table_uri(argument: str) -> TableUri:
    """Parts `PATH?NAME=VALUE&NAME=VALUE`.

    Values are percent-decoded, so that `%26` is `&` and `%3B` is `;`; the path is taken as it is. A path that holds a
    question mark is one where there is such a file.

    Args:
        argument: What follows `csv:`.

    Raises:
        InputError: An option is unknown, given twice, or empty.
    """
    path, query = _parted(argument)
    hint = f"Options stand behind the path: {path}?file=COLUMN&label=COLUMN"
    options = parse_options(query, OPTIONS, argument, "option of a table", hint)
    if SUFFIX in options and "." not in options[SUFFIX]:
        raise InputError(f"suffix={options[SUFFIX]} should be an ending such as suffix=.jpg.")
    return TableUri(user_path(path), options)


def _parted(argument: str) -> tuple[str, str]:
    """Returns path and options: the longest path that is a file, else what stands before the first question mark."""
    ends = [len(argument), *(k for k in range(len(argument) - 1, 0, -1) if argument[k] == "?")]
    is_file = (end for end in ends if os.path.isfile(user_path(argument[:end])))
    first = argument.find("?", 1)
    end = next(is_file, first if first > 0 else len(argument))
    return argument[:end], argument[end + 1 :]
