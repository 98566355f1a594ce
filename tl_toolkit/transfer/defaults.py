"""The numbers of a training run, by strategy and data size. One place, tested.

In the manner of BiT-HyperRule (Kolesnikov et al. 2020, section 3.3): fixed for all tasks, so that nobody
has to search before the first result. The steps and learning rates were chosen on the UCI digits with five
labels a class; weight decay, warm-up and the numbers for larger data are customary ones, not searched, and
the number of views weighs the frozen layers' time against variety.
"""

from __future__ import annotations

import dataclasses

from tl_toolkit.errors import InputError
from tl_toolkit.models.batch_norm import SMALLEST_BATCH_FOR_STATISTICS
from tl_toolkit.recipe import FromScratch, FullFineTune, LastLayers, NewHead, Recipe


@dataclasses.dataclass(frozen=True)
class StrategyDefaults:
    """What a strategy uses unless the recipe says otherwise.

    Attributes:
        optimizer: `"adamw"` or `"sgd"` (Nesterov momentum 0.9).
        learning_rate: Peak of the schedule.
        weight_decay: Decoupled; not on batch normalisation and biases.
        batch_size: Largest batch.
        fewest_steps: Steps that even the smallest data set is trained for.
        fewest_epochs: Epochs that even the largest data set is trained for.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    fewest_steps: int
    fewest_epochs: int


DEFAULTS: dict[type, StrategyDefaults] = {
    NewHead: StrategyDefaults("adamw", 1e-2, 1e-4, 32, 100, 20),
    LastLayers: StrategyDefaults("adamw", 3e-4, 1e-4, 32, 200, 20),
    FullFineTune: StrategyDefaults("adamw", 1e-3, 1e-4, 32, 150, 20),
    FromScratch: StrategyDefaults("adamw", 3e-3, 1e-2, 32, 300, 30),
}
WARMUP_SHARE = 0.1
IMAGES_OVER_VIEWS, FEWEST_VIEWS, MOST_VIEWS = 2048, 2, 16


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """The numbers of one run, every one decided.

    Attributes:
        optimizer: `"adamw"` or `"sgd"`.
        learning_rate: Peak of the schedule: linear warm-up, then half a cosine down to 0.
        weight_decay: Decoupled; not on batch normalisation and biases.
        batch_size: Largest batch; an epoch's batches are as even as can be.
        smallest_batch: Smallest batch that occurs, over all replicas: they learn its statistics together.
        epochs: Times that every image is seen.
        steps_per_epoch: Batches of an epoch.
        warmup_steps: Steps until the peak.
        bn_mode: Of the batch normalisations in the trained part.
        bn_momentum: Of their moving averages.
        label_smoothing: From 0 to under 1.
        views: Augmented views of an image, seen in turn; None: another one each epoch.
        notes: What was decided otherwise than usual, and why.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    smallest_batch: int
    epochs: int
    steps_per_epoch: int
    warmup_steps: int
    bn_mode: str
    bn_momentum: float
    label_smoothing: float
    views: int | None = None
    notes: tuple[str, ...] = ()


def choose_hyperparameters(recipe: Recipe, examples: int, replicas: int = 1) -> Hyperparameters:
    """Decides every number that the recipe leaves open.

    Args:
        recipe: What it says wins.
        examples: Images of an epoch.
        replicas: Devices that share a batch. No number depends on it.

    Raises:
        InputError: The recipe's batch size cannot be shared out evenly.
    """
    _check_shares(recipe.batch_size, replicas)
    defaults = DEFAULTS[type(recipe.strategy)]
    batch_size = min(recipe.batch_size or defaults.batch_size, examples)
    steps = -(-examples // batch_size)
    smallest_batch = examples // steps
    epochs = recipe.epochs or max(defaults.fewest_epochs, -(-defaults.fewest_steps // steps))
    bn_mode, notes = _bn_mode(recipe, smallest_batch)
    return Hyperparameters(
        optimizer=recipe.optimizer or defaults.optimizer,
        learning_rate=_given(recipe.learning_rate, defaults.learning_rate),
        weight_decay=_given(recipe.weight_decay, defaults.weight_decay),
        batch_size=batch_size,
        smallest_batch=smallest_batch,
        epochs=epochs,
        steps_per_epoch=steps,
        warmup_steps=round(WARMUP_SHARE * epochs * steps),
        bn_mode=bn_mode,
        bn_momentum=bn_momentum(steps),
        label_smoothing=recipe.label_smoothing,
        views=recipe.views or _views(recipe, examples),
        notes=notes,
    )


def _check_shares(batch_size: int | None, replicas: int) -> None:
    if batch_size is None or batch_size % replicas == 0:
        return
    nearest = max(round(batch_size / replicas), 1) * replicas
    raise InputError(
        f"`batch_size` is that of all {replicas} replicas together, which do not divide {batch_size}. The "
        f"nearest that works is {nearest}."
    )


def bn_momentum(steps_per_epoch: int) -> float:
    """Momentum with which a moving average has lost 95% of the old data after an epoch, at least 0.9.

    Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations", appendix
    B.8, take `max(1 - 10 / steps, 0.9)` for batches of 256. An average over ten batches of 20 is too
    noisy to validate by, hence 3 where they have 10.
    """
    return max(1 - 3 / steps_per_epoch, 0.9)


def _views(recipe: Recipe, examples: int) -> int | None:
    """Views for the strategies whose frozen part is computed once a view: more where images are few."""
    if not isinstance(recipe.strategy, (NewHead, LastLayers)):
        return None
    return min(max(round(IMAGES_OVER_VIEWS / examples), FEWEST_VIEWS), MOST_VIEWS)


def _bn_mode(recipe: Recipe, smallest_batch: int) -> tuple[str, tuple[str, ...]]:
    strategy = recipe.strategy
    too_small = smallest_batch < SMALLEST_BATCH_FOR_STATISTICS
    small = (
        f"batches of {smallest_batch} images are too small for batch normalisation's "
        f"statistics (under {SMALLEST_BATCH_FOR_STATISTICS})"
    )
    if isinstance(strategy, NewHead):
        return "frozen", ()
    chosen = "adapt" if isinstance(strategy, FromScratch) else strategy.bn_mode
    if chosen is None:
        chosen = "affine"
        if isinstance(strategy, FullFineTune) and not too_small:
            chosen = "adapt"
        elif isinstance(strategy, FullFineTune):
            return chosen, (f"{small}: the pretrained ones are kept (affine mode)",)
    if chosen == "adapt" and too_small:
        return chosen, (f"{small}: a larger batch_size helps, or bn_mode='affine' with weights",)
    return chosen, ()


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
