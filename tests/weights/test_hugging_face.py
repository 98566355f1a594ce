"""`hf://…` through huggingface_hub itself, against a hub on the loopback."""

import hashlib
import http.server
import io
import json
import pathlib
import sys
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
import safetensors.numpy
from huggingface_hub import constants
from huggingface_hub.utils import are_progress_bars_disabled
from torch_names import logits, state_dict

import tl_toolkit as tl
from tl_toolkit import catalog
from tl_toolkit.errors import InputError
from tl_toolkit.weights import hugging_face
from tl_toolkit.weights.resolve import open_weights

URI = "hf://timm/small.a1_in1k"
COMMITS = {"main": "a" * 40, "v2": "b" * 40}
SETTINGS = {
    "tag": "a1_in1k",
    "input_size": [3, 224, 224],
    "crop_pct": 0.95,
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "license": "apache-2.0",
}


def small_state(seed=0):
    return state_dict("basic", (1, 1, 1, 1), width=8, classes=5, seed=seed)


def contents(seed):
    state = {n: np.ascontiguousarray(t) for n, t in small_state(seed).items()}
    config = {"architecture": "small", "pretrained_cfg": SETTINGS}
    return {
        "model.safetensors": safetensors.numpy.save(state),
        "config.json": json.dumps(config).encode(),
    }


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download needs."""

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        if (
            self.path.count("/") < 5
        ):  # whether anybody is there, and what the library asks of itself
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.requests.append((self.command, self.path))
        _, owner, name, _, revision, file = self.path.split("/")
        files = self.server.repositories.get(f"{owner}/{name}")
        if files is None or revision not in {*COMMITS, *COMMITS.values()}:
            code = "RepoNotFound" if files is None else "RevisionNotFound"
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        commit = COMMITS.get(revision, revision)
        body = files[commit][file]
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body[: self.server.sends_at_most])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requests, server.sends_at_most = [], None
    server.repositories = {
        "timm/small.a1_in1k": {COMMITS["main"]: contents(0), COMMITS["v2"]: contents(1)}
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield server
    server.shutdown()
    server.server_close()


def network(weights):
    return tl.ResNet(
        (1, 1, 1, 1),
        "basic",
        width=8,
        classes=5,
        input_shape=(None, None, 3),
        classifier_activation=None,
        weights=weights,
    )


@pytest.mark.parametrize(("uri", "seed"), [(URI, 0), (f"{URI}@v2", 1), (f"{URI}@{'b' * 40}", 1)])
def test_weights_and_preprocessing_come_from_the_revision_asked_for(uri, seed, hub):
    image = np.random.default_rng(3).normal(0, 1, (1, 65, 65, 3)).astype(np.float32)
    assert np.allclose(network(uri)(image), logits(small_state(seed), image), rtol=1e-4, atol=1e-4)
    spec = open_weights(uri).spec
    assert (spec.name, spec.source, spec.licence) == (uri, uri, "apache-2.0")
    assert (spec.preprocessing.crop_fraction, spec.preprocessing.std[0]) == (0.95, 0.229)


def test_offline_the_cache_answers(hub, monkeypatch):
    path = open_weights(URI).path
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert open_weights(URI).path == path
    assert len(hub.requests) == asked
    with pytest.raises(InputError, match="HF_HUB_OFFLINE forbids it"):
        open_weights(f"{URI}@v2")


def test_a_hub_out_of_reach_is_asked_once_and_the_cache_answers(hub, monkeypatch):
    path = open_weights(URI).path
    asked = []

    def no_network(request, timeout):
        asked.append(request.full_url)
        raise urllib.error.URLError(ConnectionRefusedError("no network"))

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    requests = len(hub.requests)
    assert open_weights(URI).path == path
    with pytest.raises(InputError, match="the Hugging Face Hub cannot be reached"):
        open_weights(f"{URI}@v2")
    assert (asked, len(hub.requests)) == ([constants.ENDPOINT] * 2, requests)


def test_what_is_not_on_the_hub_is_said(hub):
    with pytest.raises(InputError, match="'hf://timm/none' is not on the Hugging Face Hub"):
        open_weights("hf://timm/none")
    with pytest.raises(InputError, match="is not on the Hugging Face Hub"):
        open_weights(f"{URI}@v3")


@pytest.mark.parametrize("uri", ["hf://timm", "hf://", "hf://a/b/c", "hf://a/b@"])
def test_a_name_of_another_form_is_refused(uri):
    with pytest.raises(InputError, match="hf://OWNER/NAME or hf://OWNER/NAME@REVISION"):
        open_weights(uri)


@pytest.mark.long
def test_a_download_that_breaks_off_leaves_no_weights(hub, monkeypatch, tmp_path):
    hub.sends_at_most = 1000
    with pytest.raises(InputError, match="are not available: the Hugging Face Hub failed"):
        open_weights(URI)
    snapshots = tmp_path / "hub" / "models--timm--small.a1_in1k" / "snapshots"
    assert list(snapshots.rglob("model.safetensors")) == []
    hub.sends_at_most = None
    assert open_weights(URI).spec.classes == 5


def declare(monkeypatch, **fields):
    spec = open_weights(URI).spec
    fields = {"name": "small.a1_in1k", "source": URI, **fields}
    spec = catalog.WeightSpec(
        **{**{f: getattr(spec, f) for f in spec.__dataclass_fields__}, **fields}
    )
    monkeypatch.setitem(catalog.CATALOG, spec.name, spec)
    return spec


def test_a_catalogue_entry_is_fetched_and_found_again(hub, monkeypatch):
    spec = declare(monkeypatch)
    assert open_weights("small.a1_in1k").spec == spec
    assert hugging_face.find_cached(spec) == pathlib.Path(open_weights(URI).path)


def test_a_source_that_contradicts_the_catalogue_is_refused(hub, monkeypatch):
    declare(monkeypatch, preprocessing=catalog.PREPROCESSING["imagenet"])
    with pytest.raises(
        InputError, match=r"not as the catalogue describes them.*crop_fraction=0.875"
    ):
        open_weights("small.a1_in1k")


def test_a_cache_that_can_only_be_read_is_read_and_ours_takes_the_rest(hub, monkeypatch, tmp_path):
    there, asked = open_weights(URI).path, len(hub.requests)
    monkeypatch.setattr(hugging_face, "folder_can_be_made", lambda folder: False)
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_XET_CACHE", "")  # set below, and unset after the test
    for variable in hugging_face.CACHE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert open_weights(URI).path == there
    assert len(hub.requests) == asked
    other = open_weights(f"{URI}@v2").path
    assert other.is_relative_to(tmp_path / "cache" / "huggingface")
    assert hugging_face.find_cached(open_weights(f"{URI}@v2").spec) == other
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))  # the user's choice stays
    assert hugging_face.find_cached(open_weights(URI).spec) == there


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_download_draws_no_bar_of_its_own(hub, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Screen())
    open_weights(URI)
    assert sys.stderr.getvalue() == ""
    assert not are_progress_bars_disabled()  # the user's own downloads have theirs
