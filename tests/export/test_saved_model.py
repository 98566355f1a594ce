"""The exported classifier: endpoints, files, and that it is the trained model."""

import dataclasses
import io
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from PIL import Image
from this_process import ThisProcess

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING
from tl_toolkit.data.dataset import FileImages, Split
from tl_toolkit.data.decode import decode_image
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.export import fresh_process
from tl_toolkit.export.fresh_process import RELOAD_SCRIPT
from tl_toolkit.export.saved_model import SavedModelCheck
from tl_toolkit.models.head import new_head


@pytest.fixture(scope="module")
def served(finished_run):
    return tf.saved_model.load(str(finished_run.folder / "saved_model"))


@pytest.fixture(scope="module")
def test_split(photo_recipe):
    return open_recipe_data(photo_recipe).test


def jpeg(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def reference(finished_run, photo_recipe, split):
    """Probabilities of model.keras, by the pipeline that evaluation uses."""
    from tl_toolkit.data.evaluation_batches import EvaluationBatches

    model = tl.load_model(finished_run.folder / "model.keras")
    preprocessing = prepare(photo_recipe).spec.preprocessing
    batches = EvaluationBatches(split, preprocessing, 64)
    return np.concatenate([tf.nn.softmax(model(images, training=False)) for images, _ in batches])


def test_every_endpoint_agrees_with_the_model_to_train_on_from(
    finished_run, photo_recipe, served, test_split
):
    expected = reference(finished_run, photo_recipe, test_split)
    files = [test_split.images.encoded(index) for index in range(len(test_split))]
    answers = served.signatures["serving_default"](image_bytes=tf.constant(files))
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
    compared = 0
    for index, file in enumerate(files):
        pixels = np.asarray(Image.open(io.BytesIO(file)))[None]
        if min(pixels.shape[1:3]) >= 2 * 16:
            continue  # of a larger JPEG's view and its pixels' there is a test below
        compared += 1
        for endpoint, dtype in (("serve_images", np.uint8), ("serve_float_images", np.float32)):
            answer = served.signatures[endpoint](images=tf.constant(pixels.astype(dtype)))
            np.testing.assert_allclose(answer["probabilities"][0], expected[index], atol=1e-5)
    assert compared >= 4


def test_classes_and_scores_are_sorted_and_belong_together(served, test_split):
    files = [test_split.images.encoded(index) for index in range(4)]
    answers = served.signatures["serving_default"](image_bytes=tf.constant(files))
    names = np.array([b"blue", b"green", b"red"])
    for classes, scores, probabilities in zip(
        answers["classes"].numpy(),
        answers["scores"].numpy(),
        answers["probabilities"].numpy(),
        strict=True,
    ):
        assert list(scores) == sorted(scores, reverse=True)
        assert scores.sum() == pytest.approx(1, abs=1e-5)
        for name, score in zip(classes, scores, strict=True):
            assert probabilities[names == name][0] == score


def test_nothing_random_is_exported(served, test_split):
    files = tf.constant([test_split.images.encoded(0)])
    first = served.signatures["serving_default"](image_bytes=files)["probabilities"].numpy()
    for _ in range(3):
        again = served.signatures["serving_default"](image_bytes=files)["probabilities"].numpy()
        np.testing.assert_array_equal(first, again)


def test_an_answer_does_not_depend_on_the_other_images_of_the_batch(served, test_split):
    files = [test_split.images.encoded(index) for index in range(6)]
    together = served.signatures["serving_default"](image_bytes=tf.constant(files))
    for index, file in enumerate(files):
        alone = served.signatures["serving_default"](image_bytes=tf.constant([file]))
        np.testing.assert_allclose(
            together["probabilities"][index], alone["probabilities"][0], atol=1e-6
        )


def test_the_orientation_of_a_camera_is_applied_when_served(finished_run):
    classifier = tl.load_classifier(finished_run.folder)
    pixels = np.zeros((40, 24, 3), np.uint8)
    pixels[:20] = (220, 40, 30)  # the upper half is red, the lower blue
    pixels[20:] = (30, 60, 220)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = jpeg(np.rot90(pixels), exif=exif, quality=95)  # stored lying down
    upright = classifier.predict(np.asarray(Image.open(io.BytesIO(jpeg(pixels, quality=95)))))
    np.testing.assert_allclose(
        list(classifier.predict(turned)[0].probabilities.values()),
        list(upright[0].probabilities.values()),
        atol=0.02,
    )


def test_a_classifier_takes_paths_bytes_and_arrays_in_one_call(finished_run, photos):
    classifier = tl.load_classifier(finished_run.folder)
    path = photos / "red" / "0.jpg"
    pixels = np.asarray(Image.open(path))
    answers = classifier.predict(
        [str(path), path, path.read_bytes(), pixels, pixels.astype(np.float64)]
    )
    assert classifier.class_names == ("blue", "green", "red")
    assert [answer.class_name for answer in answers] == ["red"] * 5
    for answer in answers:
        assert answer.score == max(answer.probabilities.values())
        # The files' view is decoded coarsely where they are twice as large as it.
        assert answer.score == pytest.approx(answers[0].score, abs=0.01)
    pair, alone = classifier.predict(np.stack([pixels, pixels])), classifier.predict(pixels)[0]
    # The last bit may depend on the batch's size.
    assert pair[1].probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_more_images_than_a_batch_keep_their_order(finished_run, photos):
    classifier = tl.load_classifier(finished_run.folder)
    paths = sorted(photos.rglob("*.jpg"))
    names = [answer.class_name for answer in classifier.predict(paths)]
    assert len(names) == 60
    assert (
        np.mean([name == path.parent.name for name, path in zip(names, paths, strict=True)]) > 0.9
    )


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"no image", "bad.jpg' cannot be used: not a photo in a known format"),
        (b"", "bad.jpg' cannot be used: the file is empty"),
        (b"\x89PNG\r\n\x1a\n", "bad.jpg' is damaged"),
        (None, "No such file"),
    ],
)
def test_the_file_that_cannot_be_read_is_named(finished_run, photos, tmp_path, contents, message):
    bad = tmp_path / "bad.jpg"
    if contents is not None:
        bad.write_bytes(contents)
    with pytest.raises(tl.InputError, match=message):
        tl.load_classifier(finished_run.folder).predict([photos / "red" / "0.jpg", bad])


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), int)])
def test_pixels_of_another_shape_or_type_are_refused(finished_run, pixels):
    with pytest.raises(tl.InputError, match=r"Pixels must be .* Received"):
        tl.load_classifier(finished_run.folder).predict([pixels])


