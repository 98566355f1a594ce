"""`tl-toolkit compare`."""

from __future__ import annotations

import pathlib
from typing import Any

from tl_toolkit.cli.cache_limit import feature_cache
from tl_toolkit.cli.tables import print_comparison
from tl_toolkit.cli.terminal import terminal
from tl_toolkit.recipe import DIGITS

# Handwritten digits are many and easy: five labels a class show what transfer is for.
FEW_SHOT = {"labels_per_class": 5, "test_fraction": 0.5}


def compare(
    data: str = DIGITS,
    weights: str | None = None,
    backbone: str | None = None,
    image_size: int | None = None,
    labels_per_class: int | None = None,
    test_fraction: float | None = None,
    validation_fraction: float | None = None,
    epochs: int | None = None,
    cache_limit: float | None = None,
    seeds: int = 3,
    output: pathlib.Path = pathlib.Path("saved_models/comparison"),
    overwrite: bool = False,
    verbose: bool = False,
) -> None:
    """Compares the three transfer strategies and training from scratch on the same images.

    Args:
        data: As for train.
        weights: What the three strategies start from; from scratch has the same network. By default what suits
            the data: digits for digits, imagenet for everything else.
        backbone: Such as resnet50, for --weights imagenet.
        image_size: Side of the square image in pixels; the weights' own without it.
        labels_per_class: Images of each class to learn from; all without it, but 5 for the digits.
        test_fraction: Share of the images to test on, where the source has no test split; 0.2 without it, 0.5
            for the digits.
        validation_fraction: Share of the rest to validate on; as for train without it.
        epochs: Of every strategy; by strategy and data size without it.
        cache_limit: As for train.
        seeds: Runs of each strategy; with labels_per_class each draws its own images to learn from.
        output: Folder for the table, the plot and the best SavedModel.
        overwrite: Replace a finished comparison there.
        verbose: Show TensorFlow's own messages.
    """
    fields: dict[str, Any] = {
        "backbone": backbone,
        "image_size": image_size,
        "labels_per_class": labels_per_class,
        "test_fraction": test_fraction,
        "validation_fraction": validation_fraction,
        "epochs": epochs,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if data == DIGITS:
        given = {**FEW_SHOT, **given}
    with terminal(verbose) as progress:
        from tl_toolkit.experiments.compare import compare as compare_recipes
        from tl_toolkit.experiments.compare import comparison_recipes
        from tl_toolkit.experiments.context import Context

        comparison = compare_recipes(
            comparison_recipes(data, weights, **given),
            seeds=seeds,
            output=output,
            overwrite=overwrite,
            context=Context(feature_cache=feature_cache(cache_limit), progress=progress),
        )
        if comparison is not None:
            print_comparison(comparison, progress)
