"""Two finished runs on the same test images: whether they differ beyond chance."""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from tl_toolkit.data.file_names import user_path
from tl_toolkit.errors import InputError
from tl_toolkit.report.answers import read_answers
from tl_toolkit.report.paired_test import PairedTest, mcnemar_test


def paired_test(run_a: str | pathlib.Path, run_b: str | pathlib.Path) -> PairedTest:
    """Compares the answers of two finished runs to the same test images, with McNemar's exact test.

    Images are recognised by their contents, under any name and in any order.

    Args:
        run_a: A finished run's folder, A.
        run_b: Another one's, B.

    Raises:
        InputError: A folder is no finished run or its answers are damaged, or the two were not tested on the same
            images of the same classes.

    Examples:
        >>> test = tl.paired_test("my_run", "my_second_run")  # a copy of the first
        >>> test.images, test.only_a, test.only_b
        (12, 0, 0)
    """
    a, b = (read_answers(user_path(os.fspath(folder))) for folder in (run_a, run_b))
    keys_a, keys_b = keys_of(a.digests), keys_of(b.digests)
    shared = len({*keys_a} & {*keys_b})
    if shared < max(len(keys_a), len(keys_b)):
        raise InputError(
            f"The two runs were not tested on the same images: {str(run_a)!r} on {len(keys_a)}, {str(run_b)!r} on "
            f"{len(keys_b)}, and they share {shared}. Train both with the same data, test_fraction and split_seed."
        )
    place_in_b = {key: place for place, key in enumerate(keys_b)}
    order = np.array([place_in_b[key] for key in keys_a])
    different = [
        image
        for image, ours, theirs in zip(
            a.images, a.classes, (b.classes[i] for i in order), strict=True
        )
        if ours != theirs
    ]
    if different:
        raise InputError(
            f"The two runs have different classes for {len(different)} of {len(keys_a)} test images, such as "
            f"{different[0]!r}: train both with the same labels."
        )
    return mcnemar_test(a.is_right, b.is_right[order])


def keys_of(digests: Sequence[str]) -> list[tuple[str, int]]:
    """Returns what each image is recognised by: its digest, and which of the copies it is."""
    copies: collections.Counter[str] = collections.Counter()
    keys = []
    for digest in digests:
        keys.append((digest, copies[digest]))
        copies[digest] += 1
    return keys
