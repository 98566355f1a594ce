"""Answers with their probabilities, read back from the tables of finished outputs."""

import csv

import numpy as np
import pytest

from tl_toolkit.errors import InputError
from tl_toolkit.report.answer_table import AnswerTable, read_answer_table


def write(path, columns, *rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_a_run_s_answers_are_read_with_their_probabilities(tmp_path):
    columns = [
        "image",
        "class",
        "answer",
        "probability of cat",
        'probability of a, "b"',
        "digest of the image",
    ]
    path = write(
        tmp_path / "test_answers.csv",
        columns,
        ["x/1.jpg", 'a, "b"', "cat", "0.700000", "0.300000", "d1"],
        ["x/2.jpg", "cat", "cat", "0.600000", "0.400000", "d2"],
    )
    table = read_answer_table(path)
    assert table.images == ("x/1.jpg", "x/2.jpg")
    assert table.class_names == ("cat", 'a, "b"')
    assert table.digests == ("d1", "d2")
    np.testing.assert_array_equal(table.labels, [1, 0])
    np.testing.assert_array_equal(table.said, [0, 0])
    np.testing.assert_array_equal(table.is_right, [False, True])
    np.testing.assert_allclose(table.of_truth, [0.3, 0.6])
    np.testing.assert_allclose(table.margin, [0.4, 0.2])
    np.testing.assert_allclose(np.exp(table.log_probabilities), table.probabilities)


def test_answers_out_of_fold_have_no_digests(tmp_path):
    columns = ["image", "class", "fold", "probability of 0", "probability of 1"]
    table = read_answer_table(write(tmp_path / "out.csv", columns, [7, "1", 0, "0.1", "0.9"]))
    assert table.digests == ()
    assert table.images == ("7",)
    assert table.said.tolist() == [1]


def test_a_probability_of_zero_has_a_finite_logarithm():
    table = AnswerTable(("a",), ("x", "y"), np.array([0]), np.array([[0.0, 1.0]]))
    assert np.isfinite(table.log_probabilities).all()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["image", "class"]],
        [["image", "class", "probability of a"], ["1", "b", "1"]],
        [["image", "class", "probability of a"], ["1", "a", "much"]],
        [["image", "class", "probability of a"], ["1"]],
    ],
)
def test_what_is_no_such_table_is_refused_by_its_name(tmp_path, rows):
    path = tmp_path / "answers.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(InputError, match=r"answers\.csv.*train again"):
        read_answer_table(path)
