"""A recipe as a `keras_tuner.HyperModel`, for our search or for a tuner of the user's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
from keras_tuner.errors import FailedTrialError, FatalError

from tl_toolkit.catalog import LOGITS
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.data.pipeline import examples_per_epoch
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.errors import InputError, is_disk_full
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.figures import figures_of_epoch
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.train_and_validate import TrainedModel, train_and_validate
from tl_toolkit.recipe import Recipe
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.training.precision import precision_scope
from tl_toolkit.transfer.feature_room import NoRoomError
from tl_toolkit.transfer.network_pool import NetworkPool
from tl_toolkit.tuning.space import Axis, make_space
from tl_toolkit.weights.pinned import PinnedWeights

OUT_OF_MEMORY = (tf.errors.ResourceExhaustedError, MemoryError)


class SearchError(InputError, FatalError):
    """An error that ends the search of any tuner; other errors fail one trial only."""


class RecipeHyperModel(keras_tuner.HyperModel):
    """Batch size, learning rate and other axes of a recipe.

    All trials share the data, the network and the features of its frozen layers: `build` returns the model of
    the trial before, with its initial weights restored.

    `fit` takes no data: it trains on the recipe's. It always starts from the initial weights, even under
    Hyperband, whose longer trials usually continue a shorter one: the learning rate's schedule depends on the
    number of epochs, and the recipe of a trial must reproduce the trial's figures.

    Args:
        recipe: Gives every value that no axis gives.
        axes: As for `make_space`.
        context: What trainings share.

    Raises:
        InputError: The recipe, the data or the space is invalid.

    Examples:
        >>> import keras_tuner
        >>> recipe = tl.Recipe(
        ...     data="digits", strategy=tl.NewHead(), labels_per_class=10, validation_fraction=0.5, epochs=2
        ... )
        >>> tuner = keras_tuner.RandomSearch(
        ...     tl.RecipeHyperModel(recipe), objective="val_loss", max_trials=2, directory="tuner"
        ... )
        >>> tuner.search(verbose=0)
    """

    def __init__(
        self,
        recipe: Recipe,
        axes: Mapping[str, Axis] | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(name="recipe")
        context = context or Context()
        self.dataset = context.dataset or open_recipe_data(recipe, context.progress)
        self.context = dataclasses.replace(
            context,
            dataset=self.dataset,
            networks=context.networks or NetworkPool(),
        )
        if self.dataset.validation is None:
            raise InputError(
                "A search selects by validation images, and there are none: set `validation_fraction`."
            )
        distribute = context.devices(recipe)
        examples = examples_per_epoch(self.dataset.train.labels, recipe.class_balance == "sampling")
        self.space = make_space(recipe, axes, examples, distribute.num_replicas_in_sync)
        self._built_under = distribute

    @property
    def spans_processes(self) -> bool:
        """Whether several processes train a trial together: one that is out of memory then ends the search."""
        return ProcessGroup(self._built_under).count > 1

    def use_weights(self, pin: PinnedWeights | None) -> None:
        """Makes every training start from what the recipe's weights stand for."""
        self.context = dataclasses.replace(self.context, weights=pin)

    def check_blocks(self) -> None:
        """Raises `InputError` if an axis names a block or stage that the network does not have, or `logits` and the weights have none.

        This builds the network, and keeps it for the first trial.
        """
        drawn = [
            {"strategy": "last_layers", "trainable_from": block}
            for block in self.space.choices.get("trainable_from", ())
        ]
        if LOGITS in self.space.choices.get("on", ()):
            drawn.append({"strategy": self.space.strategies_with("on")[0], "on": LOGITS})
        stages = self.space.choices.get("last_stage", ())
        if stages:
            drawn += [{"strategy": name} for name in self.space.strategies]
            drawn = [{**values, "last_stage": stage} for stage in stages for values in drawn]
        for values in drawn:
            recipe = self.space.recipe_at(values)
            with precision_scope(recipe.precision):
                prepare(recipe, self._context())

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Declares every axis."""
        self.space.declare(hp)

    def recipe_at(self, hp: keras_tuner.HyperParameters, **changes: Any) -> Recipe:
        """Returns the recipe of a trial, with the epochs that Hyperband gives it."""
        epochs = hp.values.get("tuner/epochs")
        recipe = self.space.recipe_at(hp.values)
        return recipe.replace(**{**({"epochs": epochs} if epochs else {}), **changes})

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns the model of a trial, images to logits, in the `tf.distribute` scope that is active.

        Raises:
            SearchError: The recipe, the data or the weights are invalid.
        """
        self.declare_hyperparameters(hp)
        recipe = self.recipe_at(hp)
        self._built_under = self.context.devices(recipe)
        try:
            with precision_scope(recipe.precision):
                return prepare(recipe, self._context()).model
        except InputError as error:
            raise SearchError(str(error)) from error

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *,
        epochs: int | None = None,
        initial_epoch: int = 0,
        verbose: Any = None,
        **context: Any,
    ) -> dict[str, float]:
        """Trains the model of a trial and returns its validation figures.

        Args:
            hp: Values of the axes.
            model: What `build` returned.
            epochs: In place of the recipe's.
            initial_epoch: Ignored, see above.
            verbose: Ignored.
            context: Fields of `Context`, such as `callbacks` and `checkpoints`.

        Raises:
            FailedTrialError: Out of memory, no room for features, or the loss diverged: the search continues.
            SearchError: The recipe, the data or the weights are invalid: the search ends.
        """
        known = [field.name for field in dataclasses.fields(Context)]
        unknown = sorted(set(context) - set(known))
        if unknown:
            raise SearchError(
                f"`fit` takes data and hyperparameters from the recipe, and no argument {unknown[0]!r}."
            )
        changes = {"epochs": epochs} if epochs else {}
        try:
            trained = self.train(self.recipe_at(hp, **changes), **context)
        except OUT_OF_MEMORY as error:
            if self.spans_processes or is_disk_full(error):
                raise
            raise FailedTrialError(str(error)) from error
        except (DivergedError, NoRoomError) as error:
            raise FailedTrialError(str(error)) from error
        except InputError as error:
            raise SearchError(str(error)) from error
        if trained.model is not model:
            raise SearchError(
                "`fit` was given a model that is not the last one that `build` returned."
            )
        return figures_of(trained)

    def train(self, recipe: Recipe, **context: Any) -> TrainedModel:
        """Trains a recipe of the space with what the trials share."""
        if "callbacks" in context:
            context["callbacks"] = tuple(context["callbacks"])
        return train_and_validate(recipe, dataclasses.replace(self._context(), **context))

    def _context(self) -> Context:
        return dataclasses.replace(self.context, distribute=self._built_under)


def figures_of(trained: TrainedModel) -> dict[str, float]:
    """Returns a trial's validation figures, named as in the history."""
    validation = trained.validation or {}  # a search has validation images
    if "top1" not in validation:
        return figures_of_epoch(validation)
    return {
        "val_top1": validation["top1"],
        "val_balanced_accuracy": validation["balanced_accuracy"],
        "val_loss": validation["log_loss"],
    }
