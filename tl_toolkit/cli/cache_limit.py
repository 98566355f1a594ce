"""The flag `--cache-limit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tl_toolkit.transfer.feature_cache import FeatureCache


def feature_cache(gigabytes: float | None) -> FeatureCache:
    """Returns the feature cache with a limit of that many gigabytes; None: the default."""
    from tl_toolkit.transfer.feature_cache import FeatureCache

    return FeatureCache() if gigabytes is None else FeatureCache(limit=gigabytes * 1e9)
