"""What trainings may share, and where one writes; nothing in it changes the result but which weights a name stands for."""

from __future__ import annotations

import dataclasses
import pathlib

import keras
import tensorflow as tf

from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.devices.strategy import choose_devices
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.transfer.feature_cache import FeatureCache
from tl_toolkit.transfer.network_pool import NetworkPool
from tl_toolkit.weights.pinned import PinnedWeights


@dataclasses.dataclass(frozen=True)
class Context:
    """What trainings may share, and where one writes; nothing in it changes the result but which weights a name stands for.

    Attributes:
        dataset: The opened data, as the recipe would open it; None: the training opens it.
        checkpoints: Folder to resume from; None: no checkpoints are written.
        checkpoint_seconds: Least time between two checkpoints.
        checkpoint_at_end: Whether the end of the training is saved too, however recent the checkpoint before it
            is: where other trainings follow, or it would be repeated with them. `run` does without.
        callbacks: Keras callbacks.
        distribute: A `tf.distribute` strategy; None: that of the recipe's `devices`.
        feature_cache: Where the frozen layers' features are kept.
        networks: Networks that trainings hand on to the next one; None: each training builds its own. A name such as
            `"imagenet"` stands for the same weights in all of them: what the first one found.
        weights: What the recipe's weights stood for in the run that is resumed or repeated; None: the name
            is resolved now.
        progress: Where the training reports what it does.
        photos: Whether the page that a run leaves shows photos.
        announce_devices: Whether it says, before the first step, what it trains on.
    """

    dataset: ImageDataset | None = None
    checkpoints: pathlib.Path | None = None
    checkpoint_seconds: float = 10.0
    checkpoint_at_end: bool = True
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    distribute: tf.distribute.Strategy | None = None
    feature_cache: FeatureCache = dataclasses.field(default_factory=FeatureCache)
    networks: NetworkPool | None = None
    weights: PinnedWeights | None = None
    progress: Progress = SILENT
    photos: bool = True
    announce_devices: bool = True

    def devices(self, recipe: Recipe) -> tf.distribute.Strategy:
        """Returns what a recipe is trained on."""
        return self.distribute or choose_devices(recipe.devices)
