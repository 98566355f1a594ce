"""What speaks against a run's test figures."""

from __future__ import annotations

from typing import Any

from tl_toolkit.report.label_metrics import are_of_labels
from tl_toolkit.report.label_words import names_in_words, rarest

FEWEST_PHOTOS = 10  # of a label, in the test images


def caveats(test: dict[str, Any], seen_test_images: int) -> list[str]:
    """Returns a line for each reason to doubt.

    Args:
        test: `classification_metrics` on the test images, or `label_metrics`.
        seen_test_images: How many of them the starting weights had learned from.
    """
    lines = []
    if seen_test_images:
        lines.append(
            f"{seen_test_images} of {test['examples']} test images were learned from, or selected by, in "
            "the run that the weights come from: the test figures flatter"
        )
    if are_of_labels(test):
        if rare := rarest(test, FEWEST_PHOTOS):
            lines.append(
                f"fewer than {FEWEST_PHOTOS} test images have {names_in_words(rare)}: their figures say little"
            )
        return lines
    most_frequent = max(c["support"] for c in test["classes"].values()) / test["examples"]
    if test["top1_interval"][0] <= most_frequent:
        lines.append(
            "the test accuracy is not clearly better than always answering the most frequent class "
            f"({most_frequent:.3f})"
        )
    return lines
