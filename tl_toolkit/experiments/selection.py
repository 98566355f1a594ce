"""What different trainings are compared by: validation images, or out of fold where there are none."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import log_softmax

from tl_toolkit.catalog import LBFGS
from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.data.kept_together import kept_together
from tl_toolkit.data.labels import are_several
from tl_toolkit.data.pipeline import class_weights
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.train_and_validate import TrainedModel, train_and_validate
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.calibration import fit_temperature
from tl_toolkit.transfer.network_pool import assign_weights, weights_of
from tl_toolkit.transfer.plan import apply_plan
from tl_toolkit.transfer.solved_head import deal_folds


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What a recipe gives on the images that select.

    Attributes:
        recipe: The recipe.
        top1: Accuracy; where the recipe makes classes weigh the same, the mean over the classes. Of several labels an
            image, the share of labels that is right, each given from probability 0.5 on. None where no images select.
        log_loss: Likewise, of logits that are divided by the temperature that suits them best: how sure a training
            makes a network can be mended, what it knows cannot.
        seconds: Of all trainings that it took.
        trained: The model, in a network that later trainings take; None where only folds were trained.
        weights: Its own; None likewise.
        losses: float64[n], what each image that selects adds to `log_loss`, which is their mean; None where none selects.
    """

    recipe: Recipe
    top1: float | None
    log_loss: float | None
    seconds: float
    trained: TrainedModel | None
    weights: list[np.ndarray] | None
    losses: np.ndarray | None = None

    def model(self, context: Context) -> TrainedModel:
        """Returns the model with its weights; where only folds were trained, trains it on all images."""
        if self.trained is None or self.weights is None:
            return train_and_validate(self.recipe, context)
        experiment = self.trained.experiment
        assign_weights(self.trained.model, self.weights)
        apply_plan(self.trained.model, experiment.plan, experiment.hyperparameters.bn_momentum)
        return self.trained


@dataclasses.dataclass(frozen=True)
class Selection:
    """Images that say which training is best, and are not test images.

    Attributes:
        dataset: With the images to learn from.
        folds: int64[n], where there are no validation images, the fold that each training image is left out with.
        class_weights: float32[classes], where classes weigh the same; of several labels an image float32[2, labels].
    """

    dataset: ImageDataset
    folds: np.ndarray | None
    class_weights: np.ndarray | None

    @classmethod
    def of(cls, recipe: Recipe, dataset: ImageDataset) -> Selection:
        """Returns that of a recipe."""
        train, folds, weights = dataset.train, None, None
        if dataset.validation is None:
            folds = deal_folds(train.labels, kept_together(train), recipe.seed)
        if recipe.class_balance != "none":
            labels = train.labels if dataset.validation is None else dataset.validation.labels
            weights = class_weights(labels, len(dataset.class_names))
        return cls(dataset, folds, weights)

    @property
    def is_possible(self) -> bool:
        """Whether there are such images: with one image of most classes there are none."""
        return self.dataset.validation is not None or self.folds is not None

    @property
    def trainings(self) -> int:
        """How many trainings on all images a recipe's takes as long as."""
        return 1 if self.folds is None else int(self.folds.max()) + 1

    @property
    def images(self) -> str:
        """In words."""
        if self.dataset.validation is not None:
            return f"{len(self.dataset.validation)} validation images"
        return f"{len(self.dataset.train)} training images out of fold"

    def try_out(self, recipe: Recipe, context: Context) -> Candidate:
        """Trains a recipe, and measures it on the images that select.

        Args:
            recipe: With the data of this selection.
            context: Its checkpoints, if any, are the recipe's own.
        """
        if self.folds is not None and recipe.solver != LBFGS:
            return self._cross_validated(recipe, context, self.folds)
        trained = train_and_validate(recipe, context)
        validation, solved = self.dataset.validation, trained.solved
        seconds, weights = trained.progress.seconds, weights_of(trained.model)
        if validation is not None and trained.validation_logits is not None:
            answers = trained.validation_logits, validation.labels
        elif solved is not None and solved.path is not None:
            answers = solved.path.logits, self.dataset.train.labels
        else:
            return Candidate(recipe, None, None, seconds, trained, weights)
        top1, losses = self.figures(*answers)
        return Candidate(recipe, top1, float(losses.mean()), seconds, trained, weights, losses)

    def _cross_validated(self, recipe: Recipe, context: Context, folds: np.ndarray) -> Candidate:
        """Trains on all folds but one, as often as there are folds."""
        train = self.dataset.train
        logits = np.zeros((len(train), len(self.dataset.class_names)), np.float32)
        seconds = 0.0
        for fold in range(self.trainings):
            is_left_out = folds == fold
            learned_from = dataclasses.replace(
                self.dataset, train=train.take(np.flatnonzero(~is_left_out))
            )
            checkpoints = context.checkpoints and context.checkpoints / f"fold_{fold}"
            of_fold = dataclasses.replace(context, dataset=learned_from, checkpoints=checkpoints)
            trained = train_and_validate(recipe, of_fold)
            left_out = train.take(np.flatnonzero(is_left_out))
            logits[is_left_out] = predict_logits(trained.experiment, left_out)[0]
            seconds += trained.progress.seconds
        top1, losses = self.figures(logits, train.labels)
        return Candidate(recipe, top1, float(losses.mean()), seconds, None, None, losses)

    def figures(self, logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns a candidate's `top1` and `losses`, whose mean is its `log_loss`.

        Args:
            logits: float[n, classes] of the images that select.
            labels: int64[n], or uint8[n, labels].
        """
        calm = (logits / fit_temperature(logits, labels)).astype(np.float64)
        if are_several(labels):
            is_right = (logits >= 0) == (labels > 0)
            losses = np.logaddexp(0, calm) - labels * calm
        else:
            is_right = logits.argmax(axis=-1) == labels
            losses = -log_softmax(calm, axis=-1)[np.arange(len(labels)), labels]
        weights = self._weights(labels)
        if weights is not None:
            losses = losses * weights / weights.mean()
        top1 = float(np.average(is_right, weights=weights))
        return top1, losses.reshape(len(labels), -1).mean(axis=1)

    def _weights(self, labels: np.ndarray) -> np.ndarray | None:
        """How much each image counts, or each answer; None where all count the same."""
        if self.class_weights is None:
            return None
        if are_several(labels):
            # The first row is of not having a label, and the second of having it.
            return self.class_weights[labels, np.arange(labels.shape[1])]
        return self.class_weights[labels]
