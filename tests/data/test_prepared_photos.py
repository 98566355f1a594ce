"""Views are cut from copies that are made once, differ little from the photos', and are the same with and without room."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scenes import jpeg, scene

import tl_toolkit as tl
from tl_toolkit.catalog import AUGMENTATIONS, Preprocessing
from tl_toolkit.data import folder, photo_copies, prepared_photos, shrunk_photos, thumbnails
from tl_toolkit.data import open as open_module
from tl_toolkit.data.dataset import FileImages, Split
from tl_toolkit.data.examples import view_reader
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.data.pipeline import training_batches
from tl_toolkit.data.prepared_photos import PreparedPhotos
from tl_toolkit.errors import InputError

SIDE = 64  # pixels that copies keep here
PIXELS = Preprocessing(image_size=24)
PHOTO = AUGMENTATIONS["photo"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def paths(tmp_path):
    """A large JPEG lying on its side, a large PNG, a large TIFF, a small TIFF and a small JPEG."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "0.jpg").write_bytes(jpeg(scene(300, 210, 0), 6))
    Image.fromarray(scene(170, 260, 1)).save(folder / "1.png")
    Image.fromarray(scene(170, 260, 2)).save(folder / "2.tif")
    Image.fromarray(scene(60, 80, 3)).save(folder / "3.tif")
    (folder / "4.jpg").write_bytes(jpeg(scene(127, 127, 4)))
    return np.array(sorted(map(str, folder.iterdir())))


def views(images, augmentation=PHOTO, view=1):
    split = Split.of(images, [0] * len(images))
    (pixels,) = view_reader(split, PIXELS, augmentation, 0)(np.arange(len(split)), view, 99)
    return pixels.numpy()


def copies_of(cache):
    return sorted(path.read_bytes() for path in cache.glob("prepared/v2-64/*/*"))


def test_views_are_those_of_the_photos_to_a_grey_level_on_average(paths, cache):
    of_photos, of_copies = views(FileImages(paths)), views(PreparedPhotos(paths, side=SIDE))
    difference = np.abs(of_copies - of_photos).mean((1, 2, 3))
    assert (difference[:3] < 1.2).all()
    assert (difference[:3] > 0).all()  # they are cut from the copies
    assert difference[3:].tolist() == [0, 0]  # small ones are their own
    kinds = [contents[:4] for contents in copies_of(cache)]
    # Three large photos as JPEG, and the small TIFF as PNG: what TensorFlow decodes is not copied.
    assert sorted(kinds) == [b"\x89PNG", *[b"\xff\xd8\xff\xe0"] * 3]


def test_what_is_decoded_once_is_what_views_are_cut_from(paths, cache):
    contents = PreparedPhotos(paths, side=SIDE).view_contents()
    made = [contents(number) for number in range(5)]
    assert copies_of(cache) == sorted(made[:4])
    assert made[4] == pathlib.Path(paths[4]).read_bytes()
    for path in cache.glob("prepared/v2-64/*/*"):
        path.unlink()
    load = PreparedPhotos(paths, side=SIDE).view_loader()
    assert [load(tf.constant(number)).contents.numpy() for number in range(5)] == made


def test_the_view_of_evaluation_is_cut_from_the_photo(paths, cache):
    expected = views(FileImages(paths), None)
    np.testing.assert_array_equal(views(PreparedPhotos(paths, side=SIDE), None), expected)
    assert copies_of(cache) == []


def test_a_copy_is_made_once_and_read_from_then_on(paths, cache, monkeypatch):
    first = views(PreparedPhotos(paths, side=SIDE))
    before = copies_of(cache)
    made = []
    monkeypatch.setattr(prepared_photos, "is_large", lambda *of: made.append(of) or False)
    np.testing.assert_array_equal(views(PreparedPhotos(paths, side=SIDE)), first)
    assert len(made) == 1  # the small JPEG, of which there is no copy
    assert copies_of(cache) == before


@pytest.mark.long
def test_without_room_the_views_are_the_same(paths, cache, monkeypatch):
    expected = views(PreparedPhotos(paths, side=SIDE))
    monkeypatch.setattr(photo_copies, "SPARE_BYTES", 2**60)
    for path in cache.glob("prepared/v2-64/*/*"):
        path.unlink()
    np.testing.assert_array_equal(views(PreparedPhotos(paths, side=SIDE)), expected)
    assert copies_of(cache) == []


@pytest.mark.long
def test_copies_that_vanish_while_they_are_read_are_made_again(paths, cache):
    split = Split.of(PreparedPhotos(paths, side=SIDE), [0] * len(paths))
    read = view_reader(split, PIXELS, PHOTO, 0)
    (first,) = read(np.arange(5), 1, 99)
    for path in cache.glob("prepared/v2-64/*/*"):
        path.unlink()
    (again,) = read(np.arange(5), 1, 99)
    np.testing.assert_array_equal(again, first)
    assert len(copies_of(cache)) == 4


