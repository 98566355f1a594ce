"""Recipes and strategies: every choice of a run, as plain data. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Any, ClassVar

from tl_toolkit.catalog import PREPROCESSING, STEMS, VARIANTS, Architecture
from tl_toolkit.errors import InputError, unknown_name

ON = ("features", "logits")
TAIL_BN_MODES = ("adapt", "affine", "frozen")
CLASS_BALANCE = ("none", "weights", "sampling")
OPTIMIZERS = ("adamw", "sgd")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
SERVE_PRECISIONS = ("float32", "bfloat16")
DEVICES = ("auto", "one", "mirrored", "multi_worker")
DEFAULT_WEIGHTS = "imagenet"
DIGITS = "digits"  # data, and the weights that suit it
DEFAULT_BACKBONE = "resnet50"  # for weights that there are for every backbone
TYPES = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "float": ((int, float), "a finite number"),
    "bool": (bool, "true or false"),
}


def _check_types(values: Any) -> None:
    """Checks a dataclass's fields against their annotations: JSON and callers may give anything."""
    for field in dataclasses.fields(values):
        kind, _, none = field.type.partition(" | ")
        value = getattr(values, field.name)
        if kind not in TYPES or (none and value is None):
            continue
        types, words = TYPES[kind]
        is_right = isinstance(value, types) and isinstance(value, bool) == (kind == "bool")
        if not is_right or (kind == "float" and not math.isfinite(value)):
            raise InputError(
                f"`{field.name}` must be {words}{' or None' if none else ''}. Received: {value!r}"
            )


def check_choice(
    kind: str, value: object, choices: tuple[str, ...], optional: bool = False
) -> None:
    """Raises `InputError` where the value is none of the choices."""
    if not (optional and value is None) and value not in choices:
        raise unknown_name(kind, value, choices)


@dataclasses.dataclass(frozen=True)
class FullFineTune:
    """Load the weights, put a new head on, train every parameter. The most accurate with enough data.

    Attributes:
        on: What the new head sits on: the pooled `"features"`, or the original network's `"logits"`.
        bn_mode: Of all batch normalisations; None: `"adapt"` where a batch has 16 images or more on
            each replica, else `"affine"`.
    """

    name: ClassVar[str] = "full_fine_tune"
    on: str = "features"
    bn_mode: str | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        check_choice("on", self.on, ON)
        check_choice("bn_mode", self.bn_mode, TAIL_BN_MODES, optional=True)


@dataclasses.dataclass(frozen=True)
class LastLayers:
    """Load the weights, put a new head on, train only the last layers and the head.

    Attributes:
        trainable_from: First block that is trained, such as `"conv5_block1"`; a stage such as
            `"conv5"` means its first block.
        on: As in `FullFineTune`.
        bn_mode: Of the trained blocks' batch normalisations; None: `"affine"`.
    """

    name: ClassVar[str] = "last_layers"
    trainable_from: str = "conv5_block1"
    on: str = "features"
    bn_mode: str | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        check_choice("on", self.on, ON)
        check_choice("bn_mode", self.bn_mode, TAIL_BN_MODES, optional=True)


@dataclasses.dataclass(frozen=True)
class NewHead:
    """Load the weights, put a new dense head on, train it alone. The fastest; a linear probe.

    Attributes:
        on: As in `FullFineTune`.
    """

    name: ClassVar[str] = "new_head"
    on: str = "features"

    def __post_init__(self) -> None:
        _check_types(self)
        check_choice("on", self.on, ON)


@dataclasses.dataclass(frozen=True)
class FromScratch:
    """Train every parameter from random values: the baseline that transfer has to beat."""

    name: ClassVar[str] = "from_scratch"


