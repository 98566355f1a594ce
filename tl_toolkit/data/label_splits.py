"""Splits and folds of photos with several labels, in which every label keeps its share.

By iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-label Data",
section 3.2): the label with fewest photos left is dealt first, each of its photos to the part that lacks most of it.
Here groups of photos are dealt as wholes, the largest first, and what is left afterwards of a part without a label is
mended by moving groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tl_toolkit.errors import InputError

ROUNDING = 1e-9  # of a part's share


def split_of_labels(
    labels: np.ndarray,
    fraction: float,
    seed: int | Sequence[int],
    groups: np.ndarray | None = None,
    label_names: Sequence[str] = (),
) -> np.ndarray:
    """Chooses the photos of the smaller side of a split.

    Args:
        labels: uint8[n, labels] of 0 and 1.
        fraction: Of the photos, and of every label's; of a label at least one group, and never the last one.
        seed: The same seed gives the same choice.
        groups: [n]; photos of one group stay together. None: none do.
        label_names: For the error.

    Returns:
        bool[n], True for the chosen ones.

    Raises:
        InputError: A side would be without a label.
    """
    deal = _Deal.of(labels, groups, seed, np.array([1 - fraction, fraction]))
    deal.run()
    missing = deal.mend()
    if missing is not None:
        name = repr(label_names[missing]) if label_names else f"number {missing}"
        raise InputError(
            f"The photos cannot be parted so that every label is on both sides: the label {name} is in too few groups "
            "of photos that stay together. Give more photos, or a column 'split'."
        )
    return deal.part_of[deal.unit_of] == 1


def folds_of_labels(
    labels: np.ndarray, groups: np.ndarray, seed: int, most: int
) -> np.ndarray | None:
    """Deals photos into folds: every label as evenly as can be, every group as a whole.

    Args:
        labels: uint8[n, labels] of 0 and 1.
        groups: [n], equal for photos that stay together.
        seed: Shuffles them.
        most: Folds.

    Returns:
        int64[n], each photo's fold, from 0: of `most`, or as many as the middle one of the labels has groups. None where
        that is under 2.
    """
    units, unit_of = np.unique(groups, return_inverse=True)
    has = np.zeros((len(units), labels.shape[1]), bool)
    np.logical_or.at(has, unit_of, labels.astype(bool))
    used = has.sum(axis=0)
    used = used[used > 0]
    folds = min(most, len(units), int(np.median(used))) if len(used) else 0
    if folds < 2:
        return None
    deal = _Deal.of(labels, groups, seed, np.full(folds, 1 / folds))
    deal.run()
    deal.mend()  # a label with fewer groups than folds is not in all of them
    return deal.part_of[deal.unit_of]


class _Deal:
    """Groups of photos that are dealt into parts.

    Args:
        counts: int64[units, labels], photos of each group with each label.
        sizes: int64[units], photos of each group.
        unit_of: int64[n], the group of each photo.
        shares: float64[parts], of all photos, that the parts should have.
        seed: Decides between what is alike.
    """

    def __init__(
        self,
        counts: np.ndarray,
        sizes: np.ndarray,
        unit_of: np.ndarray,
        shares: np.ndarray,
        seed: int | Sequence[int],
    ) -> None:
        self.counts, self.sizes, self.unit_of = counts, sizes, unit_of
        self.part_of = np.full(len(sizes), -1, np.int64)
        self._random = np.random.default_rng([*np.atleast_1d(seed), counts.shape[1]])
        totals = counts.sum(axis=0)
        wanted = np.outer(shares, totals)
        # A part that is small still gets one photo of each label where there are enough.
        enough = totals >= len(shares)
        wanted[:, enough] = np.maximum(wanted[:, enough], 1)
        wanted *= totals / np.maximum(wanted.sum(axis=0), 1e-300)
        self._wanted, self._wanted_sizes = wanted, shares * sizes.sum()

    @classmethod
    def of(
        cls,
        labels: np.ndarray,
        groups: np.ndarray | None,
        seed: int | Sequence[int],
        shares: np.ndarray,
    ) -> _Deal:
        groups = np.arange(len(labels)) if groups is None else groups
        units, unit_of = np.unique(groups, return_inverse=True)
        counts = np.zeros((len(units), labels.shape[1]), np.int64)
        np.add.at(counts, unit_of, labels.astype(np.int64))
        return cls(counts, np.bincount(unit_of, minlength=len(units)), unit_of, shares, seed)

    def run(self) -> None:
        """Deals all groups."""
        order = self._random.permutation(len(self.sizes))
        order = order[np.argsort(-self.sizes[order], kind="stable")]
        lacks, lacks_sizes = self._wanted.copy(), self._wanted_sizes.copy()
        left = self.counts.sum(axis=0)
        while (left > 0).any():
            label = int(np.where(left > 0, left, left.max() + 1).argmin())
            for unit in order[self.counts[order, label] > 0]:
                if self.part_of[unit] < 0:
                    self._give(unit, lacks, lacks_sizes, lacks[:, label])
                    left -= self.counts[unit]
        for unit in order[self.part_of[order] < 0]:  # without any label
            self._give(unit, lacks, lacks_sizes, lacks_sizes)

    def _give(self, unit: int, lacks: np.ndarray, lacks_sizes: np.ndarray, by: np.ndarray) -> None:
        alike = np.flatnonzero(by >= by.max() - ROUNDING)
        alike = alike[lacks_sizes[alike] >= lacks_sizes[alike].max() - ROUNDING]
        part = int(alike[0] if len(alike) == 1 else self._random.choice(alike))
        self.part_of[unit] = part
        lacks[part] -= self.counts[unit]
        lacks_sizes[part] -= self.sizes[unit]

    def mend(self) -> int | None:
        """Gives parts that lack a label a group of another part that can spare it.

        Returns:
            A label that is still missing in a part; None: there is none.
        """
        parts = len(self._wanted)
        missing = None
        for label in np.argsort(self.counts.sum(axis=0), kind="stable"):
            for part in range(parts):
                held = self._held()
                if held[part, label] == 0 and not self._bring(int(label), part, held):
                    missing = int(label) if missing is None else missing
        return missing

    def _held(self) -> np.ndarray:
        """int64[parts, labels], how many photos with each label are in each part."""
        held = np.zeros(self._wanted.shape, np.int64)
        np.add.at(held, self.part_of, self.counts)
        return held

    def _bring(self, label: int, part: int, held: np.ndarray) -> bool:
        """Moves a group with the label to the part, the one that does least harm; False where none can be spared."""
        best, least = -1, np.inf
        for unit in np.flatnonzero(self.counts[:, label] > 0):
            origin, counts = self.part_of[unit], self.counts[unit]
            rest = held[origin] - counts
            if ((counts > 0) & (rest == 0)).any():
                continue
            moved = held.astype(np.float64)
            moved[origin], moved[part] = rest, held[part] + counts
            miss = float((np.square(moved - self._wanted) / np.maximum(self._wanted, 1)).sum())
            if miss < least:
                best, least = int(unit), miss
        if best < 0:
            return False
        self.part_of[best] = part
        return True


def check_label_sizes(
    labels: np.ndarray,
    label_names: Sequence[str],
    sides: Sequence[str],
    groups: np.ndarray | None = None,
) -> None:
    """Raises `InputError` where too few distinct photos have a label, or too few have it not, for one on each side."""
    groups = np.arange(len(labels)) if groups is None else groups
    for number, name in enumerate(label_names):
        has = labels[:, number] > 0
        for some, what in ((has, "with"), (~has, "without")):
            distinct = len(np.unique(groups[some]))
            if distinct < len(sides):
                raise InputError(
                    f"{distinct} distinct {'photo is' if distinct == 1 else 'photos are'} {what} the label {name!r}; it "
                    f"needs {len(sides)}, one each to {', '.join(sides)}. Add photos, or remove the label."
                    + (" validation_fraction=0 needs one less." if "validate" in sides else "")
                )
