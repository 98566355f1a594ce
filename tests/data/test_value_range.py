"""Greys of 16 bits and floats are scaled by one rule, in opening, training, files that are asked, and the served graph."""

import io
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import TINY, randomise, write_safetensors

import tl_toolkit as tl
from tl_toolkit.catalog import Preprocessing, WeightSpec, as_value_range
from tl_toolkit.data.content_digests import digests_of_images
from tl_toolkit.data.decode import decode_image
from tl_toolkit.data.other_formats import as_png, decodable
from tl_toolkit.data.photo_check import UNREADABLE, check_photo
from tl_toolkit.data.png_in_range import png_in_range
from tl_toolkit.data.prepared_photos import PreparedPhotos
from tl_toolkit.data.thumbnails import thumbnail_of_file
from tl_toolkit.data.value_range import scaled_values
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate_exported import evaluate_exported
from tl_toolkit.experiments.identity import run_identity
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.recipes_to_compare import check_recipes
from tl_toolkit.experiments.run_folder import default_folder
from tl_toolkit.export.asked_images import contents_of
from tl_toolkit.export.classifier import Classifier
from tl_toolkit.export.endpoints import make_endpoints
from tl_toolkit.export.tensor_endpoints import endpoints_of_tensors
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.transfer.network import choose_network, open_recipe_weights
from tl_toolkit.transfer.network_pool import NetworkPool

TWELVE_BITS = (0.0, 4095.0)
LEVELS = np.random.default_rng(0).integers(0, 4096, (40, 50), np.uint16)
EXPECTED = np.round(np.float64(LEVELS) / 4095 * 255).astype(np.uint8)
WHOLE = st.lists(st.integers(0, 65535), min_size=1, max_size=30)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))


def saved(values, kind, **options):
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind, **options)
    return file.getvalue()


def pixels(contents):
    return decode_image(tf.constant(contents)).numpy()


def loaded(load, images):
    """The pixels of every image as a pipeline has them."""
    positions = tf.data.Dataset.range(len(images))
    return list(positions.map(lambda number: load(number).pixels()).as_numpy_iterator())


@pytest.fixture
def deep_photos(tmp_path):
    """Two classes of 12-bit photos, as PNG and TIFF files of 16 bits."""
    rng = np.random.default_rng(1)
    for number, (name, light) in enumerate({"dim": 600, "lit": 3000}.items()):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(8):
            levels = np.clip(rng.normal(light, 400, (24, 24)), 0, 4095).astype(np.uint16)
            kind = ("png", "tif")[(k + number) % 2]
            Image.fromarray(levels).save(tmp_path / "photos" / name / f"{k}.{kind}")
    return tmp_path / "photos"


@given(WHOLE)
def test_the_full_range_is_the_default(values):
    levels = np.array([values], np.uint16)
    for photo, full in (
        (saved(levels, "TIFF"), (0, 65535)),
        (saved((levels / 65535).astype(np.float32), "TIFF"), (0, 1)),
    ):
        np.testing.assert_array_equal(pixels(as_png(photo, full)), pixels(as_png(photo)))


@given(WHOLE, st.integers(-70000, 70000), st.integers(1, 70000))
def test_lighter_values_are_never_darker_and_the_ends_are_black_and_white(values, low, extent):
    ends = [low, low + extent]
    scaled = scaled_values(np.array(sorted(values) + ends), (float(low), float(low + extent)))
    assert (np.diff(scaled[: len(values)].astype(int)) >= 0).all()
    assert scaled[-2:].tolist() == [0, 255]


