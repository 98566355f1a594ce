"""Default hyperparameters, by strategy and data size.

They are fixed for all tasks, like BiT-HyperRule (Kolesnikov et al. 2020, section 3.3), so that nobody has to
search before the first result. Steps and learning rates were chosen on the UCI digits with five labels a
class, `GENTLE_RATE` on the data of docs/defaults.md; weight decay, warm-up and the values for larger data are
customary, not searched. The number of views trades the frozen layers' time for variety.
"""

from __future__ import annotations

import dataclasses
import math

from tl_toolkit.catalog import ADAPT, AFFINE, FROZEN, LBFGS
from tl_toolkit.data.pipeline import batch_sizes, steps_per_epoch
from tl_toolkit.devices.replicas import check_batch_size
from tl_toolkit.models.batch_norm import SMALLEST_BATCH_FOR_STATISTICS
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import FromScratch, FullFineTune, LastLayers, NewHead, Strategy


@dataclasses.dataclass(frozen=True)
class StrategyDefaults:
    """A strategy's defaults.

    Attributes:
        optimizer: `"adamw"` or `"sgd"` (Nesterov momentum 0.9).
        learning_rate: Peak of the schedule, for batches of `REFERENCE_BATCH` images.
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


REFERENCE_BATCH = (
    32  # images; the learning rates of the table and of a search are for batches of this size
)
DEFAULTS: dict[type, StrategyDefaults] = {
    NewHead: StrategyDefaults("adamw", 1e-2, 1e-4, 32, 100, 20),
    LastLayers: StrategyDefaults("adamw", 3e-4, 1e-4, 32, 200, 20),
    FullFineTune: StrategyDefaults("adamw", 1e-3, 1e-4, 32, 150, 20),
    FromScratch: StrategyDefaults("adamw", 3e-3, 1e-2, 32, 300, 30),
}
# Of everything, by AdamW, where training begins with a solved head and the weights' own statistics: what the head sees may then
# move only slowly, or the head is lost. docs/defaults.md has the figures.
GENTLE_RATE = 3e-5
WARMUP_SHARE = 0.1
STATISTICS_ARE_KEPT = (
    "with unfreeze_epochs, stages that are not trained yet must not move: batch normalisation keeps the pretrained "
    "statistics (affine mode)"
)
IMAGES_OVER_VIEWS, FEWEST_VIEWS, MOST_VIEWS = 2048, 2, 16


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """Every hyperparameter of one run.

    Attributes:
        optimizer: `"adamw"` or `"sgd"`.
        learning_rate: Peak of the schedule: linear warm-up, then half a cosine down to 0.
        weight_decay: Decoupled; not on batch normalisation and biases.
        batch_size: Largest batch, over all replicas together; an epoch's batches differ by one image at most.
        smallest_batch: Smallest batch that occurs, over all replicas together: their batch normalisation is
            synchronised, so its statistics come from all of these images.
        epochs: Times that every image is seen.
        steps_per_epoch: Batches of an epoch.
        warmup_steps: Steps until the peak.
        bn_mode: Of the batch normalisations in the trained part.
        bn_momentum: Of their moving averages.
        label_smoothing: From 0 to under 1.
        views: Augmented views of an image, seen in turn; None: a new one each epoch. Where the head is solved
            for, one of them is the image as it is.
        notes: Unusual decisions, and why.
        layer_decay: Rate of a block, as a fraction of the one above it; None: the same.
        layer_rates: (Stage or block, fraction of the learning rate), which win over `layer_decay`.
        l2_sp: Strength of the decay towards the first weights; None: none.
        ema: Decay of the weights' moving average; None: none is kept.
        unfreeze_epochs: Epochs after which the next stage joins the training; None: all start at once.
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
    layer_decay: float | None = None
    layer_rates: tuple[tuple[str, float], ...] = ()
    l2_sp: float | None = None
    ema: float | None = None
    unfreeze_epochs: int | None = None


