"""The three transfer strategies and training from scratch on the same images, over several seeds."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.devices.processes import Processes
from tl_toolkit.devices.strategy import describe_devices
from tl_toolkit.errors import InputError
from tl_toolkit.experiment import (
    Context,
    TrainedModel,
    evaluate,
    train_and_validate,
)
from tl_toolkit.export.classifier import load_classifier
from tl_toolkit.output_folder import finish_output, partial_folder, shared_output
from tl_toolkit.recipe import FromScratch, FullFineTune, LastLayers, NewHead, Recipe, Strategy
from tl_toolkit.report.plots import plot_comparison
from tl_toolkit.runs import write_run
from tl_toolkit.training.progress import ProgressBar
from tl_toolkit.transfer.feature_cache import FeatureCache
from tl_toolkit.weights.resolve import open_weights

CHECKPOINTS = "checkpoints"
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


def comparison_recipes(
    data: str, weights: str, strategies: Sequence[Strategy] = STRATEGIES, **fields
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
    return [
        Recipe(data=data, strategy=strategy, weights=weights, **fields)
        if not isinstance(strategy, FromScratch)
        else Recipe(data=data, strategy=strategy, **{**_same_network(weights, fields), **fields})
        for strategy in strategies
    ]


def run_comparison(
    recipes: Sequence[Recipe],
    *,
    seeds: int,
    output: str | pathlib.Path,
    overwrite: bool = False,
    console: Console | None = None,
    feature_cache: FeatureCache | None = None,
) -> list[StrategyResult]:
    """Trains every recipe with every seed, and exports the best one's first model.

    Which is best is decided without test images: by the validation images, or with `labels_per_class` by
    the images that the other seeds learned from. Until it ends the folder is called `NAME.partial`, and the
    same call goes on from what is in it.

    Args:
        recipes: Of different strategies, on the same data; each is run with the seeds 0, 1 and so on.
        seeds: Runs a recipe.
        output: Folder for `comparison.json`, `comparison.png` and `best/`, a run's folder.
        overwrite: Replace an earlier one.
        console: Where to show progress and the table; None: nowhere.
        feature_cache: Where what frozen layers make of images is kept; None: the user's.

    Raises:
        InputError: Something given is wrong.
        StoppedError: Ctrl-C; the same call goes on.
    """
    _check_recipes(recipes, seeds)
    distribute = Context().devices(recipes[0])
    processes = Processes(distribute)
    if console is not None and distribute.num_replicas_in_sync > 1:
        console.print(escape(describe_devices(distribute, None)))
    if console is None or not processes.is_chief:
        console = Console(quiet=True)
    with shared_output(pathlib.Path(output), overwrite, processes) as folder:
        return _compare_in(folder, recipes, seeds, console, feature_cache)


def _compare_in(
    output: pathlib.Path,
    recipes: Sequence[Recipe],
    seeds: int,
    console: Console,
    feature_cache: FeatureCache | None,
) -> list[StrategyResult]:
    """All processes of a cluster train together; each measures for itself, and the chief keeps its folder."""
    partial = partial_folder(output)
    datasets = [open_recipe_data(recipes[0].replace(seed=seed)) for seed in range(seeds)]
    first_models: dict[str, TrainedModel] = {}
    results = []
    for recipe in recipes:
        runs = []
        for seed, dataset in enumerate(datasets):
            context = Context(
                dataset=dataset,
                checkpoints=partial / CHECKPOINTS,
                feature_cache=feature_cache or FeatureCache(),
            )
            trained = _train(recipe.replace(seed=seed), context, console)
            first_models.setdefault(recipe.strategy.name, trained)
            runs.append(_measure(trained, datasets))
        results.append(_result(first_models[recipe.strategy.name], runs))

    best = max(results, key=_selection_score)
    write_run(first_models[best.strategy], partial / "best")
    labels = recipes[0].labels_per_class or "all"
    _write(results, f"{recipes[0].data}, {labels} labels a class", partial)
    shutil.rmtree(partial / CHECKPOINTS, ignore_errors=True)  # a worker has none
    finish_output(output)
    _show(results, best, datasets[0].test, output, console)
    return results


def _check_recipes(recipes: Sequence[Recipe], seeds: int) -> None:
    few_shot = recipes[0].labels_per_class is not None
    if seeds < 1 or (few_shot and seeds < 2):
        raise InputError(
            f"`seeds` must be at least 1, and 2 with labels_per_class, where each seed's images choose "
            f"between the others' strategies. Received: {seeds}"
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
                f"The recipes must be on the same images, and differ in `{field}`: {sorted(map(str, values))}"
            )


def _train(recipe: Recipe, context: Context, console: Console) -> TrainedModel:
    name = f"{recipe.strategy.name}, seed {recipe.seed}"
    bar = ProgressBar(console, name)
    context = dataclasses.replace(context, checkpoints=context.checkpoints / name, callbacks=(bar,))
    try:
        return train_and_validate(recipe, context)
    finally:
        bar.close()


def _same_network(weights: str, fields: dict[str, Any]) -> dict[str, Any]:
    spec = open_weights(weights, fields.get("backbone")).spec
    if spec is None:
        raise InputError(
            f"The weights {weights!r} do not say which network they are for, so that none can be trained "
            "from scratch beside them. Give a catalogue name or a finished run's folder."
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
            "All seeds learn from the same images and none are left to choose a strategy by: set "
            "validation_fraction, or labels_per_class to fewer than the classes have."
        )
    sizes = [metrics["examples"] for metrics in measured]
    return tuple(
        float(np.average([metrics[name] for metrics in measured], weights=sizes))
        for name in ("top1", "log_loss")
    )


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


def _write(results: list[StrategyResult], title: str, folder: pathlib.Path) -> None:
    rows = [dataclasses.asdict(result) for result in results]
    (folder / "comparison.json").write_text(json.dumps(rows, indent=2) + "\n")
    accuracies = {result.strategy: result.test_top1 for result in results}
    plot_comparison(accuracies, title, folder / "comparison.png")


def _show(
    results: list[StrategyResult],
    best: StrategyResult,
    test: Split,
    output: pathlib.Path,
    console: Console,
) -> None:
    table = Table("strategy")
    for heading in ("test accuracy", "range", "seconds", "trained parameters"):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(
            result.strategy,
            f"{np.mean(result.test_top1):.3f}",
            f"{min(result.test_top1):.3f}–{max(result.test_top1):.3f}",
            f"{np.median(result.seconds):.1f}",
            f"{result.trained_parameters:,}",
        )
    console.print(table)
    saved_model = output / "best" / "saved_model"
    console.print(
        f"Best, by images that are no test images: {best.strategy}. Its SavedModel: {saved_model}",
        soft_wrap=True,
    )
    classifier = load_classifier(saved_model)
    prediction = classifier.predict(test.images.encoded(0))[0]
    console.print(
        f"It takes the first test image, a {classifier.class_names[test.labels[0]]!r}, for "
        f"{prediction.class_name!r} with probability {prediction.score:.3f}.",
        soft_wrap=True,
    )
