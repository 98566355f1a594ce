"""Explanations lie over the photo as it is, and speak for the class that is asked for."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.data.decode import decode_image
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.explained_files import HeatMapFiles
from tl_toolkit.export.file_answers import answer_files


@pytest.fixture(scope="module")
def classifier(finished_run):
    return tl.load_classifier(finished_run.folder)


def test_a_photo_that_is_half_red_and_half_blue_says_where(classifier):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = (220, 40, 30), (30, 60, 220)
    red, blue = (tl.explain(classifier, pixels, name) for name in ("red", "blue"))
    assert red.shape == (40, 40)
    assert red.dtype == np.float32
    assert np.abs(red).max() == pytest.approx(1, abs=0.05)
    assert red[:, :15].mean() > red[:, 25:].mean() + 0.1
    assert blue[:, 25:].mean() > blue[:, :15].mean() + 0.1


def test_the_answer_is_explained_where_no_class_is_named(classifier, photos):
    photo = photos / "green" / "3.jpg"
    (answer,) = classifier.predict(photo)
    again = tl.explain(classifier, photo.read_bytes(), answer.class_name)
    np.testing.assert_array_equal(tl.explain(classifier, photo), again)


def test_what_is_not_seen_is_0(classifier):
    random = np.random.default_rng(0)
    wide = random.integers(0, 256, (20, 50, 3)).astype(np.uint8)
    found = tl.explain(classifier, wide)
    assert found.shape == (20, 50)
    # A square is cut out of the middle, 7/8 as high as the photo.
    assert (found[:, :14] == 0).all()
    assert (found[:, 36:] == 0).all()
    assert (found[0] == 0).all()
    assert (found[3:17, 18:32] != 0).all()


def test_a_camera_held_upright_is_explained_upright(classifier):
    pixels = np.random.default_rng(1).integers(0, 256, (24, 36, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", exif=exif.tobytes(), quality=95)
    found = tl.explain(classifier, file.getvalue(), "red")
    upright = decode_image(file.getvalue()).numpy()
    assert found.shape == upright.shape[:2] == (36, 24)
    np.testing.assert_allclose(found, tl.explain(classifier, upright, "red"), atol=1e-3)


def test_what_cannot_be_explained_says_why(classifier, finished_run, tmp_path):
    with pytest.raises(InputError, match="Did you mean 'red'"):
        tl.explain(classifier, np.zeros((9, 9, 3), np.uint8), "rde")
    shutil.copytree(finished_run.folder / "saved_model", tmp_path / "saved_model")
    alone = tl.load_classifier(tmp_path / "saved_model")
    with pytest.raises(InputError, match="SavedModel alone cannot be explained"):
        tl.explain(alone, np.zeros((9, 9, 3), np.uint8), "red")


def test_heat_maps_of_files_have_their_names_and_overwrite_nothing(classifier, photos, tmp_path):
    bad = tmp_path / "0.jpg"
    bad.write_bytes(b"no photo")
    files = [photos / "red" / "0.jpg", photos / "blue" / "0.jpg", bad, photos / "red" / "0.jpg"]
    answers = answer_files(classifier, files)
    assert [answer.prediction is None for answer in answers] == [False, False, True, False]
    assert f"'{bad}' cannot be used: not a photo" in answers[2].fault
    folder = tmp_path / "maps"
    maps = HeatMapFiles(folder, files)
    maps.write(classifier, answers)
    assert sorted(path.name for path in folder.iterdir()) == ["0.png", "0_2.png"]
    with Image.open(folder / "0.png") as drawn, Image.open(files[0]) as photo:
        assert drawn.size == photo.size
    before = (folder / "0.png").read_bytes()
    with pytest.raises(InputError, match="is not overwritten"):
        HeatMapFiles(folder, files[:1])
    assert (folder / "0.png").read_bytes() == before
