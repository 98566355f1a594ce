"""Loads named tensors into a model: all of them, checked before any variable changes."""

from __future__ import annotations

import dataclasses
import pathlib
import warnings

import keras
import numpy as np

from tl_toolkit.catalog import Architecture, Preprocessing, WeightSpec
from tl_toolkit.errors import InputError
from tl_toolkit.models.describe import block_of, describe_architecture, describe_preprocessing
from tl_toolkit.models.head import HEADS
from tl_toolkit.weights.resolve import WeightSource, open_weights

LISTED = 8  # names that an error lists; the rest are counted


def load_weights(model: keras.Model, source: str | pathlib.Path) -> WeightSpec:
    """Loads weights into an existing model.

    A head of a different size is left out, with a warning; everything else must match.

    Args:
        model: A ResNet of this toolkit, or of plain Keras with the same layer names.
        source: What `tl_toolkit.weights.resolve.open_weights` takes: `"imagenet"`, a catalogue name,
            `"hf://…"`, `"keras-hub:…"`, a file, or a finished run's folder.

    Returns:
        What is known about the weights; for a file that says nothing, what the model says.

    Raises:
        InputError: The source cannot be read or does not fit. The model is then unchanged.

    Examples:
        >>> model = tl.ResNet18(width=16, stem="cifar", classes=10, input_shape=(32, 32, 3))
        >>> tl.load_weights(model, "digits").trained_on
        '4,500 MNIST digits'
    """
    architecture = describe_architecture(model.get_config())
    return load_source(model, open_weights(source, architecture.name))


def load_source(model: keras.Model, weights: WeightSource) -> WeightSpec:
    """Loads weights that are already opened; otherwise as `load_weights`."""
    config = model.get_config()
    architecture = describe_architecture(config)
    spec = weights.spec or WeightSpec(name=str(weights.path), architecture=architecture)
    check_architecture(spec, architecture)
    _check_preprocessing(spec, describe_preprocessing(config))
    notes = assign_tensors(model, weights)
    if weights.spec is None and _has_variants(architecture):
        notes.append(
            f"the file does not say its variant and ε: those of the network, {architecture.variant} and "
            f"{architecture.bn_epsilon:g}, are assumed"
        )
    if notes:
        warnings.warn(f"Weights {spec.name!r}: {'; '.join(notes)}", stacklevel=3)
    return spec


def check_architecture(spec: WeightSpec, architecture: Architecture) -> None:
    """Raises `InputError` if weights and network differ, even where all shapes agree."""
    for field in dataclasses.fields(Architecture):
        if field.name == "variant" and not _has_variants(architecture):
            continue
        theirs, ours = getattr(spec.architecture, field.name), getattr(architecture, field.name)
        equal = (
            np.isclose(theirs, ours, rtol=1e-6, atol=0)
            if field.name == "bn_epsilon"
            else theirs == ours
        )
        if not equal:
            raise InputError(
                f"Weights {spec.name!r} are for a {spec.architecture.name} with "
                f"{field.name}={theirs!r}, the network has {field.name}={ours!r}: build it with "
                f"{field.name}={theirs!r}, or choose other weights."
            )


def _has_variants(architecture: Architecture) -> bool:
    return architecture.block == "bottleneck" and len(architecture.block_counts) > 1


def _check_preprocessing(spec: WeightSpec, ours: Preprocessing | None) -> None:
    """Raises `InputError` if the model's preprocessing is not the one that the weights were trained with."""
    if ours is None or spec.preprocessing is None:
        return
    for field in ("channel_order", "scale", "mean", "std"):
        expected, found = getattr(spec.preprocessing, field), getattr(ours, field)
        if expected != found:
            raise InputError(
                f"Weights {spec.name!r} want pixels with {field}={expected}, but the model's preprocessing "
                f"has {field}={found}: assemble the model with the weights' own preprocessing."
            )


