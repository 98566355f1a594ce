"""From a recipe to everything that its training needs: data, network, weights, plan, hyperparameters."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Iterator

import keras

from tl_toolkit.catalog import (
    CROP,
    LBFGS,
    Augmentation,
    Preprocessing,
    WeightSpec,
    augmentation_named,
)
from tl_toolkit.data.cut_off import note_on_images
from tl_toolkit.data.dataset import FileImages, ImageDataset
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.data.pipeline import examples_per_epoch
from tl_toolkit.data.positive_class import positive_class
from tl_toolkit.data.prepared_photos import with_prepared_photos
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.context import Context
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import Auto
from tl_toolkit.training.precision import choose_precision
from tl_toolkit.training.step import Predictor, make_predictor
from tl_toolkit.transfer.defaults import Hyperparameters, choose_hyperparameters
from tl_toolkit.transfer.network import build_network, choose_network, open_recipe_weights
from tl_toolkit.transfer.network_pool import Network, TracedFunctions
from tl_toolkit.transfer.plan import FreezePlan, apply_plan, make_plan
from tl_toolkit.transfer.updates import Update, plan_updates
from tl_toolkit.weights.pinned import PinnedWeights, pin_weights
from tl_toolkit.weights.resolve import WeightSource


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that a training needs, made from a recipe.

    Attributes:
        recipe: What it was made from.
        dataset: The images.
        spec: What the network is and how its images are preprocessed.
        weights: The weights that it starts from; None from scratch.
        model: Images to logits, with the weights loaded and the plan applied.
        plan: What training does to every variable.
        hyperparameters: Every number of the training.
        updates: How each trained variable is changed, by its path.
        augmentation: Of the training images.
        precision: `"float32"`, `"bfloat16"` or `"float16"`, what it is trained in.
        notes: What the user should know.
        traced: Functions that were traced for the model.
        positive: Of two classes, the number of the positive one; None of more.
    """

    recipe: Recipe
    dataset: ImageDataset
    spec: WeightSpec
    weights: PinnedWeights | None
    model: keras.Model
    plan: FreezePlan
    hyperparameters: Hyperparameters
    updates: dict[str, Update]
    augmentation: Augmentation | None
    precision: str
    notes: tuple[str, ...]
    traced: TracedFunctions
    positive: int | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """How the network's images are prepared; `choose_network` refuses weights without."""
        if self.spec.preprocessing is None:
            raise RuntimeError(f"The weights {self.spec.name!r} have no preprocessing.")
        return self.spec.preprocessing

    @property
    def predict(self) -> Predictor:
        """From evaluation batches to logits and labels; traced once."""
        return self.traced.get("predict", lambda: make_predictor(self.model))


def prepare(recipe: Recipe, context: Context | None = None) -> Experiment:
    """Opens the data, builds the network with its weights, makes and applies the plan.

    Raises:
        InputError: Something that the recipe says is wrong.
    """
    context = context or Context()
    if isinstance(recipe.strategy, Auto):
        raise InputError(
            "Strategy 'auto' chooses between trainings and is none itself: give it to `tl.run` or `tl-toolkit train`, or "
            "name one of the others here."
        )
    distribute = context.devices(recipe)  # a cluster is joined before anything is computed
    dataset = context.dataset or open_recipe_data(recipe, context.progress)
    _check_value_range(recipe, dataset)
    positive = positive_class(recipe, dataset.class_names, dataset.train.labels)
    _check_threshold(recipe, dataset)
    network = _network(recipe, context, classes=len(dataset.class_names))
    examples = examples_per_epoch(dataset.train.labels, recipe.class_balance == "sampling")
    hyperparameters = choose_hyperparameters(recipe, examples, distribute.num_replicas_in_sync)
    with distribute.scope():
        plan = make_plan(network.model, recipe.strategy, hyperparameters.bn_mode)
        apply_plan(network.model, plan, hyperparameters.bn_momentum)
    augmentation, of_mixing = _augmentation(recipe, dataset, plan)
    if recipe.prepared and network.spec.preprocessing is not None:
        dataset = with_prepared_photos(dataset, augmentation, network.spec.preprocessing)
    return Experiment(
        recipe=recipe,
        dataset=dataset,
        spec=network.spec,
        weights=network.weights,
        model=network.model,
        plan=plan,
        hyperparameters=hyperparameters,
        updates=plan_updates(network.model, hyperparameters),
        augmentation=augmentation,
        precision=choose_precision(recipe.precision),
        notes=(
            *dataset.notes,
            *network.notes,
            *hyperparameters.notes,
            *of_mixing,
            *_of_cropping(recipe, dataset, network),
            *_of_value_range(recipe),
        ),
        traced=network.traced,
        positive=positive,
    )


