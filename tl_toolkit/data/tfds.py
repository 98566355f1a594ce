"""`tfds:NAME[:CONFIG]`: an image classification data set of TensorFlow Datasets."""

from __future__ import annotations

import numpy as np

from tl_toolkit.data.dataset import EncodedImages, ImageSource, Split
from tl_toolkit.errors import InputError

SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


def load_tfds(name: str) -> ImageSource:
    """Prepares the data set (a download, the first time) and reads its encoded images into memory.

    Args:
        name: As TFDS has it, a configuration behind a colon: `"cats_vs_dogs"`,
            `"imagenette:160px-v2"`.

    Raises:
        InputError: TFDS does not know the name, or it has no image and label to classify by.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name.replace(":", "/"))
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise InputError(
            f"TensorFlow Datasets knows no data set {name!r}: {str(error).splitlines()[0]}"
        ) from error
    features = builder.info.features
    image_key = _only_key(features, tfds.features.Image, name)
    label_key = _only_key(features, tfds.features.ClassLabel, name)
    builder.download_and_prepare()

    splits, first_id = {}, 0
    for split, aliases in SPLIT_NAMES.items():
        found = next((alias for alias in aliases if alias in builder.info.splits), None)
        if found is None:
            continue
        examples = builder.as_dataset(
            split=found, decoders={image_key: tfds.decode.SkipDecoding()}, shuffle_files=False
        )
        rows = [(row[image_key], row[label_key]) for row in examples.as_numpy_iterator()]
        contents = np.array([image for image, _ in rows], object)
        splits[split] = Split.of(EncodedImages(contents), [label for _, label in rows], first_id)
        first_id += len(rows)
    if "train" not in splits:
        raise InputError(
            f"The data set {name!r} has no split 'train'. It has: {', '.join(builder.info.splits)}."
        )
    return ImageSource(
        class_names=tuple(features[label_key].names),
        licence=str(builder.info.redistribution_info.license or "").strip(),
        **splits,
    )


def _only_key(features, kind: type, name: str) -> str:
    keys = [key for key, feature in features.items() if isinstance(feature, kind)]
    if len(keys) != 1:
        raise InputError(
            f"The data set {name!r} must have exactly one {kind.__name__} feature to be classified; "
            f"its features are {', '.join(features)}."
        )
    return keys[0]
