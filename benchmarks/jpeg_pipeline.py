"""12-megapixel JPEGs to 224 px, against image_dataset_from_directory."""

from __future__ import annotations

import time

from contenders import SIDE, photo_folder
from harness import Benchmark, Comparison, main

PHOTOS = 60


def _images_a_second(batches) -> float:
    started, images = time.monotonic(), 0
    for batch in batches:
        images += len(batch[0])
    assert images == PHOTOS
    return images / (time.monotonic() - started)


def _split():
    from tl_toolkit.data.folder import load_folder

    return load_folder(str(photo_folder(PHOTOS, 3000, 4000))).train


def evaluation() -> float:
    """Our batches of evaluation."""
    import tl_toolkit  # noqa: F401
    from tl_toolkit.catalog import Preprocessing
    from tl_toolkit.data.pipeline import evaluation_batches

    return _images_a_second(evaluation_batches(_split(), Preprocessing(image_size=SIDE), 32))


def training() -> float:
    """An epoch of our batches of training, augmented."""
    import tl_toolkit  # noqa: F401
    from tl_toolkit.catalog import Preprocessing
    from tl_toolkit.data.augment import AUGMENTATIONS
    from tl_toolkit.data.pipeline import training_batches

    batches = training_batches(
        _split(),
        Preprocessing(image_size=SIDE),
        AUGMENTATIONS["photo"],
        batch_size=32,
        epochs=1,
        seed=0,
    )
    return _images_a_second(batches)


def directory() -> float:
    """Keras' own way, which neither keeps the aspect ratio nor antialiases unless asked."""
    import keras

    batches = keras.utils.image_dataset_from_directory(
        photo_folder(PHOTOS, 3000, 4000), image_size=(SIDE, SIDE), verbose=False
    )
    return _images_a_second(batches)


BENCHMARK = Benchmark(
    title="12-megapixel JPEGs to 224 px",
    unit="images/s",
    contenders={
        "tl_toolkit, evaluation": evaluation,
        "tl_toolkit, training, augmented": training,
        "image_dataset_from_directory": directory,
    },
    comparisons=(
        Comparison("evaluation", "tl_toolkit, evaluation", "image_dataset_from_directory", 2.5),
        Comparison(
            "training", "tl_toolkit, training, augmented", "image_dataset_from_directory", 2.5
        ),
    ),
    more_is_better=True,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
