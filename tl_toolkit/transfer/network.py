"""Builds the network of a recipe: architecture, preprocessing, weights, new head."""

from __future__ import annotations

import contextlib
import dataclasses

import keras

from tl_toolkit.catalog import (
    CROP,
    FEATURES,
    LOGITS,
    NO_VIEWS,
    PREPROCESSING,
    Architecture,
    Preprocessing,
    WeightSpec,
)
from tl_toolkit.errors import InputError
from tl_toolkit.models.head import assemble_classifier, new_head
from tl_toolkit.models.resnet import kernels_follow
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import DEFAULT_BACKBONE, Recipe
from tl_toolkit.strategies import FromScratch, keeps_layers_frozen
from tl_toolkit.weights.load import assign_tensors, check_architecture
from tl_toolkit.weights.pinned import PinnedWeights, open_pinned
from tl_toolkit.weights.resolve import WeightSource, open_weights


def open_recipe_weights(
    recipe: Recipe, pin: PinnedWeights | None = None, progress: Progress = SILENT
) -> WeightSource | None:
    """Opens the weights that the recipe starts from; None when training from scratch.

    What `"imagenet"` stands for depends on the strategy: whether it leaves layers frozen.

    Args:
        recipe: Names the weights.
        pin: What that name stood for in an earlier run; used if the recipe still names the same.
        progress: Shows the download.
    """
    if recipe.start is None:
        return None
    backbone = recipe.backbone or DEFAULT_BACKBONE
    with progress.stage(f"Loading the weights {recipe.start!r}"):
        if pin is not None and pin.asked == recipe.start:
            return open_pinned(pin, backbone)
        frozen = keeps_layers_frozen(recipe.strategy)
        return open_weights(recipe.start, backbone, frozen=frozen)


def choose_network(recipe: Recipe, weights: WeightSource | None) -> WeightSpec:
    """Decides the architecture and the preprocessing: the weights', else the recipe's.

    Args:
        recipe: Must agree with the weights where both say something.
        weights: The opened source; None when training from scratch.

    Raises:
        InputError: Recipe and weights disagree, or both leave something open.
    """
    stated = weights.spec if weights is not None else None
    changes = {
        field: getattr(recipe, field)
        for field in ("variant", "width", "stem", "bn_epsilon")
        if getattr(recipe, field) is not None
    }
    if recipe.backbone is not None:
        known = dataclasses.asdict(stated.architecture) if stated else {}
        known = {k: v for k, v in known.items() if k not in ("block", "block_counts")}
        architecture = Architecture.named(recipe.backbone, **{**known, **changes})
    elif stated is not None:
        architecture = dataclasses.replace(stated.architecture, **changes)
    else:
        raise InputError(
            f"The weights {recipe.start!r} do not say which network they are for: name it with "
            "`backbone`, and `variant`, `width`, `stem` and `bn_epsilon` if they differ from the defaults."
        )
    spec = stated or WeightSpec(name=recipe.start or "random", architecture=architecture)
    if recipe.last_stage is not None:
        architecture = architecture.up_to(recipe.last_stage)
        shorter = spec.architecture.up_to(recipe.last_stage)
        if shorter != spec.architecture:  # the last layer is left out too
            spec = dataclasses.replace(spec, architecture=shorter, classes=0, class_names=())
    if stated is not None:
        check_architecture(spec, architecture)
    preprocessing = _preprocessing(recipe, stated)
    return dataclasses.replace(spec, architecture=architecture, preprocessing=preprocessing)


def _preprocessing(recipe: Recipe, stated: WeightSpec | None) -> Preprocessing:
    own = stated.preprocessing if stated is not None else None
    if own is not None:  # a range is of photos: those of an earlier run say nothing of these
        own = dataclasses.replace(own, value_range=recipe.value_range)
    if recipe.preprocessing is not None:
        preprocessing = PREPROCESSING[recipe.preprocessing]
        if own is not None:
            preprocessing = dataclasses.replace(
                preprocessing, image_size=own.image_size, value_range=recipe.value_range
            )
            if own != preprocessing:
                raise InputError(
                    f"The weights {recipe.start!r} were trained with another preprocessing than "
                    f"{recipe.preprocessing!r}: leave `preprocessing` out. Theirs is {own}."
                )
    elif isinstance(recipe.strategy, FromScratch):
        preprocessing = PREPROCESSING["rescale"]
    elif own is not None:
        preprocessing = own
    else:
        raise InputError(
            f"The weights {recipe.start!r} do not say how their images were preprocessed, and a wrong "
            f"guess would go unnoticed: name it with `preprocessing`, one of {', '.join(PREPROCESSING)}."
        )
    changes = {
        field: getattr(recipe, field)
        for field in ("image_size", "crop_fraction", "resize")
        if getattr(recipe, field) is not None
    }
    if recipe.resize not in (None, CROP):
        changes.setdefault("crop_fraction", 1.0)
    return dataclasses.replace(preprocessing, **changes, value_range=recipe.value_range)


def build_network(
    recipe: Recipe, spec: WeightSpec, weights: WeightSource | None, classes: int
) -> tuple[keras.Model, list[str]]:
    """Builds the classifier and loads the weights.

    Returns:
        The model, images to logits, with a new head; and notes on the weights for the user.

    Raises:
        InputError: The weights do not fit, or hold no head for `on="logits"`.
    """
    on = getattr(recipe.strategy, "on", FEATURES)
    if on == LOGITS and not spec.classes:
        missing = f"the weights {spec.name!r} have none"
        if weights is not None and weights.spec and weights.spec.classes:
            missing = f"with last_stage={recipe.last_stage!r} the network ends before it"
        raise InputError(
            f"on='logits' needs the original network's last layer, but {missing}: use on='features'."
        )
    if spec.preprocessing is None:  # `choose_network` has refused such weights
        raise RuntimeError(f"The weights {spec.name!r} have no preprocessing.")
    from_scratch = weights is None
    with contextlib.nullcontext() if from_scratch else kernels_follow():
        model = assemble_classifier(
            spec.architecture,
            spec.preprocessing,
            classes,
            on=on,
            tta=getattr(recipe.strategy, "tta", NO_VIEWS),
            original_classes=spec.classes,
            zero_init_head=not from_scratch,
            zero_init_residual=from_scratch,
        )
    notes = []
    if weights is not None:
        notes = assign_tensors(model, weights, new_head(model).name, last_stage=recipe.last_stage)
    return model, notes