@pytest.mark.parametrize("dtype", long_after(1, [np.float32, np.float64, np.float16]))
@pytest.mark.parametrize(
    ("scale", "shift", "message"),
    [
        (1 / 255, 0, "multiply them by 255"),
        (2 / 255, -1, "must lie between 0 and 255"),
        (2, 0, "must lie between 0 and 255"),
        (np.nan, 0, "must lie between 0 and 255"),
    ],
    ids=["0 to 1", "-1 to 1", "over 255", "nan"],
)
def test_float_pixels_of_another_range_are_refused(finished_run, dtype, scale, shift, message):
    pixels = np.full((8, 8, 3), 255, np.float64) * scale + shift
    pixels[0] = shift
    with pytest.raises(tl.InputError, match=message):
        tl.load_classifier(finished_run.folder).predict([pixels.astype(dtype)])


@pytest.mark.parametrize("name", ["", "nothing", "plan.json"])
def test_what_is_no_classifier_is_refused(finished_run, tmp_path, name):
    path = tmp_path if not name else finished_run.folder / name
    with pytest.raises(tl.InputError, match="is not an exported classifier"):
        tl.load_classifier(path)


def check(finished_run, split, model, scratch, process, precision="float32"):
    """The check of the run's SavedModel against a model, and the difference that it finds."""
    check = SavedModelCheck(
        process,
        scratch,
        finished_run.folder / "saved_model",
        split,
        lambda images: model(images, training=False),
        dataclasses.replace(PREPROCESSING["imagenet"], image_size=16),
        precision,
    )
    return check, check.result()


def test_a_saved_model_that_differs_from_the_model_is_an_error(finished_run, test_split, tmp_path):
    model = tl.load_model(finished_run.folder / "model.keras")

    def checked(name, precision="float32"):
        return check(finished_run, test_split, model, tmp_path / name, ThisProcess(), precision)

    bias = new_head(model).bias
    bias.assign(bias + np.array([0.01, 0, 0]))
    with pytest.raises(RuntimeError, match=r"differs from the trained model by 0\.00"):
        checked("other")
    tolerant, difference = checked("tolerant", "bfloat16")
    assert tolerant.images == 8
    assert 1e-4 < difference < 0.01


@pytest.fixture
def fresh_processes(python, monkeypatch):
    """The module, with quick processes and none that waits; those that the test leaves are ended."""
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setattr(fresh_process, "_waiting", [])
    yield fresh_process
    for process in fresh_process._waiting:
        process.close()


@pytest.mark.slow
def test_the_process_that_checks_imports_neither_this_package_nor_keras():
    program = (
        f"import runpy, sys; runpy.run_path({str(RELOAD_SCRIPT)!r}, run_name='__main__')\n"
        "print(*sorted({'tensorflow', 'sklearn', 'matplotlib', 'tl_toolkit'} & set(sys.modules)))\n"
        "import keras"
    )
    command = [sys.executable, "-I", "-c", program]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ran.stdout.split() == ["tensorflow"]
    assert "import of keras halted" in ran.stderr


