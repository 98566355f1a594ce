"""What a page says is to be done, and the figures that it follows from."""

import numpy as np
import pytest
from synthetic import answers

from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.report.page.advice import Trained, advise, commonest, confused_pairs

LAST = Trained("last_layers")


def with_matrix(counts, *, confidence=0.9, names=None, positive=None):
    """Answers with that confusion matrix, each given with the same probability."""
    counts = np.array(counts)
    classes = len(counts)
    cells = [(t, s) for t in range(classes) for s in range(classes) for _ in range(counts[t, s])]
    labels, said = (np.array(column) for column in zip(*cells, strict=True))
    rest = (1 - confidence) / max(classes - 1, 1)
    probabilities = np.full((len(labels), classes), rest)
    probabilities[np.arange(len(labels)), said] = confidence
    names = names or tuple("abcdefgh"[:classes])
    table = AnswerTable(tuple(map(str, range(len(labels)))), names, labels, probabilities)
    metrics = classification_metrics(table.log_probabilities, labels, names, positive)
    return metrics, table


def said(metrics, table, trained=LAST):
    return " ".join(f"{one.finding} {one.action}" for one in advise(metrics, table, trained))


def test_a_model_no_better_than_the_commonest_class_is_told_so_first():
    metrics, table = with_matrix([[80, 0], [20, 0]])
    first = advise(metrics, table, LAST)[0]
    assert "always saying “a”, which is right on 80.0%" in first.finding
    assert commonest(metrics) == ("a", 0.8)


def test_few_test_photos_are_named_with_how_many_it_takes():
    text = said(*with_matrix([[18, 2], [2, 18]]))
    assert "40 test photos leave" in text
    # 1.96² p (1 - p) / 0.03² with p in the middle of the interval, 0.865
    assert "about 500 photos" in text
    assert "test photos leave" not in said(*with_matrix([[1800, 200], [200, 1800]]))


def test_a_gap_between_training_and_validation_is_named():
    metrics, table = with_matrix([[450, 50], [50, 450]])
    assert "learned training photos by heart" in said(
        metrics, table, Trained("full_fine_tune", False, 1.0, 0.85)
    )
    assert "by heart" not in said(metrics, table, Trained("full_fine_tune", False, 0.92, 0.9))
    assert "only 70.0% right" in said(metrics, table, Trained("full_fine_tune", False, 0.7, 0.69))


def test_sure_wrong_answers_point_to_labels():
    assert "12 wrong answers were given with a probability of 95%" in said(
        *with_matrix([[500, 6], [6, 500]], confidence=0.97)
    )
    assert "95%" not in said(*with_matrix([[500, 6], [6, 500]], confidence=0.9))


def test_the_most_confused_pair_counts_both_directions():
    metrics, table = with_matrix([[90, 7, 1], [5, 90, 0], [2, 0, 90]])
    assert confused_pairs(table) == [(0, 1, 7, 5), (2, 0, 2, 1)]
    assert "“a” and “b” are behind 12 of 15 wrong answers" in said(metrics, table)


def test_a_weak_rare_class_asks_for_photos_or_sampling():
    metrics, table = with_matrix([[200, 0, 0], [0, 200, 0], [12, 8, 20]])
    assert "Of 40 photos of “c” only 50% are found" in said(metrics, table)
    assert "--class-balance sampling" in said(metrics, table)
    assert "--class-balance" not in said(
        metrics, table, Trained("last_layers", class_balance="weights")
    )


def test_of_two_classes_a_weak_positive_one_asks_for_another_threshold():
    metrics, table = with_matrix([[300, 10], [60, 60]], positive=1)
    assert "Answer it from a lower probability on" in said(metrics, table)


def test_probabilities_that_are_off_are_named():
    assert "off by 29 points" in said(*with_matrix([[350, 150], [150, 350]], confidence=0.99))


def test_a_head_alone_is_pointed_to_the_ladder_unless_it_was_climbed():
    metrics, table = with_matrix([[450, 50], [50, 450]])
    assert "--strategy auto" in said(metrics, table, Trained("new_head"))
    assert "--strategy auto" not in said(metrics, table, Trained("new_head", is_climbed=True))


def test_where_nothing_is_wrong_it_says_so():
    (only,) = advise(*with_matrix([[500, 1], [0, 500]], confidence=0.9499), LAST)
    assert only.finding == "Nothing in these figures calls for a change."


@pytest.mark.parametrize("classes", [2, 5])
def test_any_answers_get_between_one_and_five_sentences(classes):
    for seed in range(5):
        table = answers(7, classes, seed=seed)
        metrics = classification_metrics(table.log_probabilities, table.labels, table.class_names)
        assert 1 <= len(advise(metrics, table, Trained("new_head", False, 0.9, 0.2))) <= 5
        assert advise(metrics, None, LAST)
