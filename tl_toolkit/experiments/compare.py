"""Several strategies on the same images, over several seeds."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import evaluate
from tl_toolkit.experiments.run import (
    inputs_of,
    process_of_chief,
    seen_by_the_weights,
    write_run,
)
from tl_toolkit.experiments.run_folder import (
    CHECKPOINTS,
    COMPARISON,
    check_output,
    finish_output,
    partial_folder,
    shared_output,
)
from tl_toolkit.experiments.train_and_validate import TrainedModel, train_and_validate
from tl_toolkit.export.classifier import load_classifier
from tl_toolkit.export.fresh_process import FreshProcess
from tl_toolkit.export.saved_model import SAVED_MODEL
from tl_toolkit.files.atomic import write_json
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import DEFAULT_BACKBONE, Recipe
from tl_toolkit.report.plots import plot_comparison
from tl_toolkit.strategies import FromScratch, FullFineTune, LastLayers, NewHead, Strategy
from tl_toolkit.transfer.network_pool import NetworkPool, assign_weights, weights_of
from tl_toolkit.transfer.plan import apply_plan
from tl_toolkit.weights.resolve import open_weights

BEST = "best"
DATA_FIELDS = (
    "data",
    "labels_per_class",
    "test_fraction",
    "validation_fraction",
    "split_seed",
    "on_bad_image",
)
STRATEGIES: tuple[Strategy, ...] = (NewHead(), LastLayers(), FullFineTune(), FromScratch())


@dataclasses.dataclass(frozen=True)
class StrategyResult:
    """What one strategy gave over the seeds.

    Attributes:
        strategy: Its name.
        test_top1: Test accuracy of each seed's run.
        selection_top1: Accuracy of each seed's run on images that may choose between strategies.
        selection_log_loss: The log loss on them, which decides between strategies of equal accuracy.
        seconds: Training time of each run.
        trained_parameters: Parameters that the strategy trains.
    """

    strategy: str
    test_top1: tuple[float, ...]
    selection_top1: tuple[float, ...]
    selection_log_loss: tuple[float, ...]
    seconds: tuple[float, ...]
    trained_parameters: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        folder: The comparison's folder.
        title: Of the table: images, weights and labels.
        results: One a strategy, in the order of the recipes.
        best: The strategy that was chosen without the test set.
        example: What the best one's SavedModel says of the first test image: its true class, the class that
            it names, and the probability of that.
    """

    folder: pathlib.Path
    title: str
    results: tuple[StrategyResult, ...]
    best: StrategyResult
    example: tuple[str, str, float]

    @property
    def saved_model(self) -> pathlib.Path:
        """The best strategy's SavedModel."""
        return self.folder / BEST / SAVED_MODEL


