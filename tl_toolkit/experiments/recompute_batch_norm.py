"""`recompute_batch_norm`: moving statistics from given images, in place of those that training left behind."""

from __future__ import annotations

from typing import Any, Literal

import keras

from tl_toolkit.catalog import ADAPT
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.measured_images import MOST_IMAGES, measured_images
from tl_toolkit.fields import check_value
from tl_toolkit.models.batch_norm_statistics import (
    RecomputedLayer,
    StatisticsReader,
    assign_statistics,
    batch_norm_layers,
    mode_of,
)
from tl_toolkit.progress import SILENT, Progress

Fixed = Literal["refuse", "skip", "recompute"]


def recompute_batch_norm(
    model: keras.Model,
    data: Any,
    *,
    fixed: Fixed = "refuse",
    images: int = MOST_IMAGES,
    progress: Progress = SILENT,
) -> tuple[RecomputedLayer, ...]:
    """Sets the moving statistics of a model's batch normalisations to the population's over given images (PreciseBN).

    One pass over the images, in which every layer that is recomputed normalises by its batch, as in training, so that
    a layer's input does not depend on the moving statistics before it. Over batches of n images with mean μ and
    variance σ², the moving mean becomes the mean of the μ, and the moving variance the pooled one: the mean of
    σ² + μ² less the square of the moving mean, each batch counting by its images (Wu and Johnson 2021, "Rethinking
    'Batch' in BatchNorm", section 3.1). This is the paper's variant: to normalise by the population's statistics
    before each layer instead would take a pass for every layer. Batches should be as large as in training. Dropout is
    off, as it is where the statistics are used.

    Nothing but these moving statistics changes, and all of them change or, on any error, none.

    Args:
        model: Any built Keras model with batch normalisation, ours or Keras' own.
        data: As in `batch_norm_report`; labels are not looked at. Take the training images.
        fixed: What happens to layers in frozen or affine mode, or not trainable, whose statistics are fixed: the whole
            call is refused; or they keep their statistics and normalise by them; or they are recomputed too.
        images: Most images of a URI or an `ImageDataset`; batches are all used.
        progress: Shows how far it is.

    Returns:
        What moved, a record for each recomputed layer in the order of the network.

    Raises:
        InputError: Layers are fixed and `fixed` does not say what to do; or the data are not as described; or a
            layer's input is not finite.

    Examples:
        >>> model = tl.load_model("my_run/model.keras")
        >>> moved = tl.recompute_batch_norm(model, "folder:photos", fixed="recompute")
        >>> len(moved)  # one a layer
        6
    """
    check_value("fixed", fixed, Fixed)
    layers = batch_norm_layers(model)
    still = [name for name, layer in layers.items() if mode_of(layer) != ADAPT]
    if still and fixed == "refuse":
        raise InputError(
            f"{len(still)} of {len(layers)} batch normalisations keep their statistics by their mode, from "
            f"{still[0]!r} on ({mode_of(layers[still[0]])}): say fixed='skip' to leave them as they are, or "
            "fixed='recompute' to recompute them too."
        )
    moved = [name for name in layers if fixed == "recompute" or name not in still]
    if not moved:
        raise InputError(
            "All batch normalisations keep their statistics by their mode, and fixed='skip' leaves none to recompute."
        )
    reader = StatisticsReader(model, moved)
    with progress.stage("Recomputing batch normalisation") as stage:
        for batch, _ in measured_images(model, data, images, progress):
            reader(batch)
            stage.advance(len(batch))
    return assign_statistics(layers, reader.statistics(), moved)
