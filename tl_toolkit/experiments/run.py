"""`run`: one recipe, trained, tested once, exported, and left as a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Collection, Iterator
from typing import Any

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.seen_images import write_seen_images
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.batch_norm_of_run import batch_norm_of_run
from tl_toolkit.experiments.batch_norm_report import BatchNormReport
from tl_toolkit.experiments.climb import Climb, climb
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.export import export, write_model_card
from tl_toolkit.experiments.pin_file import write_pin
from tl_toolkit.experiments.report import (
    run_facts,
    run_plots,
    write_answers,
    write_report,
)
from tl_toolkit.experiments.run_folder import (
    check_output,
    default_folder,
    final_name,
    finish_output,
    partial_folder,
    shared_output,
)
from tl_toolkit.experiments.run_inputs import inputs_of, seen_by_the_weights
from tl_toolkit.experiments.tested import Tested, measure_test
from tl_toolkit.experiments.train_and_validate import TrainedModel, train_and_validate
from tl_toolkit.experiments.write_pages import run_pictures, write_run_page
from tl_toolkit.experiments.written_files import CHECKPOINTS, PAGE, RUN
from tl_toolkit.export.fresh_process import FreshProcess, fresh_process
from tl_toolkit.export.saved_model_layout import SAVED_MODEL
from tl_toolkit.files.manifest import write_manifest
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.answers import write_rows
from tl_toolkit.report.batch_norm_page import BATCH_NORM
from tl_toolkit.report.caveats import caveats
from tl_toolkit.report.ladder import Rung, ladder_table
from tl_toolkit.report.metrics_table import metrics_table
from tl_toolkit.report.notebook_html import notebook_html
from tl_toolkit.report.plot_process import PlotProcess, plot_process
from tl_toolkit.report.run_plots import (
    CONFUSION_MATRIX,
    LABEL_CURVES,
    REGULARISATION_PATH,
    TRAINING_CURVES,
)
from tl_toolkit.strategies import Auto, strategy_label
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.transfer.plan import FreezePlan

# What a notebook shows of a run, as far as it has it.
NOTEBOOK_PLOTS = (TRAINING_CURVES, REGULARISATION_PATH, CONFUSION_MATRIX, LABEL_CURVES)


@dataclasses.dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: The run's folder.
        recipe: What was done.
        test: `classification_metrics` on the test images, or `label_metrics` of photos with several labels.
        validation: The same on the validation images; None where there are none.
        history: Figures of every epoch.
        plan: What training did to every variable.
        seconds: Spent in training and validation.
        notes: What the user should know.
        rungs: What strategy `"auto"` climbed; `recipe` is then that of the rung that was kept.

    Examples:
        Of the run that is the example of `tl.run`:

        >>> result.folder, result.page.name
        (PosixPath('digits_run'), 'report.html')
        >>> low, high = result.test["top1_interval"]
        >>> low < result.test["top1"] < high
        True
        >>> result.validation is None  # with so few labels none are set aside
        True
    """

    folder: pathlib.Path
    recipe: Recipe
    test: dict[str, Any]
    validation: dict[str, Any] | None
    history: list[dict[str, float]]
    plan: FreezePlan
    seconds: float
    notes: tuple[str, ...]
    rungs: tuple[Rung, ...] = ()

    @property
    def page(self) -> pathlib.Path:
        """The page to look at in a browser."""
        return self.folder / PAGE

    def _repr_html_(self) -> str:
        """What a notebook shows: figures, notes and plots."""
        figures = metrics_table({"test": self.test, "validation": self.validation})
        ladder = [ladder_table(self.rungs)] if self.rungs else []
        title = f"{strategy_label(self.recipe.strategy)} on {self.recipe.data}"
        lines = [
            *(f"note: {note}" for note in self.notes),
            f"{self.seconds:.1f} s of training. Everything is in {self.folder}; the page to look at: {self.page}",
        ]
        plots = [self.folder / name for name in NOTEBOOK_PLOTS]
        return notebook_html(title, [*ladder, figures], lines, plots)