def comparison_recipes(
    data: str,
    weights: str | None = None,
    strategies: Sequence[Strategy] = STRATEGIES,
    **fields: Any,
) -> list[Recipe]:
    """Returns a recipe a strategy: the transfers start from the weights, from scratch has their network.

    Args:
        data: What `open_dataset` takes.
        weights: As in a recipe.
        strategies: To compare.
        fields: Other fields of the recipes, the same for all.

    Raises:
        InputError: A field is wrong, or the weights do not say which network they are for.
    """
    transfers = [
        Recipe(data=data, strategy=strategy, weights=weights, **fields)
        for strategy in strategies
        if not isinstance(strategy, FromScratch)
    ]
    start = str(transfers[0].start) if transfers else str(weights)
    return [
        Recipe(data=data, strategy=strategy, **{**_same_network(start, fields), **fields})
        if isinstance(strategy, FromScratch)
        else transfers.pop(0)
        for strategy in strategies
    ]


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
    images that the other seeds learned from. Until it ends, the folder is called `NAME.partial`, and the
    same call resumes what is in it.

    On a cluster every process makes the same call. The chief writes the folder; the others return None.

    Args:
        recipes: Of different strategies, on the same data; each is run with the seeds 0, 1 and so on.
        seeds: Runs a recipe.
        output: Folder for `comparison.json`, `comparison.png` and `best/`, a run's folder.
        overwrite: Replace a finished comparison of that name.
        context: What the trainings share; its data and checkpoints are set here.
        progress: Shows what is done; None: the context's, which by default shows nothing.

    Raises:
        InputError: Something given is wrong.
        StoppedError: Ctrl-C; the same call resumes.
    """
    _check_recipes(recipes, seeds)
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
        process_of_chief(processes) as process,
    ):
        results, best, model, weights = _train_all(recipes, seeds, partial_folder(folder), context)
        if process is None:
            return None
        return _write(results, best, model, weights, folder, context, process)


def _train_all(
    recipes: Sequence[Recipe], seeds: int, partial: pathlib.Path, context: Context
) -> tuple[list[StrategyResult], StrategyResult, TrainedModel, str]:
    """Returns all results, the best one, its first seed's model, and the weights of the transfers.

    On a cluster all processes train together; each computes the figures, and only the chief keeps a folder.
    """
    datasets = [
        open_recipe_data(recipes[0].replace(seed=seed), context.progress) for seed in range(seeds)
    ]
    first_models: dict[str, TrainedModel] = {}
    first_weights: dict[str, list[np.ndarray]] = {}
    context = dataclasses.replace(context, networks=context.networks or NetworkPool(size=2))
    results = []
    for recipe in recipes:
        runs = []
        for seed, dataset in enumerate(datasets):
            checkpoints = partial / CHECKPOINTS / f"{recipe.strategy.name}, seed {seed}"
            trained = train_and_validate(
                recipe.replace(seed=seed),
                dataclasses.replace(context, dataset=dataset, checkpoints=checkpoints),
            )
            context = dataclasses.replace(
                context, announce_devices=False
            )  # they are the same for all
            if seed == 0:
                first_models[recipe.strategy.name] = trained
                first_weights[recipe.strategy.name] = weights_of(trained.model)
            runs.append(_measure(trained, datasets))
        results.append(_result(first_models[recipe.strategy.name], runs))
    best = max(results, key=_selection_score)
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
    process: FreshProcess,
) -> Comparison:
    partial, test = partial_folder(folder), model.experiment.dataset.test
    write_run(model, partial / BEST, process, context.progress)
    title = _title(model.experiment.recipe, weights)
    write_json(partial / "comparison.json", [dataclasses.asdict(result) for result in results])
    accuracies = {result.strategy: result.test_top1 for result in results}
    plot_comparison(accuracies, title, partial / "comparison.png")
    classifier = load_classifier(partial / BEST)
    prediction = classifier.predict(test.images.encoded(0))[0]
    example = (classifier.class_names[test.labels[0]], prediction.class_name, prediction.score)
    shutil.rmtree(partial / CHECKPOINTS, ignore_errors=True)  # a worker has none
    finish_output(folder, COMPARISON)
    return Comparison(folder, title, tuple(results), best, example)


def _title(recipe: Recipe, weights: str) -> str:
    labels = recipe.labels_per_class or "all"
    return f"{recipe.data}, {labels} labels a class, weights {weights}"


def _check_recipes(recipes: Sequence[Recipe], seeds: int) -> None:
    few_shot = recipes[0].labels_per_class is not None
    if seeds < 1 or (few_shot and seeds < 2):
        raise InputError(
            f"`seeds` must be at least 1, and at least 2 with labels_per_class, where the images of the other "
            f"seeds choose between the strategies. Received: {seeds}"
        )
    names = [recipe.strategy.name for recipe in recipes]
    if len(set(names)) < len(names):
        raise InputError(
            f"The recipes must be of different strategies. Received: {', '.join(names)}"
        )
    for field in DATA_FIELDS:
        values = {getattr(recipe, field) for recipe in recipes}
        if len(values) > 1:
            raise InputError(
                f"The recipes must be on the same images, but differ in `{field}`: {sorted(map(str, values))}"
            )


def _same_network(weights: str, fields: dict[str, Any]) -> dict[str, Any]:
    spec = open_weights(weights, fields.get("backbone") or DEFAULT_BACKBONE).spec
    if spec is None:
        raise InputError(
            f"The weights {weights!r} do not say which network they are for, so there is nothing to train "
            "from scratch in comparison. Give a catalogue name or a finished run's folder."
        )
    network = spec.architecture
    return {
        "backbone": network.name,
        "variant": network.variant,
        "width": network.width,
        "stem": network.stem,
        "bn_epsilon": network.bn_epsilon,
        "image_size": spec.preprocessing.image_size if spec.preprocessing else None,
    }


def _measure(
    trained: TrainedModel, datasets: list[ImageDataset]
) -> tuple[float, float, float, float]:
    """Returns test accuracy, accuracy and log loss on images that may select, and seconds."""
    test = evaluate(trained.experiment, trained.experiment.dataset.test)
    return test["top1"], *_selection_figures(trained, datasets), trained.progress.seconds


def _selection_figures(trained: TrainedModel, datasets: list[ImageDataset]) -> tuple[float, float]:
    if trained.validation is not None:
        return trained.validation["top1"], trained.validation["log_loss"]
    own = trained.experiment.dataset.train.ids
    others = [d.train.take(np.flatnonzero(~np.isin(d.train.ids, own))) for d in datasets]
    measured = [evaluate(trained.experiment, split) for split in others if len(split)]
    if not measured:
        raise InputError(
            "All seeds learn from the same images, and none are left to choose a strategy by: set "
            "validation_fraction, or labels_per_class to fewer than the classes have."
        )
    sizes = [metrics["examples"] for metrics in measured]
    top1, log_loss = (
        float(np.average([metrics[name] for metrics in measured], weights=sizes))
        for name in ("top1", "log_loss")
    )
    return top1, log_loss


def _selection_score(result: StrategyResult) -> tuple[float, float]:
    """Higher is better, compared from the left."""
    return float(np.mean(result.selection_top1)), -float(np.mean(result.selection_log_loss))


def _result(trained: TrainedModel, runs: list[tuple[float, float, float, float]]) -> StrategyResult:
    test_top1, selection_top1, selection_log_loss, seconds = zip(*runs, strict=True)
    return StrategyResult(
        strategy=trained.experiment.recipe.strategy.name,
        test_top1=test_top1,
        selection_top1=selection_top1,
        selection_log_loss=selection_log_loss,
        seconds=seconds,
        trained_parameters=trained.experiment.plan.trained_parameters,
    )
