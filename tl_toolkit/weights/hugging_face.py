"""timm's weights on the Hugging Face Hub: `hf://timm/resnet18.a1_in1k`, through huggingface_hub and its cache."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.errors import InputError
from tl_toolkit.files.library_folders import folder_can_be_made
from tl_toolkit.files.user_cache import UnavailableError, cache_folder

SCHEME = "hf://"
URI = re.compile(r"hf://(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?")
FILES = ("config.json", "model.safetensors")
SNAPSHOTS = (
    "snapshots"  # the folder of huggingface_hub's cache whose folders are named after commits
)
CACHE_VARIABLES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
TIMEOUT = 10.0  # seconds until the hub counts as unreachable


def find_cached(spec: WeightSpec) -> pathlib.Path | None:
    """Returns the weights in huggingface_hub's cache, or None unless both files are there."""
    return next(filter(None, (_look_up(spec.source, cache) for cache in _caches())), None)


def fetch(spec: WeightSpec) -> pathlib.Path:
    """Returns the weights of a catalogue entry; see `fetch_uri`."""
    return fetch_uri(spec.source)


def fetch_uri(uri: str) -> pathlib.Path:
    """Returns the path of `model.safetensors`, with `config.json` next to it; downloaded unless cached.

    Args:
        uri: `hf://OWNER/NAME`, or `hf://OWNER/NAME@REVISION` to pin a revision.

    Raises:
        InputError: The URI does not have that form.
        UnavailableError: The repository, revision or file does not exist, or there is no network.
    """
    # With them comes its HTTP client, which nobody else shall wait for.
    from huggingface_hub.errors import (
        EntryNotFoundError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, revision = _parsed(uri)
    *read_only, cache = _caches()
    if found := next(filter(None, (_look_up(uri, place) for place in read_only)), None):
        return found
    if cache is not None:  # where the client keeps parts of large files
        os.environ.setdefault("HF_XET_CACHE", str(cache / "xet"))
    try:
        from_cache = not _is_reachable()
        with _hub_is_silent():
            paths = [
                huggingface_hub.hf_hub_download(
                    repository,
                    file,
                    revision=revision,
                    cache_dir=cache,
                    local_files_only=from_cache,
                )
                for file in FILES
            ]
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UnavailableError(f"{uri!r} is not on the Hugging Face Hub", False) from error
    except LocalEntryNotFoundError as error:
        raise UnavailableError(
            "the Hugging Face Hub cannot be reached, or HF_HUB_OFFLINE forbids it, and its cache does not "
            f"hold {uri!r}"
        ) from error
    except EntryNotFoundError as error:
        raise UnavailableError(f"{uri!r} lacks one of {', '.join(FILES)}", False) from error
    except Exception as error:  # huggingface_hub passes on what its HTTP library raises
        raise UnavailableError(f"the Hugging Face Hub failed: {error}") from error
    return pathlib.Path(paths[-1])


def resolved_uri(uri: str, path: pathlib.Path) -> str:
    """Returns the URI with the commit of a file in huggingface_hub's cache; unchanged if that is unknown."""
    repository, _ = _parsed(uri)
    is_known = path.parent.parent.name == SNAPSHOTS
    return f"{SCHEME}{repository}@{path.parent.name}" if is_known else uri


def _caches() -> list[pathlib.Path | None]:
    """Returns huggingface_hub's cache (None), and behind it ours if the one in the home folder can only be read."""
    is_chosen = any(os.environ.get(name) for name in CACHE_VARIABLES)
    if is_chosen or folder_can_be_made(constants.HF_HUB_CACHE):
        return [None]
    with contextlib.suppress(UnavailableError):
        return [None, cache_folder() / "huggingface"]
    return [None]


def _look_up(uri: str, cache: pathlib.Path | None) -> pathlib.Path | None:
    repository, revision = _parsed(uri)
    look_up = functools.partial(
        huggingface_hub.try_to_load_from_cache, repository, cache_dir=cache, revision=revision
    )
    # Not a path: None, or a marker that the hub has no such file.
    paths = [path for file in FILES if isinstance(path := look_up(file), str)]
    return pathlib.Path(paths[-1]) if len(paths) == len(FILES) else None


@contextlib.contextmanager
def _hub_is_silent() -> Iterator[None]:
    """Keeps huggingface_hub's own bars off standard error, unless its variable asks for them."""
    is_asked_for = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None
    if is_asked_for or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _is_reachable() -> bool:
    """Asks once: huggingface_hub itself retries for half a minute before it looks into its cache."""
    if constants.HF_HUB_OFFLINE:
        return False
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError as error:
        # huggingface_hub may know a certificate that is unknown here.
        return isinstance(getattr(error, "reason", None), ssl.SSLError)


def _parsed(uri: str) -> tuple[str, str | None]:
    match = URI.fullmatch(uri)
    if match is None:
        raise InputError(
            f"Weights on the Hugging Face Hub are named hf://OWNER/NAME or hf://OWNER/NAME@REVISION. Received: {uri!r}"
        )
    return match["repository"], match["revision"]
