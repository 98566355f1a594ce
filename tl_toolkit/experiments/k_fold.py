"""Cross-validation of a recipe: every image that is no test image is validated once, by a training without it."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from typing import Any

import numpy as np

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.kept_together import kept_together
from tl_toolkit.data.labels import are_several
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.answer_rows import out_of_fold_rows
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.figures import figures_of
from tl_toolkit.experiments.run_folder import (
    check_output,
    default_folder,
    finish_output,
    partial_folder,
    shared_output,
)
from tl_toolkit.experiments.run_inputs import inputs_of, seen_by_the_weights
from tl_toolkit.experiments.train_and_validate import TrainedModel, train_and_validate
from tl_toolkit.experiments.write_pages import write_folds_page
from tl_toolkit.experiments.written_files import CHECKPOINTS, CROSS_VALIDATION, PAGE
from tl_toolkit.files.atomic import write_json
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.answers import write_rows
from tl_toolkit.report.ladder import ACCURACY, LABELS_RIGHT
from tl_toolkit.transfer.network_pool import NetworkPool
from tl_toolkit.transfer.solved_head import deal_folds

FOLDS = 5
SELECTED = "each fold's weights are those of the epoch that is best on the fold itself: the figures flatter a little"
KNOWN = "images of these folds were learned from, or selected by, in the run that the weights come from: the figures flatter"


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """What one fold gave.

    Attributes:
        fold: Its number, from 0.
        images: That were validated.
        top1: Their accuracy; where they may have several labels, the share of labels that is right, each given from
            probability 0.5 on.
        log_loss: In nats.
        seconds: Of the training.
    """

    fold: int
    images: int
    top1: float
    log_loss: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """A finished cross-validation.

    Attributes:
        folder: Its folder.
        recipe: What was trained.
        folds: What each gave.
        pooled: `classification_metrics` of all images, each by the training that did not have it; of images with several labels
            `label_metrics`, each given from probability 0.5 on.
        notes: What the user should know.
        measure: What a fold's `top1` is, in words.

    Examples:
        Of the one that is the example of `tl.cross_validate`:

        >>> low, high = validated.range_top1
        >>> low <= validated.mean_top1 <= high
        True
        >>> validated.page
        PosixPath('digits_folds/report.html')
    """

    folder: pathlib.Path
    recipe: Recipe
    folds: tuple[FoldResult, ...]
    pooled: dict[str, Any]
    notes: tuple[str, ...]
    measure: str = ACCURACY

    @property
    def mean_top1(self) -> float:
        """Mean over the folds of their `top1`."""
        return float(np.mean([fold.top1 for fold in self.folds]))

    @property
    def page(self) -> pathlib.Path:
        """The page to look at in a browser."""
        return self.folder / PAGE

    @property
    def range_top1(self) -> tuple[float, float]:
        """Lowest and highest `top1` of a fold."""
        accuracies = [fold.top1 for fold in self.folds]
        return min(accuracies), max(accuracies)


def cross_validate(
    recipe: Recipe,
    *,
    folds: int = FOLDS,
    output: str | pathlib.Path | None = None,
    overwrite: bool = False,
    context: Context | None = None,
    progress: Progress | None = None,
) -> CrossValidation | None:
    """Trains a recipe once a fold of its training and validation images, and validates with the fold.

    Test images are never read. Every class is dealt evenly, and copies of one file, near-duplicates and groups are in one fold. Until it ends, the
    folder is called `NAME.partial`, and the same call resumes what is in it; folds that were trained by steps to their end are not trained again.

    On a cluster every process makes the same call. The chief writes the folder; the others return None.

    Args:
        recipe: What to train; its validation split is dealt into the folds too.
        folds: How many, at least 2.
        output: Folder for `report.html`, `cross_validation.json`, `out_of_fold.csv` and `recipe.json`; None: one under
            `saved_models/`, named after the recipe.
        overwrite: Replace a finished cross-validation of that name.
        context: What the trainings share; its data and checkpoints are set here.
        progress: Shows what is done; None: the context's, which by default shows nothing.

    Raises:
        InputError: Something given is wrong.
        StoppedError: Ctrl-C; the same call resumes.

    Examples:
        >>> recipe = tl.Recipe(data="digits", strategy=tl.NewHead(), labels_per_class=10)
        >>> validated = tl.cross_validate(recipe, folds=2, output="digits_folds")
        >>> validated.pooled["examples"]  # each by the training that did not have it
        100
    """
    if folds < 2:
        raise InputError(f"`folds` must be at least 2. Received: {folds}")
    if output is None:
        folder = default_folder(recipe)
        output = folder.with_name(f"{folder.name}-{folds}-folds")
    context, reads = context or Context(), inputs_of(recipe)
    check_output(output, overwrite, reads)
    seen = seen_by_the_weights(recipe)  # a damaged list is refused before the training
    processes = ProcessGroup(context.devices(recipe))
    shown = (progress or context.progress) if processes.is_chief else SILENT
    context = dataclasses.replace(context, progress=shown)
    with shared_output(output, CROSS_VALIDATION, overwrite, processes, reads) as folder:
        dataset = open_recipe_data(recipe, shown)
        pool = dataset.train
        if dataset.validation is not None:
            pool = pool.joined(dataset.validation)
        digests = content_digests(pool)
        fold_of = _deal(recipe, pool, folds)
        results, logits, notes = _train_all(
            recipe, dataset, pool, fold_of, partial_folder(folder), context
        )
        if any(digest in seen for digest in digests):
            notes = (*notes, KNOWN)
        pooled = figures_of(logits, pool.labels, dataset.class_names)
        measure = LABELS_RIGHT if are_several(pool.labels) else ACCURACY
        found = CrossValidation(folder, recipe, tuple(results), pooled, notes, measure)
        if not processes.is_chief:
            return None
        rows = out_of_fold_rows(pool, fold_of, logits, dataset.class_names)
        _write(found, rows, dataset, context.photos)
        return found


def _deal(recipe: Recipe, pool: Split, folds: int) -> np.ndarray:
    fold_of = deal_folds(pool.labels, kept_together(pool), recipe.split_seed, folds)
    dealt = 0 if fold_of is None else int(fold_of.max()) + 1
    if fold_of is None or dealt < folds:
        raise InputError(
            f"Half of the classes have fewer than {folds} different images that are no test images, so that they "
            f"cannot be dealt into {folds} folds: {f'use at most {dealt}' if dealt else 'give them more images'}."
        )
    return fold_of


def _train_all(
    recipe: Recipe,
    dataset: ImageDataset,
    pool: Split,
    fold_of: np.ndarray,
    partial: pathlib.Path,
    context: Context,
) -> tuple[list[FoldResult], np.ndarray, tuple[str, ...]]:
    """Returns what each fold gave, float32[n, classes] logits of all images, and notes."""
    logits = np.empty((len(pool), len(dataset.class_names)), np.float32)
    notes: dict[str, None] = {}
    context = dataclasses.replace(context, networks=context.networks or NetworkPool(size=1))
    results = []
    for fold in range(int(fold_of.max()) + 1):
        held_out = np.flatnonzero(fold_of == fold)
        of_fold = dataclasses.replace(
            dataset,
            train=pool.take(np.flatnonzero(fold_of != fold)),
            validation=pool.take(held_out),
        )
        context = dataclasses.replace(
            context, dataset=of_fold, checkpoints=partial / CHECKPOINTS / f"fold {fold}"
        )
        trained = train_and_validate(recipe, context)
        context = dataclasses.replace(context, announce_devices=False)  # they are the same for all
        logits[held_out] = _logits_of_fold(trained, pool.take(held_out))
        figures = figures_of(logits[held_out], pool.labels[held_out], dataset.class_names)
        right = figures["top1"] if "top1" in figures else 1 - figures["hamming_loss"]
        seconds = trained.progress.seconds
        results.append(FoldResult(fold, len(held_out), right, figures["log_loss"], seconds))
        notes |= dict.fromkeys(trained.experiment.notes)
        if trained.solved is None:
            notes[SELECTED] = None
    return results, logits, tuple(notes)


def _logits_of_fold(trained: TrainedModel, fold: Split) -> np.ndarray:
    logits = trained.validation_logits
    if logits is None:
        return predict_logits(trained.experiment, fold)[0]
    # After training by steps, they were divided by what was fitted to them.
    return logits / trained.calibration.temperature if trained.solved is not None else logits


def _write(
    found: CrossValidation, rows: list[dict[str, Any]], dataset: ImageDataset, photos: bool
) -> None:
    partial = partial_folder(found.folder)
    found.recipe.save(partial / "recipe.json")
    low, high = found.range_top1
    values = {
        "folds": [dataclasses.asdict(fold) for fold in found.folds],
        "mean_top1": found.mean_top1,
        "range_top1": [low, high],
        "pooled": found.pooled,
        "measure": found.measure,
        "notes": list(found.notes),
    }
    write_json(partial / "cross_validation.json", values)
    write_rows(rows, partial / "out_of_fold.csv")
    write_folds_page(partial, str(found.folder), dataset=dataset, photos=photos)
    shutil.rmtree(partial / CHECKPOINTS, ignore_errors=True)
    finish_output(found.folder, CROSS_VALIDATION)
