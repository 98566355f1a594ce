"""`search`: trials over recipes by keras-tuner, selected by validation images, left as a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from tl_toolkit.catalog import LBFGS
from tl_toolkit.data.pipeline import examples_per_epoch
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.devices.strategy import describe_devices
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.pin_file import write_pin
from tl_toolkit.experiments.run import RunResult
from tl_toolkit.experiments.run_folder import (
    check_output,
    finish_output,
    output_folder,
    partial_folder,
    shared_output,
)
from tl_toolkit.experiments.run_inputs import inputs_of
from tl_toolkit.experiments.write_pages import write_search_page
from tl_toolkit.experiments.written_files import CHECKPOINTS, PAGE, SEARCH
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.metrics_table import metrics_table
from tl_toolkit.report.notebook_html import notebook_html
from tl_toolkit.transfer.defaults import choose_hyperparameters
from tl_toolkit.transfer.network_pool import NetworkPool
from tl_toolkit.tuning.display import SearchDisplay, StagesOnly, trials_table
from tl_toolkit.tuning.hypermodel import RecipeHyperModel
from tl_toolkit.tuning.oracles import TUNERS, make_oracle
from tl_toolkit.tuning.results import BEST_RECIPE, write_results
from tl_toolkit.tuning.retrain import retrain as train_again
from tl_toolkit.tuning.search_file import (
    WEIGHTS,
    claim,
    pin_in,
    resolve_weights,
    wait_for_chief,
)
from tl_toolkit.tuning.space import Axis
from tl_toolkit.tuning.trials import OBJECTIVES, Trial, best_trial, check_objective, read_trials
from tl_toolkit.tuning.tuner import TRIALS, TUNER, RecipeTuner, resumed
from tl_toolkit.tuning.workers import ORACLE_IP, is_one_of_several, is_worker

RETRAINED = "retrained"
MOST_NETWORKS = 4  # that are kept in memory


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Attributes:
        folder: Holds everything.
        trials: All of them, in the order in which they started.
        objective: The figure by which they were compared.
        best: The best one by validation images.
        retrained: Runs of the best recipe on training and validation images together, one a seed.

    Examples:
        Of the search that is the example of `tl.search`:

        >>> found.best.recipe.strategy.name  # `tl.run(found.best.recipe)` trains it, exports it and tests it
        'new_head'
        >>> found.page
        PosixPath('digits_search/report.html')
    """

    folder: pathlib.Path
    trials: tuple[Trial, ...]
    objective: str
    best: Trial
    retrained: tuple[RunResult, ...] = ()

    @property
    def page(self) -> pathlib.Path:
        """The page to look at in a browser."""
        return self.folder / PAGE

    def _repr_html_(self) -> str:
        """What a notebook shows: the best trials, the test figures of what was trained again, and the map."""
        tables = [trials_table(self.trials, self.objective)]
        if self.retrained:
            tests = {f"test, seed {run.recipe.seed}": run.test for run in self.retrained}
            tables.append(metrics_table(tests))
        line = (
            f"Best trial by validation images: {self.best.number}. The page to look at: {self.page}"
        )
        return notebook_html("Search", tables, [line], [self.folder / "search_map.png"])