def test_what_lies_beyond_is_clipped_and_what_is_no_number_refused():
    values = np.array([[-5, 0, 10, 20, 400]], np.float32)
    assert scaled_values(values, (0, 20)).tolist() == [[0, 0, 128, 255, 255]]
    photo = saved(np.array([[-1000, 1000, 200_000]], np.int32), "TIFF")
    assert pixels(as_png(photo, (-1000, 3000)))[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(InputError, match="not all finite"):
        as_png(saved(np.array([[np.nan, 1]], np.float32), "TIFF"), (0, 2))


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_served_graph_scales_a_png_as_python_does(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = saved(LEVELS, "PNG", exif=exif)
    by_graph = png_in_range(TWELVE_BITS)(tf.constant(photo)).numpy()
    by_python = decodable(photo, TWELVE_BITS)
    np.testing.assert_array_equal(pixels(by_graph), pixels(by_python))
    upright = EXPECTED if orientation == 1 else np.rot90(EXPECTED, -1)
    np.testing.assert_array_equal(pixels(by_graph), np.stack([upright] * 3, -1))
    for other in (by_python, saved(EXPECTED, "PNG"), saved(EXPECTED, "JPEG"), b"", b"\x89PNG"):
        assert png_in_range(TWELVE_BITS)(tf.constant(other)).numpy() == other


def test_a_photo_of_8_bits_or_colour_is_refused_and_a_scaled_one_is_not_scaled_twice():
    colour = np.zeros((4, 4, 3), np.uint8)
    for photo in (saved(colour, "JPEG"), saved(EXPECTED, "PNG"), saved(EXPECTED, "TIFF")):
        with pytest.raises(InputError, match=r"value_range=0 4095 scales only those: leave"):
            decodable(photo, TWELVE_BITS)
        decodable(photo)
    once = decodable(saved(LEVELS, "TIFF"), TWELVE_BITS)
    assert decodable(once, TWELVE_BITS) == once
    with pytest.raises(InputError, match="value_range=0 100"):  # it was scaled by another range
        decodable(once, (0.0, 100.0))


@pytest.mark.slow
def test_what_is_trained_on_is_what_is_asked_and_shown(deep_photos):
    for images in (
        tl.open_dataset(f"folder:{deep_photos}", value_range=(0, 4095)).train.images,
        PreparedPhotos(np.array(sorted(map(str, deep_photos.rglob("*.*")))), TWELVE_BITS, side=8),
    ):
        some = images.take(np.array([3, 0])).joined(images.take(np.array([1])))
        assert some.value_range == TWELVE_BITS
        learned, seen = loaded(some.loader(), some), loaded(some.view_loader(), some)
        for number, path in enumerate(some.paths):
            with Image.open(path) as photo:
                levels = np.asarray(photo, np.float64)
            expected = np.stack([np.round(levels / 4095 * 255)] * 3, -1)
            asked = contents_of(path, value_range=TWELVE_BITS)
            np.testing.assert_array_equal(learned[number], expected)
            np.testing.assert_array_equal(pixels(some.encoded(number)), expected)
            np.testing.assert_array_equal(pixels(asked), expected)
            # A copy was shrunk, and of the scaled photo.
            assert abs(seen[number].mean() - expected.mean()) < 2


def test_thumbnails_and_checks_see_what_is_trained_on():
    photo = saved(LEVELS, "PNG")
    ranged, plain = thumbnail_of_file(photo, TWELVE_BITS), thumbnail_of_file(photo)
    assert abs(ranged[-1] - EXPECTED.mean()) <= 1
    assert abs(plain[-1] - (LEVELS // 257).mean()) <= 1
    assert not check_photo(photo, value_range=TWELVE_BITS).fault
    assert "dark" in check_photo(photo).figures
    assert "dark" not in check_photo(photo, value_range=TWELVE_BITS).figures
    found = check_photo(saved(EXPECTED, "JPEG"), value_range=TWELVE_BITS)
    assert found.fault == UNREADABLE
    assert "8 bits" in found.reason


def test_opening_refuses_photos_of_8_bits_also_after_they_were_opened_without_a_range(deep_photos):
    Image.fromarray(EXPECTED).save(deep_photos / "dim" / "plain.png")
    uri = f"folder:{deep_photos}"
    plain = tl.open_dataset(uri)
    with pytest.raises(InputError, match=r"plain\.png' cannot be used: it has no 16-bit"):
        tl.open_dataset(uri, value_range=(0, 4095))
    ranged = tl.open_dataset(uri, value_range=(0, 4095), on_bad_image="skip")
    assert sum("plain.png" in note for note in ranged.notes) == 1
    assert len(ranged.train) + len(ranged.validation) + len(ranged.test) == 16
    again = tl.open_dataset(uri)
    np.testing.assert_array_equal(again.train.images.paths, plain.train.images.paths)
    np.testing.assert_array_equal(
        digests_of_images(again.test.images), digests_of_images(plain.test.images)
    )


@pytest.mark.parametrize("uri", ["digits", "mnist5k", "elpv"])
def test_other_sources_have_no_range(uri):
    for opened in (tl.open_dataset, tl.audit):
        with pytest.raises(InputError, match=rf"'{uri}' is none: leave it out. Received: 0 9"):
            opened(uri, value_range=(0, 9))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((5, 5), r"under its high end.*Received: 5 5"),
        ((9, 1), r"under its high end.*Received: 9 1"),
        ((0, float("inf")), "two finite numbers"),
        ((0, True), "two finite numbers"),
        ((0,), "two finite numbers"),
        ("01", "two finite numbers"),
    ],
)
def test_a_wrong_range_is_refused_before_anything_is_opened(value, message):
    for take in (
        as_value_range,
        lambda v: tl.Recipe(data="folder:none", strategy=tl.NewHead(), value_range=v),
        lambda v: tl.open_dataset("folder:none", value_range=v),
        lambda v: tl.audit("folder:none", value_range=v),
        lambda v: Preprocessing(value_range=v),
    ):
        with pytest.raises(InputError, match=message):
            take(value)


@pytest.mark.slow
def test_a_classifier_answers_files_by_its_range_and_its_graph_does_with_png():
    preprocessing = Preprocessing(image_size=40, value_range=TWELVE_BITS)
    made = make_endpoints(
        lambda images: tf.reduce_mean(images, (1, 2))[:, :2] * [0.02, 0.0],
        preprocessing,
        ("a", "b"),
    )
    served = {name: tf.function(function) for name, (function, _) in made.items()}
    card = {"class_names": ["a", "b"], "preprocessing": {"value_range": [0, 4095]}}
    classifier = Classifier(None, endpoints_of_tensors(served), card)
    png, tiff = saved(LEVELS, "PNG"), saved(LEVELS, "TIFF")
    of_png, of_tiff, of_scaled = classifier.predict([png, tiff, decodable(png, TWELVE_BITS)])
    assert of_png == of_tiff == of_scaled
    assert of_png.probabilities["a"] == pytest.approx(
        1 / (1 + np.exp(-0.02 * EXPECTED[:, 5:45].mean())), abs=1e-5
    )
    by_graph = served["serving_default"](tf.constant([png, saved(EXPECTED, "PNG")]))
    np.testing.assert_array_equal(by_graph["scores"][:, 0], [of_png.score] * 2)
    with pytest.raises(InputError, match="image number 1 cannot be used: it has no 16-bit"):
        classifier.predict(saved(EXPECTED, "PNG"))


@pytest.fixture
def ranged_recipe(deep_photos, tiny_weights):
    return tl.Recipe(
        data=f"folder:{deep_photos}",
        strategy=tl.NewHead(),
        weights=str(tiny_weights),
        value_range=(0, 4095),
    )


def test_data_are_learned_from_by_the_range_that_they_are_served_by(ranged_recipe, tmp_path):
    opened = {None: tl.open_dataset(ranged_recipe.data)}
    opened[TWELVE_BITS] = tl.open_dataset(ranged_recipe.data, value_range=(0, 4095))
    for of_data, of_recipe in ((None, TWELVE_BITS), (TWELVE_BITS, None), (TWELVE_BITS, (0, 900))):
        recipe = ranged_recipe.replace(value_range=of_recipe)
        with pytest.raises(InputError, match="The data were opened with value_range="):
            prepare(recipe, Context(dataset=opened[of_data]))


@pytest.mark.slow
def test_trainings_of_two_ranges_share_nothing(ranged_recipe):
    context = Context(networks=NetworkPool())
    other = ranged_recipe.replace(value_range=(0, 900))
    first, second = (prepare(recipe, context) for recipe in (ranged_recipe, other))
    for experiment in (first, second):
        record = experiment.model.get_layer("preprocessing").record
        assert record.value_range == experiment.recipe.value_range
        assert experiment.dataset.validation.images.value_range == record.value_range
        assert experiment.dataset.test.images.value_range == record.value_range
    # A training that was interrupted is not gone on with by another range.
    identities = [run_identity(experiment) for experiment in (first, second)]
    differ = {name for name in identities[0] if identities[0][name] != identities[1][name]}
    assert differ == {"recipe", "preprocessing"}
    assert default_folder(ranged_recipe) != default_folder(other)
    with pytest.raises(InputError, match="differ in `value_range`"):
        check_recipes([ranged_recipe, other.replace(strategy=tl.FullFineTune())], 1)


def test_weights_that_were_trained_by_a_range_leave_later_photos_their_own(ranged_recipe, tmp_path):
    record = Preprocessing(image_size=16, value_range=(0, 900))
    model = randomise(assemble_classifier(TINY, record, 3))
    spec = WeightSpec("ranged", TINY, record, tuple("abc"), 3)
    weights = write_safetensors(tmp_path / "ranged.safetensors", model, spec)
    for value_range in (None, TWELVE_BITS):
        recipe = ranged_recipe.replace(weights=str(weights), value_range=value_range)
        source = open_recipe_weights(recipe)
        assert source.spec.preprocessing.value_range == (0, 900)
        assert choose_network(recipe, source).preprocessing.value_range == value_range


@pytest.mark.long
def test_a_run_hands_its_range_on(ranged_recipe, deep_photos, tmp_path):
    run = tl.run(ranged_recipe, tmp_path / "run")
    classifier = tl.load_classifier(run.folder)
    assert classifier.value_range == TWELVE_BITS
    lit = sorted((deep_photos / "lit").iterdir())
    assert {answer.class_name for answer in classifier.predict(lit)} == {"lit"}
    assert tl.explain(classifier, lit[0]).shape == (24, 24)
    measured = evaluate_exported(run.folder, ranged_recipe.data)
    assert measured["images"]["top1"] == run.test["top1"] == 1
    # An exported file carries the range without the run.
    tl.export_run(run.folder, "onnx")
    alone = shutil.copy(run.folder / "exports" / "model.onnx", tmp_path / "alone.onnx")
    asked = [deep_photos / "lit" / "1.png", deep_photos / "dim" / "1.tif"]
    found = tl.load_classifier(alone).predict_probabilities(asked)
    np.testing.assert_allclose(found, classifier.predict_probabilities(asked), atol=1e-4)
