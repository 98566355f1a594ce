"""Transfer learning with ResNets in Keras 3 on TensorFlow.

The public names stand in `__init__.pyi`, and are imported when they are first used: `import tl_toolkit` loads
no TensorFlow.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import lazy_loader

from tl_toolkit.files.library_folders import name_library_folders

__version__ = "0.2.0"

# TensorFlow turns oneDNN on by itself only for processors with AVX-512; on others a ResNet-50 trains more slowly
# without it. It reads this when it is loaded, so import tl_toolkit before tensorflow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
name_library_folders()  # they look when they are imported, as TensorFlow does

# What can be used without Keras, and with any of its backends.
_WITHOUT_KERAS = {
    "Auto",
    "Classifier",
    "FromScratch",
    "FullFineTune",
    "InputError",
    "LastLayers",
    "NewHead",
    "PairedTest",
    "Progress",
    "Recipe",
    "Verification",
    "WeightSpec",
    "list_weights",
    "load_classifier",
    "paired_test",
    "terminal",
    "verify",
}

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name in __all__ and name not in _WITHOUT_KERAS:
        # Refuses another Keras backend, in our words, before Keras is imported.
        importlib.import_module("tl_toolkit.models")
    value = _load(name)
    globals()[name] = value
    return value
