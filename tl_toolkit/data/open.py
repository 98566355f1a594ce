"""`open_dataset`: from a data URI to three splits."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tl_toolkit.catalog import LBFGS, ValueRange, as_value_range, augmentation_named
from tl_toolkit.data.csv_file import load_csv
from tl_toolkit.data.dataset import ImageDataset, ImageSource, Split
from tl_toolkit.data.digits import load_digits
from tl_toolkit.data.elpv import load_elpv
from tl_toolkit.data.hf_folder import load_hf
from tl_toolkit.data.image_folder import load_photo_folder
from tl_toolkit.data.labels import are_several
from tl_toolkit.data.mnist5k import load_mnist5k
from tl_toolkit.data.opening import AS_USUAL, Opening
from tl_toolkit.data.shards import load_tfrecord, load_wds
from tl_toolkit.data.shrunk_photos import LEAST_SIDE, side_for_views
from tl_toolkit.data.splits import check_class_sizes, sample_per_class, stratified_split
from tl_toolkit.data.tfds import load_tfds
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.fields import annotations_of, check_value
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe

# A source of your own: a function that returns an ImageSource, and a line here. A parameter `opening` gets an `Opening`;
# another one gets what stands behind the URI's colon.
SOURCES: dict[str, Callable[..., ImageSource]] = {
    "digits": load_digits,
    "mnist5k": load_mnist5k,
    "elpv": load_elpv,
    "folder": load_photo_folder,
    "csv": load_csv,
    "tfds": load_tfds,
    "wds": load_wds,
    "tfrecord": load_tfrecord,
    "hf": load_hf,
}
WITHOUT_RANGE = frozenset(SOURCES) - {"folder", "csv"}  # their photos are no files of grey values
OF_OPENING = [field.name for field in dataclasses.fields(Opening)]
DEFAULT_VALIDATION_FRACTION = 0.2
OF_PHOTOS, USUAL_IMAGE_SIZE = "photo", 224  # of folders and tables, and of most weights
NO_FEW_SHOT = (
    "`labels_per_class` is for photos of one class, and these have several labels: a photo counts for all of its labels "
    "at once. Leave it out, and give fewer photos."
)
PARTED = (
    "near-duplicates stand on both sides of the splits: kept together, too few distinct images would be left of a class. "
    "The figures can be too high"
)


def open_dataset(
    uri: str,
    *,
    labels_per_class: int | None = None,
    test_fraction: float = 0.2,
    validation_fraction: float | None = None,
    seed: int = 0,
    split_seed: int = 0,
    on_bad_image: str = "error",
    progress: Progress = SILENT,
    group_near_duplicates: bool = True,
    prepare_photos: bool = False,
    value_range: ValueRange | None = None,
) -> ImageDataset:
    """Opens labelled images and makes the splits that they lack.

    The test split is made first and, for the same images, depends on `split_seed` and `test_fraction`
    alone: runs of other seeds, and runs that start from an earlier run's weights, never see its images.
    Where images came or went, it is another split.

    Args:
        uri: `"folder:PATH"`, `"csv:PATH"`, of photos with several labels `"csv:PATH?labels=A,B,C"` or
            `"csv:PATH?label=COLUMN&separator=|"`, `"tfds:NAME[:CONFIG]"`, `"wds:SHARDS"`, `"tfrecord:SHARDS"`,
            `"hf:SHARDS"`, `"elpv[:OPTIONS]"`, `"digits"` or `"mnist5k"`.
        labels_per_class: Few-shot: this many images of each class for training and validation
            together; the rest, test data aside, goes unused. None: use all.
        test_fraction: Of all images, where the source has no test split.
        validation_fraction: Of the images left after that, where the source has no validation split;
            0 for none, the source's own then being trained on. None: 0.2, or 0 with `labels_per_class`.
        seed: Chooses the images of `labels_per_class`.
        split_seed: Chooses the test and validation images.
        on_bad_image: For folders, tables and shards: `"error"`, or `"skip"` to skip bad files and list them in `notes`.
        progress: Shows how far downloading, reading and checking are.
        group_near_duplicates: For folders and tables: whether photos that are one picture, resized, compressed anew,
            turned, mirrored or cut by up to 5% of a side, stay on one side of the splits that are made. Copies of one
            file always do. The first opening of new photos takes longer for it. Where too few would be left of a class to
            make the splits, near-duplicates are parted, and `notes` says so.
        prepare_photos: For folders and tables: while photos are checked, shrunk copies of large ones are put into the user's
            cache, which `PreparedPhotos` cuts views from.
        value_range: For folders and tables of 16-bit or float greys: the values that become 0 and 255, such as `(0, 4095)`;
            what lies beyond is clipped, and a photo of another kind is a bad image. None: 0 to 65535, and floats 0 to 1.

    Raises:
        InputError: The URI, a fraction or the images are not as described.

    Examples:
        >>> dataset = tl.open_dataset("digits", labels_per_class=5)
        >>> dataset.summary()
        'digits: 10 classes; 50 training, 0 validation and 359 test images'
    """
    _check_as_in_recipes(
        labels_per_class=labels_per_class,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        seed=seed,
        split_seed=split_seed,
    )
    if validation_fraction is None:
        validation_fraction = 0.0 if labels_per_class else DEFAULT_VALIDATION_FRACTION

    def split(source: ImageSource) -> ImageDataset:
        return _split(
            uri, source, labels_per_class, test_fraction, validation_fraction, seed, split_seed
        )

    opening = Opening(
        on_bad_image, progress, group_near_duplicates, prepare_photos, as_value_range(value_range)
    )
    source = open_images(uri, opening)
    try:
        return split(source)
    except InputError:
        if not group_near_duplicates or source.groups is None:
            raise
        ungrouped = dataclasses.replace(opening, group_near_duplicates=False, prepare_photos=False)
        parted = split(open_images(uri, ungrouped))
        return dataclasses.replace(parted, notes=(*parted.notes, PARTED))


def _split(
    uri: str,
    source: ImageSource,
    labels_per_class: int | None,
    test_fraction: float,
    validation_fraction: float,
    seed: int,
    split_seed: int,
) -> ImageDataset:
    """Makes the splits that a source lacks; the arguments are those of `open_dataset`."""
    pool, groups, notes = source.train, source.groups, list(source.notes)
    few_shot = labels_per_class is not None
    if few_shot and are_several(pool.labels):
        raise InputError(f"{NO_FEW_SHOT} Received: {labels_per_class}")
    if few_shot and source.validation is not None:
        notes.append(
            "labels_per_class covers validation too: the source's own validation split is not used"
        )
    makes_validation = validation_fraction > 0 and (few_shot or source.validation is None)
    sides = ["train"]
    sides += ["validate"] if makes_validation else []
    sides += ["test"] if source.test is None else []
    check_class_sizes(pool.labels, source.class_names, sides, groups)

    test = source.test
    if test is None:
        test, pool, groups = _part(pool, groups, test_fraction, (split_seed, 0), source.class_names)
    if labels_per_class is not None:
        chosen = sample_per_class(
            pool.labels, labels_per_class, (seed, 2), source.class_names, groups
        )
        if makes_validation and labels_per_class < 2:
            raise InputError(
                "`labels_per_class=1` leaves nothing to validate with: use validation_fraction=0, "
                "or at least 2 labels a class."
            )
        pool, groups = pool.take(chosen), _in_order(groups, chosen)
    validation = None if few_shot else source.validation
    if makes_validation:
        validation, pool, _ = _part(
            pool, groups, validation_fraction, (split_seed, 1), source.class_names
        )
    elif validation is not None and validation_fraction == 0:
        pool, validation = pool.joined(validation), None
        notes.append("validation_fraction=0: the source's own validation images are trained on")
    return ImageDataset(
        uri=uri,
        class_names=source.class_names,
        train=pool,
        validation=validation,
        test=test,
        licence=source.licence,
        augmentation=source.augmentation,
        notes=tuple(notes),
    )


def open_recipe_data(recipe: Recipe, progress: Progress = SILENT) -> ImageDataset:
    """Opens the data as the recipe says."""
    return open_dataset(
        recipe.data,
        labels_per_class=recipe.labels_per_class,
        test_fraction=recipe.test_fraction,
        validation_fraction=recipe.validation_fraction,
        seed=recipe.seed,
        split_seed=recipe.split_seed,
        on_bad_image=recipe.on_bad_image,
        progress=progress,
        group_near_duplicates=recipe.group_near_duplicates,
        prepare_photos=_sees_views_of_copies(recipe),
        value_range=recipe.value_range,
    )


def _sees_views_of_copies(recipe: Recipe) -> bool:
    """Guesses whether the recipe's training cuts views from copies of the usual size; a wrong guess costs time alone."""
    sees_views = recipe.solver != LBFGS or (recipe.views or 1) > 1
    augmentation = augmentation_named(recipe.augmentation or OF_PHOTOS)
    if not (recipe.prepared and sees_views) or augmentation is None:
        return False
    return side_for_views(augmentation, recipe.image_size or USUAL_IMAGE_SIZE) == LEAST_SIDE


