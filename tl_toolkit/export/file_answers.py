"""A classifier's answers to many files, of which some may be no photos."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from tl_toolkit.errors import InputError
from tl_toolkit.export.asked_images import BATCH_SIZE
from tl_toolkit.export.classifier import Classifier
from tl_toolkit.export.predictions import Prediction
from tl_toolkit.progress import SILENT, Progress


@dataclasses.dataclass(frozen=True)
class FileAnswer:
    """What a classifier says of a file.

    Attributes:
        path: The file.
        prediction: None where it cannot be read.
        fault: Why not.
    """

    path: pathlib.Path
    prediction: Prediction | None
    fault: str = ""


def answer_files(
    classifier: Classifier, paths: Sequence[pathlib.Path], progress: Progress = SILENT
) -> list[FileAnswer]:
    """Classifies files; one that cannot be read does not keep the others from their answers."""
    answers: list[FileAnswer] = []
    with progress.stage("Classifying", total=len(paths)) as stage:
        for start in range(0, len(paths), BATCH_SIZE):
            batch = paths[start : start + BATCH_SIZE]
            try:
                found = classifier.predict(batch)
                answers += [FileAnswer(*pair) for pair in zip(batch, found, strict=True)]
            except InputError:
                answers += [_answer(classifier, path) for path in batch]
            stage.advance(len(batch))
    return answers


def _answer(classifier: Classifier, path: pathlib.Path) -> FileAnswer:
    try:
        (prediction,) = classifier.predict([path])
        return FileAnswer(path, prediction)
    except InputError as error:
        return FileAnswer(path, None, str(error))
