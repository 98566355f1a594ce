"""Which photos a page shows of a classifier that gives any number of labels: missed ones, and falsely given ones."""

from __future__ import annotations

import dataclasses

import numpy as np

from tl_toolkit.report.label_answers import LabelTable
from tl_toolkit.report.page.photo_choice import in_turn

OF_LABEL = 6  # of each kind
MOST = 360  # of all labels together


@dataclasses.dataclass(frozen=True)
class OfLabel:
    """Photos of one label, as positions in the table of answers.

    Attributes:
        missed: They have it and are not given it, those first whose probability is least.
        false: They are given it and do not have it, the surest first.
    """

    missed: tuple[int, ...]
    false: tuple[int, ...]


def choose_label_photos(table: LabelTable) -> tuple[OfLabel, ...]:
    """Returns a value a label; the same table gives the same photos."""
    labels = len(table.label_names)
    most = max(1, min(OF_LABEL, MOST // (2 * labels)))
    chosen = []
    for label in range(labels):
        has, is_given = table.has[:, label], table.is_given[:, label]
        order = np.argsort(table.probabilities[:, label], kind="stable")
        missed = [int(p) for p in order if has[p] and not is_given[p]]
        false = [int(p) for p in order[::-1] if is_given[p] and not has[p]]
        chosen.append(OfLabel(tuple(missed[:most]), tuple(false[:most])))
    return tuple(chosen)


def by_importance(chosen: tuple[OfLabel, ...]) -> list[int]:
    """Returns all of them, once: in turn of every label and kind."""
    kinds = [kind for of_label in chosen for kind in (of_label.missed, of_label.false)]
    return list(dict.fromkeys(in_turn(kinds)))
