"""Which files must stay on one side of every split that is made, and in one fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.near_duplicates import components


def group_keys(
    digests: np.ndarray, near: Sequence[tuple[Any, Any]], names: Sequence[str] = ()
) -> np.ndarray:
    """Joins copies, near-duplicates and given groups.

    Args:
        digests: Of the files; texts or numbers.
        near: Pairs of digests.
        names: Each file's group, "" for none; empty: there are none.

    Returns:
        Of each file, the first digest of all that belong together: a file that belongs to no other keeps its own.
    """
    unique, number = np.unique(digests, return_inverse=True)
    pairs = np.searchsorted(unique, np.array(near, unique.dtype).reshape(-1, 2))
    first, second = pairs[:, 0].tolist(), pairs[:, 1].tolist()
    of_name: dict[str, int] = {}
    for position, name in enumerate(names):
        if name:
            k = int(number[position])
            first.append(of_name.setdefault(name, k))
            second.append(k)
    joined = components(len(unique), np.array(first, np.int64), np.array(second, np.int64))
    _, leader = np.unique(joined, return_index=True)
    return unique[leader[joined]][number]


def kept_together(split: Split) -> np.ndarray:
    """Returns str[n] or uint64[n], equal for images that must be in one fold: by what the source says, else copies."""
    return content_digests(split) if split.groups is None else split.groups
