"""The keras-tuner `Tuner` of a search: runs trials, keeps their checkpoints, resumes, tells failures apart."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import time
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.errors import FailedTrialError

from tl_toolkit.errors import InputError, is_disk_full
from tl_toolkit.experiments.written_files import CHECKPOINTS
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.transfer.feature_room import NoRoomError
from tl_toolkit.tuning.hypermodel import OUT_OF_MEMORY, RecipeHyperModel, figures_of
from tl_toolkit.tuning.oracles import DamagedStateError
from tl_toolkit.tuning.trials import (
    COMPLETED,
    DIVERGED,
    INFEASIBLE,
    Trial,
    read_trials,
    smallest_infeasible_batch,
    trial_file,
    write_trial,
)

TRIALS, TUNER = "trials", "tuner"
ORACLE_STATE = "oracle.json"  # keras-tuner's name


class RecipeTuner(keras_tuner.Tuner):
    """Runs the oracle's trials as trainings of recipes.

    Args:
        oracle: Draws the points.
        hypermodel: Makes recipes and networks of them.
        folder: Of the search; it may be shared with other workers.
        executions: Trainings of a trial, with the recipe's seed and those after it.
        on_trial: Called with every trial that has ended here.
        progress: Shows what the user should know.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        hypermodel: RecipeHyperModel,
        folder: pathlib.Path,
        executions: int,
        on_trial: Callable[[Trial], None],
        progress: Progress = SILENT,
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._on_trial = on_trial
        super().__init__(
            oracle,
            hypermodel,
            directory=str(folder),
            project_name=TUNER,
            executions_per_trial=executions,
        )

    def _populate_initial_space(self) -> None:
        # All axes are declared up front: no model has to be built to find them.
        hp = self.oracle.get_space()
        self.hypermodel.declare_hyperparameters(hp)
        self.oracle.update_space(hp)

    def on_search_begin(self) -> None:
        """Writes the state that a search resumes from if it is killed in its first trial."""
        self.save()

    def save(self) -> None:
        """Writes the oracle's state; a tuner has none of its own."""
        if not self._is_worker():
            self.oracle.save()

    def resume(self) -> None:
        """Goes on from the state in the folder, where there is one.

        Raises:
            DamagedStateError: It cannot be relied on. This tuner is of no use then.
        """
        if self._is_worker() or not (self._folder / TUNER / ORACLE_STATE).exists():
            return
        self.oracle.reload()
        recorded = {trial.number for trial in read_trials(self._folder / TRIALS)}
        lost = [name for name in self.oracle.end_order if int(name) not in recorded]
        if lost:
            raise DamagedStateError(
                f"trial {int(lost[0])} has ended and has no record that can be read"
            )

    def _get_tuner_fname(self) -> str:
        # keras-tuner reloads by itself, with a line on the terminal, where it finds this file.
        return str(self._folder / TUNER / "is never written")

    def _try_run_and_update_trial(self, trial: Any, *arguments: Any, **keywords: Any) -> None:
        # keras-tuner prints the traceback of a trial that failed, and continues after any error.
        try:
            figures = self.run_trial(trial, *arguments, **keywords)
            self.oracle.update_trial(trial.trial_id, figures)
            trial.status = TrialStatus.COMPLETED
        except FailedTrialError as error:
            trial.status, trial.message = TrialStatus.FAILED, str(error)

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Trains, and returns the validation figures.

        Raises:
            FailedTrialError: Out of memory, or the loss diverged; any other error ends the search.
        """
        number = int(trial.trial_id)
        done = {t.number: t for t in read_trials(self._folder / TRIALS)}
        ended = done.get(number)  # if the search was killed before the oracle knew
        if ended is None:
            if trial_file(number, self._folder / TRIALS).exists():
                self._progress.message(
                    f"The record of trial {number} is damaged: the trial is run again."
                )
            before = [other for other in done.values() if other.number < number]
            ended = self._run(number, trial.hyperparameters, before)
            write_trial(ended, self._folder / TRIALS)
            self._on_trial(ended)
        elif ended.values:  # the oracle learns which point it was, should it have drawn another
            trial.hyperparameters.values = dict(ended.values)
        # Graphs and other state that a trial leaves in Keras; the shared networks outlive it.
        keras.backend.clear_session()
        shutil.rmtree(self._checkpoints(number), ignore_errors=True)
        if ended.status != COMPLETED:
            raise FailedTrialError(f"{ended.status}: {ended.message}")
        return ended.figures

    def _run(self, number: int, hp: keras_tuner.HyperParameters, others: list[Trial]) -> Trial:
        recipe = self.hypermodel.recipe_at(hp)
        axes = self.hypermodel.space.axes
        if "tuner/epochs" in hp.values and "epochs" not in axes:
            axes = (*axes, "epochs")
        ended = Trial(number, recipe, axes, COMPLETED, values=dict(hp.values))
        limit = smallest_infeasible_batch(others, recipe)
        if limit is not None and (recipe.batch_size or 0) >= limit:
            message = f"not tried: not enough memory for batches of {limit} images"
            return dataclasses.replace(ended, status=INFEASIBLE, message=message)
        started = time.monotonic()
        try:
            executions = self._execute(number, recipe)
        except OUT_OF_MEMORY as error:
            if self.hypermodel.spans_processes or is_disk_full(error):
                raise
            message = f"not enough memory for batches of {recipe.batch_size} images: {error}"
            ended = dataclasses.replace(ended, status=INFEASIBLE, message=message)
        except NoRoomError as error:
            ended = dataclasses.replace(ended, status=INFEASIBLE, message=str(error))
        except DivergedError as error:
            ended = dataclasses.replace(ended, status=DIVERGED, message=str(error))
        else:
            ended = dataclasses.replace(ended, executions=executions)
        return dataclasses.replace(ended, seconds=time.monotonic() - started)

    def _execute(self, number: int, recipe: Recipe) -> tuple[dict[str, float], ...]:
        self._drop_checkpoints_of_another(number, recipe)
        figures = []
        for execution in range(self.executions_per_trial):
            trained = self.hypermodel.train(
                recipe.replace(seed=recipe.seed + execution),
                checkpoints=self._checkpoints(number) / str(execution),
            )
            figures.append(figures_of(trained))
        return tuple(figures)

    def _drop_checkpoints_of_another(self, number: int, recipe: Recipe) -> None:
        """Removes those of a trial that was stopped, if its number stands for another point now."""
        drawn = self._checkpoints(number) / "drawn.json"
        is_same = not drawn.exists()
        with contextlib.suppress(InputError):  # it is damaged
            is_same = is_same or Recipe.load(drawn) == recipe
        if not is_same:
            shutil.rmtree(drawn.parent)
        drawn.parent.mkdir(parents=True, exist_ok=True)
        recipe.save(drawn)

    def _checkpoints(self, number: int) -> pathlib.Path:
        return self._folder / CHECKPOINTS / str(number)


def resumed(
    make: Callable[[], RecipeTuner], folder: pathlib.Path, progress: Progress = SILENT
) -> RecipeTuner:
    """Returns a tuner that goes on from the state in a search's folder.

    Where that is damaged it begins anew: it draws the trials again, and takes what is on record of those that have
    ended for their results.

    Args:
        make: Makes the tuner.
        folder: Of the search.
        progress: Shows what the user should know.
    """
    tuner = make()
    try:
        tuner.resume()
        return tuner
    except DamagedStateError as error:
        progress.message(
            f"The state of the search is damaged: {error}. It is made anew from the records of the trials that "
            "have ended."
        )
    (folder / TUNER / ORACLE_STATE).unlink(missing_ok=True)
    for path in (folder / TUNER).glob("trial_*"):
        shutil.rmtree(path)
    return make()
