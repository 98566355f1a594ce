"""Which photos a page shows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from synthetic import answers

from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.page.photo_choice import (
    MOST_LISTED,
    TOP_LOSSES,
    choose_photos,
    in_turn,
    photos_to_explain,
)


def table(probabilities, labels):
    probabilities = np.array(probabilities, float)
    names = tuple(f"class {n}" for n in range(probabilities.shape[1]))
    return AnswerTable(tuple(map(str, range(len(labels)))), names, np.array(labels), probabilities)


SIX = table(
    [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.02, 0.98], [0.45, 0.55], [0.8, 0.2]], [0, 0, 0, 0, 1, 1]
)


def test_the_dearest_wrong_answers_come_first():
    assert choose_photos(SIX).top_losses == (3, 5, 2)


def test_each_class_has_its_best_worst_and_most_doubtful():
    first, second = choose_photos(SIX).of_class
    assert first.best == (0, 1)
    assert first.worst == (3, 2)
    assert first.doubtful == (1, 2, 0, 3)
    assert second.best == (4,)
    assert second.worst == (5,)


def test_a_cell_lists_its_surest_answers_first():
    cells = choose_photos(SIX).of_cell
    assert cells == {(0, 0): (0, 1), (0, 1): (3, 2), (1, 0): (5,), (1, 1): (4,)}


def test_those_to_explain_are_sure_and_wrong_then_doubtful_then_typical():
    assert photos_to_explain(SIX, of_each=2) == (
        (3, "wrong"),
        (5, "wrong"),
        (4, "doubtful"),
        (1, "doubtful"),
        (0, "typical"),
    )
    explained = photos_to_explain(answers(200, 4))
    assert [why for _, why in explained] == ["wrong"] * 4 + ["doubtful"] * 4 + ["typical"] * 4
    typical = [position for position, why in explained if why == "typical"]
    assert sorted(answers(200, 4).labels[typical]) == [0, 1, 2, 3]


def test_where_all_is_right_no_answer_is_among_the_worst():
    chosen = choose_photos(table([[0.9, 0.1], [0.2, 0.8]], [0, 1]))
    assert chosen.top_losses == ()
    assert [c.worst for c in chosen.of_class] == [(), ()]


def test_of_many_photos_few_are_listed_and_every_confusion_keeps_one():
    many = answers(20_000, 60, seed=2)
    chosen = choose_photos(many)
    wrong = {cell for cell in chosen.of_cell if cell[0] != cell[1]}
    pairs = {(int(t), int(s)) for t, s in zip(many.labels, many.said, strict=True) if t != s}
    assert wrong == pairs
    assert sum(map(len, chosen.of_cell.values())) <= MOST_LISTED
    assert len(chosen.top_losses) == TOP_LOSSES


@given(st.integers(1, 60), st.integers(1, 7), st.integers(0, 99))
def test_importance_orders_all_that_is_listed_once(photos, classes, seed):
    chosen = choose_photos(answers(photos, classes, seed=seed))
    assert sorted(chosen.by_importance()) == chosen.listed
    assert set(chosen.listed) <= set(range(photos))


def test_in_turn_takes_the_first_of_each_then_the_second():
    assert in_turn([[1, 2, 3], [], [4], [5, 6]]) == [1, 4, 5, 2, 6, 3]
    assert in_turn([[1, 2, 3], [4, 5]], 1) == [1, 4]
    assert in_turn([]) == []