def assign_tensors(
    model: keras.Model,
    weights: WeightSource,
    new_head: str | None = None,
    *,
    last_stage: str | None = None,
) -> list[str]:
    """Assigns all tensors of a source, or none.

    Args:
        model: Its variables are named `layer/variable`.
        weights: The source.
        new_head: Name of the model's head that is not loaded, whatever the source holds.
        last_stage: The model's last stage, such as `"conv4"`; what the source holds of later ones is left out. None: there
            may be nothing of later ones.

    Returns:
        Notes for the user: each head that was left out because its size differs, and weights that seem
        never to have been trained.

    Raises:
        InputError: A tensor is missing, left over or of a different shape, other than those of a head left out.
    """
    tensors = weights.read_tensors()
    if last_stage is not None:
        tensors = {name: t for name, t in tensors.items() if not _is_behind(name, last_stage)}
    variables = {variable.path: variable for variable in model.weights}
    _fold_convolution_biases(tensors, variables)
    notes = _untrained(tensors)
    heads = [head for head in HEADS if head != new_head]
    for name in [name for name in tensors if _layer(name) == new_head]:
        del tensors[name]
    for name in [name for name in variables if _layer(name) == new_head]:
        del variables[name]

    for head in heads:
        theirs = {name: t.shape for name, t in tensors.items() if _layer(name) == head}
        ours = {name: tuple(v.shape) for name, v in variables.items() if _layer(name) == head}
        if theirs == ours:
            continue
        if theirs and ours:
            if not _differ_in_classes_alone(theirs, ours):
                continue
            sizes = (theirs[f"{head}/kernel"][-1], ours[f"{head}/kernel"][-1])
            notes.append(
                f"the head {head!r} of {sizes[0]} classes is left out; ours has {sizes[1]}"
            )
        elif ours:
            notes.append(f"there is no head {head!r} to load; the model's is unchanged")
        for name in theirs:
            del tensors[name]
        for name in ours:
            del variables[name]

    _check_names_and_shapes(tensors, variables, weights.path)
    for name, variable in variables.items():
        variable.assign(tensors[name].astype(np.float32))
    return notes


def _fold_convolution_biases(tensors: dict[str, np.ndarray], variables: dict) -> None:
    """Folds a convolution's bias, which our networks lack, into the mean that follows it.

    BN(conv + b) with moving mean m is BN(conv) with moving mean m - b, exactly.
    """
    for name in [n for n in tensors if n.endswith("_conv/bias") and n not in variables]:
        mean = f"{name.removesuffix('_conv/bias')}_bn/moving_mean"
        if mean in tensors:
            tensors[mean] = tensors[mean].astype(np.float32) - tensors.pop(name).astype(np.float32)


def _untrained(tensors: dict[str, np.ndarray]) -> list[str]:
    means = [t for name, t in tensors.items() if name.endswith("/moving_mean")]
    variances = [t for name, t in tensors.items() if name.endswith("/moving_variance")]
    if means and not any(map(np.any, means)) and all((v == 1).all() for v in variances):
        return ["every moving mean is 0 and every moving variance 1: the network was never trained"]
    return []


def _differ_in_classes_alone(theirs: dict[str, tuple], ours: dict[str, tuple]) -> bool:
    is_alike = set(theirs) == set(ours) and all(
        shape[:-1] == ours[name][:-1] for name, shape in theirs.items()
    )
    return is_alike and len({shape[-1] for shape in theirs.values()}) == 1


def _is_behind(name: str, last_stage: str) -> bool:
    block = block_of(_layer(name))
    return block is not None and _number(block.partition("_")[0]) > _number(last_stage)


def _number(stage: str) -> int:
    return int(stage.removeprefix("conv"))


def _layer(name: str) -> str:
    return name.rpartition("/")[0]


def _check_names_and_shapes(tensors: dict, variables: dict, path: pathlib.Path) -> None:
    misshapen = [
        f"{name} is {tensors[name].shape}, expected {tuple(variables[name].shape)}"
        for name in variables
        if name in tensors and tensors[name].shape != tuple(variables[name].shape)
    ]
    faults = [
        _listed("missing", [name for name in variables if name not in tensors]),
        _listed("not used by the model", [name for name in tensors if name not in variables]),
        _listed("of a different shape", misshapen),
    ]
    if any(faults):
        raise InputError(
            f"The weights {str(path)!r} do not fit the model, which is unchanged. "
            + " ".join(fault for fault in faults if fault)
        )


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{len(names)} {what}: {', '.join(names[:LISTED])}{more}."
