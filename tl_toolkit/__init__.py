"""Transfer learning with ResNets in Keras 3 on TensorFlow.

The public names are imported when they are first used: `import tl_toolkit` loads no TensorFlow.
"""

from __future__ import annotations

import importlib
import os

# TensorFlow turns oneDNN on by itself only for processors with AVX-512; on others a ResNet-50 trains at half
# the speed without it. It reads this when it is loaded, so import tl_toolkit before tensorflow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

_MODULE_OF = {
    "BatchNormalization": "tl_toolkit.models.batch_norm",
    "Classifier": "tl_toolkit.export.classifier",
    "FromScratch": "tl_toolkit.recipe",
    "FullFineTune": "tl_toolkit.recipe",
    "ImageDataset": "tl_toolkit.data.dataset",
    "InputError": "tl_toolkit.errors",
    "LastLayers": "tl_toolkit.recipe",
    "NewHead": "tl_toolkit.recipe",
    "Recipe": "tl_toolkit.recipe",
    "ResNet": "tl_toolkit.weights.constructors",
    "ResNet18": "tl_toolkit.weights.constructors",
    "ResNet34": "tl_toolkit.weights.constructors",
    "ResNet50": "tl_toolkit.weights.constructors",
    "ResNet101": "tl_toolkit.weights.constructors",
    "ResNet152": "tl_toolkit.weights.constructors",
    "RecipeHyperModel": "tl_toolkit.tuning.hypermodel",
    "RunResult": "tl_toolkit.runs",
    "SearchResult": "tl_toolkit.tuning.run_search",
    "WeightSpec": "tl_toolkit.catalog",
    "list_weights": "tl_toolkit.catalog",
    "load_classifier": "tl_toolkit.export.classifier",
    "load_model": "tl_toolkit.models.deep_graph",
    "load_weights": "tl_toolkit.weights.load",
    "open_dataset": "tl_toolkit.data.open",
    "precision_scope": "tl_toolkit.training.precision",
    "run": "tl_toolkit.runs",
    "search": "tl_toolkit.tuning.run_search",
}

_WITHOUT_KERAS = ("tl_toolkit.catalog", "tl_toolkit.errors", "tl_toolkit.recipe")

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _MODULE_OF[name] not in _WITHOUT_KERAS:
        # Refuses another Keras backend, in our words, before Keras is imported.
        importlib.import_module("tl_toolkit.models")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
