"""The strategies: what of a network is trained, as plain data. No TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar

from tl_toolkit.catalog import FEATURES, NO_VIEWS, BNMode, On, Solver, Tta
from tl_toolkit.errors import unknown_name
from tl_toolkit.fields import Over, check_fields


@dataclasses.dataclass(frozen=True)
class FullFineTune:
    """Load the weights, put a new head on, train every parameter. The most accurate with enough data.

    Attributes:
        on: What the new head sits on: the pooled `"features"`; the original network's `"logits"`; or
            `"all_blocks"`, the average and the maximum of every block's output.
        bn_mode: Mode of all batch normalisations. None: `"adapt"` if a batch has at least 16 images over all
            replicas together, since their statistics are synchronised; else `"affine"`.
        head_first: Solve for the new head before anything else is trained, as `NewHead` does, so that training
            begins with features and head in step ("LP-FT", Kumar et al. 2022); in affine mode at a small default rate.
            False: the head starts at 0.

    Examples:
        >>> recipe = tl.Recipe(data="digits", strategy=tl.FullFineTune(head_first=True), epochs=30)
        >>> recipe.strategy.name
        'full_fine_tune'
    """

    name: ClassVar[str] = "full_fine_tune"
    on: On = FEATURES
    bn_mode: BNMode | None = None
    head_first: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class LastLayers:
    """Load the weights, put a new head on, train only the last layers and the head.

    Attributes:
        trainable_from: The first block to train, such as `"conv4_block3"`; a stage such as `"conv4"` means
            its first block. None: the network's last stage.
        on: As in `FullFineTune`.
        bn_mode: Mode of the batch normalisations in the trained blocks. None: `"affine"`.
        head_first: As in `FullFineTune`; here it is the default, which on digits, solar cells and drawings was better
            in validation.

    Examples:
        >>> tl.LastLayers(trainable_from="conv4")
        LastLayers(trainable_from='conv4', on='features', bn_mode=None, head_first=True)
    """

    name: ClassVar[str] = "last_layers"
    trainable_from: str | None = None
    on: On = FEATURES
    bn_mode: BNMode | None = None
    head_first: bool = True

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class NewHead:
    """Load the weights, put a new dense head on, train it alone. The fastest; a linear probe.

    Attributes:
        on: As in `FullFineTune`.
        solver: `"lbfgs"` solves for the head exactly: logistic regression whose L2 penalty cross-validation on
            the training images chooses. `"gradient"` trains it by steps, as the other strategies do. None:
            `"lbfgs"`, unless the recipe sets what only steps have, such as `epochs`.
        tta: `"flips"` averages the features over an image's four mirror images, in training and wherever the
            model is used, at four times the cost: for images without an up, such as cells seen from above.
            `"none"`: the image as it is.

    Examples:
        >>> tl.Recipe(data="digits", strategy=tl.NewHead(on="all_blocks")).solver
        'lbfgs'
        >>> tl.Recipe(data="digits", strategy=tl.NewHead(), epochs=30).solver
        'gradient'
    """

    name: ClassVar[str] = "new_head"
    on: On = FEATURES
    solver: Solver | None = None
    tta: Tta = NO_VIEWS

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class FromScratch:
    """Train every parameter from random values: the baseline that transfer has to beat.

    Examples:
        >>> recipe = tl.Recipe(data="digits", strategy=tl.FromScratch(), backbone="resnet18")
        >>> recipe.start is None
        True
    """

    name: ClassVar[str] = "from_scratch"


@dataclasses.dataclass(frozen=True)
class Auto:
    """Climb from the cheapest of the other strategies to the dearest, and keep what is best in validation.

    The rungs are new heads that are solved for, on the features and on all blocks, on letterboxed photos where `resize` is left
    open and many lose much to the crop, without the network's last stage, with mirror images where the images have no up; the last
    layers, and everything, with fixed batch statistics; and everything with adapting ones, where batches have 16 images or more. What
    is trained by steps begins with a head on what did best before it, the features or all blocks, and everything ends with the stage
    that it ended with. What counts is the log loss on the validation images, or out of fold where there are none;
    test images are looked at once, by what was kept. A training by steps takes the place of a head that is solved for only where
    it gains more than 1.645 standard errors, image by image; the head on all blocks takes the place of that on the features unless it
    is worse by more than one. What comes later then has to beat both.

    Attributes:
        minutes: Time for all trainings. Each rung is timed on a few batches beforehand; one that does not fit in
            what is left is trained for fewer epochs, or left out. None: all are climbed.

    Examples:
        >>> tl.Recipe(data="folder:photos", strategy=tl.Auto(minutes=30)).strategy
        Auto(minutes=30)
        >>> tl.Recipe(data="folder:photos", strategy="auto").strategy
        Auto(minutes=None)
    """

    name: ClassVar[str] = "auto"
    minutes: Annotated[float, Over(0)] | None = None

    def __post_init__(self) -> None:
        check_fields(self)


Strategy = FullFineTune | LastLayers | NewHead | FromScratch | Auto
STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy for strategy in (FullFineTune, LastLayers, NewHead, FromScratch, Auto)
}


def keeps_layers_frozen(strategy: Strategy) -> bool:
    """Whether a strategy leaves layers as their weights have them, or, as `Auto`, may."""
    return isinstance(strategy, (NewHead, LastLayers, Auto))


def strategy_label(strategy: Strategy) -> str:
    """Returns a strategy's name, and the options that are not its defaults: `"new_head, on=all_blocks"`."""
    options = [
        f"{field.name}={getattr(strategy, field.name)}"
        for field in dataclasses.fields(strategy)
        if getattr(strategy, field.name) != field.default
    ]
    return ", ".join([strategy.name, *options])


def strategy_named(name: str, **options: Any) -> Strategy:
    """Returns the strategy called `name`, as in `STRATEGIES`; hyphens count as underscores.

    Raises:
        InputError: There is none of that name, or it has no such option.
    """
    key = str(name).replace("-", "_")
    if key not in STRATEGIES:
        raise unknown_name("strategy", name, STRATEGIES)
    fields = [field.name for field in dataclasses.fields(STRATEGIES[key])]
    for option in options:
        if option not in fields:
            raise unknown_name(f"option of strategy {key!r}", option, fields)
    return STRATEGIES[key](**options)
