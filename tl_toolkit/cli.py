"""The command line. TensorFlow is imported by the command that needs it, not by `--help`."""

from __future__ import annotations

import dataclasses
import importlib
import os
import pathlib
import sys
from typing import Any

import tyro
from rich.console import Console
from rich.markup import escape

from tl_toolkit.catalog import BLOCK_COUNTS, list_weights
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.exit_codes import exit_codes
from tl_toolkit.printing import (
    print_json,
    print_metrics,
    print_networks,
    print_plan,
    print_predictions,
    print_result,
    print_search,
    print_weights,
)
from tl_toolkit.recipe_flags import RecipeFlags, recipe_from

app = tyro.extras.SubcommandApp()


@app.command(name="train")
def train(
    flags: tyro.conf.OmitArgPrefixes[RecipeFlags],
    recipe: pathlib.Path | None = None,
    output: pathlib.Path | None = None,
    overwrite: bool = False,
    plan: bool = False,
    cache_limit: float | None = None,
    checkpoint_seconds: float = 10.0,
) -> None:
    """Trains one recipe: from images to a tested, exported classifier in one folder.

    Ctrl-C or SIGTERM stops after the step; the same command goes on.

    Args:
        flags: The recipe's fields.
        recipe: A recipe.json to start from; flags given beside it win.
        output: The run's folder; by default one under saved_models/.
        overwrite: Replace a finished run of that name.
        plan: Print what would be trained and what frozen, and stop.
        cache_limit: Gigabytes of disk for what frozen layers make of images, of all runs together: the
            least recently used makes way. 20 without it.
        checkpoint_seconds: Least time between two checkpoints; longer where writing one takes long.
    """
    chosen = recipe_from(flags, recipe)
    _refuse_other_backends()
    console = Console()
    if plan:
        print_plan(chosen, console)
        return
    from tl_toolkit.experiment import Context
    from tl_toolkit.runs import run

    context = Context(
        feature_cache=_feature_cache(cache_limit), checkpoint_seconds=checkpoint_seconds
    )
    result = run(chosen, output, overwrite=overwrite, context=context, console=console)
    if result is not None:
        print_result(result, console)


@app.command(name="search")
def search_recipes(
    flags: tyro.conf.OmitArgPrefixes[RecipeFlags],
    recipe: pathlib.Path | None = None,
    axis: tuple[str, ...] = (),
    tuner: str = "bayesian",
    trials: int | None = 24,
    executions: int = 1,
    objective: str = "val_loss",
    search_seed: int = 0,
    retrain: int = 0,
    workers: int = 0,
    output: pathlib.Path = pathlib.Path("saved_models/search"),
    overwrite: bool = False,
    cache_limit: float | None = None,
) -> None:
    """Searches batch size, learning rate and more by validation images.

    Frozen layers are computed once for all trials. Ctrl-C stops after the step; the same command goes on.

    Args:
        flags: The recipe's fields: what no axis says.
        recipe: A recipe.json to start from; flags given beside it win.
        axis: What is searched, such as batch_size=8,16,32 learning_rate=1e-4..1e-1 augmentation=photo,none:
            values, or for learning_rate and weight_decay the ends of a range. A learning rate is that of a
            batch of 32 images. Batch size and learning rate are searched in any case. Also: strategy,
            trainable_from, bn_mode, views, epochs, label_smoothing.
        tuner: bayesian, random, grid or hyperband.
        trials: Most trials; None for all of a grid or of Hyperband.
        executions: Trainings of a trial, with different seeds; their mean counts.
        objective: val_loss, val_top1 or val_balanced_accuracy.
        search_seed: Of what the tuner draws.
        retrain: Seeds with which the best recipe is trained again on training and validation images, and
            tested once.
        workers: Processes on this machine that share the trials; 0 for none but this one.
        output: The search's folder.
        overwrite: Replace a finished search, or drop an unfinished one of another recipe or space.
        cache_limit: As for train.
    """
    chosen = recipe_from(flags, recipe)
    _refuse_other_backends()
    from tl_toolkit.experiment import Context
    from tl_toolkit.tuning.run_search import is_one_of_several, search
    from tl_toolkit.tuning.space import parse_axes
    from tl_toolkit.tuning.workers import run_workers

    if workers and not is_one_of_several():
        raise SystemExit(
            run_workers([sys.executable, "-m", "tl_toolkit.cli", *sys.argv[1:]], workers)
        )
    console = Console()
    result = search(
        chosen,
        parse_axes(axis),
        tuner=tuner,
        trials=trials,
        executions=executions,
        objective=objective,
        seed=search_seed,
        retrain=retrain,
        output=output,
        overwrite=overwrite,
        context=Context(feature_cache=_feature_cache(cache_limit)),
        console=console,
    )
    if result is not None:
        print_search(result, console)


