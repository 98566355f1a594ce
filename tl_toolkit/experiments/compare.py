"""Several strategies on the same images, over several seeds."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np

from tl_toolkit.catalog.names import NO_LABEL
from tl_toolkit.data.labels import names_of
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.experiments.recipes_to_compare import check_can_choose, check_recipes
from tl_toolkit.experiments.run import (
    OtherProcesses,
    other_processes,
    write_run,
)
from tl_toolkit.experiments.run_folder import (
    check_output,
    finish_output,
    partial_folder,
    shared_output,
)
from tl_toolkit.experiments.run_inputs import inputs_of, seen_by_the_weights
from tl_toolkit.experiments.strategy_result import (
    SeedFigures,
    StrategyResult,
    against_best,
    differences_in_words,
    measure,
    selection_score,
    strategies_table,
    strategy_result,
)
from tl_toolkit.experiments.train_and_validate import TrainedModel, train_and_validate
from tl_toolkit.experiments.write_pages import write_comparison_page
from tl_toolkit.experiments.written_files import CHECKPOINTS, COMPARISON, PAGE
from tl_toolkit.export.classifier import load_classifier
from tl_toolkit.export.predictions import answer_in_words
from tl_toolkit.export.saved_model_layout import SAVED_MODEL
from tl_toolkit.files.atomic import write_json
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.notebook_html import notebook_html
from tl_toolkit.report.plots import plot_comparison
from tl_toolkit.strategies import strategy_label
from tl_toolkit.transfer.network_pool import NetworkPool, assign_weights, weights_of
from tl_toolkit.transfer.plan import apply_plan

BEST = "best"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        folder: The comparison's folder.
        title: Of the table: images, weights and labels.
        results: One a strategy, in the order of the recipes.
        best: The strategy that was chosen without the test set.
        test_images: How many there are.
        example: What the best one's SavedModel says of the first test image: its true class, the class that
            it names, and the probability of that. Of several labels an image, those that it has, those that it is
            given, and the probability of the most probable label.

    Examples:
        Of the comparison that is the example of `tl.compare`:

        >>> comparison.best in comparison.results
        True
        >>> len(comparison.best.test_top1)  # one a seed
        2
        >>> comparison.saved_model
        PosixPath('digits_comparison/best/saved_model')
    """

    folder: pathlib.Path
    title: str
    results: tuple[StrategyResult, ...]
    best: StrategyResult
    test_images: int
    example: tuple[str, str, float]

    @property
    def saved_model(self) -> pathlib.Path:
        """The best strategy's SavedModel."""
        return self.folder / BEST / SAVED_MODEL

    @property
    def page(self) -> pathlib.Path:
        """The page to look at in a browser."""
        return self.folder / PAGE

    def _repr_html_(self) -> str:
        """What a notebook shows: a row a strategy, and the plot."""
        lines = [
            differences_in_words(self.results, self.best.strategy, self.test_images),
            f"Best strategy (chosen without the test set): {self.best.strategy}. The page to look at: {self.page}",
        ]
        plots = [self.folder / "comparison.png"]
        return notebook_html(self.title, [strategies_table(self.results)], lines, plots)


def compare(
    recipes: Sequence[Recipe],
    *,
    seeds: int,
    output: str | pathlib.Path,
    overwrite: bool = False,
    context: Context | None = None,
    progress: Progress | None = None,
) -> Comparison | None:
    """Trains every recipe with every seed, and exports the best one's first model.

    The best is chosen without the test set: by the validation images, or with `labels_per_class` by the
    images that the other seeds learned from. Whether another strategy differs from it on the test images is said by
    a paired test (see `StrategyResult.p_value`). Where an image may have several labels, the share of labels that is right
    takes the place of accuracy, and the least log loss over all answers to the validation images chooses. Until it ends, the
    folder is called `NAME.partial`, and the same call resumes what is in it.

    On a cluster every process makes the same call. The chief writes the folder; the others return None.

    Args:
        recipes: Of different strategies, on the same data; each is run with the seeds 0, 1 and so on.
        seeds: Runs a recipe.
        output: Folder for `report.html`, `comparison.json`, `comparison.png` and `best/`, a run's folder.
        overwrite: Replace a finished comparison of that name.
        context: What the trainings share; its data and checkpoints are set here.
        progress: Shows what is done; None: the context's, which by default shows nothing.

    Raises:
        InputError: Something given is wrong.
        StoppedError: Ctrl-C; the same call resumes.

    Examples:
        >>> heads = (tl.NewHead(), tl.NewHead(on="all_blocks"))
        >>> recipes = tl.comparison_recipes("digits", strategies=heads, labels_per_class=5)
        >>> comparison = tl.compare(recipes, seeds=2, output="digits_comparison")
        >>> [result.strategy for result in comparison.results]
        ['new_head', 'new_head, on=all_blocks']
    """
    check_recipes(recipes, seeds)
    context = context or Context()
    reads = [path for recipe in recipes for path in inputs_of(recipe)]
    check_output(output, overwrite, reads)
    for recipe in recipes:
        seen_by_the_weights(recipe)  # a damaged list is refused before the training
    processes = ProcessGroup(context.devices(recipes[0]))
    shown = (progress or context.progress) if processes.is_chief else SILENT
    context = dataclasses.replace(context, progress=shown)
    with (
        shared_output(output, COMPARISON, overwrite, processes, reads) as folder,
        other_processes(processes) as others,
    ):
        results, best, model, weights = _train_all(recipes, seeds, partial_folder(folder), context)
        if others is None:
            return None
        return _write(results, best, model, weights, folder, context, others)


