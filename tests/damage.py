"""Damage as broken disks, kills and full disks do it: a file is cut, emptied, or one of its bytes is another."""

import contextlib
import random

import hypothesis
from hypothesis import strategies as st

KINDS = ("cut", "emptied", "changed")
MANY = hypothesis.settings(suppress_health_check=list(hypothesis.HealthCheck))
# Where an example damages every file in every way, few of them are many.
FEW = hypothesis.settings(MANY, max_examples=MANY.max_examples // 10)
randoms = st.randoms(use_true_random=True)  # the first example too is somewhere in the file


def damaged(contents, kind, where):
    """The contents with damage of a kind; a `random.Random` says where."""
    if kind == "emptied" or not contents:
        return b""
    at = where.randrange(len(contents))
    if kind == "cut":
        return contents[:at]
    return contents[:at] + bytes([contents[at] ^ where.randint(1, 255)]) + contents[at + 1 :]


@contextlib.contextmanager
def damage(path, kind, where=None):
    """Within it the file is damaged; tells whether that made a difference."""
    contents = path.read_bytes()
    path.write_bytes(damaged(contents, kind, where or random.Random(1)))
    try:
        yield path.read_bytes() != contents
    finally:
        path.write_bytes(contents)


def files_of(folder):
    """The POSIX names of all files in a folder, relative to it."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
