"""Runs a contender of `frontier.py` in its own process, and makes points of what it tells."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
from frontier_contenders import TORCH, Contender
from frontier_data import SplitPhotos
from frontier_points import Point
from frontier_worker import MARK, Images, Job
from harness import CannotRunError
from run import machine

from tl_toolkit.report.metrics import log_loss

HERE = pathlib.Path(__file__).parent
PEER_VERSIONS = (
    "from importlib.metadata import version\n"
    "print(', '.join(f'{name} {version(name)}' for name in ('torch', 'torchvision', 'fastai')))"
)


@dataclasses.dataclass(frozen=True)
class Interpreters:
    """What runs the contenders' programs.

    Attributes:
        peers: Python of an environment with PyTorch; None: there is none.
    """

    peers: str | None = None

    def of(self, contender: Contender) -> str:
        """Returns the one that runs a contender.

        Raises:
            CannotRunError: There is none.
        """
        if contender.program != TORCH:
            return sys.executable
        if self.peers is None:
            raise CannotRunError("--peer-python names no environment with PyTorch")
        return self.peers

    def setting(self, contender: Contender) -> str:
        """Returns the machine and the versions that a contender's points belong to; raises as `of`."""
        python = self.of(contender)
        if contender.program != TORCH:
            return machine()
        command = [python, "-c", PEER_VERSIONS]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise CannotRunError(answer.stderr.strip().splitlines()[-1])
        return f"{machine()} Contenders in PyTorch: {answer.stdout.strip()}."


def job_of(
    contender: Contender, photos: SplitPhotos, weights: pathlib.Path, side: int, longest: float
) -> Job:
    """Returns what a contender is given."""
    files = photos.files
    class_names = sorted({name for _, name in files})

    def images(positions: Sequence[int]) -> Images:
        return [(str(files[p][0]), class_names.index(files[p][1])) for p in positions]

    return Job(
        options=contender.options,
        seed=photos.seed,
        side=side,
        class_names=class_names,
        train=images(photos.parts.train),
        validation=images(photos.parts.validation),
        test=images(photos.parts.test),
        table=str(photos.table),
        weights=str(weights),
        longest=longest,
    )


def points_of(
    python: str, contender: Contender, data: str, job: Job, folder: pathlib.Path
) -> Iterator[Point]:
    """Runs a contender and yields its points as they come.

    Args:
        python: What runs it.
        contender: Who.
        data: Name of the data set.
        job: What it trains.
        folder: Its own, and empty: all that it caches goes there.

    Raises:
        RuntimeError: It failed.
    """
    job_file, errors = folder / "job.json", folder / "errors.txt"
    job.save(job_file)
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TL_TOOLKIT_CACHE": str(folder / "cache"),
    }
    command = [python, str(HERE / contender.program), str(job_file), str(time.monotonic())]
    with (
        errors.open("w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(MARK):
                    yield point_told(line, contender, data, job)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(f"{contender.title} on {data}:\n{errors.read_text()[-2000:]}")


def point_told(line: str, contender: Contender, data: str, job: Job) -> Point:
    """Returns the point that a line of a contender's output tells."""
    told = json.loads(line.removeprefix(MARK))
    answers = {}
    for part in ("validation", "test"):
        logits = np.array(told[part], np.float64)
        labels = np.array([label for _, label in getattr(job, part)])
        if logits.shape != (len(labels), len(job.class_names)):
            raise RuntimeError(f"{contender.title}: {part} has answers of shape {logits.shape}")
        answers[part] = logits.argmax(axis=1) == labels, log_loss(logits, labels)
    (validation, validation_loss), (right, test_loss) = answers["validation"], answers["test"]
    seconds, cpu_seconds = told["spent"]
    return Point(
        data=data,
        contender=contender.name,
        process=contender.title,
        setting=told["setting"],
        seeds=(job.seed,),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        validation=float(validation.mean()),
        validation_loss=validation_loss,
        log_loss=test_loss,
        right="".join("1" if is_right else "0" for is_right in right),
        is_ours=contender.is_ours,
        is_last=told["is_last"],
    )