@pytest.mark.long
def test_a_fresh_process_checks_it_and_says_why_it_cannot(
    finished_run, test_split, tmp_path, fresh_processes
):
    model = tl.load_model(finished_run.folder / "model.keras")
    with fresh_processes.fresh_process() as process:
        assert check(finished_run, test_split, model, tmp_path / "a", process)[1] < 1e-5
    with fresh_processes.fresh_process() as same:
        assert same is process  # which has TensorFlow

    def ask_for_nothing():
        with fresh_processes.fresh_process() as process:
            process.ask(tmp_path / "nothing", tmp_path / "given", tmp_path / "answered")
            process.wait()

    with pytest.raises(RuntimeError, match=r"(?s)does not load in a fresh process.*nothing"):
        ask_for_nothing()
    assert not fresh_processes._waiting


@pytest.mark.long
def test_a_fresh_process_whose_patience_is_over_ends_and_is_started_again(
    finished_run, test_split, tmp_path, fresh_processes, monkeypatch
):
    model = tl.load_model(finished_run.folder / "model.keras")
    impatient = tmp_path / "impatient.py"
    impatient.write_text(RELOAD_SCRIPT.read_text().replace("PATIENCE = 600.0", "PATIENCE = 0.01"))
    with monkeypatch.context() as patched:
        patched.setattr(fresh_process, "RELOAD_SCRIPT", impatient)
        with fresh_processes.fresh_process() as process:
            assert check(finished_run, test_split, model, tmp_path / "a", process)[1] < 1e-5
    first = process._process
    assert first.wait(timeout=60) == 0
    with fresh_processes.fresh_process() as process:
        assert check(finished_run, test_split, model, tmp_path / "b", process)[1] < 1e-5
        assert process._process.pid != first.pid


@pytest.mark.long
def test_a_fresh_process_that_was_killed_while_it_waited_is_started_again(
    finished_run, test_split, tmp_path, fresh_processes
):
    model = tl.load_model(finished_run.folder / "model.keras")
    with fresh_processes.fresh_process() as process:
        process._process.kill()
        process._process.wait()
    with fresh_processes.fresh_process() as process:
        assert check(finished_run, test_split, model, tmp_path / "a", process)[1] < 1e-5


@pytest.mark.long
def test_a_fresh_process_finds_relative_paths_after_the_working_folder_has_changed(
    finished_run, test_split, tmp_path, fresh_processes, monkeypatch
):
    model = tl.load_model(finished_run.folder / "model.keras")
    with fresh_processes.fresh_process():
        pass
    monkeypatch.chdir(tmp_path)
    with fresh_processes.fresh_process() as process:
        difference = check(finished_run, test_split, model, pathlib.Path("here"), process)[1]
    assert difference < 1e-5


def test_a_fresh_process_that_is_not_asked_ends_with_its_owner(fresh_processes):
    with fresh_processes.fresh_process() as process:
        child = process._process
        assert child.poll() is None
        child.stdin.close()  # as when the owner is killed
        assert child.wait(timeout=60) == 0


def test_a_large_jpeg_is_answered_as_it_is_evaluated_and_its_pixels_as_theirs(
    finished_run, photo_recipe, tmp_path
):
    random = np.random.default_rng(5)
    pixels = np.clip(random.normal((220, 40, 30), 60, (150, 131, 3)), 0, 255).astype(np.uint8)
    (tmp_path / "red.jpg").write_bytes(jpeg(pixels, quality=90))
    split = Split.of(FileImages(np.array([str(tmp_path / "red.jpg")])), [2])
    model = tl.load_model(finished_run.folder / "model.keras")
    assert check(finished_run, split, model, tmp_path / "a", ThisProcess())[1] < 1e-5
    classifier = tl.load_classifier(finished_run.folder / "saved_model")
    of_file = classifier.predict(tmp_path / "red.jpg")[0].score
    assert of_file == pytest.approx(reference(finished_run, photo_recipe, split)[0, 2], abs=1e-5)
    of_pixels = classifier.predict(decode_image((tmp_path / "red.jpg").read_bytes()).numpy())[0]
    assert 0 < abs(of_pixels.score - of_file) < 0.02


def test_the_card_holds_recipe_licences_and_figures(finished_run, photo_recipe):
    card = tl.load_classifier(finished_run.folder / "saved_model").card
    assert card["recipe"] == photo_recipe.to_json()
    assert card["facts"]["licence of the weights"] == "MIT"
    assert card["test"]["top1"] == finished_run.test["top1"]
    assert card["preprocessing"]["image_size"] == 16