def _train_all(
    recipes: Sequence[Recipe], seeds: int, partial: pathlib.Path, context: Context
) -> tuple[list[StrategyResult], StrategyResult, TrainedModel, str]:
    """Returns all results, the best one, its first seed's model, and the weights of the transfers.

    On a cluster all processes train together; each computes the figures, and only the chief keeps a folder.
    """
    datasets = [
        open_recipe_data(recipes[0].replace(seed=seed), context.progress) for seed in range(seeds)
    ]
    check_can_choose(datasets[0])
    first_models: dict[str, TrainedModel] = {}
    first_weights: dict[str, list[np.ndarray]] = {}
    context = dataclasses.replace(context, networks=context.networks or NetworkPool(size=2))
    results = []
    answers: dict[str, list[np.ndarray]] = {}
    for recipe in recipes:
        label = strategy_label(recipe.strategy)
        runs: list[SeedFigures] = []
        for seed, dataset in enumerate(datasets):
            checkpoints = partial / CHECKPOINTS / f"{label}, seed {seed}"
            trained = train_and_validate(
                recipe.replace(seed=seed),
                dataclasses.replace(context, dataset=dataset, checkpoints=checkpoints),
            )
            context = dataclasses.replace(
                context, announce_devices=False
            )  # they are the same for all
            if seed == 0:
                first_models[label] = trained
                first_weights[label] = weights_of(trained.model)
            runs.append(measure(trained, datasets))
        results.append(strategy_result(label, first_models[label], runs))
        answers[label] = [figures.is_right for figures in runs]
    chosen = max(results, key=selection_score).strategy
    results = against_best(results, chosen, answers)
    best = next(result for result in results if result.strategy == chosen)
    transfers = [m.experiment for m in first_models.values() if m.experiment.weights is not None]
    weights = transfers[0].spec.name if transfers else "none"
    model = _with_weights(first_models[best.strategy], first_weights[best.strategy])
    return results, best, model, weights


def _with_weights(trained: TrainedModel, weights: list[np.ndarray]) -> TrainedModel:
    """Gives a model back the weights and modes of its training; others have taken the network since."""
    experiment = trained.experiment
    assign_weights(trained.model, weights)
    apply_plan(trained.model, experiment.plan, experiment.hyperparameters.bn_momentum)
    return trained


def _write(
    results: list[StrategyResult],
    best: StrategyResult,
    model: TrainedModel,
    weights: str,
    folder: pathlib.Path,
    context: Context,
    others: OtherProcesses,
) -> Comparison:
    partial, test = partial_folder(folder), model.experiment.dataset.test
    write_run(model, partial / BEST, others, context.progress, photos=context.photos)
    title = _title(model.experiment, weights)
    write_json(partial / "comparison.json", [result.to_json() for result in results])
    accuracies = {result.strategy: result.test_top1 for result in results}
    plot_comparison(accuracies, title, partial / "comparison.png", best.measure)
    write_comparison_page(partial, str(folder))
    classifier = load_classifier(partial / BEST)
    prediction = classifier.predict(test.images.encoded(0))[0]
    truth = ", ".join(names_of(test.labels[0], classifier.class_names)) or NO_LABEL
    example = (truth, answer_in_words(prediction), prediction.score)
    shutil.rmtree(partial / CHECKPOINTS, ignore_errors=True)  # a worker has none
    finish_output(folder, COMPARISON)
    return Comparison(folder, title, tuple(results), best, len(test), example)


def _title(experiment: Experiment, weights: str) -> str:
    recipe = experiment.recipe
    labels = f"{recipe.labels_per_class or 'all'} labels a class"
    if experiment.dataset.has_several_labels:
        labels = "several labels a photo"
    return f"{recipe.data}, {labels}, weights {weights}"