def choose_hyperparameters(recipe: Recipe, examples: int, replicas: int = 1) -> Hyperparameters:
    """Decides every hyperparameter that the recipe leaves open.

    A learning rate in the recipe is used as it is. The strategy's default rate is scaled by
    `scaled_learning_rate` to the batch size that the recipe asks for, not to the even batches that an epoch
    is split into: 50 images in batches of 32 at most are two batches of 25, trained at the rate for 32. A batch
    size beyond the data counts as all the data.

    Args:
        recipe: Its own values win.
        examples: Images of an epoch.
        replicas: Devices that share a batch. No hyperparameter depends on their number: thresholds, such as
            the smallest batch for batch normalisation's statistics, hold for the global batch.

    Raises:
        InputError: The replicas do not divide the recipe's batch size.
    """
    if recipe.batch_size is not None:
        check_batch_size(recipe.batch_size, replicas)
    defaults = DEFAULTS[type(recipe.strategy)]
    asked = recipe.batch_size or defaults.batch_size
    optimizer = recipe.optimizer or defaults.optimizer
    batch_size = min(asked, examples)
    steps = steps_per_epoch(examples, batch_size)
    smallest_batch = min(batch_sizes(examples, batch_size))
    epochs = recipe.epochs or max(defaults.fewest_epochs, -(-defaults.fewest_steps // steps))
    bn_mode, notes = _bn_mode(recipe, smallest_batch)
    learning_rate = recipe.learning_rate
    if learning_rate is None:
        counted = min(asked, max(examples, REFERENCE_BATCH))
        rate = default_learning_rate(recipe.strategy, bn_mode, optimizer)
        learning_rate = scaled_learning_rate(rate, counted, optimizer)
    return Hyperparameters(
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=defaults.weight_decay if recipe.weight_decay is None else recipe.weight_decay,
        batch_size=batch_size,
        smallest_batch=smallest_batch,
        epochs=epochs,
        steps_per_epoch=steps,
        warmup_steps=round(WARMUP_SHARE * epochs * steps),
        bn_mode=bn_mode,
        bn_momentum=bn_momentum(steps),
        label_smoothing=recipe.label_smoothing,
        views=_views(recipe, examples, epochs),
        notes=notes,
        layer_decay=recipe.layer_decay,
        layer_rates=tuple(dict(recipe.layer_rates or ()).items()),
        l2_sp=recipe.l2_sp,
        ema=recipe.ema,
        unfreeze_epochs=recipe.unfreeze_epochs,
    )


def default_learning_rate(strategy: Strategy, bn_mode: str | None, optimizer: str) -> float:
    """Returns a strategy's rate for batches of `REFERENCE_BATCH` images.

    Args:
        strategy: What is trained.
        bn_mode: Of the batch normalisations in the trained part; None: not decided yet.
        optimizer: `"adamw"` or `"sgd"`.
    """
    keeps_statistics = bn_mode in (AFFINE, FROZEN) and optimizer == "adamw"
    if isinstance(strategy, FullFineTune) and strategy.head_first and keeps_statistics:
        return GENTLE_RATE
    return DEFAULTS[type(strategy)].learning_rate


def scaled_learning_rate(rate: float, batch_size: int, optimizer: str) -> float:
    """Scales a learning rate for batches of `REFERENCE_BATCH` images to another batch size.

    By the batch size for SGD (Goyal et al. 2017, "Accurate, Large Minibatch SGD"), and by its square root for
    Adam (Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms").

    Args:
        rate: For batches of `REFERENCE_BATCH` images.
        batch_size: Of all replicas together.
        optimizer: `"adamw"` or `"sgd"`.
    """
    ratio = batch_size / REFERENCE_BATCH
    return rate * (ratio if optimizer == "sgd" else math.sqrt(ratio))


def bn_momentum(steps_per_epoch: int) -> float:
    """Returns the momentum at which a moving average forgets 95% of old data in an epoch, at least 0.9.

    Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations", appendix
    B.8, take `max(1 - 10 / steps, 0.9)` for batches of 256. An average over ten batches of 20 is too
    noisy to validate by, hence 3 where they have 10.
    """
    return max(1 - 3 / steps_per_epoch, 0.9)


def _views(recipe: Recipe, examples: int, epochs: int) -> int | None:
    """Views for strategies that compute their frozen part once a view: more of few images, one an epoch at most.

    What is solved for sees all views at once, and by default only the images as they are: over ten draws of five
    digits a class, 16 views made the mean accuracy no better, 0.961 against 0.964.
    """
    if recipe.solver == LBFGS:
        return 1 if recipe.augmentation == "none" else recipe.views or 1
    if recipe.views is not None:
        return min(recipe.views, epochs)
    if not isinstance(recipe.strategy, (NewHead, LastLayers)):
        return None
    return min(max(round(IMAGES_OVER_VIEWS / examples), FEWEST_VIEWS), MOST_VIEWS, epochs)


def _bn_mode(recipe: Recipe, smallest_batch: int) -> tuple[str, tuple[str, ...]]:
    strategy = recipe.strategy
    too_small = smallest_batch < SMALLEST_BATCH_FOR_STATISTICS
    problem = (
        f"batches of {smallest_batch} images are too small for batch normalisation's "
        f"statistics (under {SMALLEST_BATCH_FOR_STATISTICS})"
    )
    if isinstance(strategy, NewHead):
        return FROZEN, ()
    chosen = strategy.bn_mode if isinstance(strategy, (FullFineTune, LastLayers)) else ADAPT
    if chosen is None:
        chosen = AFFINE
        if isinstance(strategy, FullFineTune) and recipe.unfreeze_epochs is not None:
            return chosen, (STATISTICS_ARE_KEPT,)
        if isinstance(strategy, FullFineTune) and not too_small:
            chosen = ADAPT
        elif isinstance(strategy, FullFineTune):
            return chosen, (f"{problem}: the pretrained ones are kept (affine mode)",)
    if chosen == ADAPT and too_small:
        return chosen, (f"{problem}: a larger batch_size helps, or bn_mode='affine' with weights",)
    return chosen, ()
