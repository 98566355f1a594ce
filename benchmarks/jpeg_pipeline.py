"""Decoding 12-megapixel JPEGs to 224 px, against `image_dataset_from_directory`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable

from cases import SIDE, photo_folder
from harness import Benchmark, Comparison, Measured, main
from stopwatch import Spent, Stopwatch, a_second, wait

PHOTOS, PASSES = 60, 3


def _images_a_second(batches: Iterable) -> dict[str, Measured]:
    """Measures a few passes to their last batch; the uncounted first one includes tracing, whatever the data."""
    passes, ends = [], []
    for _ in range(PASSES + 1):
        to_last, end = _pass(batches)
        passes.append(to_last)
        ends.append(end)
    longest = max(ends[1:], key=lambda end: end.wall)
    return {"": a_second(PHOTOS, passes[1:]), "longest wait at the end of a pass": wait(longest)}


def _pass(batches: Iterable) -> tuple[Spent, Spent]:
    """Returns what a pass took to its last batch, and from there to the pipeline's end."""
    with Stopwatch() as watch:
        images = 0
        for batch in batches:
            images += len(batch[0])
            to_last = watch.read()
        assert images == PHOTOS
        return to_last, watch.read() - to_last


def _open():
    from tl_toolkit.data.folder import load_folder

    return load_folder(str(photo_folder(PHOTOS, 3000, 4000))).train


def first_opening() -> Measured:
    """Opening a folder for the first time, which reads every file to its end."""
    import tl_toolkit  # noqa: F401

    photo_folder(PHOTOS, 3000, 4000)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        with Stopwatch() as watch:
            opened = len(_open())
            return a_second(opened, [watch.read()])


def evaluation() -> dict[str, Measured]:
    """Our evaluation batches."""
    import tl_toolkit  # noqa: F401
    from tl_toolkit.catalog import Preprocessing
    from tl_toolkit.data.evaluation_batches import EvaluationBatches

    return _images_a_second(EvaluationBatches(_open(), Preprocessing(image_size=SIDE), 32))


def training() -> dict[str, Measured]:
    """An epoch of our augmented training batches."""
    import tl_toolkit  # noqa: F401
    from tl_toolkit.catalog import AUGMENTATIONS, Preprocessing
    from tl_toolkit.data.pipeline import training_batches

    return _images_a_second(
        training_batches(
            _open(),
            Preprocessing(image_size=SIDE),
            AUGMENTATIONS["photo"],
            batch_size=32,
            epochs=1,
            seed=0,
        )
    )


def directory() -> dict[str, Measured]:
    """Keras' pipeline, which by default neither keeps the aspect ratio nor antialiases."""
    import keras

    folder = photo_folder(PHOTOS, 3000, 4000)
    return _images_a_second(
        keras.utils.image_dataset_from_directory(folder, image_size=(SIDE, SIDE), verbose=False)
    )


DIRECTORY = "image_dataset_from_directory"
BENCHMARK = Benchmark(
    title="12-megapixel JPEGs to 224 px",
    unit="images/s",
    cases={
        "tl_toolkit, evaluation": evaluation,
        "tl_toolkit, training, augmented": training,
        "tl_toolkit, first opening of the folder": first_opening,
        DIRECTORY: directory,
    },
    minutes=5,
    comparisons=(
        Comparison("evaluation", "tl_toolkit, evaluation", (DIRECTORY,), 2.5),
        Comparison("training", "tl_toolkit, training, augmented", (DIRECTORY,), 2.5),
    ),
    more_is_better=True,
    note="Noisy photos of 3.3 MB: about two thirds of the time goes into Huffman decoding, which decoding at a smaller "
    "scale does not save. A figure is that of the median pass, from its begin to its last batch; the end of the "
    "pipeline, where Keras' tuned one can wait, is a row of its own.",
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
