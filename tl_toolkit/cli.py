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
from rich.table import Table

from tl_toolkit.catalog import BLOCK_COUNTS, list_weights
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.printing import print_json, print_metrics, print_plan, print_result
from tl_toolkit.recipe import STRATEGIES, Recipe, strategy_named

STRATEGY_HELP = """        strategy: What is trained: new-head, last-layers, full-fine-tune or from-scratch.
        trainable_from: For last-layers: the first block that is trained, such as conv5_block1.
        on: What the new head sits on: features (pooled) or logits (the original last layer's output).
        bn_mode: Batch normalisation of the trained layers: adapt, affine or frozen; default by strategy.
"""
STRATEGY_FIELDS = ("strategy", "trainable_from", "on", "bn_mode")


def _recipe_flags() -> type:
    """A flag a field of `Recipe`, all optional, with the strategy and its options as plain words."""
    fields: list[Any] = [("data", "str | None", None), ("strategy", "str | None", None)]
    fields += [(name, "str | None", None) for name in STRATEGY_FIELDS[1:]]
    for field in dataclasses.fields(Recipe):
        if field.name not in ("data", "strategy"):
            kind = str(field.type).removesuffix(" | None")
            fields.append((field.name, f"{kind} | None", None))
    flags = dataclasses.make_dataclass("RecipeFlags", fields, frozen=True)
    attributes = Recipe.__doc__.partition("Attributes:\n")[2]
    kept = [line for line in attributes.splitlines() if "strategy: What is trained." not in line]
    flags.__doc__ = "Flags.\n\n    Attributes:\n" + STRATEGY_HELP + "\n".join(kept)
    return flags


RecipeFlags = _recipe_flags()
app = tyro.extras.SubcommandApp()


@app.command(name="train")
def train(
    flags: tyro.conf.OmitArgPrefixes[RecipeFlags],
    recipe: pathlib.Path | None = None,
    output: pathlib.Path | None = None,
    overwrite: bool = False,
    plan: bool = False,
    cache_limit: float | None = None,
) -> None:
    """Trains one recipe: from images to a tested, exported classifier in one folder.

    Ctrl-C stops after the step; the same command goes on.

    Args:
        flags: The recipe's fields.
        recipe: A recipe.json to start from; flags given beside it win.
        output: The run's folder; by default one under saved_models/.
        overwrite: Replace a finished run of that name.
        plan: Print what would be trained and what frozen, and stop.
        cache_limit: Gigabytes of disk for what frozen layers make of images, of all runs together: the
            least recently used makes way. 20 without it.
    """
    chosen = _recipe_from(flags, recipe)
    _refuse_other_backends()
    console = Console()
    if plan:
        print_plan(chosen, console)
        return
    from tl_toolkit.experiment import Context
    from tl_toolkit.runs import run

    context = Context(feature_cache=_feature_cache(cache_limit))
    result = run(chosen, output, overwrite=overwrite, context=context, console=console)
    print_result(result, console)


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
    table = Table(
        "image", *(f"{n + 1}." for n in range(min(top, len(predictions[0].probabilities))))
    )
    for image, prediction in zip(images, predictions, strict=True):
        best = list(prediction.probabilities.items())[:top]
        table.add_row(escape(image), *(f"{escape(name)} {score:.3f}" for name, score in best))
    Console().print(table)


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
    from tl_toolkit.catalog import Architecture
    from tl_toolkit.models.architecture_table import costs, stage_rows

    console = Console()
    if name is not None:
        table = Table("stage", "output", "layers", "shortcut", title=f"{name} at {image_size} px")
        for row in stage_rows(Architecture.named(name), side=image_size):
            output = f"{row.output_size}x{row.output_size}"
            table.add_row(row.stage, output, escape(row.layers), row.shortcut)
        console.print(table)
    table = Table("network", "variant", "parameters", "multiply-adds", "He et al. 2015")
    for network in [name] if name is not None else BLOCK_COUNTS:
        for cost in costs(network, image_size):
            paper = f"{cost.paper / 1e9:.1f} G" if cost.paper else "–"
            count = f"{cost.multiply_adds / 1e9:.2f} G"
            table.add_row(cost.name, cost.variant, f"{cost.parameters:,}", count, paper)
    console.print(table)


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
    table = Table()
    table.add_column("name", no_wrap=True)
    for heading in ("image", "top-1", "licence", "from"):
        table.add_column(heading, overflow="fold")
    for spec in specs:
        top1 = f"{spec.top1:.3f}" if spec.top1 is not None else "–"
        side = f"{spec.preprocessing.image_size}" if spec.preprocessing else "–"
        licence, place = spec.licence.partition(";")[0], spec.source.partition(":")[0]
        table.add_row(spec.name, side, top1, licence, place)
    console = Console()
    console.print(table)
    console.print(
        f"{len(specs)} sets. 'imagenet' means the best that can be had for a network: what is in a cache "
        "first, then in this order; none that forbids commercial use.",
        soft_wrap=True,
    )


def _feature_cache(gigabytes: float | None) -> Any:
    from tl_toolkit.transfer.feature_cache import FeatureCache

    return FeatureCache() if gigabytes is None else FeatureCache(limit=gigabytes * 1e9)


def _refuse_other_backends() -> None:
    """Refuses another Keras backend, in our words, before Keras is imported."""
    importlib.import_module("tl_toolkit.models")


def _recipe_from(flags: Any, path: pathlib.Path | None) -> Recipe:
    given = {f.name: getattr(flags, f.name) for f in dataclasses.fields(flags)}
    given = {name: value for name, value in given.items() if value is not None}
    values = Recipe.load(path).to_json() if path is not None else {}
    options = {name: given.pop(name) for name in STRATEGY_FIELDS[1:] if name in given}
    before = values.get("strategy", {})
    name = given.pop("strategy", before.get("name"))
    if name is None:
        raise InputError(f"Name a strategy with --strategy: {', '.join(STRATEGIES)}.")
    if before.get("name") == strategy_named(name).name:
        options = {**{k: v for k, v in before.items() if k != "name"}, **options}
    strategy = strategy_named(name, **options)
    values |= given
    values["strategy"] = {"name": strategy.name, **dataclasses.asdict(strategy)}
    if "data" not in values:
        raise InputError("Name the images with --data, such as --data folder:photos.")
    return Recipe.from_json(values)


def main() -> None:
    """Runs the command line; the exit code is 2 for wrong input and 130 after Ctrl-C."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app.cli(
            prog="tl-toolkit",
            description="Transfer learning with ResNets: from labelled photos to a served classifier.",
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt as stop:
        if stop.args:
            print(stop, file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
