"""Names of files and folders that systems and tools leave among photos."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterable

from tl_toolkit.data.file_names import printable

# In lower case. Names that begin with a dot (.DS_Store, ._*, .ipynb_checkpoints) are left out here.
FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}
FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon\r"}
SUFFIXES = (
    ".txt",
    ".csv",
    ".json",
    ".aae",
    ".xmp",
)  # lists of labels, and cameras' notes on a photo
NAMES_SHOWN = 5


def is_left_behind_folder(name: str) -> bool:
    """Whether a folder of this name is neither a class nor holds photos of one."""
    return name.startswith(".") or name.lower() in FOLDERS


def is_made_by_system(name: str) -> bool:
    """Whether an operating system makes a file of this name by itself in any folder that is looked at."""
    return name.startswith("._") or name.lower() in {".ds_store", *FILES}


def is_left_behind_file(name: str) -> bool:
    """Whether a file of this name is not meant to be a photo."""
    return name.startswith(".") or name.lower() in FILES or name.lower().endswith(SUFFIXES)


def left_behind_note(ignored: Iterable[pathlib.Path]) -> list[str]:
    """Returns one note that counts the files and folders and shows the commonest names; none for none."""
    counts = collections.Counter(printable(path.name) for path in ignored)
    if not counts:
        return []
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    shown = [f"{n} ({counts[n]})" if counts[n] > 1 else n for n in ranked[:NAMES_SHOWN]]
    others = len(ranked) - len(shown)
    more = f" and {others} other name{'s' if others > 1 else ''}" if others else ""
    entries = (
        "files and folders that are not photos"
        if counts.total() > 1
        else "file or folder that is not a photo"
    )
    return [f"ignored {counts.total()} {entries}: {', '.join(shown)}{more}"]
