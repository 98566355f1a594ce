"""Which of the photos that a classifier learned from look most like another, to its network."""

from __future__ import annotations

import dataclasses
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.catalog.names import NO_LABEL
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.labels import names_of
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.data.resize import resize_files_for_evaluation
from tl_toolkit.models.deep_graph import load_model, recursion_room
from tl_toolkit.models.head import head_input
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.weights.run_folder import MODEL_FILE

MOST_PHOTOS = 2000  # a few minutes of a ResNet-50 on two cores
AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A photo that was learned from.

    Attributes:
        position: In the training split.
        class_name: What it is labelled as; several labels in one text.
        similarity: Cosine of its features and the other photo's, less the mean features of all, -1 to 1.
    """

    position: int
    class_name: str
    similarity: float


class LearnedPhotos:
    """The photos that a finished run learned from, in the features that its head sees.

    Args:
        folder: Of the run.
        most: Of more photos, so many are looked at, the same ones every time.
        progress: Shows how many are done.

    Raises:
        InputError: The run's data cannot be opened.
    """

    def __init__(
        self, folder: pathlib.Path, most: int = MOST_PHOTOS, progress: Progress = SILENT
    ) -> None:
        recipe = Recipe.load(folder / "recipe.json")
        dataset = open_recipe_data(recipe, progress)
        chosen = np.random.default_rng(0).permutation(len(dataset.train))[:most]
        self.photos: Split = dataset.train.take(np.sort(chosen))
        self._class_names = dataset.class_names
        model = load_model(folder / MODEL_FILE)
        self._preprocessing: Preprocessing = model.get_layer("preprocessing").record
        with recursion_room(len(model.layers)):
            network = keras.Model(model.input, model.get_layer(head_input(model)).output)
        # A graph lets go of each layer's output; called as it is, the network would hold all of them at once.
        self._network = tf.function(
            lambda images: network(images, training=False),
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)],
            autograph=False,
        )
        parts = []
        with progress.stage("Looking at the photos learned from", total=len(self.photos)) as stage:
            for start in range(0, len(self.photos), AT_ONCE):
                indices = range(start, min(start + AT_ONCE, len(self.photos)))
                parts.append(self._features([self.photos.images.encoded(i) for i in indices]))
                stage.advance(len(indices))
        features = np.concatenate(parts)
        self._mean = features.mean(axis=0)
        self._directions = _unit(features - self._mean)

    def nearest(self, image: bytes, count: int = 5) -> list[Neighbour]:
        """Returns those that are most like a photo, most alike first.

        Args:
            image: The file's contents.
            count: How many.
        """
        (features,) = self._features([image])
        similarities = self._directions @ _unit(features - self._mean)
        return [
            Neighbour(
                int(position),
                ", ".join(names_of(self.photos.labels[position], self._class_names)) or NO_LABEL,
                float(similarities[position]),
            )
            for position in np.argsort(-similarities, kind="stable")[:count]
        ]

    def _features(self, files: list[bytes]) -> np.ndarray:
        seen = resize_files_for_evaluation(tf.constant(files), self._preprocessing)
        return np.asarray(self._network(seen), np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
