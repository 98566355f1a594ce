"""`export_run`: a finished run's network in other formats, each compared with the SavedModel before it is left there."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any, Literal

import numpy as np

from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.batch_source import EVALUATION_BATCH_SIZE
from tl_toolkit.experiments.measured_exports import ExportMeasure, MeasuredExport
from tl_toolkit.experiments.refresh_page import refresh_page
from tl_toolkit.experiments.run_folder import (
    check_written_by_us,
    claim_files,
    list_written_again,
)
from tl_toolkit.experiments.written_files import EXPORTS, EXPORTS_FILE
from tl_toolkit.export.frame_network import FrameNetwork
from tl_toolkit.export.saved_model_layout import CARD, SAVED_MODEL, THRESHOLDS, TOLERANCES
from tl_toolkit.fields import check_value
from tl_toolkit.files.atomic import write_json, written_aside
from tl_toolkit.files.manifest import check_file, check_files
from tl_toolkit.models.deep_graph import load_model
from tl_toolkit.models.fold import copy_in
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.weights.run_folder import MODEL_FILE

ExportFormat = Literal["savedmodel", "onnx", "litert", "litert-int8", "openvino", "all"]
SAVEDMODEL, INT8, ALL = "savedmodel", "litert-int8", "all"
# What each is written by, in `tl_toolkit.export`, and its files. The SavedModel is there.
WRITERS = {
    "onnx": ("onnx_file", ("model.onnx",)),
    "litert": ("litert_file", ("model.tflite",)),
    INT8: ("litert_int8_file", ("model_int8.tflite",)),
    "openvino": ("openvino_file", ("model.xml", "model.bin")),
}
MOST_IMAGES = 500  # compared on: their frames are 0.3 GB at 224 pixels
CALIBRATION_IMAGES = 100
MOST_CHANGED = 0.01  # of the answers, by int8


@dataclasses.dataclass(frozen=True)
class Exports:
    """What `export_run` wrote.

    Attributes:
        folder: The run's.
        compared_on: Which images, in words.
        formats: By name; the SavedModel, which they are compared with, is always among them.

    Examples:
        Of the export that is the example of `tl.export_run`:

        >>> exports.compared_on, list(exports.formats)
        ('9 validation images', ['savedmodel', 'onnx'])
        >>> exports.formats["onnx"].changed_answers
        0
    """

    folder: pathlib.Path
    compared_on: str
    formats: dict[str, MeasuredExport]


def export_run(
    run: str | pathlib.Path,
    to: ExportFormat = "all",
    *,
    accept_changes: bool = False,
    progress: Progress = SILENT,
) -> Exports:
    """Writes a finished run's network in other formats into its folder, and compares each with the SavedModel.

    `exports/` gets `model.onnx` (ONNX), `model.tflite` and `model_int8.tflite` (LiteRT), or `model.xml` and `model.bin`
    (OpenVINO), with scaling, folded batch normalisation, temperature and softmax (of several labels a photo, the
    sigmoid) inside, the classes and the preprocessing in their metadata, and a batch of any size. They take frames,
    images that are resized already:
    `images`, float32[batch, size, size, 3], RGB, 0-255; the LiteRT files take uint8 too. `load_classifier` opens each of
    them, decodes and resizes as the SavedModel does, and takes all that it takes.

    Each file is first loaded by a process of its own, with its runtime alone, and asked up to 500 validation images (of
    a run without any, training images). `exports.json` has what came out, and the run's page a
    table of it. What is exported again is replaced; the run's manifest follows.

    Args:
        run: The run's folder.
        to: The format, or `"all"`. `"savedmodel"` writes nothing: it is there.
        accept_changes: Leave an int8 file there that changes more than 1% of the answers.
        progress: Shows what is done.

    Returns:
        What was written, and how it compares.

    Raises:
        InputError: It is no finished run, its data cannot be opened, a format's package is not installed, a file of
            the user's is in the place, or int8 changes more than 1% of the answers. Nothing is left behind.
        RuntimeError: A float32 file differs from the SavedModel by more than 1e-4 in a probability (0.1 where the
            SavedModel is in bfloat16), or does not load. Nothing is left behind.

    Examples:
        >>> exports = tl.export_run("my_run", to="onnx")
        >>> exports.formats["onnx"].largest_difference <= 1e-4
        True
    """
    check_value("to", to, ExportFormat)
    folder = user_path(os.fspath(run))
    recipe, card = _read_run(folder)
    wanted = [name for name in WRITERS if to in (name, ALL)]
    writers = {
        name: importlib.import_module(f"tl_toolkit.export.{WRITERS[name][0]}") for name in wanted
    }
    files = {name: tuple(f"{EXPORTS}/{file}" for file in WRITERS[name][1]) for name in wanted}
    check_written_by_us(folder, [*sum(files.values(), ()), EXPORTS_FILE])
    if (folder / EXPORTS_FILE).is_file():
        check_file(folder / EXPORTS_FILE, folder, "Without it the files are exported anew.")
    dataset = open_recipe_data(recipe, progress)
    model = load_model(folder / MODEL_FILE)
    network = FrameNetwork(copy_in(model, "float32"), card)
    split, compared_on = _compared_images(dataset)
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(scratch)
        with progress.stage("Asking the SavedModel"):
            measure = ExportMeasure(
                split, network.preprocessing, folder / SAVED_MODEL, place, _thresholds(card)
            )
        found = {SAVEDMODEL: measure.measure(SAVEDMODEL, (SAVED_MODEL,), [folder / SAVED_MODEL])}
        for name in wanted:
            with progress.stage(f"Exporting to {name}"):
                paths = [place / file for file in WRITERS[name][1]]
                frames = [_calibration_frames(dataset, network)] if name == INT8 else []
                writers[name].write(network, paths[0], *frames)
            with progress.stage(f"Checking {name} in another process"):
                found[name] = measure.measure(name, files[name], paths)
            _check(found[name], recipe.serve_precision, accept_changes)
        _keep(folder, place, files, found, compared_on)
    with progress.stage("Writing the page"):
        refresh_page(folder, dataset=dataset, model=model)
    return Exports(folder, compared_on, found)


def _read_run(folder: pathlib.Path) -> tuple[Recipe, dict[str, Any]]:
    """Returns the recipe and the SavedModel's card of a finished run."""
    needed = ("recipe.json", MODEL_FILE, f"{SAVED_MODEL}/{CARD.as_posix()}")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{str(folder)!r} is no finished run: it has no {missing[0]}. Expected the folder that `tl-toolkit train` "
            "wrote."
        )
    check_file(folder / "recipe.json")
    check_files(folder / SAVED_MODEL)
    card = json.loads((folder / SAVED_MODEL / CARD).read_bytes())
    return Recipe.from_json(json.loads((folder / "recipe.json").read_bytes())), card


