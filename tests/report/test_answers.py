"""Answers are read back as they were written, whatever the classes are called."""

import csv

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.data.dataset import ArrayImages, Split
from tl_toolkit.experiments.answer_rows import answer_rows
from tl_toolkit.report.answers import TEST_ANSWERS, read_answers, write_rows

ODD = ["a,b", 'say "c"', "two\nlines", "image", " spaces ", "é\r", "class"]


def split_of(count):
    pixels = np.arange(count * 12).reshape(count, 2, 2, 3).astype(np.uint8)
    return Split.of(ArrayImages(pixels), np.arange(count) % len(ODD), first_id=5)


def test_names_of_classes_may_hold_anything(tmp_path):
    logits = np.random.default_rng(0).normal(0, 2, (14, len(ODD)))
    split = split_of(14)
    write_rows(answer_rows(split, logits, ODD), tmp_path / TEST_ANSWERS)
    found = read_answers(tmp_path)
    assert found.classes == tuple(ODD[label] for label in split.labels)
    assert found.answers == tuple(ODD[label] for label in logits.argmax(axis=1))
    assert found.images == tuple(str(number) for number in range(5, 19))
    assert len(set(found.digests)) == 14
    assert found.is_right.tolist() == (logits.argmax(axis=1) == split.labels).tolist()
    with (tmp_path / TEST_ANSWERS).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    of_classes = [[float(row[f"probability of {name}"]) for name in ODD] for row in rows]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(of_classes, expected, atol=6e-7)


def test_a_folder_without_answers_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(tl.InputError, match=r"has no test_answers\.csv.*'best' in it"):
        read_answers(tmp_path)


@pytest.mark.parametrize("contents", [b"\xff\xfe", b"image,class\r\n1,a\r\n", b"image\r\n1\r\n"])
def test_a_table_of_something_else_is_refused(tmp_path, contents):
    (tmp_path / TEST_ANSWERS).write_bytes(contents)
    with pytest.raises(tl.InputError, match=r"test_answers\.csv' cannot be read"):
        read_answers(tmp_path)
