"""12-megapixel JPEGs to augmented 224 px, epoch by epoch, against `image_dataset_from_directory`.

`python benchmarks/jpeg_pipeline.py --short` measures the three ratios that have a target alone.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import pathlib
import statistics
import tempfile
from collections.abc import Iterable, Sequence

from cases import SIDE, photo_folder
from harness import Benchmark, Comparison, Measured, all_cores, main
from stopwatch import Spent, Stopwatch, a_second, timed_calls, wait

PHOTOS, PASSES = 60, 3


def _photos() -> str:
    return str(photo_folder(PHOTOS, 3000, 4000))


def _figures(passes: Sequence[Spent]) -> dict[str, Measured]:
    """Images a second, and what all threads together spend on an image, of the median pass each."""
    speed = a_second(PHOTOS, passes)
    cpu = statistics.median(one.cpu for one in passes) / PHOTOS * 1000
    return {"": speed, "CPU an image": Measured(cpu, speed.spent, "ms")}


def _pass(batches: Iterable) -> tuple[Spent, Spent]:
    """Returns what a pass took to its last batch, and from there to the pipeline's end."""
    with Stopwatch() as watch:
        images = 0
        for batch in batches:
            images += len(batch[0])
            to_last = watch.read()
        assert images == PHOTOS
        return to_last, watch.read() - to_last


def _passes(batches: Iterable) -> dict[str, Measured]:
    """Measures a few passes to their last batch; the uncounted first one includes tracing, whatever the data."""
    passes, ends = [], []
    for _ in range(PASSES + 1):
        to_last, end = _pass(batches)
        passes.append(to_last)
        ends.append(end)
    longest = max(ends[1:], key=lambda end: end.wall)
    return {**_figures(passes[1:]), "longest wait at the end of a pass": wait(longest)}


def _epochs(split) -> dict[str, Measured]:
    """Measures the epochs after the first of one training's batches; the first includes tracing."""
    with Stopwatch() as watch:
        images, ends = 0, []
        for batch in _training_batches(split, epochs=PASSES + 1):
            images += len(batch[0])
            if images % PHOTOS == 0:
                ends.append(watch.read())
        assert images == PHOTOS * (PASSES + 1)
    spent = [after - before for before, after in itertools.pairwise(ends)]
    return _figures(spent)


def _open():
    """Opens the folder as a training with augmentation does."""
    from tl_toolkit.data.folder import load_folder
    from tl_toolkit.data.opening import Opening

    return load_folder(_photos(), Opening(prepare_photos=True)).train


def _training_batches(split, epochs: int = 1) -> Iterable:
    """Augmented batches."""
    from tl_toolkit.catalog import AUGMENTATIONS, Preprocessing
    from tl_toolkit.data.pipeline import training_batches

    return training_batches(
        split,
        Preprocessing(image_size=SIDE),
        AUGMENTATIONS["photo"],
        batch_size=32,
        epochs=epochs,
        seed=0,
    )


def _prepared(split):
    import dataclasses

    from tl_toolkit.data.prepared_photos import PreparedPhotos
    from tl_toolkit.data.shrunk_photos import LEAST_SIDE

    images = PreparedPhotos(split.images.paths, side=LEAST_SIDE)
    return dataclasses.replace(split, images=images)


def _epoch(split, photos: int) -> Spent:
    with Stopwatch() as watch:
        assert sum(len(batch[0]) for batch in _training_batches(_prepared(split))) == photos
        return watch.read()


def first_epoch() -> dict[str, Measured]:
    """Opening a folder for the first time, which reads every file to its end, and the first epoch, without tracing."""
    import tl_toolkit  # noqa: F401
    from tl_toolkit.data.folder import load_folder
    from tl_toolkit.data.opening import Opening

    _photos()
    rounds = []
    for _ in range(PASSES):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["TL_TOOLKIT_CACHE"] = cache
            small = load_folder(str(photo_folder(4, 30, 40)), Opening(prepare_photos=True)).train
            tracing = _epoch(small, 4)
            with Stopwatch() as watch:
                split = _open()
                opening = watch.read()
            rounds.append(opening + _epoch(split, PHOTOS) - tracing)
    return _figures(rounds)


def first_opening() -> Measured:
    """Opening a folder for the first time."""
    import tl_toolkit  # noqa: F401

    _photos()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TL_TOOLKIT_CACHE"] = cache
        with Stopwatch() as watch:
            opened = len(_open())
            return a_second(opened, [watch.read()])


def later_epochs() -> dict[str, Measured]:
    """Epochs after the first."""
    import tl_toolkit  # noqa: F401

    with tempfile.TemporaryDirectory() as cache:
        os.environ["TL_TOOLKIT_CACHE"] = cache
        split = _prepared(_open())
        return _epochs(split)