Strategy = FullFineTune | LastLayers | NewHead | FromScratch
STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy for strategy in (FullFineTune, LastLayers, NewHead, FromScratch)
}


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


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Every choice of a run. None means: the default, which depends on the weights or on the data.

    Attributes:
        data: What `open_dataset` takes, such as `"folder:photos"`.
        strategy: What is trained.
        weights: What to start from: `"imagenet"`, a name that `tl-toolkit weights` lists, `"hf://…"`,
            `"keras-hub:…"`, a file, or a finished run's folder; None: what suits the data, `"digits"` for the
            data `"digits"` and `"imagenet"` for everything else; nothing from scratch.
        backbone: `"resnet18"` to `"resnet152"`; None: what the weights are for, resnet50 for
            `"imagenet"`.
        variant: `"v1"` or `"v1.5"`; None: what the weights are for, else v1.5.
        width: Filters of the first stage; None: what the weights are for, else 64.
        stem: `"imagenet"` or `"cifar"`; None: what the weights are for, else imagenet.
        bn_epsilon: ε of batch normalisation; None: what the weights are for, else 1e-5.
        preprocessing: A name in `catalog.PREPROCESSING`; None: the weights' own, or `"rescale"` from
            scratch.
        image_size: Side of the square image in pixels; None: the weights' own.
        crop_fraction: At evaluation, side of the centre crop over the image's shorter side; None: the
            weights' own, for photos of things with something around them. 1 where all of it matters.
        labels_per_class: Few-shot: images of each class for training and validation together.
        test_fraction: Share of the images to test on, where the source has no test split.
        validation_fraction: Share of the rest to validate on; None: 0.2, or 0 with labels_per_class.
        split_seed: Chooses the test and validation images.
        on_bad_image: `"error"` or `"skip"`.
        class_balance: For uneven classes: `"none"`, `"weights"` in the loss, or `"sampling"`.
        augmentation: A preset of `data.augment`; None: the one that suits the data.
        views: Augmented views of an image, seen in turn, epoch after epoch; None: by strategy and data
            size, and where all is trained another view each epoch.
        cache: Whether what is frozen before the first trained layer is computed once and kept on disk; the
            result is the same, to rounding.
        precision: What is trained in: `"float32"`, `"bfloat16"`, `"float16"`, or `"auto"`: bfloat16 where
            the hardware multiplies in it, else float32.
        devices: What it is trained on: `"one"` device; `"mirrored"`, all GPUs of the machine, or without any
            all logical processors; `"multi_worker"`, the cluster that `TF_CONFIG` or SLURM describes; or
            `"auto"`: the cluster, else all GPUs, else one device. The result is the same, to rounding.
        serve_precision: What the SavedModel computes in: `"float32"`, or `"bfloat16"` for servers that have
            it.
        optimizer: `"adamw"` or `"sgd"`; None: by strategy.
        learning_rate: Peak of the schedule; None: by strategy.
        weight_decay: Decoupled, not on batch normalisation and biases; None: by strategy.
        batch_size: Largest batch over all replicas; None: by strategy and data size.
        epochs: None: by strategy and data size.
        label_smoothing: From 0 to under 1.
        patience: Epochs without a better validation before training stops; None: never.
        seed: Of everything random but the test and validation split.
    """

    data: str
    strategy: Strategy
    weights: str | None = None
    backbone: str | None = None
    variant: str | None = None
    width: int | None = None
    stem: str | None = None
    bn_epsilon: float | None = None
    preprocessing: str | None = None
    image_size: int | None = None
    crop_fraction: float | None = None
    labels_per_class: int | None = None
    test_fraction: float = 0.2
    validation_fraction: float | None = None
    split_seed: int = 0
    on_bad_image: str = "error"
    class_balance: str = "none"
    augmentation: str | None = None
    views: int | None = None
    cache: bool = True
    precision: str = "auto"
    devices: str = "auto"
    serve_precision: str = "float32"
    optimizer: str | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    batch_size: int | None = None
    epochs: int | None = None
    label_smoothing: float = 0.0
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_types(self)
        if not isinstance(self.strategy, Strategy):
            raise InputError(
                f"`strategy` must be one of tl.FullFineTune(), tl.LastLayers(), tl.NewHead() and "
                f"tl.FromScratch(). Received: {self.strategy!r}"
            )
        if self.backbone is not None:
            Architecture.named(self.backbone)
        check_choice("variant", self.variant, VARIANTS, optional=True)
        check_choice("stem", self.stem, STEMS, optional=True)
        check_choice("preprocessing", self.preprocessing, tuple(PREPROCESSING), optional=True)
        check_choice("class_balance", self.class_balance, CLASS_BALANCE)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("devices", self.devices, DEVICES)
        check_choice("serve precision", self.serve_precision, SERVE_PRECISIONS)
        check_choice("optimizer", self.optimizer, OPTIMIZERS, optional=True)
        self._check_numbers()
        self._check_start()

    def _check_numbers(self) -> None:
        for name in (
            "learning_rate",
            "batch_size",
            "epochs",
            "patience",
            "width",
            "bn_epsilon",
            "views",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"`{name}` must be over 0. Received: {value}")
        if self.weight_decay is not None and not self.weight_decay >= 0:
            raise InputError(f"`weight_decay` must be at least 0. Received: {self.weight_decay}")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(
                f"`label_smoothing` must be at least 0 and under 1. Received: {self.label_smoothing}"
            )
        if self.seed < 0 or self.split_seed < 0:
            raise InputError(
                f"`seed` and `split_seed` must be at least 0. "
                f"Received: {self.seed} and {self.split_seed}"
            )

    def _check_start(self) -> None:
        from_scratch = isinstance(self.strategy, FromScratch)
        if from_scratch and self.weights is not None:
            raise InputError(
                f"Strategy 'from_scratch' starts from random values, so `weights` must be None. "
                f"Received: {self.weights!r}. Name the network with `backbone` instead."
            )
        if from_scratch and self.backbone is None:
            raise InputError("Strategy 'from_scratch' needs `backbone`, such as 'resnet18'.")

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
        pathlib.Path(path).write_text(json.dumps(self.to_json(), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Recipe:
        """Reads the JSON that `save` wrote, such as `recipe.json` in a run's folder."""
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
