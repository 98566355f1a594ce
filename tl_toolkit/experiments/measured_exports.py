"""Exported files, each loaded in a process with its runtime alone, beside the SavedModel on the same images."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.experiments.batch_source import EVALUATION_BATCH_SIZE
from tl_toolkit.export import runtimes
from tl_toolkit.report.calibration import reliability
from tl_toolkit.report.paired_test import mcnemar_test

TIMED_SECONDS = 1.0  # for each batch size
TINY = np.finfo(np.float32).tiny


@dataclasses.dataclass(frozen=True)
class MeasuredExport:
    """How a format answers, beside the SavedModel.

    Attributes:
        format: Its name.
        files: Those of it, by their POSIX names in the run's folder.
        megabytes: Of all of them, in 10⁶ bytes.
        images: How many it was asked.
        largest_difference: Of a probability from the SavedModel's.
        changed_answers: Images for which another class is the most probable; of several labels an image, those that are
            not given the same labels.
        mcnemar_p: p of McNemar's test of the two on these images' labels.
        top1: Accuracy on them; of several labels, the share of images with all labels right.
        calibration_error: Expected, in 15 bins; of several labels, over all their answers.
        images_per_second: Of frames, by the batch size, as text; the median call of a second.
    """

    format: str
    files: tuple[str, ...]
    megabytes: float
    images: int
    largest_difference: float
    changed_answers: int
    mcnemar_p: float
    top1: float
    calibration_error: float
    images_per_second: dict[str, float]


class ExportMeasure:
    """The images that exports are compared on, and the SavedModel's answers to them.

    Args:
        split: The images.
        preprocessing: Of the network.
        saved_model: The SavedModel's folder, which is asked with the image files.
        scratch: A folder for what the processes are given and answer.
        thresholds: Of several labels an image, the probability from which on each is given; None: it has one class.
    """

    def __init__(
        self,
        split: Split,
        preprocessing: Preprocessing,
        saved_model: pathlib.Path,
        scratch: pathlib.Path,
        thresholds: Sequence[float] | None = None,
    ) -> None:
        self._labels, self._scratch = split.labels, scratch
        self._least = None if thresholds is None else np.array(thresholds, np.float32)
        self._frames, self._encoded = scratch / "frames.npy", scratch / "encoded.npz"
        side = preprocessing.image_size
        frames = np.lib.format.open_memmap(
            self._frames, "w+", np.float32, (len(split), side, side, 3)
        )
        first = 0
        for images, _ in EvaluationBatches(split, preprocessing, EVALUATION_BATCH_SIZE):
            frames[first : first + len(images)] = images
            first += len(images)
        frames.flush()
        encoded = [split.images.encoded(index) for index in range(len(split))]
        np.savez(
            self._encoded,
            contents=np.frombuffer(b"".join(encoded), np.uint8),
            sizes=[len(contents) for contents in encoded],
        )
        self._served = self._answers(saved_model)

    def measure(
        self, name: str, files: tuple[str, ...], paths: list[pathlib.Path]
    ) -> MeasuredExport:
        """Asks a format's file in a fresh process, and compares.

        Args:
            name: Of the format.
            files: What `MeasuredExport` calls them.
            paths: Where they are now; the first is the one to open. A SavedModel's folder is the reference itself.

        Raises:
            RuntimeError: It does not load with its runtime alone.
        """
        found = self._served if paths[0].is_dir() else self._answers(paths[0])
        ours, served = found["probabilities"], self._served["probabilities"]
        right, served_right = (self._is_right(p) for p in (ours, served))
        speeds = zip(found["batch_sizes"], found["images_per_second"], strict=True)
        return MeasuredExport(
            format=name,
            files=files,
            megabytes=sum(map(_size, paths)) / 1e6,
            images=len(self._labels),
            largest_difference=float(np.abs(ours - served).max()),
            changed_answers=int(self._differ(ours, served).sum()),
            mcnemar_p=mcnemar_test(served_right, right).p_value,
            top1=float(right.mean()),
            calibration_error=self._calibration_error(ours),
            images_per_second={str(size): float(speed) for size, speed in speeds},
        )

    def _is_right(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns bool[n], whether an image's class is right, or all its labels are."""
        if self._least is None:
            return probabilities.argmax(-1) == self._labels
        return ((probabilities >= self._least) == (self._labels > 0)).all(-1)

    def _differ(self, ours: np.ndarray, served: np.ndarray) -> np.ndarray:
        """Returns bool[n], whether an image is answered otherwise."""
        if self._least is None:
            return ours.argmax(-1) != served.argmax(-1)
        return ((ours >= self._least) != (served >= self._least)).any(-1)

    def _calibration_error(self, probabilities: np.ndarray) -> float:
        if self._least is None:
            logits = np.log(np.maximum(probabilities, TINY))
            return reliability(logits, self._labels).calibration_error
        # Each label is an answer of its own, between having it and not.
        of_each = np.stack([1 - probabilities, probabilities], -1).reshape(-1, 2)
        logits = np.log(np.maximum(of_each, TINY))
        return reliability(logits, self._labels.reshape(-1)).calibration_error

    def _answers(self, path: pathlib.Path) -> dict[str, np.ndarray]:
        answered = self._scratch / "answers.npz"
        request: dict[str, Any] = {
            "path": os.path.abspath(path),
            "frames": str(self._frames),
            "encoded": str(self._encoded),
            "answers": str(answered),
            "seconds": TIMED_SECONDS,
        }
        process = subprocess.run(
            [sys.executable, "-I", runtimes.__file__],
            input=json.dumps(request) + "\n",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},  # the processor is what is compared
        )
        if process.returncode:
            raise RuntimeError(
                f"{str(path)!r} does not load in a fresh process:\n{process.stderr[-2000:]}"
            )
        with np.load(answered) as found:
            answers = dict(found)
        answered.unlink()
        if answers["has_tensorflow"] and not path.is_dir():
            raise RuntimeError(f"{str(path)!r} was loaded by TensorFlow, which it must not need.")
        return answers


def _size(path: pathlib.Path) -> int:
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size
