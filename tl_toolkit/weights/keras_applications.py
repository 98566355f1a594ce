"""keras.applications' ImageNet weights: downloaded through Keras, into Keras' own cache."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

import keras

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.errors import InputError
from tl_toolkit.files.library_folders import folder_can_be_made
from tl_toolkit.files.user_cache import UnavailableError, fetch_once, file_digest

BASE_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
# Of the files with the top, from keras.applications.
MD5 = {
    "resnet50": "2cb95161c43110f7111970584f804107",
    "resnet101": "f1aeb4b969a6efcfb50fad2f0c20cfc5",
    "resnet152": "100835be76be38e30d865e96f2aaae62",
}


def find_cached(spec: WeightSpec) -> pathlib.Path | None:
    """Returns the cached file, which keras.applications may have downloaded; None if there is none."""
    place = _place(spec)
    return place if os.path.isfile(place) else None


def fetch(spec: WeightSpec) -> pathlib.Path:
    """Returns the file, downloaded unless cached.

    Raises:
        UnavailableError: It cannot be downloaded, or the file is not the expected one.
    """

    def download(folder: pathlib.Path) -> pathlib.Path:
        name = _place(spec).name
        try:
            with _keras_is_silent():
                path = keras.utils.get_file(
                    name, BASE_URL + name, cache_subdir=str(folder.absolute())
                )
        except Exception as error:  # `get_file` raises a bare Exception for each network error
            raise UnavailableError(f"Keras cannot download it: {error}") from error
        return pathlib.Path(path)

    return fetch_once(_place(spec), download, check_file, variable="KERAS_HOME")


def check_file(path: pathlib.Path) -> None:
    """Raises `InputError` if a file with one of these names has other contents."""
    expected = MD5[path.name.partition("_")[0]]
    if (digest := file_digest(path, "md5")) != expected:
        raise InputError(
            f"{path.name!r} is not the file of this name that keras.applications publishes, or is cut short: "
            f"its md5 is {digest}, expected {expected}. Remove it to download it again, or rename it if it "
            "is your own."
        )


@contextlib.contextmanager
def _keras_is_silent() -> Iterator[None]:
    """Keeps Keras' own progress bar off standard output, which belongs to whoever called."""
    was_talking = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        if was_talking:
            keras.config.enable_interactive_logging()


def _place(spec: WeightSpec) -> pathlib.Path:
    name = f"models/{spec.filename}"
    usual = os.path.expanduser(f"~/.keras/{name}")  # as Keras documents it
    home = os.environ.get("KERAS_HOME")
    can_only_be_read = os.path.isfile(usual) and not folder_can_be_made(os.path.dirname(usual))
    if not home or can_only_be_read:
        return pathlib.Path(usual)
    return pathlib.Path(home).expanduser() / name