def from_photos() -> dict[str, Measured]:
    """Epochs without copies (`prepared=False`)."""
    import tl_toolkit  # noqa: F401

    return _epochs(_open())


def evaluation() -> dict[str, Measured]:
    """Our evaluation batches."""
    import tl_toolkit  # noqa: F401
    from tl_toolkit.catalog import Preprocessing
    from tl_toolkit.data.evaluation_batches import EvaluationBatches

    return _passes(EvaluationBatches(_open(), Preprocessing(image_size=SIDE), 32))


def _decoded(scale: int):
    """Decodes a file's contents at a fraction of its size, as far as TensorFlow's decoder goes."""
    import tensorflow as tf

    return lambda photo: tf.io.decode_jpeg(photo, channels=3, ratio=scale)


def least_of_a_first_epoch() -> dict[str, Measured]:
    """Files read, their digests, and decoding no finer than copies need: no copy is made, kept or seen."""
    import tl_toolkit  # noqa: F401
    from tl_toolkit.data.content_digests import THREADS, bytes_digest

    decode, paths = _decoded(4), sorted(pathlib.Path(_photos()).rglob("*.jpg"))

    def look_at(path: pathlib.Path) -> None:
        contents = path.read_bytes()
        bytes_digest(contents)
        decode(contents)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return _figures(timed_calls(lambda: list(pool.map(look_at, paths)), 1, PASSES))


def least_of_an_evaluation() -> dict[str, Measured]:
    """Decoding from memory, no finer than evaluation needs: no file is read, and nothing resized."""
    import tl_toolkit  # noqa: F401, I001  first, because it decides on oneDNN
    import tensorflow as tf

    photos = tf.constant([path.read_bytes() for path in pathlib.Path(_photos()).rglob("*.jpg")])
    pixels = tf.TensorSpec((None, None, 3), tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def decode_all(photos):
        return tf.map_fn(
            _decoded(8), photos, fn_output_signature=pixels, parallel_iterations=all_cores()
        )

    return _figures(timed_calls(lambda: decode_all(photos), 1, PASSES))


def _directory():
    import keras

    return keras.utils.image_dataset_from_directory(
        _photos(), image_size=(SIDE, SIDE), verbose=False
    )


def directory() -> dict[str, Measured]:
    """Keras' pipeline, which by default neither keeps the aspect ratio nor antialiases."""
    return _passes(_directory())


def directory_augmented() -> dict[str, Measured]:
    """The same with the layers of Keras' guide to transfer learning, and its prefetching."""
    import keras
    import tensorflow as tf

    flip, rotation = keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)
    batches = (
        _directory()
        .map(lambda x, y: (rotation(flip(x)), y), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    return _passes(batches)


DIRECTORY = "image_dataset_from_directory"
AUGMENTED = "image_dataset_from_directory, augmented by Keras' layers"
BENCHMARK = Benchmark(
    title="12-megapixel JPEGs to 224 px",
    unit="images/s",
    cases={
        "tl_toolkit, epochs after the first, augmented": later_epochs,
        "tl_toolkit, first opening of the folder and first epoch": first_epoch,
        "tl_toolkit, augmented, prepared=False": from_photos,
        "tl_toolkit, evaluation": evaluation,
        "tl_toolkit, first opening of the folder": first_opening,
        "decoding for evaluation alone, from memory": least_of_an_evaluation,
        "reading, digests and decoding for copies alone": least_of_a_first_epoch,
        AUGMENTED: directory_augmented,
        DIRECTORY: directory,
    },
    minutes=10,
    comparisons=(
        Comparison(
            "second epoch", "tl_toolkit, epochs after the first, augmented", (AUGMENTED,), 8.0
        ),
        Comparison(
            "first epoch",
            "tl_toolkit, first opening of the folder and first epoch",
            (AUGMENTED,),
            1.2,
        ),
        Comparison("evaluation", "tl_toolkit, evaluation", (DIRECTORY,), 1.6),
        Comparison(
            "first epoch, if it only read, digested and decoded",
            "reading, digests and decoding for copies alone",
            (AUGMENTED,),
        ),
        Comparison(
            "evaluation, if it only decoded",
            "decoding for evaluation alone, from memory",
            (DIRECTORY,),
        ),
    ),
    more_is_better=True,
    note="Noisy photos of 3.3 MB: most of the time that decoding takes goes into Huffman decoding, which decoding at a "
    "smaller scale does not save. Two rows say what is left of a first epoch and of an evaluation if all but that costs "
    "nothing: their ratios are the most that can be reached with this decoder. A figure is that of the median pass, from its "
    "begin to its last batch; the end of the pipeline, where Keras' tuned one can wait, is a row of its own.",
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
