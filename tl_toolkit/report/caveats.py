"""What speaks against a run's test figures."""

from __future__ import annotations

from typing import Any


def caveats(test: dict[str, Any], seen_test_images: int) -> list[str]:
    """Returns a line for each reason to doubt.

    Args:
        test: `classification_metrics` on the test images.
        seen_test_images: How many of them the starting weights had learned from.
    """
    lines = []
    if seen_test_images:
        lines.append(
            f"{seen_test_images} of {test['examples']} test images were learned from, or selected by, in "
            "the run that the weights come from: the test figures flatter"
        )
    most_frequent = max(c["support"] for c in test["classes"].values()) / test["examples"]
    if test["top1_interval"][0] <= most_frequent:
        lines.append(
            "the test accuracy is not clearly better than always answering the most frequent class "
            f"({most_frequent:.3f})"
        )
    return lines