def search(
    recipe: Recipe,
    space: Mapping[str, Axis] | None = None,
    *,
    tuner: str = "bayesian",
    trials: int | None = 24,
    executions: int = 1,
    objective: str = "val_loss",
    seed: int = 0,
    retrain: int = 0,
    output: str | pathlib.Path = "saved_models/search",
    overwrite: bool = False,
    context: Context | None = None,
    progress: Progress | None = None,
) -> SearchResult | None:
    """Searches batch size, learning rate and more by validation images; test images are never read.

    With `NewHead(solver="lbfgs")` a trial is a head that is solved for, in seconds: axes are `on`, `tta`, `augmentation`,
    `resize` and the like, and the L2 penalty is each trial's own, by cross-validation.

    Frozen layers are computed once for all trials that freeze the same layers. While it runs, the folder is
    called `NAME.partial`, and the same call resumes it, the running trial from its last checkpoint. Finished,
    it holds `best_recipe.json` (to run) and `best_recipe.weights.json` (what its weights stood for),
    `report.html` (a page to look at in a browser), `trials.csv`, `trials/`, `search_map.png` (batch size and learning rate),
    `parallel_coordinates.png`, `tensorboard/` (HParams), and
    `retrained/` if asked for. The weights' name is resolved once, at the start: all trials start from the
    same weights.

    With keras-tuner's environment variables `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP` and
    `KERASTUNER_ORACLE_PORT` the call is one process of several that share the folder: the one whose id
    begins with "chief" hands out the trials and finishes the search; the others run trials and return None.
    If a worker dies, start it again with the same id: it resumes its trial.

    On a cluster (`devices`) all processes train every trial together; the chief writes, and the others return
    None.

    Args:
        recipe: Gives every value that is not searched.
        space: Axes by name, as `tl_toolkit.tuning.space.make_space` takes them.
        tuner: `"bayesian"`, `"random"`, `"grid"` or `"hyperband"`.
        trials: Maximum number of trials; None: all of a grid or of Hyperband.
        executions: Trainings of a trial, with the recipe's seed and those after it; their mean counts.
        objective: `"val_loss"`, `"val_top1"` or `"val_balanced_accuracy"`; of photos with several labels `"val_loss"`,
            `"val_mean_average_precision"` or `"val_macro_f1"` (from probability 0.5 on). With few validation images the loss
            is more informative than the accuracy, in which many trials tie.
        seed: Seed of the tuner's random draws.
        retrain: Number of seeds with which the best recipe is trained again, on training and validation
            images; each result is exported and tested once.
        output: The folder, NAME.
        overwrite: Replace a finished search, once this one is finished, and drop an unfinished one of another
            recipe or space; an unfinished one of the same is resumed.
        context: What trials share in addition to the data, the network and the frozen features.
        progress: Shows the trials; None: the context's, which by default shows nothing.

    Raises:
        InputError: An argument is wrong, before the first trial; or every trial failed.
        StoppedError: Ctrl-C; the same call resumes.

    Examples:
        >>> recipe = tl.Recipe(
        ...     data="digits", strategy=tl.NewHead(), labels_per_class=10, validation_fraction=0.5, epochs=2
        ... )
        >>> found = tl.search(
        ...     recipe, {"learning_rate": [1e-3, 1e-2]}, tuner="grid", trials=None, output="digits_search"
        ... )
        >>> len(found.trials)
        4
    """
    _check(tuner, trials, executions, objective, seed, retrain)
    if tuner == "hyperband" and getattr(recipe.strategy, "solver", None) == LBFGS:
        raise InputError(
            "Hyperband gives trials few epochs or many, and a head of solver='lbfgs' has none: use another tuner, such as 'grid'."
        )
    if tuner == "hyperband" and recipe.unfreeze_epochs is not None:
        raise InputError(
            "Hyperband begins with trials of few epochs, in which `unfreeze_epochs` leaves stages untrained: leave it out, or "
            "use another tuner."
        )
    context = context or Context()
    distribute = context.devices(recipe)
    processes = ProcessGroup(distribute)
    if is_one_of_several() and processes.count > 1:
        raise InputError(
            f"{ORACLE_IP} asks for one trial a process, and the cluster for all processes to train every trial "
            f"together: choose one. Give devices='one' (--devices one), or unset {ORACLE_IP}."
        )
    shown = (progress or context.progress) if processes.is_chief else SILENT
    context = dataclasses.replace(context, progress=shown, announce_devices=False)
    if distribute.num_replicas_in_sync > 1:
        shown.message(describe_devices(distribute, None))
    reads = inputs_of(recipe)
    check_output(output, overwrite, reads)
    with (
        contextlib.nullcontext(output_folder(output))
        if is_worker()
        else shared_output(output, SEARCH, overwrite, processes, reads)
    ) as folder:
        result = _search_in(
            folder,
            processes,
            recipe,
            space,
            tuner=tuner,
            trials=trials,
            executions=executions,
            objective=objective,
            seed=seed,
            retrain=retrain,
            overwrite=overwrite,
            context=context,
        )
    return result if processes.is_chief else None


