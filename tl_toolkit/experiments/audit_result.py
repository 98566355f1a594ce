"""What an audit found: columns of all photos, and lists to act on."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from typing import Any

import numpy as np

from tl_toolkit.catalog.names import NO_LABEL
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.labels import are_several, counts_of, names_of, numbers_of
from tl_toolkit.data.listing import Listing
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.audit_features import FeatureColumns
from tl_toolkit.experiments.audit_pass import PassColumns
from tl_toolkit.experiments.label_issues import LabelIssues
from tl_toolkit.files.checked_json import read_checked_json, write_checked_json

KIND = "audit"
COPY, NEAR = "copy", "near-duplicate"
CONTRADICTION = "copies with other labels"
DOUBTED, OUTLIER, ALONE = "doubtful label", "outlier", "stands alone"
# From the outset lists of these are not what a user wants to read whole.
Finding = tuple[str, str, float | None]


@dataclasses.dataclass(frozen=True)
class Audit:
    """The photos of a data source, as they are.

    Attributes:
        uri: Of the data.
        listing: Names, labels and splits of all photos, readable or not.
        columns: What the pass over them found.
        features: What a frozen network made of those that can be read; None where none was asked or could be had.
        notes: What the user should know.

    Examples:
        >>> found = tl.audit("folder:photos", features=False)
        >>> int(found.is_sound.sum())
        60
        >>> path, reason, figure = found.findings()["tiny"][0]
        >>> found.save("audit.json")
    """

    uri: str
    listing: Listing
    columns: PassColumns
    features: FeatureColumns | None
    notes: tuple[str, ...]

    @property
    def has_several_labels(self) -> bool:
        """Whether a photo may have several labels, or none."""
        return are_several(self.listing.labels)

    @property
    def is_sound(self) -> np.ndarray:
        """bool[n], whether a photo can be trained on."""
        return self.columns.faults == ""

    def groups(self, kind: str) -> list[np.ndarray]:
        """Returns the numbers of the photos of each group of more than one.

        Args:
            kind: `"copy"`, or `"near-duplicate"` for groups in which not all are copies.
        """
        of = self.columns.copies if kind == COPY else self.columns.near
        order = np.argsort(of, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(of[order])) + 1)
        found = [part for part in parts if len(part) > 1]
        if kind == NEAR:
            found = [part for part in found if len(set(self.columns.copies[part])) > 1]
        return sorted(found, key=lambda part: int(part[0]))

    def contradictions(self) -> list[np.ndarray]:
        """Returns the groups of copies and near-duplicates that have more than one label."""
        groups = [*self.groups(NEAR), *self.groups(COPY)]
        labels = numbers_of(self.listing.labels)
        mixed = [group for group in groups if len(set(labels[group])) > 1]
        in_larger = {int(k) for group in self.groups(NEAR) for k in group}
        return [
            group
            for group in mixed
            if len(set(self.columns.copies[group])) > 1 or int(group[0]) not in in_larger
        ]

    def across_splits(self) -> list[np.ndarray]:
        """Returns the groups of copies and near-duplicates that stand in more than one split of the source's own."""
        order = np.argsort(self.columns.near, kind="stable")
        ends = np.flatnonzero(np.diff(self.columns.near[order])) + 1
        return [part for part in np.split(order, ends) if len(set(self.listing.splits[part])) > 1]

    def findings(self) -> dict[str, list[Finding]]:
        """Returns by kind what was found, each (path, reason, figure), the worst first where there is a figure."""
        found: dict[str, list[Finding]] = {}
        for k in np.flatnonzero(~self.is_sound):
            kind = str(self.columns.faults[k])
            found.setdefault(kind, []).append((self.name(k), str(self.columns.reasons[k]), None))
        for kind, figures in self.columns.figures.items():
            rows = np.flatnonzero(~np.isnan(figures))
            if len(rows):
                worst = rows[np.argsort(figures[rows], kind="stable")]
                found[kind] = [(self.name(k), kind, round(float(figures[k]), 4)) for k in worst]
        for kind in (COPY, NEAR):
            if groups := self.groups(kind):
                found[kind] = [
                    (self.name(k), f"of {self.name(group[0])}", None)
                    for group in groups
                    for k in group[1:]
                ]
        if mixed := self.contradictions():
            found[CONTRADICTION] = [
                (self.name(k), f"{self.label(k)}; of {self.name(group[0])}", None)
                for group in mixed
                for k in group
            ]
        return found | self._of_features()

    def _of_features(self) -> dict[str, list[Finding]]:
        features = self.features
        if features is None:
            return {}
        found: dict[str, list[Finding]] = {}
        issues = features.label_issues
        if issues is not None and issues.count:
            found[DOUBTED] = [
                (
                    self.name(features.rows[issues.photo[k]]),
                    self._doubt(issues, k),
                    round(float(issues.margin[k]), 4),
                )
                for k in issues.doubted
            ]
        for kind, chosen in (
            (OUTLIER, features.is_outlier),
            (ALONE, features.stands_alone),
        ):
            rows = np.flatnonzero(chosen)
            rows = rows[np.argsort(-features.distance[rows], kind="stable")]
            if len(rows):
                found[kind] = [
                    (self.name(features.rows[k]), kind, round(float(features.distance[k]), 4))
                    for k in rows
                ]
        return found

    def _doubt(self, issues: LabelIssues, k: int) -> str:
        names = self.listing.class_names
        if not self.has_several_labels:
            return f"{names[issues.label[k]]}, rather {names[issues.suggested[k]]}"
        name = names[issues.label[k]]
        return f"not {name}, rather {name}" if issues.suggested[k] else f"{name}, rather not"

    def name(self, number: int | np.integer) -> str:
        """A photo's path as text."""
        return printable(str(self.listing.names[number]))

    def label(self, number: int | np.integer) -> str:
        """A photo's class, or its labels."""
        return ", ".join(self.labels_of(number)) or NO_LABEL

    def labels_of(self, number: int | np.integer) -> tuple[str, ...]:
        """The names of a photo's labels, or of its class."""
        return names_of(self.listing.labels[number], self.listing.class_names)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values: counts, class balance, sizes, and every finding."""
        listing, columns = self.listing, self.columns
        balance: dict[str, dict[str, int]] = {}
        for split in sorted(set(listing.splits.tolist())):
            counts = counts_of(listing.labels[listing.splits == split], len(listing.class_names))
            balance[split] = {
                name: count
                for name, count in zip(listing.class_names, counts.tolist(), strict=True)
                if count
            }
        known = columns.widths > 0
        sizes = {}
        for name, values in (("width", columns.widths), ("height", columns.heights)):
            if known.any():
                low, middle, high = np.quantile(values[known], [0, 0.5, 1])
                sizes[name] = {"least": int(low), "median": int(middle), "most": int(high)}
        return {
            "kind": KIND,
            "data": self.uri,
            "photos": len(listing),
            "readable": int(self.is_sound.sum()),
            "bytes": int(columns.sizes.sum()),
            "formats": dict(sorted(collections.Counter(columns.formats.tolist()).items())),
            "sizes": sizes,
            "classes": balance,
            "weights": self.features.weights if self.features is not None else None,
            "on": self.features.on if self.features is not None else None,
            "findings": {
                kind: [
                    {"path": path, "reason": reason, "figure": figure}
                    for path, reason, figure in some
                ]
                for kind, some in self.findings().items()
            },
            "across splits": [[self.name(k) for k in group] for group in self.across_splits()],
            "notes": list(self.notes),
        }

    def save(self, path: str | pathlib.Path, overwrite: bool = False) -> None:
        """Writes `to_json` and a checksum.

        Raises:
            InputError: There is a file, and it is no audit, or `overwrite` is false; or it cannot be written.
        """
        target = pathlib.Path(path)
        if target.exists() or target.is_symlink():
            check_is_audit(target, overwrite)
        try:
            write_checked_json(target, self.to_json())
        except OSError as error:
            raise InputError(f"Cannot write {str(path)!r}: {error.strerror}.") from error


def check_is_audit(path: pathlib.Path, overwrite: bool) -> None:
    """Raises `InputError` unless the file is an audit's, unchanged, and may be replaced."""
    try:
        is_ours = read_checked_json(path).get("kind") == KIND
    except (OSError, ValueError):
        is_ours = False
    if not is_ours:
        raise InputError(f"{str(path)!r} is there and is no audit of this toolkit: name another.")
    if not overwrite:
        raise InputError(f"{str(path)!r} is there: name another, or replace it with overwrite.")