def _thresholds(card: dict[str, Any]) -> list[float] | None:
    """Returns those of several labels a photo, in the order of the outputs; None of one class."""
    if THRESHOLDS not in card:
        return None
    return [card[THRESHOLDS][name] for name in card["class_names"]]


def _compared_images(dataset: ImageDataset) -> tuple[Split, str]:
    split, kind = dataset.validation, "validation"
    if split is None or not len(split):  # never the test images, which are looked at once
        split, kind = dataset.train, "training"
    taken = _drawn(split, MOST_IMAGES)
    words = (
        f"{len(taken)} {kind} images"
        if len(taken) == len(split)
        else (f"{len(taken)} of {len(split)} {kind} images")
    )
    return taken, words + (": there are no validation images" if kind == "training" else "")


def _calibration_frames(dataset: ImageDataset, network: FrameNetwork) -> list[np.ndarray]:
    drawn = _drawn(dataset.train, CALIBRATION_IMAGES)
    batches = EvaluationBatches(drawn, network.preprocessing, EVALUATION_BATCH_SIZE)
    return [frame for images, _ in batches for frame in images.numpy()]


def _drawn(split: Split, most: int) -> Split:
    """Returns so many images of a split, the same ones every time."""
    return split.take(np.sort(np.random.default_rng(0).permutation(len(split))[:most]))


def _check(measured: MeasuredExport, served_precision: str, accept_changes: bool) -> None:
    if measured.format != INT8:
        tolerance = TOLERANCES[served_precision]
        if not measured.largest_difference <= tolerance:
            raise RuntimeError(
                f"The {measured.format} file differs from the SavedModel by {measured.largest_difference:.2g} in a "
                f"probability; at most {tolerance} is allowed. Nothing was written."
            )
        return
    changed = measured.changed_answers / measured.images
    if changed > MOST_CHANGED and not accept_changes:
        raise InputError(
            f"In int8 {measured.changed_answers} of {measured.images} answers ({100 * changed:.1f}%) are others than "
            f"the SavedModel's, and accuracy is {measured.top1:.3f}; at most {100 * MOST_CHANGED:.0f}% is taken "
            "unasked, and nothing was written. Take --to litert, or accept it with accept_changes (on the command line "
            "--accept-changes)."
        )


def _keep(
    folder: pathlib.Path,
    place: pathlib.Path,
    files: dict[str, tuple[str, ...]],
    found: dict[str, MeasuredExport],
    compared_on: str,
) -> None:
    """Copies the files into the run, each whole, and lists them in its manifest."""
    written = [file for name in files for file in reversed(files[name])]  # the one to open last
    claim_files(folder, [*written, EXPORTS_FILE])
    if written:
        (folder / EXPORTS).mkdir(exist_ok=True)
    for file in written:
        with written_aside(folder / file) as aside:
            shutil.copyfile(place / pathlib.PurePosixPath(file).name, aside)
    known = {}
    if (folder / EXPORTS_FILE).is_file():
        known = json.loads((folder / EXPORTS_FILE).read_bytes())["formats"]
    rows = {
        name: {**dataclasses.asdict(row), "compared_on": compared_on} for name, row in found.items()
    }
    write_json(folder / EXPORTS_FILE, {"formats": known | rows})
    for file in (*written, EXPORTS_FILE):
        list_written_again(folder, file)
