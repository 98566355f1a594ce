"""`audit`: looks at all photos of a data source before anything is trained."""

from __future__ import annotations

import dataclasses

import numpy as np

from tl_toolkit.catalog import FEATURES, On, ValueRange, as_value_range
from tl_toolkit.data.cut_off import note_on_cut_off
from tl_toolkit.data.labels import counts_of
from tl_toolkit.data.listing import list_photos
from tl_toolkit.data.near_duplicates import components
from tl_toolkit.data.open import check_takes_range
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.audit_features import FeatureColumns, look_with_features
from tl_toolkit.experiments.audit_pass import pass_over
from tl_toolkit.experiments.audit_result import Audit
from tl_toolkit.experiments.context import Context
from tl_toolkit.files.user_cache import UnavailableError
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.strategies import NewHead
from tl_toolkit.transfer.feature_room import NoRoomError


def audit(
    uri: str,
    *,
    features: bool = True,
    weights: str | None = None,
    context: Context | None = None,
    progress: Progress = SILENT,
    value_range: ValueRange | None = None,
    on: On = FEATURES,
) -> Audit:
    """Looks at every photo once: files, light, sharpness, copies, near-duplicates; and by features, labels and outliers.

    Bad files are named, and the rest looked at. Nothing is changed.

    Args:
        uri: Of the data; see `open_dataset`.
        features: Whether a frozen network looks at the photos too. Where the default weights cannot be had, a note
            says so, and the rest is done.
        weights: Its weights, by name; see `Recipe`. None: the data's default.
        context: Where features are kept.
        progress: Shows the work.
        value_range: By which photos are scaled; see `open_dataset`. Those that it is not for are named as unreadable.
        on: What of the network looks at them: `"features"`, `"logits"` or `"all_blocks"`; see `NewHead`.

    Raises:
        InputError: The data cannot be opened, the weights that are named cannot be had, or `on` is none of these.

    Examples:
        >>> found = tl.audit("folder:photos", features=False)
        >>> sorted(found.findings())
        ['tiny']
    """
    head, value_range = NewHead(on=on), as_value_range(value_range)
    check_takes_range(uri, value_range)
    listing = list_photos(uri, progress)
    columns = pass_over(listing, progress, value_range)
    rows = np.flatnonzero(columns.faults == "")
    notes = list(listing.notes)
    sides = np.sort(np.stack([columns.widths[rows], columns.heights[rows]], 1), 1)
    cut_off = note_on_cut_off(*sides.T)
    if cut_off is not None:
        notes.append(cut_off)
    seen: FeatureColumns | None = None
    if features and not counts_of(listing.labels[rows], len(listing.class_names)).all():
        notes.append(
            "a class or a label has no photo that can be read: nothing is said by features"
        )
    elif features:
        _, groups = np.unique(_with_given(columns.near, listing.groups)[rows], return_inverse=True)
        context = dataclasses.replace(context or Context(), progress=progress)
        try:
            seen = look_with_features(
                uri, listing, rows, groups, head, weights, context, value_range
            )
            if seen.label_issues is None:
                notes.append("most classes have one photo: no label can be doubted")
        except (UnavailableError, NoRoomError) as error:
            if weights is not None and isinstance(error, InputError):
                raise
            notes.append(f"nothing is said by features: {error}")
    return Audit(uri, listing, columns, seen, tuple(notes))


def _with_given(near: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Joins the groups of near-duplicates and those that the source names."""
    given = np.flatnonzero(names != "")
    _, first, number = np.unique(names[given], return_index=True, return_inverse=True)
    count = int(near.max()) + 1
    joined = components(count, near[given], near[given[first]][number])
    return joined[near]
