"""What commands do before they import Keras."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tl_toolkit.transfer.feature_cache import FeatureCache


def require_tensorflow_backend() -> None:
    """Refuses another Keras backend, in this toolkit's words, before Keras is imported."""
    importlib.import_module("tl_toolkit.models")


def feature_cache(gigabytes: float | None) -> FeatureCache:
    """Returns the feature cache with a limit of that many gigabytes; None: the default."""
    from tl_toolkit.transfer.feature_cache import FeatureCache

    return FeatureCache() if gigabytes is None else FeatureCache(limit=gigabytes * 1e9)
