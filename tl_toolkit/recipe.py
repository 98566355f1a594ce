"""Recipes: every choice of a run, as plain data. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from tl_toolkit.catalog import (
    ADAPT,
    BLOCK_COUNTS,
    GRADIENT,
    LBFGS,
    PREPROCESSING,
    RESIZES,
    STEMS,
    VARIANTS,
    AugmentationName,
    OnBadImage,
    Solver,
    ValueRange,
    as_value_range,
)
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.fields import AtLeast, Between, OneOf, Over, check_fields, named_numbers
from tl_toolkit.files.atomic import write_json
from tl_toolkit.files.manifest import check_file
from tl_toolkit.strategies import FromScratch, NewHead, Strategy, strategy_named

ClassBalance = Literal["none", "weights", "sampling"]
Optimizer = Literal["adamw", "sgd"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
ServePrecision = Literal["float32", "bfloat16"]
Devices = Literal["auto", "one", "mirrored", "multi_worker"]

Count = Annotated[int, AtLeast(1)]
Seed = Annotated[int, AtLeast(0)]
Positive = Annotated[float, Over(0)]

# What training by steps has, and solving has not.
OF_STEPS = (
    "optimizer",
    "learning_rate",
    "layer_decay",
    "layer_rates",
    "weight_decay",
    "l2_sp",
    "ema",
    "unfreeze_epochs",
    "batch_size",
    "epochs",
    "patience",
)
# What needs a trained backbone, and why a new head alone, or a start from random values, has no use for it.
OF_BACKBONE = ("layer_decay", "l2_sp", "unfreeze_epochs")
OF_WEIGHTS = ("l2_sp", "unfreeze_epochs")

DEFAULT_WEIGHTS = "imagenet"
DIGITS = "digits"  # data, and the weights that suit it
DEFAULT_BACKBONE = "resnet50"  # for weights that there are for every backbone
CHANGED_BY_HAND = "To train with a recipe that you changed, give a copy of it outside this folder."


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Every choice of a run. A field that is None gets a default that depends on the weights or the data.

    Attributes:
        data: Where the images are, such as `"folder:photos"`; see `open_dataset`.
        strategy: What is trained; also by name, such as `"auto"`.
        weights: Weights to start from: `"imagenet"`, a name that `tl-toolkit weights` lists, `"hf://…"`,
            `"keras-hub:…"`, a file, or the folder of a finished run. None: `"digits"` for the data
            `"digits"`, `"imagenet"` for any other, no weights when training from scratch.
        backbone: `"resnet18"` to `"resnet152"`. None: the network that the weights are for; resnet50 for
            `"imagenet"`.
        variant: `"v1"` or `"v1.5"`. None: that of the weights, else v1.5.
        width: Filters of the first stage. None: that of the weights, else 64.
        stem: `"imagenet"` or `"cifar"`. None: that of the weights, else imagenet.
        bn_epsilon: ε of batch normalisation. None: that of the weights, else 1e-5.
        last_stage: The stage that the network ends with, such as `"conv4"`: later ones are neither loaded nor served, and the new
            head sits on what is left. The last stage knows most of the photos that the weights were learned from: for images
            unlike these a network without it can be better. None: the network's own.
        preprocessing: `"rescale"`, `"imagenet"` or `"caffe"`. None: that of the weights; `"rescale"` when
            training from scratch.
        image_size: Side of the square input image in pixels, at least 8. None: that of the weights.
        crop_fraction: Side of the centre crop at evaluation, as a fraction of the image's shorter side. None:
            that of the weights, which suits photos with some background. 1 if everything in the image matters.
        resize: How a photo that is not square becomes so: `"crop"` cuts the edges of its longer side off, `"squash"`
            squeezes it, `"letterbox"` puts grey beside it. None: that of the weights, which crop. With the other two, the
            default of `crop_fraction` is 1: everything in the photo is seen.
        value_range: Of photo files with 16-bit or float grey levels, the values that become black and white, such as
            `(0, 4095)`, on the command line `0 4095`; what lies beyond is clipped. None: 0 to 65535, and floats 0 to 1.
        labels_per_class: Few-shot: images of each class for training and validation together. None: all.
        test_fraction: Share of the images used for testing, if the data has no test split.
        validation_fraction: Share of the remaining images used for validation, if the data has no validation
            split. 0: none, and the data's own validation split is trained on. None: 0.2, or 0 with
            `labels_per_class`.
        split_seed: Seed that chooses the test and validation images.
        on_bad_image: What an unreadable image does: `"error"` stops the run, `"skip"` leaves it out and lists it.
        group_near_duplicates: Whether photos of a folder or a table that are one picture, such as resized, turned or mirrored
            ones, stay on one side of the splits that are made. Copies of one file always do.
        class_balance: For uneven classes: `"none"`, `"weights"` in the loss, or `"sampling"`.
        augmentation: `"none"`; for photos `"light"`, `"photo"` or `"strong"`, which mixes images; `"shift"` where a
            mirror would make them wrong; `"surface"` for flat things; `"overhead"` for images without an up; or
            `"zoom"`. None: what suits the data.
        views: Augmented views of each image, used in turn, one an epoch. None: by strategy and data size; a
            new view every epoch when everything is trained. Where a head is solved for, all are used at once, the
            image as it is among them; None: that one alone.
        cache: Whether the frozen layers' features are computed once and kept on disk. The result is the same, to
            rounding.
        prepared: Whether augmented views of large photos are cut from copies that are shrunk to what the views need, which
            are made once and kept: views differ from those of the photos by under one grey level on average. Evaluation
            and serving read the photos themselves.
        precision: What training computes in: `"float32"`, `"bfloat16"`, `"float16"`, or `"auto"`: bfloat16 if
            the hardware supports it, else float32.
        devices: What training runs on: `"one"` device; `"mirrored"`, all GPUs of the machine, or all logical
            CPUs if there are none; `"multi_worker"`, the cluster that `TF_CONFIG` or SLURM describes; or
            `"auto"`, the first of these that there is: cluster, several GPUs, one device. The result is the
            same, to rounding.
        serve_precision: What the SavedModel computes in: `"float32"`, or `"bfloat16"` for servers that support
            it.
        optimizer: `"adamw"` or `"sgd"`. None: by strategy.
        learning_rate: Peak of the schedule. None: by strategy, scaled with the batch size: its square root for
            AdamW, linearly for SGD, relative to a batch of 32.
        layer_decay: Learning rates that fall from the head down: the head's is the peak, the last block's this
            fraction of it, and so on to the stem's. From over 0 to 1, such as 0.7. None: one rate for all.
        layer_rates: Learning rates by name, as fractions of the peak, such as `{"stem": 0.1, "conv5_block3": 0.5}`, on
            the command line `stem=0.1 conv5_block3=0.5`: of a stage (`stem`, `conv2` to `conv5`, `head`) or a block,
            whose own rate wins. `layer_decay` holds for what is not named.
        weight_decay: Decoupled; not applied to batch normalisation and biases. None: by strategy.
        l2_sp: Strength of the decay of the kernels that came with the weights towards their first values, in place
            of weight decay, and as decoupled ("L2-SP", Li et al. 2018). None: weight decay towards 0.
        ema: Decay, such as 0.999, of a moving average of the weights, which is validated and kept in their place.
            None: the weights as they are.
        unfreeze_epochs: Epochs between a stage and the one before it: at first the head alone is trained, then the
            stages join it, the last one first (Howard and Ruder 2018). None: all are trained from the start.
        batch_size: Largest batch, over all devices together. None: by strategy and data size.
        epochs: Passes over the training images. None: by strategy and data size.
        label_smoothing: From 0 to less than 1.
        positive_class: Of two classes, the one that is to be found: the report measures how well it is, at every
            threshold. None: the rarer one in the training images.
        find: Share of the positive class's images that is to be found, such as 0.95: the report names the probability
            to answer it from, chosen by images that are no test images. It changes no answer of the model. None: the
            report has 0.9, 0.95 and 0.99.
        patience: Epochs without a better validation result before training stops. None: never.
        seed: Seed of everything random except the test and validation split.

    Examples:
        >>> recipe = tl.Recipe(data="folder:photos", strategy=tl.NewHead(), image_size=160)
        >>> recipe.start, recipe.solver
        ('imagenet', 'lbfgs')
        >>> recipe.replace(seed=1).save("recipe.json")
        >>> tl.Recipe.load("recipe.json").seed
        1
    """

    data: str
    strategy: Strategy
    weights: str | None = None
    backbone: Annotated[str, OneOf(tuple(BLOCK_COUNTS))] | None = None
    variant: Annotated[str, OneOf(VARIANTS)] | None = None
    width: Count | None = None
    stem: Annotated[str, OneOf(STEMS)] | None = None
    bn_epsilon: Positive | None = None
    last_stage: str | None = None
    preprocessing: Annotated[str, OneOf(tuple(PREPROCESSING))] | None = None
    image_size: Annotated[int, AtLeast(8)] | None = None
    crop_fraction: Annotated[float, Between(0, 1, low_is_open=True)] | None = None
    resize: Annotated[str, OneOf(RESIZES)] | None = None
    value_range: ValueRange | None = None
    labels_per_class: Count | None = None
    test_fraction: Annotated[float, Between(0, 1, low_is_open=True, high_is_open=True)] = 0.2
    validation_fraction: Annotated[float, Between(0, 1, high_is_open=True)] | None = None
    split_seed: Seed = 0
    on_bad_image: OnBadImage = "error"
    group_near_duplicates: bool = True
    class_balance: ClassBalance = "none"
    augmentation: AugmentationName | None = None
    views: Count | None = None
    cache: bool = True
    prepared: bool = True
    precision: Precision = "auto"
    devices: Devices = "auto"
    serve_precision: ServePrecision = "float32"
    optimizer: Optimizer | None = None
    learning_rate: Positive | None = None
    layer_decay: Annotated[float, Between(0, 1, low_is_open=True)] | None = None
    layer_rates: Mapping[str, float] | tuple[tuple[str, float], ...] | None = None
    weight_decay: Annotated[float, AtLeast(0)] | None = None
    l2_sp: Positive | None = None
    ema: Annotated[float, Between(0, 1, low_is_open=True, high_is_open=True)] | None = None
    unfreeze_epochs: Count | None = None
    batch_size: Count | None = None
    epochs: Count | None = None
    label_smoothing: Annotated[float, Between(0, 1, high_is_open=True)] = 0.0
    patience: Count | None = None
    positive_class: str | None = None
    find: Annotated[float, Between(0, 1, low_is_open=True)] | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        if isinstance(self.strategy, str):
            object.__setattr__(self, "strategy", strategy_named(self.strategy))
        check_fields(self)
        rates = named_numbers("layer_rates", self.layer_rates, Over(0))
        object.__setattr__(self, "layer_rates", rates)  # hashable, as everything else here
        object.__setattr__(self, "value_range", as_value_range(self.value_range))
        if not isinstance(self.strategy, Strategy):
            raise InputError(
                f"`strategy` must be one of tl.FullFineTune(), tl.LastLayers(), tl.NewHead(), tl.FromScratch() "
                f"and tl.Auto(), or its name. Received: {self.strategy!r}"
            )
        if not self.data:
            raise InputError("`data` must name the images, such as 'folder:photos'. Received: ''")
        self._check_start()
        self._check_held_back()

    def _check_start(self) -> None:
        from_scratch = isinstance(self.strategy, FromScratch)
        if from_scratch and self.weights is not None:
            raise InputError(
                f"Strategy 'from_scratch' starts from random values, so `weights` must be None. "
                f"Received: {self.weights!r}. Name the network with `backbone` instead."
            )
        if from_scratch and self.backbone is None:
            raise InputError("Strategy 'from_scratch' needs `backbone`, such as 'resnet18'.")
        if getattr(self.strategy, "solver", None) == LBFGS and self._set_of_steps:
            raise InputError(
                f"`{self._set_of_steps[0]}` is for training by steps, and solver='lbfgs' takes none: leave it out, or "
                "use solver='gradient'."
            )

    def _check_held_back(self) -> None:
        if isinstance(self.strategy, NewHead):
            self._refuse(OF_BACKBONE, "'new_head' trains the head alone, at one rate")
        if isinstance(self.strategy, FromScratch):
            self._refuse(OF_WEIGHTS, "'from_scratch' has no weights that are worth keeping")
        if getattr(self.strategy, "bn_mode", None) == ADAPT:
            self._refuse(
                ("unfreeze_epochs",),
                "bn_mode='adapt' would move the statistics of stages that are not trained yet: use 'affine'",
            )

    def _refuse(self, names: tuple[str, ...], reason: str) -> None:
        for name in names:
            if getattr(self, name) is not None:
                raise InputError(
                    f"`{name}` must be left out. Received: {getattr(self, name)}, but {reason}."
                )

    @property
    def _set_of_steps(self) -> list[str]:
        return [name for name in OF_STEPS if getattr(self, name) is not None]

    @property
    def solver(self) -> Solver:
        """How it is trained: `"gradient"`, or `"lbfgs"` for a new head alone."""
        if not isinstance(self.strategy, NewHead):
            return GRADIENT
        return self.strategy.solver or (GRADIENT if self._set_of_steps else LBFGS)

    @property
    def start(self) -> str | None:
        """The weights that are started from: `weights`, or what None stands for."""
        if isinstance(self.strategy, FromScratch):
            return None
        return self.weights or (DIGITS if self.data == DIGITS else DEFAULT_WEIGHTS)

    def replace(self, **changes: Any) -> Recipe:
        """Returns the recipe with fields replaced."""
        for name in changes:
            _check_field(name)
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Returns the recipe as plain JSON values; the strategy becomes `{"name": …, options}`."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["strategy"] = {"name": self.strategy.name, **dataclasses.asdict(self.strategy)}
        if self.layer_rates is not None:
            values["layer_rates"] = dict(self.layer_rates)
        if self.value_range is not None:
            values["value_range"] = list(self.value_range)
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """Returns the recipe that `to_json` wrote.

        Raises:
            InputError: A field is missing, unknown or wrong.
        """
        if not isinstance(values, dict):
            raise InputError(f"A recipe must be a JSON object. Received: {type(values).__name__}")
        for name in values:
            _check_field(name)
        for name in ("data", "strategy"):
            if name not in values:
                raise InputError(f"A recipe needs the field {name!r}.")
        strategy = values["strategy"]
        if not isinstance(strategy, dict) or "name" not in strategy:
            raise InputError(
                f'The field \'strategy\' must be an object such as {{"name": "new_head"}}. '
                f"Received: {strategy!r}"
            )
        options = {key: value for key, value in strategy.items() if key != "name"}
        return cls(**{**values, "strategy": strategy_named(strategy["name"], **options)})

    def save(self, path: str | pathlib.Path) -> None:
        """Writes the recipe as JSON."""
        write_json(pathlib.Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Recipe:
        """Reads the JSON that `save` wrote, such as `recipe.json` in a run's folder.

        Raises:
            InputError: It cannot be read or is no recipe; or it lies in a finished folder of this toolkit and is
                not as it was written there: change a copy of it elsewhere.
        """
        check_file(pathlib.Path(path), way_out=CHANGED_BY_HAND)
        try:
            return cls.from_json(json.loads(pathlib.Path(path).read_bytes()))
        except OSError as error:
            raise InputError(f"Cannot read the recipe {str(path)!r}: {error.strerror}.") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"The recipe {str(path)!r} is not JSON: {error}.") from error


def _check_field(name: str) -> None:
    fields = [field.name for field in dataclasses.fields(Recipe)]
    if name not in fields:
        raise unknown_name("recipe field", name, fields)
