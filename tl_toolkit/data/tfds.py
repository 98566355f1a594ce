"""`tfds:NAME[:CONFIG]` or `tfds:FOLDER`: an image classification data set of TensorFlow Datasets."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Collection
from typing import Any

import numpy as np

from tl_toolkit.catalog import SPLIT_ALIASES, SPLITS, TEST, TRAIN, VALIDATION
from tl_toolkit.data.dataset import EncodedImages, ImageSource, Split
from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.opening import AS_USUAL, Opening
from tl_toolkit.data.parallelism import without_autotuning
from tl_toolkit.errors import InputError
from tl_toolkit.files.library_folders import folder_can_be_made
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.progress import SILENT, Stage

DATASET_INFO = "dataset_info.json"


def load_tfds(name: str, opening: Opening = AS_USUAL) -> ImageSource:
    """Prepares the data set (a download, the first time) and reads its encoded images into memory.

    Args:
        name: As TFDS has it, a configuration behind a colon: `"cats_vs_dogs"`,
            `"imagenette:160px-v2"`. Or the folder of one that is prepared, with its `dataset_info.json`.
        opening: Its progress shows that the set is prepared, and how many images are read.

    Raises:
        InputError: TFDS does not know the name, the folder holds no data set, or it has no image and label to
            classify by.
    """
    import tensorflow_datasets as tfds

    progress, folder = opening.progress, user_path(name)
    # A folder of the working folder that is called as a data set is not meant, unless it holds one.
    is_folder = os.path.isfile(folder / DATASET_INFO) or (os.sep in name and os.path.isdir(folder))
    builder = _prepared_builder(folder) if is_folder else _named_builder(name)
    image_key = _only_key(builder.info, tfds.features.Image, name)
    label_key = _only_key(builder.info, tfds.features.ClassLabel, name)
    if progress is not SILENT:
        tfds.disable_progress_bar()  # two drawn over each other would be unreadable
    if not is_folder:
        with progress.stage(f"Downloading and preparing {name}"):
            builder.download_and_prepare()

    own_names = {split: _own_name(split, builder.info.splits) for split in SPLITS}
    found_names = {split: found for split, found in own_names.items() if found is not None}
    total = sum(builder.info.splits[found].num_examples for found in found_names.values())
    splits: dict[str, Split] = {}
    notes: list[str] = []
    first_id = 0
    with progress.stage(f"Reading {name}", total=total) as stage:
        rows_of = {
            split: _read_rows(builder, found, image_key, label_key, stage)
            for split, found in found_names.items()
        }
    for split, rows in rows_of.items():
        found = found_names[split]
        if any(label < 0 for _, label in rows):  # how TFDS marks what its authors keep secret
            notes.append(f"the split {found!r} has images without a label: it is not used")
            continue
        contents = np.array([image for image, _ in rows], object)
        splits[split] = Split.of(EncodedImages(contents), [label for _, label in rows], first_id)
        first_id += len(rows)
    if TRAIN not in splits:
        raise InputError(
            f"The data set {name!r} has no split {TRAIN!r} with a label for every image. "
            f"It has: {', '.join(builder.info.splits)}."
        )
    return ImageSource(
        class_names=tuple(builder.info.features[label_key].names),
        licence=str(builder.info.redistribution_info.license or "").strip(),
        notes=tuple(notes),
        train=splits[TRAIN],
        validation=splits.get(VALIDATION),
        test=splits.get(TEST),
    )


def _named_builder(name: str) -> Any:
    import tensorflow_datasets as tfds

    name_there = name.replace(":", "/")
    try:
        builder = tfds.builder(name_there)
        if not (
            "TFDS_DATA_DIR" in os.environ
            or os.path.isdir(builder.data_dir)
            or folder_can_be_made(builder.data_dir)
        ):
            builder = tfds.builder(name_there, data_dir=cache_folder() / "tensorflow_datasets")
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        reason, *others = str(error).splitlines()
        nearest = [line for line in others if line.startswith("Did you mean")]
        raise InputError(
            " ".join([f"TensorFlow Datasets has no data set {name!r}:", reason, *nearest])
        ) from error
    return builder


def _prepared_builder(folder: pathlib.Path) -> Any:
    """Returns the builder of a data set that was prepared before; no code of its authors is run."""
    import tensorflow_datasets as tfds

    if not (folder / DATASET_INFO).is_file():
        raise InputError(
            f"The folder {str(folder)!r} holds no data set of TensorFlow Datasets: it should be the folder of a "
            f"version, such as NAME/CONFIG/1.0.0, with the file {DATASET_INFO}."
        )
    try:
        return tfds.builder_from_directory(folder)
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"The data set in {str(folder)!r} cannot be opened: {reason}") from error


def _read_rows(
    builder: Any, split: str, image_key: str, label_key: str, stage: Stage
) -> list[tuple[bytes, int]]:
    """Returns (file's contents, label) of every image, in the order that they are stored."""
    import tensorflow_datasets as tfds

    decoders = {image_key: tfds.decode.SkipDecoding()}
    stored = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)
    rows = []
    for row in without_autotuning(stored).as_numpy_iterator():
        rows.append((row[image_key], row[label_key]))
        stage.advance()
    return rows


def _own_name(split: str, names: Collection[str]) -> str | None:
    """What a data set calls a split; None where it has none."""
    aliases = [alias for alias, meaning in SPLIT_ALIASES.items() if meaning == split]
    return next((alias for alias in aliases if alias in names), None)


def _only_key(info: Any, kind: type, name: str) -> str:
    features = info.features
    keys = [key for key, feature in features.items() if isinstance(feature, kind)]
    # Of several, such as the coarse and the fine labels of CIFAR-100, the one that its authors chose.
    keys = [key for key in info.supervised_keys or () if key in keys] or keys
    if len(keys) != 1:
        raise InputError(
            f"The data set {name!r} must have exactly one {kind.__name__} feature; "
            f"its features are {', '.join(features)}."
        )
    return keys[0]