def open_images(uri: str, opening: Opening = AS_USUAL) -> ImageSource:
    """Opens labelled images with the splits that they come with.

    Args:
        uri: As `open_dataset` takes it.
        opening: How they are opened.

    Raises:
        InputError: As `open_dataset`.
    """
    _check_as_in_recipes(data=uri, on_bad_image=opening.on_bad_image)
    name, _, argument = uri.partition(":")
    if name not in SOURCES:
        raise unknown_name("data source", name, SOURCES, "Use folder:PATH for a folder of photos.")
    load = SOURCES[name]
    check_takes_range(uri, opening.value_range)
    parameters = inspect.signature(load).parameters
    arguments = [p for p in parameters.values() if p.name != "opening"]
    for parameter in arguments:
        if parameter.name in OF_OPENING:
            raise InputError(
                f"The source {name!r} takes `{parameter.name}`: let it take `opening`, which holds that."
            )
    needs_argument = any(p.default is p.empty for p in arguments)
    if (needs_argument and not argument) or (argument and not arguments):
        expected = f"{name}:…" if needs_argument else name
        raise InputError(f"The data URI {uri!r} should be {expected!r}.")
    options = {"opening": opening} if "opening" in parameters else {}
    return load(argument, **options) if argument else load(**options)


def _check_as_in_recipes(**arguments: Any) -> None:
    annotations = annotations_of(Recipe)
    for name, value in arguments.items():
        check_value(name, value, annotations[name])


def _in_order(groups: np.ndarray | None, chosen: np.ndarray) -> np.ndarray | None:
    """Returns the chosen images' groups, numbered as they come: images that are alone are then as without groups."""
    if groups is None:
        return None
    _, first, number = np.unique(groups[chosen], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]


def _part(
    pool: Split,
    groups: np.ndarray | None,
    fraction: float,
    seed: tuple[int, int],
    class_names: tuple[str, ...],
) -> tuple[Split, Split, np.ndarray | None]:
    """Returns the chosen part, the rest, and the rest's groups."""
    chosen = stratified_split(pool.labels, fraction, seed, groups, class_names)
    rest = None if groups is None else groups[~chosen]
    return pool.take(np.flatnonzero(chosen)), pool.take(np.flatnonzero(~chosen)), rest


def check_takes_range(uri: str, value_range: ValueRange | None) -> None:
    """Raises `InputError` for a range of values where a source has no photo files to scale by it."""
    if value_range is None or uri.partition(":")[0] not in WITHOUT_RANGE:
        return
    raise InputError(
        f"`value_range` scales photo files of folders and tables, and {uri!r} is none: leave it out. Received: "
        "{:g} {:g}".format(*value_range)
    )
