"""What a run is made of: values that must match before it is resumed, and that all its processes share."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import time
from typing import Any

import tl_toolkit
from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.prepare import Experiment

# A process that ends at once takes the answer with it that another one is still reading.
SECONDS_TO_LEARN_IT = 1.0
PACKAGES = ("tensorflow", "keras", "numpy")  # whose arithmetic the weights come from


def run_identity(experiment: Experiment) -> dict[str, Any]:
    """Returns the values that must match before a run is resumed; the devices may differ."""
    recipe = experiment.recipe.to_json()
    return {
        "recipe": {name: value for name, value in recipe.items() if name != "devices"},
        "weights": experiment.weights and experiment.weights.to_json(),
        "network": _plain(dataclasses.asdict(experiment.spec.architecture)),
        "preprocessing": _plain(dataclasses.asdict(experiment.preprocessing)),
        "precision": experiment.precision,
        "hyperparameters": _plain(dataclasses.asdict(experiment.hyperparameters)),
        "data": data_identity(experiment.dataset),
        "package versions": package_versions(),
    }


def data_identity(dataset: ImageDataset) -> dict[str, Any]:
    """Returns sizes of all splits, and digests of the training and validation images and their labels."""
    validation = dataset.validation
    return {
        "class names": list(dataset.class_names),
        "images": {
            "train": len(dataset.train),
            "validation": len(validation) if validation is not None else 0,
            "test": len(dataset.test),
        },
        "train": _split_digest(dataset.train),
        "validation": _split_digest(validation) if validation is not None else None,
    }


def package_versions() -> dict[str, str]:
    """Returns the versions of the packages that compute, this one's among them."""
    installed = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"tl_toolkit": tl_toolkit.__version__, **installed}


def check_all_train_the_same(
    experiment: Experiment, identity: dict[str, Any], processes: ProcessGroup
) -> None:
    """Raises `InputError` on all processes where one has another recipe, other images or other weights."""
    if processes.count == 1:
        return
    digest = hashlib.sha256()
    for variable in experiment.model.variables:
        digest.update(variable.numpy().tobytes())
    different = processes.differences({**identity, "values of the weights": digest.hexdigest()})
    if different:
        time.sleep(SECONDS_TO_LEARN_IT)
        raise InputError(
            f"The {processes.count} processes would not train the same model: they differ in "
            f"{', '.join(different)}. Give all of them the same command, images, weights and packages."
        )


def _split_digest(split: Split) -> str:
    digest = hashlib.sha256("\n".join(content_digests(split)).encode())
    for values in (split.labels, split.ids, split.weights):
        digest.update(b"-" if values is None else values.tobytes())
    return digest.hexdigest()


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON would give the values back: tuples become lists."""
    return json.loads(json.dumps(values))