def _check_value_range(recipe: Recipe, dataset: ImageDataset) -> None:
    """Photos are served by the recipe's range, so that they must be learned by it."""
    images = dataset.train.images
    of_data = images.value_range if isinstance(images, FileImages) else None
    if of_data != recipe.value_range:
        raise InputError(
            f"The data were opened with value_range={of_data}, and the recipe has value_range={recipe.value_range}: give "
            "both the same."
        )


def _check_threshold(recipe: Recipe, dataset: ImageDataset) -> None:
    if recipe.find is not None and dataset.validation is None and recipe.solver != LBFGS:
        raise InputError(
            f"`find` chooses a threshold by validation images, and there are none: set validation_fraction, or leave "
            f"`find` out. Received: {recipe.find}"
        )


def _of_cropping(recipe: Recipe, dataset: ImageDataset, network: Network) -> tuple[str, ...]:
    """Says what is cut off where nobody has chosen that."""
    preprocessing = network.spec.preprocessing
    if recipe.resize is not None or preprocessing is None or preprocessing.resize != CROP:
        return ()
    note = note_on_images(dataset.train.images)
    return (note,) if note is not None else ()


def _of_value_range(recipe: Recipe) -> tuple[str, ...]:
    if recipe.value_range is None:
        return ()
    return (
        "greys of 16 bits and floats from {:g} to {:g} become black to white, and what is asked must be such photos; ".format(
            *recipe.value_range
        )
        + "the SavedModel by itself scales 16-bit grey PNG files so, and takes all else as scaled already",
    )


def _augmentation(
    recipe: Recipe, dataset: ImageDataset, plan: FreezePlan
) -> tuple[Augmentation | None, tuple[str, ...]]:
    """Returns the preset, and what the user should know of it.

    Images are mixed where all of the network is trained. Of frozen layers the features of single images are kept, and
    a recipe gives the same result whether there is room for them or not.
    """
    name = recipe.augmentation or dataset.augmentation
    augmentation = augmentation_named(name)
    if augmentation is None or not augmentation.mixes or plan.cut is None:
        return augmentation, ()
    note = f"augmentation {name!r} mixes images (MixUp, CutMix) only where the whole network is trained: here not"
    return augmentation.without_mixing(), (note,)


def _network(recipe: Recipe, context: Context, classes: int) -> Network:
    """Takes the recipe's network from those that trainings share, or builds it."""

    def build() -> Network:
        return _build(recipe, context, classes)

    if context.networks is None:
        return build()
    return context.networks.take(recipe, context.weights, context.devices(recipe), build)


def network_of(recipe: Recipe, context: Context) -> tuple[WeightSpec, WeightSource | None]:
    """Decides on a recipe's network, and opens its weights, or takes those that trainings share."""

    def open_them() -> WeightSource | None:
        return open_recipe_weights(recipe, context.weights, context.progress)

    networks = context.networks
    weights = (
        open_them() if networks is None else networks.weights(recipe, context.weights, open_them)
    )
    return choose_network(recipe, weights), weights


def _build(recipe: Recipe, context: Context, classes: int) -> Network:
    spec, weights = network_of(recipe, context)
    with (
        context.devices(recipe).scope(),
        context.progress.stage("Building the network"),
        _seeded_initializers(recipe.seed),
    ):
        model, notes = build_network(recipe, spec, weights, classes)
    pin = pin_weights(str(recipe.start), weights) if weights is not None else None
    return Network(spec, model, pin, (*(weights.notes if weights else ()), *notes))


@contextlib.contextmanager
def _seeded_initializers(seed: int) -> Iterator[None]:
    """Seeds Keras' initializers, and leaves the caller's generators as they were.

    An initializer without a seed of its own draws one from Python's generator; all else that is random in a
    training is stateless.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