def test_a_photo_that_changes_is_copied_anew(paths, cache):
    before = views(PreparedPhotos(paths, side=SIDE))
    pathlib.Path(paths[0]).write_bytes(jpeg(scene(280, 240, 9)))
    after = views(PreparedPhotos(paths, side=SIDE))
    expected = views(FileImages(paths))
    assert np.abs(after[0] - before[0]).mean() > 10
    assert np.abs(after[0] - expected[0]).mean() < 1.2


@pytest.mark.long
def test_a_photo_that_changes_while_it_is_used_does_not_stand_under_its_old_digest(paths, cache):
    split = Split.of(PreparedPhotos(paths, side=SIDE), [0] * len(paths))
    reader = view_reader(split, PIXELS, PHOTO, 0)  # which has taken the digests
    old = pathlib.Path(paths[0]).read_bytes()
    pathlib.Path(paths[0]).write_bytes(jpeg(scene(280, 240, 9)))
    list(reader(np.arange(5), 1, 99))
    pathlib.Path(paths[0]).write_bytes(old)
    expected = views(FileImages(paths))
    assert np.abs(views(PreparedPhotos(paths, side=SIDE))[0] - expected[0]).mean() < 1.2


@pytest.mark.long
def test_batches_of_training_are_the_same_from_any_step_on(paths):
    split = Split.of(PreparedPhotos(paths, side=SIDE), [0, 1, 0, 1, 0])
    options = {"batch_size": 2, "epochs": 3, "seed": 1}
    whole = [batch[0].numpy() for batch in training_batches(split, PIXELS, PHOTO, **options)]
    rest = training_batches(split, PIXELS, PHOTO, first_epoch=1, first_step=1, **options)
    for batch, expected in zip(rest, whole[4:], strict=True):
        np.testing.assert_array_equal(batch[0], expected)


def test_parts_of_prepared_photos_are_prepared_photos(paths):
    images = PreparedPhotos(paths, side=SIDE)
    part = images.take(np.array([2, 0])).joined(FileImages(paths[4:]))
    assert (part.side, part.paths.tolist()) == (SIDE, [paths[2], paths[0], paths[4]])


@pytest.fixture
def photos(tmp_path):
    """Two classes of photos with a shorter side of 140 pixels or more, and a damaged one."""
    root = tmp_path / "classes"
    for label, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True)
        for number in range(6):
            pixels = scene(140, 150 + number, 10 * label + number) // (2 - label)
            (root / name / f"{number}.jpg").write_bytes(jpeg(pixels, quality=85))
    return root


@pytest.fixture
def small_copies(monkeypatch):
    for module in (shrunk_photos, folder, open_module, thumbnails):
        monkeypatch.setattr(module, "LEAST_SIDE", SIDE)
    monkeypatch.setattr(shrunk_photos, "SIDE_STEP", SIDE)


@pytest.mark.parametrize(
    ("changes", "copied"),
    [
        ({}, 12),
        ({"prepared": False}, 0),
        ({"augmentation": "none"}, 0),
        ({"strategy": tl.NewHead()}, 0),
        ({"strategy": tl.NewHead(), "views": 4}, 12),
    ],
    ids=str,
)
def test_opening_for_a_training_that_sees_views_makes_the_copies_while_it_checks(
    changes, copied, photos, cache, small_copies
):
    recipe = tl.Recipe(
        data=f"folder:{photos}", **{"strategy": tl.LastLayers(), "image_size": 24, **changes}
    )
    dataset = open_recipe_data(recipe)
    assert len(copies_of(cache)) == copied
    assert type(dataset.train.images) is FileImages
    # Another opening finds every file checked.
    for path in cache.glob("prepared/v2-64/*/*"):
        path.unlink()
    open_recipe_data(recipe)
    assert copies_of(cache) == []


def test_a_damaged_photo_is_refused_while_it_is_copied(photos, small_copies):
    path = photos / "dark" / "3.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    recipe = tl.Recipe(data=f"folder:{photos}", strategy=tl.LastLayers(), image_size=24)
    with pytest.raises(InputError, match=r"3\.jpg.*damaged or cut short"):
        open_recipe_data(recipe)


@pytest.mark.long
def test_trained_on_copies_a_network_answers_nearly_the_same(
    photos, cache, small_copies, tiny_weights, tmp_path
):
    answers = {}
    for prepared in (False, True):
        recipe = tl.Recipe(
            data=f"folder:{photos}",
            strategy=tl.FullFineTune(),
            weights=str(tiny_weights),
            augmentation="photo",
            prepared=prepared,
            epochs=3,
            batch_size=4,
            validation_fraction=0,
            test_fraction=0.34,
            image_size=24,
        )
        tl.run(recipe, output=tmp_path / str(prepared))
        classifier = tl.load_classifier(tmp_path / str(prepared) / "saved_model")
        files = [str(path) for path in sorted(photos.rglob("*.jpg"))]
        found = classifier.predict(files)
        answers[prepared] = np.array([one.probabilities["light"] for one in found])
        # The first opening checked all photos: the second run copies the training images, at their first view.
        assert len(copies_of(cache)) == (8 if prepared else 0)
    difference = np.abs(answers[True] - answers[False])
    assert 0 < difference.max() < 0.02
    assert ((answers[True] > 0.5) == (answers[False] > 0.5)).all()