def run(
    recipe: Recipe,
    output: str | pathlib.Path | None = None,
    *,
    overwrite: bool = False,
    context: Context | None = None,
    progress: Progress | None = None,
) -> RunResult | None:
    """Trains, selects, tests once, exports, and leaves one folder behind.

    While it runs, the folder is called `NAME.partial`, and the same call resumes what is in it. Finished, it
    is renamed to `NAME` and holds `recipe.json`, `recipe.weights.json` (what the recipe's weights stood
    for), `plan.json`, `history.csv`, `metrics.json`, `summary.md`, `report.html` (a page to look at in a browser, with
    photos, all in one file), `training_curves.png` (for a head that was
    solved for `regularisation_path.png` and `out_of_fold.csv`, on all blocks `blocks.png`),
    `contact_sheet.png` (training images as they are and as training saw them, unless a head was solved for from
    the images as they are), `test_answers.csv`, `confusion_matrix.png`, `reliability.png`, `held_back.png`, of two
    classes `roc.png`, of photos with several labels `label_curves.png` in place of those four, for strategy `"auto"` `ladder.json` and `ladder.png`, `versions.json`, `weights.json`,
    `model.keras` (to train on from; it ends in
    logits) and `saved_model/` (to serve). `tl_toolkit.manifest.json` says what every file was: see `tl.verify`.

    On a cluster every process makes the same call. The chief writes the folder; the others return None.

    Args:
        recipe: What to do.
        output: The folder, NAME; None: one under `saved_models/`, named after the recipe.
        overwrite: Replace a finished run of that name, once this one is finished. Nothing but a finished
            output of this toolkit is ever replaced.
        context: What runs may share.
        progress: Shows what is done; None: the context's, which by default shows nothing.

    Raises:
        InputError: Something given is wrong. Nothing is left behind, except the checkpoints if the disk is
            full.
        StoppedError: Ctrl-C, or SIGTERM (`PreemptedError`); the same call resumes.
        RuntimeError: A promise was broken: a frozen variable moved, or the SavedModel differs.

    Examples:
        >>> recipe = tl.Recipe(data="digits", strategy=tl.NewHead(), labels_per_class=5)
        >>> result = tl.run(recipe, "digits_run")
        >>> result.test["top1"] > 0.9
        True
    """
    output = output if output is not None else default_folder(recipe)
    reads = inputs_of(recipe)
    check_output(output, overwrite, reads)
    context = context or Context()
    processes = ProcessGroup(context.devices(recipe))
    shown = (progress or context.progress) if processes.is_chief else SILENT
    seen_by_the_weights(recipe)  # a damaged list is refused before the training
    with (
        shared_output(output, RUN, overwrite, processes, reads) as folder,
        other_processes(processes) as others,
    ):
        checkpoints = partial_folder(folder) / CHECKPOINTS
        with _without_diverged(checkpoints):
            context = dataclasses.replace(
                context, checkpoints=checkpoints, checkpoint_at_end=False, progress=shown
            )
            climbed = climb(recipe, context) if isinstance(recipe.strategy, Auto) else None
            trained = climbed.trained if climbed else train_and_validate(recipe, context)
            if others is None:
                return None
            return write_run(trained, folder, others, shown, climbed, photos=context.photos)


