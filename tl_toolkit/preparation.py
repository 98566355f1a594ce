"""From a recipe to everything that its training needs: data, network with its weights, plan, numbers."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.data.augment import Augmentation, augmentation_named
from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.data.pipeline import epoch_order
from tl_toolkit.devices.strategy import choose_devices
from tl_toolkit.recipe import Recipe
from tl_toolkit.training.precision import choose_precision
from tl_toolkit.training.step import Predictor, make_predictor
from tl_toolkit.transfer.defaults import Hyperparameters, hyperparameters
from tl_toolkit.transfer.feature_cache import FeatureCache
from tl_toolkit.transfer.network import build_network, choose_network, open_recipe_weights
from tl_toolkit.transfer.network_pool import Network, NetworkPool
from tl_toolkit.transfer.plan import FreezePlan, apply_plan, make_plan


@dataclasses.dataclass(frozen=True)
class Context:
    """What trainings may share, and where one writes; nothing in it changes the result.

    Attributes:
        dataset: Opened already, as the recipe would open it; None: the training opens it.
        checkpoints: Folder that a training can be gone on from; None: it cannot.
        checkpoint_seconds: Least time between two checkpoints.
        callbacks: Keras callbacks.
        distribute: A `tf.distribute` strategy; None: that of the recipe's `devices`.
        feature_cache: Where what frozen layers make of images is kept.
        networks: Where trainings leave their network to the next one; None: each builds its own.
        announce: Called, before the first step, with what is trained on and how a batch is shared out.
    """

    dataset: ImageDataset | None = None
    checkpoints: pathlib.Path | None = None
    checkpoint_seconds: float = 10.0
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    distribute: tf.distribute.Strategy | None = None
    feature_cache: FeatureCache = dataclasses.field(default_factory=FeatureCache)
    networks: NetworkPool | None = None
    announce: Callable[[str], None] | None = None

    def devices(self, recipe: Recipe) -> tf.distribute.Strategy:
        """What a recipe is trained on."""
        return self.distribute or choose_devices(recipe.devices)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that a training needs, made from a recipe.

    Attributes:
        recipe: What it was made from.
        dataset: The images.
        spec: What the network is and how it wants its images.
        model: Images to logits, with the weights loaded and the plan applied.
        plan: What training does to every variable.
        numbers: Every number of the training.
        augmentation: Of the training images.
        precision: `"float32"`, `"bfloat16"` or `"float16"`, what it is trained in.
        notes: What the user should know.
    """

    recipe: Recipe
    dataset: ImageDataset
    spec: WeightSpec
    model: keras.Model
    plan: FreezePlan
    numbers: Hyperparameters
    augmentation: Augmentation | None
    precision: str
    notes: tuple[str, ...]

    @functools.cached_property
    def predict(self) -> Predictor:
        """From evaluation batches to logits and labels; traced once."""
        return make_predictor(self.model)


def prepare(recipe: Recipe, context: Context | None = None) -> Experiment:
    """Opens the data, builds the model, loads the weights, makes and applies the plan."""
    context = context or Context()
    distribute = context.devices(recipe)  # a cluster is joined before anything is computed
    keras.utils.set_random_seed(recipe.seed)
    pool = context.networks
    network = pool.take(recipe, distribute) if pool is not None else None
    weights = open_recipe_weights(recipe) if network is None else None
    spec = choose_network(recipe, weights) if network is None else network.spec
    dataset = context.dataset or open_recipe_data(recipe)
    with distribute.scope():
        if network is None:
            model, notes = build_network(recipe, spec, weights, len(dataset.class_names))
            network = Network(spec, model, (*(weights.notes if weights else ()), *notes))
            if pool is not None:
                pool.keep(recipe, distribute, network)
        examples = len(training_order(recipe, dataset.train, epoch=0))
        numbers = hyperparameters(recipe, examples, distribute.num_replicas_in_sync)
        plan = make_plan(network.model, recipe.strategy, numbers.bn_mode)
        apply_plan(network.model, plan, numbers.bn_momentum)
    return Experiment(
        recipe=recipe,
        dataset=dataset,
        spec=spec,
        model=network.model,
        plan=plan,
        numbers=numbers,
        augmentation=augmentation_named(recipe.augmentation or dataset.augmentation),
        precision=choose_precision(recipe.precision),
        notes=(*dataset.notes, *network.notes, *numbers.notes),
    )


def training_order(recipe: Recipe, split: Split, epoch: int) -> np.ndarray:
    """Returns int64[steps' examples], the positions in the split of an epoch's images, in their order."""
    return epoch_order(split.labels, recipe.seed, epoch, recipe.class_balance == "sampling")
