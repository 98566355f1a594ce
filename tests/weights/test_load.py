"""Weights from every kind of file arrive bit for bit, or the model stays as it was."""

import dataclasses
import json
import shutil
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from families import long_after
from tiny import (
    BOTTLENECK,
    PIXELS,
    TINY,
    assert_same_bits,
    classifier,
    network,
    randomise,
    spec_of,
    values,
    with_dropout,
    write_safetensors,
)

from tl_toolkit import catalog
from tl_toolkit.catalog import Architecture
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import file_digest
from tl_toolkit.weights import safetensors_file
from tl_toolkit.weights import shipped as shipped_weights
from tl_toolkit.weights.load import assign_tensors, load_weights
from tl_toolkit.weights.resolve import open_weights

KINDS = [".keras", ".weights.h5", ".safetensors", "run folder"]


@pytest.fixture(scope="module")
def source():
    return network(seed=1)


@pytest.fixture(scope="module")
def second():
    return network()


@pytest.fixture
def target(second):
    """A model with weights of its own; built once, because that takes longer than most tests."""
    return randomise(second, seed=2)


def written(kind, model, folder, spec=None):
    """The model's weights in a file of that kind."""
    spec = spec or spec_of()
    if kind == ".safetensors":
        return write_safetensors(folder / "tiny.safetensors", model, spec)
    if kind == "run folder":
        (folder / "run").mkdir()
        model.save(folder / "run" / "model.keras")
        (folder / "run" / "weights.json").write_text(json.dumps(spec.to_json()))
        return folder / "run"
    path = folder / f"tiny{kind}"
    model.save(path) if kind == ".keras" else model.save_weights(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_bits(kind, source, target, tmp_path):
    spec = load_weights(target, written(kind, source, tmp_path))
    assert_same_bits(values(target), values(source))
    assert (spec.architecture, len(values(source))) == (TINY, 32)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_says_of_itself_is_returned(kind, tmp_path):
    model = classifier(classes=4)
    spec = spec_of(preprocessing=PIXELS, classes=4, class_names=("a", "b", "c", "d"), licence="MIT")
    path = written(kind, model, tmp_path, spec)
    stated = open_weights(path).spec
    if kind == ".weights.h5":
        assert stated is None
        return
    assert (stated.architecture, stated.preprocessing, stated.classes) == (TINY, PIXELS, 4)
    says_it_all = kind in (".safetensors", "run folder")
    assert (stated.licence, stated.class_names) == (
        ("MIT", ("a", "b", "c", "d")) if says_it_all else ("", ())
    )


def test_a_path_may_be_text_and_start_at_home(source, target, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    written(".safetensors", source, tmp_path)
    load_weights(target, "~/tiny.safetensors")
    assert_same_bits(values(target), values(source))


@pytest.mark.parametrize("direction", ["from plain Keras", "to plain Keras"])
def test_weight_files_go_both_ways_with_a_plain_keras_model(direction, target, tmp_path):
    def plain_normalisation(layer):
        config = {k: v for k, v in layer.get_config().items() if k != "mode"}
        return keras.layers.BatchNormalization.from_config(config)

    plain = keras.models.clone_model(
        target,
        clone_function=lambda layer: (
            plain_normalisation(layer)
            if isinstance(layer, keras.layers.BatchNormalization)
            else layer.__class__.from_config(layer.get_config())
        ),
    )
    assert type(plain.get_layer("conv1_bn")) is keras.layers.BatchNormalization
    randomise(plain, seed=3)
    start, end = (plain, target) if direction == "from plain Keras" else (target, plain)
    start.save_weights(tmp_path / "plain.weights.h5")
    load_weights(end, tmp_path / "plain.weights.h5")
    assert_same_bits(values(end), values(start))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_tensors_of_another_precision_are_cast_to_float32(dtype, source, target, tmp_path):
    tensors = {name: value.astype(dtype) for name, value in values(source).items()}
    path = write_safetensors(tmp_path / "cast.safetensors", source, **tensors)
    assert {t.dtype.name for t in open_weights(path).read_tensors().values()} == {dtype}
    load_weights(target, path)
    assert_same_bits(values(target), {n: t.astype(np.float32) for n, t in tensors.items()})
    assert {variable.dtype for variable in target.variables} == {"float32"}


def test_weights_of_a_bfloat16_model_are_read_from_hdf5(target, tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    try:
        half = network(seed=4)
    finally:
        keras.config.set_dtype_policy("float32")
    half.save_weights(tmp_path / "half.weights.h5")
    load_weights(target, tmp_path / "half.weights.h5")
    expected = {name: value.astype(np.float32) for name, value in values(half).items()}
    assert {variable.dtype for variable in half.get_layer("conv1_conv").weights} == {"bfloat16"}
    assert_same_bits(values(target), expected)


def test_a_transposed_array_is_written_as_it_reads(tmp_path):
    transposed = np.arange(12, dtype=np.float32).reshape(3, 4).T
    path = tmp_path / "t.safetensors"
    safetensors_file.write(path, {"transposed": transposed, "strided": transposed[::2]}, spec_of())
    tensors = safetensors_file.read_tensors(path)
    np.testing.assert_array_equal(tensors["transposed"], transposed)
    np.testing.assert_array_equal(tensors["strided"], transposed[::2])
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.safetensors"]


def split_head(weights):
    head = {name for name in weights if name.startswith("predictions/")}
    return (
        {name: value for name, value in weights.items() if name not in head},
        {name: weights[name] for name in head},
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_of_another_size_is_left_out_with_a_warning(kind, source, tmp_path):
    target = network(seed=2, classes=3)
    before = values(target)
    with pytest.warns(UserWarning, match="'predictions' of 5 classes is left out; ours has 3"):
        load_weights(target, written(kind, source, tmp_path))
    body, head = split_head(values(target))
    assert_same_bits(body, split_head(values(source))[0])
    assert_same_bits(head, split_head(before)[1])


def test_a_file_without_a_head_leaves_ours_with_a_warning(target, tmp_path):
    source = network(seed=1, include_top=False)
    before = values(target)
    with pytest.warns(UserWarning, match="no head 'predictions' to load; the model's is unchanged"):
        load_weights(target, written(".weights.h5", source, tmp_path))
    body, head = split_head(values(target))
    assert_same_bits(body, values(source))
    assert_same_bits(head, split_head(before)[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", [None, "avg"])
def test_a_model_without_a_head_loads_from_a_file_that_has_one(pooling, kind, source, tmp_path):
    target = network(seed=2, include_top=False, pooling=pooling)
    path = written(kind, source, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_weights(target, path)
    assert_same_bits(values(target), split_head(values(source))[0])


@pytest.mark.parametrize(
    ("on", "new_head"), [("features", "predictions"), ("logits", "new_predictions")]
)
def test_the_new_head_of_a_classifier_stays_whatever_the_file_holds(on, new_head, tmp_path):
    source = network(seed=1, classes=5)
    target = classifier(classes=5, on=on, original_classes=5)
    before = values(target)
    path = write_safetensors(tmp_path / "tiny.safetensors", source)
    assert assign_tensors(target, open_weights(path), new_head=new_head) == []
    expected = values(source) | {n: v for n, v in before.items() if n.startswith(f"{new_head}/")}
    assert_same_bits(values(target), expected)
    assert len(expected) == (32 if on == "features" else 34)


KERNEL = "conv3_block1_1_conv/kernel"


@pytest.mark.parametrize(
    ("replaced", "messages"),
    [
        ({KERNEL: None}, [f"1 missing: {KERNEL}."]),
        (
            {"conv1_bn/gamma": None, "conv1_bn/beta": None},
            ["2 missing: conv1_bn/gamma, conv1_bn/beta."],
        ),
        ({"predictions/bias": None}, ["1 missing: predictions/bias."]),
        ({"predictions/kernel": None}, ["1 missing: predictions/kernel."]),
        ({"extra/kernel": np.zeros(3)}, ["1 not used by the model: extra/kernel."]),
        ({"predictions/scale": np.zeros(5)}, ["1 not used by the model: predictions/scale."]),
        (
            {KERNEL: np.zeros((1, 1, 4, 8))},
            [f"1 of a different shape: {KERNEL} is (1, 1, 4, 8), expected (3, 3, 4, 8)."],
        ),
        (
            {"conv1_bn/gamma": np.zeros(())},
            ["1 of a different shape: conv1_bn/gamma is (), expected (4,)."],
        ),
        (
            {"predictions/kernel": np.zeros((6, 5))},
            ["1 of a different shape: predictions/kernel is (6, 5), expected (8, 5)."],
        ),
        (
            {KERNEL: None, "extra/kernel": np.zeros(3), "conv1_bn/beta": np.zeros(5)},
            [
                f"1 missing: {KERNEL}.",
                "1 not used by the model: extra/kernel.",
                "1 of a different shape: conv1_bn/beta is (5,), expected (4,).",
            ],
        ),
        (
            {f"extra{index}/kernel": np.zeros(1) for index in range(11)},
            ["11 not used by the model: extra0/kernel,", "extra4/kernel", " and 3 more."],
        ),
    ],
    ids=str,
)
def test_tensors_that_do_not_fit_are_listed_and_nothing_is_loaded(
    replaced, messages, source, target, tmp_path
):
    path = write_safetensors(tmp_path / "tiny.safetensors", source, **replaced)
    before = values(target)
    with pytest.raises(InputError) as error:
        load_weights(target, path)
    for message in [str(path), "do not fit the model, which is unchanged", *messages]:
        assert message in str(error.value)
    assert_same_bits(values(target), before)


@pytest.mark.parametrize("kind", long_after(1, [".safetensors", ".keras", "run folder"]))
@pytest.mark.parametrize(
    ("field", "theirs", "ours"),
    [
        ("block", TINY, BOTTLENECK),
        ("block_counts", TINY, dataclasses.replace(TINY, block_counts=(1, 2))),
        ("variant", BOTTLENECK, dataclasses.replace(BOTTLENECK, variant="v1")),
        ("width", TINY, dataclasses.replace(TINY, width=6)),
        ("stem", TINY, dataclasses.replace(TINY, stem="imagenet")),
        ("bn_epsilon", TINY, dataclasses.replace(TINY, bn_epsilon=1e-3)),
    ],
)
def test_another_architecture_is_refused_by_name(field, theirs, ours, kind, tmp_path):
    path = written(kind, network(theirs, seed=1), tmp_path, spec_of(theirs))
    model = network(ours, seed=2)
    before = values(model)
    with pytest.raises(InputError) as error:
        load_weights(model, path)
    expected, actual = (f"{field}={getattr(a, field)!r}" for a in (theirs, ours))
    assert f"are for a {theirs.name} with {expected}, the network has {actual}" in str(error.value)
    assert f"build it with {expected}, or choose other weights" in str(error.value)
    assert_same_bits(values(model), before)


def test_the_variants_differ_though_their_shapes_do_not(tmp_path):
    v1, v15 = (network(dataclasses.replace(BOTTLENECK, variant=v)) for v in ("v1", "v1.5"))
    assert {n: v.shape for n, v in values(v1).items()} == {
        n: v.shape for n, v in values(v15).items()
    }
    path = write_safetensors(
        tmp_path / "v1.safetensors", v1, spec_of(dataclasses.replace(BOTTLENECK, variant="v1"))
    )
    load_weights(v1, path)
    with pytest.raises(InputError, match=r"variant='v1', the network has variant='v1\.5'"):
        load_weights(v15, path)


@pytest.mark.parametrize("architecture", [TINY, Architecture("bottleneck", (2,), width=4)])
def test_where_the_variants_are_the_same_network_either_fits(architecture, tmp_path):
    v1 = dataclasses.replace(architecture, variant="v1")
    source, target = network(v1, seed=1), network(architecture, seed=2)
    load_weights(target, write_safetensors(tmp_path / "v1.safetensors", source, spec_of(v1)))
    assert_same_bits(values(target), values(source))
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(target(x), source(x))


def test_an_epsilon_that_went_through_float32_fits_and_one_of_another_third_digit_does_not(
    source, target, tmp_path
):
    def stated(epsilon):
        spec = spec_of(dataclasses.replace(TINY, bn_epsilon=epsilon))
        return write_safetensors(tmp_path / "tiny.safetensors", source, spec)

    rounded = float(np.float32(1e-5))
    assert rounded != 1e-5
    with pytest.raises(InputError, match=r"bn_epsilon=1\.001e-05, .* has bn_epsilon=1e-05"):
        load_weights(target, stated(1.001e-5))
    load_weights(target, stated(rounded))
    assert_same_bits(values(target), values(source))


def damage(path, how):
    contents = path.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(len(contents)))
    else:
        path.write_bytes(contents[: int(len(contents) * float(how))])


@pytest.mark.parametrize("how", ["empty", "garbage", "0.02", "0.5", "0.999"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_by_name(kind, how, source, target, tmp_path):
    path = written(kind, source, tmp_path)
    damaged = path / "model.keras" if kind == "run folder" else path
    damage(damaged, how)
    before = values(target)
    what = "safetensors" if kind == ".safetensors" else "Keras"
    with pytest.raises(InputError, match=rf"{damaged.name}' is not a whole {what} file: "):
        load_weights(target, path)
    assert_same_bits(values(target), before)


def test_damage_inside_an_hdf5_file_is_refused_by_name(source, target, tmp_path):
    path = written(".weights.h5", source, tmp_path)
    whole = path.read_bytes()
    before = values(target)
    refused = 0
    for start in range(1_000, len(whole), 3_000):
        path.write_bytes(whole[:start] + b"\xff" * 500 + whole[start + 500 :])
        try:
            open_weights(path).read_tensors()
        except InputError as error:
            refused += f"{str(path)!r} is not a whole Keras file: " in str(error)
            with pytest.raises(InputError):
                load_weights(target, path)
    assert refused >= 10
    assert_same_bits(values(target), before)


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_a_keras_file_that_lacks_a_member_is_refused(member, source, target, tmp_path):
    path, less = written(".keras", source, tmp_path), tmp_path / "less.keras"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(less, "w") as copy:
        for name in archive.namelist():
            if name != member:
                copy.writestr(name, archive.read(name))
    before = values(target)
    with pytest.raises(InputError, match=f"less.keras' is not a whole Keras file: .*{member}"):
        load_weights(target, less)
    assert_same_bits(values(target), before)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "{",
        "[]",
        "5",
        '{"name": "x"}',
        '{"name": "x", "architecture": {"block": "basic"}}',
        "\\",
    ],
)
@pytest.mark.parametrize("kind", [".safetensors", "run folder"])
def test_a_spec_that_makes_no_sense_is_refused(kind, spec, source, tmp_path):
    path = written(kind, source, tmp_path)
    if kind == "run folder":
        named = path / "weights.json"
        named.write_text(spec)
    else:
        named = path
        safetensors_file.safetensors.numpy.save_file(
            values(source), path, {safetensors_file.SPEC_KEY: spec}
        )
    with pytest.raises(InputError, match=f"{named.name}' holds no weight spec of this toolkit: "):
        open_weights(path)


def test_a_safetensors_file_without_a_spec_fits_by_its_names(source, target, tmp_path):
    path = tmp_path / "plain.safetensors"
    safetensors_file.safetensors.numpy.save_file(values(source), path)
    assert open_weights(path).spec is None
    assert load_weights(target, path) == spec_of(name=str(path), classes=0)
    assert_same_bits(values(target), values(source))


def test_a_name_that_is_no_file_gets_the_nearest_one_of_the_catalogue(target, monkeypatch):
    monkeypatch.setitem(catalog.CATALOG, "digits-tiny", spec_of(name="digits-tiny"))
    before = values(target)
    with pytest.raises(InputError) as error:
        load_weights(target, "digit-tiny")
    assert "Unknown weights 'digit-tiny'. Did you mean 'digits-tiny'" in str(error.value)
    assert "A file or a finished run's folder can be given too" in str(error.value)
    assert_same_bits(values(target), before)


@pytest.mark.parametrize("name", ["weights.xyz", "weights"])
def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(name, target, tmp_path):
    (tmp_path / name).write_bytes(b"weights")
    message = rf"No converter reads .*{name}'\. Expected: \.safetensors, \.pth, \.pt, \.keras, \.weights\.h5"
    with pytest.raises(InputError, match=message):
        load_weights(target, tmp_path / name)


@pytest.mark.parametrize("absent", ["model.keras", "weights.json"])
def test_a_folder_that_is_no_finished_run_is_refused(absent, source, target, tmp_path):
    path = written("run folder", source, tmp_path)
    (path / absent).unlink()
    with pytest.raises(InputError, match=r"No converter reads .*or the folder of a finished run"):
        load_weights(target, path)


def test_an_hdf5_file_without_layer_names_is_refused_with_the_way_out(source, target, tmp_path):
    named, unnamed = written(".weights.h5", source, tmp_path), tmp_path / "unnamed.weights.h5"
    shutil.copy(named, unnamed)
    with h5py.File(unnamed, "r+") as file:
        layers = [g for g in file["layers"].values() if len(g["vars"])]
        for group in layers:
            del group["vars"].attrs["name"]
    before = values(target)
    message = r"unnamed\.weights\.h5' does not name its layers: .*before 3\.10.*save it again"
    with pytest.raises(InputError, match=message):
        load_weights(target, unnamed)
    assert len(layers) == 13
    assert_same_bits(values(target), before)


def test_a_model_that_is_no_resnet_is_refused(source, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="predictions")])
    with pytest.raises(InputError, match=r"not a ResNet .* no layer 'conv1_conv'"):
        load_weights(model, written(".safetensors", source, tmp_path))


@pytest.fixture
def shipped(source, tmp_path, monkeypatch):
    """A catalogue entry whose file lies in the folder for shipped weights."""
    path = write_safetensors(tmp_path / "tiny.safetensors", source)
    fields = {"source": "shipped", "filename": "tiny.safetensors", "licence": "MIT"}
    spec = spec_of(sha256=file_digest(path), **fields)
    monkeypatch.setitem(catalog.CATALOG, "tiny", spec)
    monkeypatch.setattr(shipped_weights, "FOLDERS", (tmp_path / "nowhere", tmp_path))
    return path


def test_a_catalogue_name_loads_the_file_that_ships(shipped, source, target):
    assert load_weights(target, "tiny") == catalog.CATALOG["tiny"]
    assert_same_bits(values(target), values(source))


def test_a_shipped_file_that_is_another_or_missing_is_refused(shipped, target):
    before = values(target)
    contents = bytearray(shipped.read_bytes())
    contents[-1] ^= 1
    shipped.write_bytes(contents)
    with pytest.raises(InputError, match=r"sha256 is [0-9a-f]{64}, expected [0-9a-f]{64}"):
        load_weights(target, "tiny")
    shipped.unlink()
    with pytest.raises(InputError, match=r"'tiny\.safetensors' is missing: install it again"):
        load_weights(target, "tiny")
    assert_same_bits(values(target), before)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_the_random_state_of_a_dropout_is_no_weight(tmp_path, name):
    theirs = with_dropout(classifier(seed=1))
    theirs.save(tmp_path / name) if name == "m.keras" else theirs.save_weights(tmp_path / name)
    ours = with_dropout(classifier(seed=2))
    load_weights(ours, tmp_path / name)
    for expected, actual in zip(theirs.weights, ours.weights, strict=True):
        np.testing.assert_array_equal(actual.numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("field", "value"),
    [("channel_order", "bgr"), ("scale", 1.0), ("mean", (1.0, 2.0, 3.0)), ("std", (9.0, 1.0, 1.0))],
)
def test_a_model_that_prepares_pixels_otherwise_is_refused(field, value, tmp_path):
    model = classifier()
    theirs = dataclasses.replace(PIXELS, **{field: value})
    path = write_safetensors(tmp_path / "w.safetensors", model, spec_of(preprocessing=theirs))
    before = values(model)
    with pytest.raises(InputError, match=f"want pixels with {field}="):
        load_weights(model, path)
    assert_same_bits(values(model), before)
    other_size = spec_of(preprocessing=dataclasses.replace(PIXELS, image_size=64))
    load_weights(model, write_safetensors(tmp_path / "w.safetensors", model, other_size))


def test_a_file_that_does_not_say_its_variant_is_loaded_with_a_warning(tmp_path):
    model = network(BOTTLENECK)
    model.save_weights(tmp_path / "w.weights.h5")
    with pytest.warns(UserWarning, match="does not say its variant and ε: .* v1.5 and 1e-05"):
        load_weights(network(BOTTLENECK, seed=1), tmp_path / "w.weights.h5")
