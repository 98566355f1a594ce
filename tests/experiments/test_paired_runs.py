"""Two runs are compared on the same images or not at all."""

import csv
import shutil

import pytest

import tl_toolkit as tl
from tl_toolkit.files.manifest import write_manifest
from tl_toolkit.report.answers import TEST_ANSWERS


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state, and clearing it takes a third of a second a test."""


def run_folder(folder, rows):
    folder.mkdir()
    with (folder / TEST_ANSWERS).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "class", "answer", "digest of the image"])
        writer.writerows(rows)
    write_manifest(folder, [TEST_ANSWERS])
    return folder


ROWS = [(f"{n}.jpg", "ab"[n % 2], "ab"[n % 2], f"digest {n}") for n in range(20)]


def test_images_are_paired_by_their_contents_in_any_order_and_under_any_name(tmp_path):
    wrong = [(f"moved/{name}", true, "a", digest) for name, true, _, digest in reversed(ROWS)]
    found = tl.paired_test(run_folder(tmp_path / "a", ROWS), run_folder(tmp_path / "b", wrong))
    assert (found.both_right, found.only_a, found.only_b, found.both_wrong) == (10, 10, 0, 0)
    assert found.p_value == pytest.approx(2 / 2**10)


def test_copies_of_an_image_are_counted_each(tmp_path):
    rows = [*ROWS, ROWS[0]]
    found = tl.paired_test(run_folder(tmp_path / "a", rows), run_folder(tmp_path / "b", rows))
    assert found.images == 21
    with pytest.raises(tl.InputError, match=r"on 21, .* on 20, and they share 20"):
        tl.paired_test(tmp_path / "a", run_folder(tmp_path / "c", ROWS))


def test_other_images_and_other_classes_are_refused(tmp_path):
    a = run_folder(tmp_path / "a", ROWS)
    with pytest.raises(tl.InputError, match=r"on 20, .* on 19, and they share 19"):
        tl.paired_test(a, run_folder(tmp_path / "fewer", ROWS[1:]))
    relabelled = [*ROWS[:-1], ("19.jpg", "a", "a", "digest 19")]
    with pytest.raises(tl.InputError, match=r"different classes for 1 of 20 .* '19\.jpg'"):
        tl.paired_test(a, run_folder(tmp_path / "relabelled", relabelled))


def test_damaged_answers_are_refused(tmp_path):
    a = run_folder(tmp_path / "a", ROWS)
    b = shutil.copytree(a, tmp_path / "b")
    text = (b / TEST_ANSWERS).read_text()
    (b / TEST_ANSWERS).write_text(text.replace("0.jpg,a,a", "0.jpg,a,b"))
    with pytest.raises(tl.InputError, match=r"test_answers\.csv' is damaged"):
        tl.paired_test(a, b)


def test_a_finished_run_is_no_better_than_itself(finished_run):
    found = tl.paired_test(finished_run.folder, finished_run.folder)
    assert found.images == finished_run.test["examples"]
    assert found.both_right / found.images == finished_run.test["top1"]
    assert found.p_value == 1
