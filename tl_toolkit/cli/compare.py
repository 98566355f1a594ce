"""`tl-toolkit compare`."""

from __future__ import annotations

import pathlib
from typing import Any

from tl_toolkit.cli.cache_limit import feature_cache
from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.open_page import open_page
from tl_toolkit.cli.tables import print_comparison
from tl_toolkit.cli.terminal import terminal
from tl_toolkit.recipe import DIGITS

# Handwritten digits are many and easy: only with few labels does transfer make a difference.
FEW_SHOT = {"labels_per_class": 5, "test_fraction": 0.5}


def compare(
    data: str = DIGITS,
    weights: Maybe[str] = None,
    backbone: Maybe[str] = None,
    image_size: Maybe[int] = None,
    labels_per_class: Maybe[int] = None,
    test_fraction: Maybe[float] = None,
    validation_fraction: Maybe[float] = None,
    value_range: Maybe[tuple[float, float]] = None,
    epochs: Maybe[int] = None,
    cache_limit: Maybe[float] = None,
    seeds: int = 3,
    output: pathlib.Path = pathlib.Path("saved_models/comparison"),
    overwrite: bool = False,
    photos: bool = True,
    open: bool = False,
    verbose: bool = False,
) -> None:
    """Compares the three transfer strategies and training from scratch on the same images.

    Args:
        data: Where the images are, such as folder:photos; see `tl-toolkit train --help`.
        weights: What the three strategies start from; training from scratch uses the same network. Default:
            digits for the data digits, imagenet for any other.
        backbone: Network, such as resnet18. Default: the one that the weights are for; resnet50 for imagenet.
        image_size: Side of the square input image in pixels. Default: that of the weights.
        labels_per_class: Images of each class for training and validation together. Default: all; 5 for the
            digits.
        test_fraction: Share of the images used for testing, if the data has no test split. Default: 0.2; 0.5
            for the digits.
        validation_fraction: Share of the remaining images used for validation, which photos with several labels need.
            Default: see `tl-toolkit train --help`.
        value_range: Of 16-bit and float greys, what becomes black and white, such as 0 4095. Default: all that they hold.
        epochs: Passes over the training images, for every strategy. Default: by strategy and data size.
        cache_limit: See `tl-toolkit train --help`.
        seeds: Runs of each strategy; with labels_per_class, each draws its own images to learn from.
        output: Folder for the table, the plot and the best SavedModel.
        overwrite: Replace a finished comparison of that name, if its folder holds nothing else.
        photos: Show photos in the page that is left, report.html.
        open: Open that page in the browser when it is done.
        verbose: Show TensorFlow's own messages.
    """
    fields: dict[str, Any] = {
        "backbone": backbone,
        "image_size": image_size,
        "labels_per_class": labels_per_class,
        "test_fraction": test_fraction,
        "validation_fraction": validation_fraction,
        "value_range": value_range,
        "epochs": epochs,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if data == DIGITS:
        given = {**FEW_SHOT, **given}
    with terminal(verbose) as progress:
        from tl_toolkit.experiments.compare import compare as compare_recipes
        from tl_toolkit.experiments.context import Context
        from tl_toolkit.experiments.recipes_to_compare import comparison_recipes

        comparison = compare_recipes(
            comparison_recipes(data, weights, **given),
            seeds=seeds,
            output=output,
            overwrite=overwrite,
            context=Context(
                feature_cache=feature_cache(cache_limit), progress=progress, photos=photos
            ),
        )
        if comparison is not None:
            print_comparison(comparison, progress)
            if open:
                open_page(comparison.page, progress)
