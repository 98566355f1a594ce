"""20 epochs of a new head and of the last layers on 512 photos, against the Keras guide."""

from __future__ import annotations

import functools
import tempfile
import time

from cases import (
    CLASSES,
    DEFAULT_PEER,
    ONEDNN_PEER,
    PHOTOS,
    SIDE,
    compile_for_fit,
    keras_applications_model,
    photo_folder,
    photo_recipe,
)
from harness import Benchmark, Comparison, main

EPOCHS, BATCH = 20, 32
MEASURED_EPOCHS = 3  # of the guide's training, whose epochs all do the same work


def ours(strategy: str, views: int) -> float:
    """Seconds of `train_and_validate` on an empty cache: model, pass over the frozen layers, 20 epochs."""
    import pathlib

    from tl_toolkit.experiments.context import Context
    from tl_toolkit.experiments.train_and_validate import train_and_validate
    from tl_toolkit.transfer.feature_cache import FeatureCache

    recipe = photo_recipe(
        strategy,
        test_fraction=0.02,
        validation_fraction=0.0,
        views=views,
        epochs=EPOCHS,
        batch_size=BATCH,
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        trained = train_and_validate(
            recipe, Context(feature_cache=FeatureCache(pathlib.Path(folder)))
        )
        seconds = time.monotonic() - started
    # Scaled to as many images as the guide trains on.
    return seconds * PHOTOS / len(trained.experiment.dataset.train)


def guide(strategy: str) -> float:
    """Seconds of the guide's training: frozen layers in the model, augmentation layers, `fit`."""
    import keras

    started = time.monotonic()
    photos = keras.utils.image_dataset_from_directory(
        photo_folder(PHOTOS, 300, 400), image_size=(SIDE, SIDE), batch_size=BATCH, verbose=False
    )
    flip = keras.layers.RandomFlip("horizontal")
    photos = photos.map(lambda images, labels: (flip(images), labels)).prefetch(2)
    base, model = keras_applications_model(trainable=strategy == "last_layers")
    if strategy == "last_layers":
        for layer in base.layers:
            is_normalisation = isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = layer.name.startswith("conv5") and not is_normalisation
    compile_for_fit(model)
    model.fit(photos, epochs=1, verbose=0)
    first = time.monotonic()
    model.fit(photos, epochs=MEASURED_EPOCHS - 1, verbose=0)
    epoch = (time.monotonic() - first) / (MEASURED_EPOCHS - 1)
    assert model.output_shape == (None, CLASSES)
    return first - started + (EPOCHS - 1) * epoch


BENCHMARK = Benchmark(
    title="20 epochs on 512 photos, 224 px, ResNet-50",
    unit="seconds",
    cases={
        "new head, one view": functools.partial(ours, "new_head", 1),
        "new head, two views": functools.partial(ours, "new_head", 2),
        "last layers, one view": functools.partial(ours, "last_layers", 1),
        "Keras guide, new head": functools.partial(guide, "new_head"),
        "Keras guide, new head, oneDNN on": functools.partial(guide, "new_head"),
        "Keras guide, last layers": functools.partial(guide, "last_layers"),
        "Keras guide, last layers, oneDNN on": functools.partial(guide, "last_layers"),
    },
    comparisons=(
        Comparison("new head, one view", "new head, one view", "Keras guide, new head", 20),
        Comparison("new head, two views", "new head, two views", "Keras guide, new head", 12),
        Comparison("last layers", "last layers, one view", "Keras guide, last layers", 3.5),
        Comparison(
            "new head, one view, oneDNN on for both",
            "new head, one view",
            "Keras guide, new head, oneDNN on",
        ),
        Comparison(
            "new head, two views, oneDNN on for both",
            "new head, two views",
            "Keras guide, new head, oneDNN on",
        ),
        Comparison(
            "last layers, oneDNN on for both",
            "last layers, one view",
            "Keras guide, last layers, oneDNN on",
        ),
    ),
    environment={
        "Keras guide, new head": DEFAULT_PEER,
        "Keras guide, new head, oneDNN on": ONEDNN_PEER,
        "Keras guide, last layers": DEFAULT_PEER,
        "Keras guide, last layers, oneDNN on": ONEDNN_PEER,
    },
    note=(
        "Ours starts from an empty cache and includes reading the photos, building the model and the pass over "
        f"the frozen layers. Of the guide's {EPOCHS} epochs {MEASURED_EPOCHS} are measured: the total is the "
        f"first one and {EPOCHS - 1} times the mean of the others. The last layers are conv5 and the head, with "
        "fixed batch statistics on both sides."
    ),
    rounds=2,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
