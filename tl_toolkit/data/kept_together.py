"""Which files must stay on one side of every split that is made, and in one fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.near_duplicates import components


def group_keys(
    digests: Sequence[str], near: Sequence[tuple[str, str]], names: Sequence[str] = ()
) -> np.ndarray:
    """Joins copies, near-duplicates and given groups.

    Args:
        digests: Of the files.
        near: Pairs of digests.
        names: Each file's group, "" for none; empty: there are none.

    Returns:
        str[files], the first digest of all that belong together: a file that belongs to no other keeps its own.
    """
    unique, number = np.unique(np.asarray(digests, str), return_inverse=True)
    place = {digest: k for k, digest in enumerate(unique.tolist())}
    first = [place[a] for a, _ in near]
    second = [place[b] for _, b in near]
    of_name: dict[str, int] = {}
    for k, name in zip(number.tolist(), names, strict=False):
        if name:
            first.append(of_name.setdefault(name, k))
            second.append(k)
    joined = components(len(unique), np.array(first, np.int64), np.array(second, np.int64))
    _, leader = np.unique(joined, return_index=True)
    return unique[leader[joined]][number]


def kept_together(split: Split) -> np.ndarray:
    """Returns str[n], equal for images that must be in one fold: by what the source says, else copies."""
    return content_digests(split) if split.groups is None else split.groups
