"""Heat maps of answers, as PNG files."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from tl_toolkit.data.decode import decode_image
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.explain import Explainer
from tl_toolkit.export.asked_images import contents_of
from tl_toolkit.export.classifier import Classifier
from tl_toolkit.export.file_answers import FileAnswer
from tl_toolkit.files.atomic import written_aside
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.report.heat_maps import small_overlay

LONGEST_SIDE = 1024  # pixels of a PNG file


class HeatMapFiles:
    """Places for the heat maps of some answers, and what writes them.

    Args:
        folder: Where to; made if need be.
        photos: The files that are explained. A map has its photo's name; where two have one, a number too.

    Raises:
        InputError: A file of such a name is there already.
    """

    def __init__(self, folder: pathlib.Path, photos: Sequence[pathlib.Path]) -> None:
        self._folder = folder
        self.path_of: dict[pathlib.Path, pathlib.Path] = {}
        taken: set[str] = set()
        for photo in photos:
            if photo in self.path_of:
                continue
            name, count = photo.stem, 1
            while name.casefold() in taken:  # names that differ in case are one on some disks
                count += 1
                name = f"{photo.stem}_{count}"
            taken.add(name.casefold())
            self.path_of[photo] = folder / f"{name}.png"
        for path in self.path_of.values():
            if path.exists() or path.is_symlink():
                raise InputError(
                    f"{str(path)!r} is there already, and is not overwritten: choose another folder for the heat maps."
                )

    def write(
        self, classifier: Classifier, answers: Sequence[FileAnswer], progress: Progress = SILENT
    ) -> None:
        """Draws what speaks for each answer over a grey version of its photo.

        Raises:
            InputError: The classifier cannot be explained, or the folder cannot be made.
        """
        explainer = Explainer(classifier)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"Cannot make the folder {str(self._folder)!r}: {error.strerror}."
            ) from error
        with progress.stage("Explaining", total=len(answers)) as stage:
            for answer in answers:
                if answer.prediction is not None:
                    photo = contents_of(answer.path, value_range=classifier.value_range)
                    heat_map = explainer.explain(photo, answer.prediction.class_name)
                    self._write(answer.path, photo, heat_map)
                stage.advance()

    def _write(self, photo: pathlib.Path, contents: bytes, heat_map: np.ndarray) -> None:
        pixels = decode_image(tf.constant(contents)).numpy()
        drawn = Image.fromarray(small_overlay(pixels, heat_map, LONGEST_SIDE))
        with written_aside(self.path_of[photo]) as aside:
            drawn.save(aside, format="PNG")