@app.command(name="compare")
def compare_strategies(
    data: str = "digits",
    weights: str = "digits",
    backbone: str | None = None,
    image_size: int | None = None,
    labels_per_class: int | None = 5,
    test_fraction: float = 0.5,
    validation_fraction: float | None = None,
    epochs: int | None = None,
    cache_limit: float | None = None,
    seeds: int = 3,
    output: pathlib.Path = pathlib.Path("saved_models/comparison"),
    overwrite: bool = False,
) -> None:
    """Compares the three transfer strategies and training from scratch on the same images.

    Args:
        data: As for train.
        weights: What the three strategies start from; from scratch has the same network.
        backbone: Such as resnet50, for --weights imagenet.
        image_size: Side of the square image in pixels; the weights' own without it.
        labels_per_class: Images of each class to learn from; None for all.
        test_fraction: Share of the images to test on, where the source has no test split.
        validation_fraction: Share of the rest to validate on; as for train without it.
        epochs: Of every strategy; by strategy and data size without it.
        cache_limit: As for train.
        seeds: Runs of each strategy; each draws its own images to learn from.
        output: Folder for the table, the plot and the best SavedModel.
        overwrite: Replace an earlier comparison there.
    """
    _refuse_other_backends()
    from tl_toolkit.comparison import comparison_recipes, run_comparison

    fields = {
        "backbone": backbone,
        "image_size": image_size,
        "labels_per_class": labels_per_class,
        "test_fraction": test_fraction,
        "validation_fraction": validation_fraction,
        "epochs": epochs,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    run_comparison(
        comparison_recipes(data, weights, **given),
        seeds=seeds,
        output=output,
        overwrite=overwrite,
        console=Console(),
        feature_cache=_feature_cache(cache_limit),
    )


@app.command(name="predict")
def predict(
    model: tyro.conf.Positional[str],
    images: tyro.conf.Positional[tuple[str, ...]],
    top: int = 3,
    json: bool = False,
) -> None:
    """Classifies image files.

    Args:
        model: A finished run's folder or the SavedModel in it; or a network such as resnet50, for the
            1,000 classes of ImageNet without training.
        images: Image files.
        top: Classes to show for each image.
        json: Print JSON, with the probabilities of all classes.
    """
    if not images:
        raise InputError("Name at least one image file.")
    _refuse_other_backends()
    from tl_toolkit.export.classifier import load_classifier

    predictions = load_classifier(model).predict(images)
    if json:
        rows = [
            {"image": image, **dataclasses.asdict(prediction)}
            for image, prediction in zip(images, predictions, strict=True)
        ]
        print_json(rows)
        return
    print_predictions(images, predictions, top, Console())


@app.command(name="evaluate")
def evaluate_model(
    model: tyro.conf.Positional[str],
    data: tyro.conf.Positional[str],
    on_bad_image: str = "error",
    json: bool = False,
) -> None:
    """Measures an exported classifier on labelled images.

    Images that it learned from, or was selected by, are left out, wherever they lie.

    Args:
        model: A finished run's folder, or the SavedModel in it.
        data: As for train; the classes must be among the model's.
        on_bad_image: error, or skip.
        json: Print JSON.
    """
    _refuse_other_backends()
    from tl_toolkit.evaluation import evaluate_classifier

    metrics = evaluate_classifier(model, data, on_bad_image)
    if json:
        print_json(metrics)
        return
    console = Console()
    print_metrics(metrics, console)
    for note in metrics["notes"]:
        console.print(f"note: {escape(note)}")


@app.command(name="models")
def show_models(name: tyro.conf.Positional[str | None] = None, image_size: int = 224) -> None:
    """Shows the networks, or the architecture table of one of them.

    Args:
        name: Such as resnet50; all, in short, without it.
        image_size: Side of the images in pixels.
    """
    if name is not None and name not in BLOCK_COUNTS:
        raise unknown_name("backbone", name, BLOCK_COUNTS)
    print_networks(name, image_size, Console())


@app.command(name="weights")
def show_weights(architecture: tyro.conf.Positional[str | None] = None, json: bool = False) -> None:
    """Lists the weights that can be named.

    Args:
        architecture: Such as resnet18; all of them without it.
        json: Print JSON, with preprocessing, and the number of classes in place of their names.
    """
    specs = list_weights(architecture)
    if json:
        # A thousand names a set would bury the rest.
        print_json([{**spec.to_json(), "class_names": len(spec.class_names)} for spec in specs])
        return
    print_weights(specs, Console())


@app.command(name="launch")
def launch_workers(
    command: tyro.conf.Positional[tuple[str, ...]], workers: int = 2, restarts: int = 0
) -> None:
    """Runs a command as a cluster of processes on this machine: launch --workers 2 -- train --data …

    Every process has its TF_CONFIG, as several hosts would. One that fails ends all.

    Args:
        command: The command and its flags, behind --.
        workers: Processes.
        restarts: How often all are started again after one was lost.
    """
    if not command:
        raise InputError(
            "Name the command behind --, such as: launch --workers 2 -- train --data …"
        )
    from tl_toolkit.devices.launch import launch

    words = [sys.executable, "-m", "tl_toolkit.cli", *command]
    raise SystemExit(launch(words, workers, restarts))


def _feature_cache(gigabytes: float | None) -> Any:
    from tl_toolkit.transfer.feature_cache import FeatureCache

    return FeatureCache() if gigabytes is None else FeatureCache(limit=gigabytes * 1e9)


def _refuse_other_backends() -> None:
    """Refuses another Keras backend, in our words, before Keras is imported."""
    importlib.import_module("tl_toolkit.models")


def main() -> None:
    """Runs the command line.

    The exit code is 2 for wrong input, 130 after Ctrl-C, 75 after SIGTERM and 69 where another process of a
    cluster is gone; after the last three the same command goes on.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with exit_codes():
        app.cli(
            prog="tl-toolkit",
            description="Transfer learning with ResNets: from labelled photos to a served classifier.",
        )


if __name__ == "__main__":
    main()