def write_run(
    trained: TrainedModel,
    folder: pathlib.Path,
    others: OtherProcesses,
    progress: Progress = SILENT,
    climbed: Climb | None = None,
    *,
    photos: bool = True,
) -> RunResult:
    """Tests a trained model, exports it, writes the report, and gives the folder its name.

    Args:
        trained: The model.
        folder: Of the run.
        others: Check the SavedModel and draw the plots, while the model is tested.
        progress: Shows what is done.
        climbed: The rungs that the model was chosen from; None where there was no choice.
        photos: Whether the page shows photos.
    """
    experiment, partial = trained.experiment, partial_folder(folder)
    dataset = experiment.dataset
    partial.mkdir(parents=True, exist_ok=True)
    with progress.stage("Exporting the SavedModel"):
        served, check = export(trained, partial, others.check)
    with progress.stage("Testing"):
        tested = measure_test(trained)
    with progress.stage("Drawing the plots"):
        others.plots.draw(run_plots(trained, tested, climbed), partial)
        write_answers(trained, tested, partial)
        pictures = run_pictures(
            partial,
            recipe=experiment.recipe,
            dataset=dataset,
            photos=photos,
            model=trained.model,
        )
    seen_before = seen_by_the_weights(experiment.recipe)
    seen = {*seen_before, *content_digests(dataset.train), *content_digests(dataset.validation)}
    write_seen_images(partial / SAVED_MODEL, seen)
    batch_norm = batch_norm_of_run(trained, progress)
    notes = _notes(trained, tested, batch_norm, seen_before)
    experiment = dataclasses.replace(experiment, notes=notes)
    trained = dataclasses.replace(trained, experiment=experiment)

    with progress.stage("Checking the SavedModel in another process"):
        difference = check.result()
    facts = {
        **run_facts(trained),
        **({"batch normalisation": batch_norm.fact()} if batch_norm is not None else {}),
        **served,
        "SavedModel": f"loaded by another process with TensorFlow alone; on {check.images} test images no "
        f"probability differs from the trained model's by more than {difference:.1e}",
    }
    write_model_card(trained, tested, facts, partial)
    _write_manifest_of(partial / SAVED_MODEL)
    write_report(trained, tested, facts, partial, progress, climbed)
    if batch_norm is not None:
        write_rows(batch_norm.to_rows(), partial / BATCH_NORM)
    write_pin(experiment.weights, partial / "recipe.json")
    with progress.stage("Writing the page"):
        others.plots.wait()
        write_run_page(partial, final_name(folder), pictures)
    finish_output(folder)
    # Last of all: without them a run that is killed here would train again.
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return RunResult(
        folder=folder,
        recipe=experiment.recipe,
        test=tested.metrics,
        validation=trained.validation,
        history=trained.progress.history,
        plan=experiment.plan,
        seconds=trained.progress.seconds,
        notes=experiment.notes,
        rungs=climbed.rungs if climbed is not None else (),
    )


def _notes(
    trained: TrainedModel,
    tested: Tested,
    batch_norm: BatchNormReport | None,
    seen_before: Collection[str],
) -> tuple[str, ...]:
    """Returns what the user should know, of the training and of the test."""
    dataset = trained.experiment.dataset
    seen_test_images = sum(digest in seen_before for digest in content_digests(dataset.test))
    notes = [
        *trained.experiment.notes,
        *(batch_norm.notes() if batch_norm is not None else ()),
        *caveats(tested.metrics, seen_test_images),
    ]
    if tested.label_thresholds is not None:
        notes.append(tested.label_thresholds.note(dataset.class_names))
    return tuple(filter(None, notes))


@dataclasses.dataclass(frozen=True)
class OtherProcesses:
    """Processes that do a part of a run's end; they import what they need for it while the run trains.

    Attributes:
        check: Loads the SavedModel.
        plots: Draws the plots.
    """

    check: FreshProcess
    plots: PlotProcess


@contextlib.contextmanager
def other_processes(processes: ProcessGroup) -> Iterator[OtherProcesses | None]:
    """Yields those of the chief, which end with the block; None on other workers."""
    if not processes.is_chief:
        yield None
        return
    with fresh_process() as check, plot_process() as plots:
        yield OtherProcesses(check, plots)


def _write_manifest_of(saved_model: pathlib.Path) -> None:
    """Lists all files of a SavedModel in it, so that a copy of it elsewhere is checked too."""
    files = [p.relative_to(saved_model).as_posix() for p in saved_model.rglob("*") if p.is_file()]
    write_manifest(saved_model, files)


@contextlib.contextmanager
def _without_diverged(checkpoints: pathlib.Path) -> Iterator[None]:
    """Removes the checkpoints of a run that diverged: from them it would diverge again."""
    try:
        yield
    except DivergedError:
        shutil.rmtree(checkpoints, ignore_errors=True)
        raise