def _search_in(
    folder: pathlib.Path,
    processes: ProcessGroup,
    recipe: Recipe,
    space: Mapping[str, Axis] | None,
    *,
    tuner: str,
    trials: int | None,
    executions: int,
    objective: str,
    seed: int,
    retrain: int,
    overwrite: bool,
    context: Context,
) -> SearchResult | None:
    """Every process of a cluster draws the same trials, since all know all figures; see `search`."""
    hypermodel = RecipeHyperModel(
        recipe,
        space,
        dataclasses.replace(
            context,
            networks=context.networks or NetworkPool(max(executions, _networks_of(space))),
            progress=StagesOnly(context.progress),
        ),
    )
    check_objective(objective, several=hypermodel.dataset.has_several_labels)
    partial = partial_folder(folder)
    identity: dict[str, Any] = {
        "recipe": recipe.to_json(),
        "space": hypermodel.space.to_json(),
        "tuner": tuner,
        "trials": trials,
        "executions": executions,
        "objective": objective,
        "seed": seed,
    }
    if is_worker():
        pin = pin_in(wait_for_chief(partial, identity))
    else:
        pin = resolve_weights(hypermodel.space, context, partial, identity, processes)
    hypermodel.use_weights(pin)
    hypermodel.check_blocks()
    if not is_worker():
        claim(partial, {**identity, WEIGHTS: pin and pin.to_json()}, overwrite)
        for files in (f"{TRIALS}/**/*", f"{TUNER}/**/*"):  # of a search that is resumed
            processes.broadcast_text_files(partial, files)
    context = dataclasses.replace(context, weights=pin)
    ended = read_trials(partial / TRIALS)
    total = None if tuner == "hyperband" and trials is None else trials
    display = SearchDisplay(context.progress, objective, total, ended)
    epochs = _longest(hypermodel)
    with context.progress.stage("Searching", total=total, done=len(ended)) as stage:

        def show(trial: Trial) -> None:
            display.trial_ended(trial)
            stage.advance()

        def make() -> RecipeTuner:
            oracle = make_oracle(tuner, objective, OBJECTIVES[objective], trials, epochs, seed + 1)
            oracle.verbose = 0
            return RecipeTuner(oracle, hypermodel, partial, executions, show, context.progress)

        resumed(make, partial, context.progress).search()
    if is_worker():
        return None
    return _finish(folder, recipe, objective, retrain, context)


def _networks_of(axes: Mapping[str, Axis] | None) -> int:
    """How many networks trials take in turn, one for each place and view of the head, as far as they are all kept."""
    of_axes = (len((axes or {}).get(name, (None,))) for name in ("on", "tta"))
    return min(math.prod(of_axes), MOST_NETWORKS)


def _finish(
    folder: pathlib.Path,
    recipe: Recipe,
    objective: str,
    retrain: int,
    context: Context,
) -> SearchResult:
    partial = partial_folder(folder)
    ended = read_trials(partial / TRIALS)
    best = best_trial(ended, objective)
    if best is None:
        reasons = "; ".join(sorted({trial.message.splitlines()[0] for trial in ended})[:3])
        raise InputError(
            f"All {len(ended)} trials failed: {reasons}. {str(partial)!r} holds them: change the space, and "
            "drop them with overwrite (on the command line --overwrite)."
        )
    write_results(ended, best, objective, partial)
    write_pin(context.weights if best.recipe.start is not None else None, partial / BEST_RECIPE)
    seeds = [recipe.seed + number for number in range(retrain)]
    retrained = train_again(best.recipe, seeds, partial / RETRAINED, context)
    write_search_page(partial, str(folder))
    for name in (TUNER, CHECKPOINTS):
        shutil.rmtree(partial / name, ignore_errors=True)
    finish_output(folder, SEARCH)
    retrained = [
        dataclasses.replace(r, folder=folder / RETRAINED / r.folder.name) for r in retrained
    ]
    return SearchResult(folder, tuple(ended), objective, best, tuple(retrained))


def _check(
    tuner: str,
    trials: int | None,
    executions: int,
    objective: str,
    seed: int,
    retrain: int,
) -> None:
    if tuner not in TUNERS:
        raise unknown_name("tuner", tuner, TUNERS)
    if objective not in OBJECTIVES:
        raise unknown_name("objective", objective, OBJECTIVES)
    if trials is None and tuner not in ("grid", "hyperband"):
        raise InputError(f"The tuner {tuner!r} never ends by itself: give `trials`.")
    least = {"trials": (trials, 1), "executions": (executions, 1), "seed": (seed, 0)}
    for name, (value, bound) in {**least, "retrain": (retrain, 0)}.items():
        if value is not None and value < bound:
            raise InputError(f"`{name}` must be at least {bound}. Received: {value}")


def _longest(hypermodel: RecipeHyperModel) -> int:
    """Returns the recipe's own epochs: the length of Hyperband's longest trials."""
    recipe, train = hypermodel.space.recipe, hypermodel.dataset.train
    examples = examples_per_epoch(train.labels, recipe.class_balance == "sampling")
    return choose_hyperparameters(recipe, examples).epochs
