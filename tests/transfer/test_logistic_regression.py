"""The solver's minimum is scikit-learn's, whichever way it is found, and its folds do not leak."""

import numpy as np
import pytest
from families import long_after
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tl_toolkit.transfer import feature_space, logistic_regression
from tl_toolkit.transfer.logistic_regression import Problem


class Array:
    """Rows in memory, in blocks."""

    def __init__(self, array, rows_at_once=7):
        self.array, self.rows_at_once, self.largest = array, rows_at_once, 0

    @property
    def shape(self):
        return self.array.shape

    def blocks(self, columns=slice(None)):
        for start in range(0, len(self.array), self.rows_at_once):
            yield self.array[start : start + self.rows_at_once, columns]


def clusters(examples, features, classes, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(examples) % classes
    centres = np.random.default_rng(99).normal(0, 1, (classes, features))
    rows = centres[labels] + random.normal(0, 3, (examples, features))
    scale = np.random.default_rng(98).uniform(0.1, 10, features)
    return (rows * scale + 5).astype(np.float32), labels


@pytest.fixture(
    params=[
        "span of examples",
        "streamed",
        pytest.param("leading directions", marks=pytest.mark.long),
    ]
)
def way(request, monkeypatch):
    """Each way in which coordinates are chosen, on sizes that would not need it."""
    name = request.param.title().replace(" Of ", "Of").replace(" ", "")
    chosen = getattr(feature_space, name)
    monkeypatch.setattr(
        logistic_regression,
        "choose_space",
        lambda rows: chosen(rows, feature_space.Standardisation.of(rows)),
    )
    return request.param


@pytest.mark.parametrize(
    ("examples", "features", "name"),
    [
        (60, 150, "SpanOfExamples"),
        (150, 60, "Streamed"),
        (300, 200, "SpanOfExamples"),
        (301, 200, "LeadingDirections"),
    ],
)
def test_the_way_follows_from_the_sizes(examples, features, name, monkeypatch):
    monkeypatch.setattr(feature_space, "MOST_EXAMPLES", 300)
    monkeypatch.setattr(feature_space, "MANY_FEATURES", 160)
    rows = np.random.default_rng(0).normal(0, 1, (examples, features))
    assert type(feature_space.choose_space(Array(rows))).__name__ == name


def test_a_head_along_few_leading_directions_is_the_best_that_sees_no_others(monkeypatch):
    """Four of 40 directions carry nearly all: scikit-learn's head for the data along them, to what a sample tells."""
    random = np.random.default_rng(5)
    hidden, labels = random.normal(0, 1, (900, 4)), None
    labels = (hidden @ [1.0, -2.0, 0.5, 0.0] + random.normal(0, 0.5, 900) > 0).astype(int)
    rows = hidden @ random.normal(0, 1, (4, 40)) + random.normal(0, 0.02, (900, 40))
    monkeypatch.setattr(feature_space, "MOST_EXAMPLES", 100)
    monkeypatch.setattr(feature_space, "MANY_FEATURES", 10)
    monkeypatch.setattr(feature_space, "SAMPLED", 300)
    monkeypatch.setattr(feature_space, "DIRECTIONS", 4)
    found = Problem(Array(rows), np.eye(2)[labels], np.ones(900))
    ours = found.fit(0.5)
    standardised = StandardScaler().fit_transform(rows)
    _, _, axes = np.linalg.svd(standardised, full_matrices=False)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=20000)
    theirs.fit(standardised @ axes[:4].T, labels)
    np.testing.assert_allclose(
        softmax(ours.logits(rows), axis=1),
        theirs.predict_proba(standardised @ axes[:4].T),
        atol=2e-3,
    )


@pytest.mark.parametrize(("examples", "features"), [(60, 150), (90, 20)])
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("strength", long_after(2, [1e-3, 10.0, 0.1]))
def test_it_finds_the_minimum_that_scikit_learn_finds(way, examples, features, classes, strength):
    rows, labels = clusters(examples, features, classes)
    weights = np.random.default_rng(1).uniform(0.2, 3, examples)
    rows = rows.astype(np.float64)  # scikit-learn computes in what it is given
    scaler = StandardScaler().fit(rows)
    theirs = LogisticRegression(C=strength, tol=1e-10, max_iter=20000)
    theirs.fit(scaler.transform(rows), labels, sample_weight=weights)
    ours = Problem(Array(rows), np.eye(classes)[labels], weights).fit(
        strength if classes > 2 else strength / 2
    )
    other = clusters(40, features, classes, seed=2)[0].astype(np.float64)
    np.testing.assert_allclose(
        softmax(ours.logits(other), axis=1),
        theirs.predict_proba(scaler.transform(other)),
        atol=1e-4,
    )


def test_folds_are_fitted_as_each_would_be_alone(way):
    rows, labels = clusters(50, 80, 3)
    folds, weights = np.arange(50) // 3 % 4, np.ones(50)
    targets = np.eye(3)[labels]
    strengths = (1e-4, 1e-2, 1.0)
    path = Problem(Array(rows), targets, weights).cross_validate(folds, weights > 0, strengths)
    best = path.strengths[path.best]
    for fold in range(4):
        # A weight of 0 leaves an example out of the fit, and leaves the standardisation as it is.
        head = Problem(Array(rows), targets, 1.0 * (folds != fold)).fit(best)
        of_fold = folds == fold
        np.testing.assert_allclose(path.logits[of_fold], head.logits(rows[of_fold]), atol=4e-3)


def test_folds_in_turn_give_what_folds_together_give(way, monkeypatch):
    rows, labels = clusters(50, 80, 3)
    folds, weights, targets = np.arange(50) // 3 % 4, np.ones(50), np.eye(3)[labels]
    together = Problem(Array(rows), targets, weights).cross_validate(
        folds, weights > 0, (1e-3, 0.1)
    )
    monkeypatch.setattr(logistic_regression, "LARGEST_KERNELS", 1)
    in_turn = Problem(Array(rows), targets, weights).cross_validate(folds, weights > 0, (1e-3, 0.1))
    np.testing.assert_allclose(in_turn.logits, together.logits, atol=2e-3)
    np.testing.assert_allclose(in_turn.log_losses, together.log_losses, atol=1e-4)
    for one, other in zip(in_turn.nearby, together.nearby, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_an_examples_label_does_not_reach_the_fold_that_it_is_left_out_of(way):
    rows, labels = clusters(40, 60, 2)
    folds, everything = np.arange(40) // 2 % 4, np.ones(40)
    turned = np.where(folds == 3, 1 - labels, labels)
    before, after = (
        Problem(Array(rows), np.eye(2)[of], everything).cross_validate(
            folds, everything > 0, (0.1,)
        )
        for of in (labels, turned)
    )
    np.testing.assert_allclose(after.logits[folds == 3], before.logits[folds == 3], atol=2e-3)
    assert np.abs(after.logits[folds == 0] - before.logits[folds == 0]).max() > 0.01


def test_labels_at_random_are_not_predicted_out_of_fold():
    random = np.random.default_rng(3)
    rows, labels = random.normal(0, 1, (200, 500)), random.permutation(np.arange(200) % 2)
    found = Problem(Array(rows), np.eye(2)[labels], np.ones(200)).cross_validate(
        random.permutation(np.arange(200) % 5), np.ones(200, bool), (1e-6, 1e-3, 0.1)
    )
    assert found.strengths[found.best] == 1e-6
    assert found.log_losses[0] == pytest.approx(np.log(2), abs=0.01)
    assert (found.logits.argmax(1) == labels).mean() < 0.62


def test_a_path_ends_where_weaker_penalties_do_not_help():
    rows, labels = clusters(90, 20, 3)
    targets, folds = np.eye(3)[labels], np.arange(90) // 3 % 5
    strengths = tuple(10.0**k for k in range(-8, 5))
    path = Problem(Array(rows), targets, np.ones(90)).cross_validate(
        folds, np.ones(90, bool), strengths
    )
    assert len(path.strengths) == path.best + 3 < len(strengths)
    assert path.log_losses[path.best] == path.log_losses.min() < np.log(3)
    assert path.accuracies[path.best] == (path.logits.argmax(1) == labels).mean() > 0.5


def test_only_what_is_scored_is_measured():
    rows, labels = clusters(40, 30, 2)
    scored = np.arange(40) < 20
    path = Problem(Array(rows), np.eye(2)[labels], np.ones(40)).cross_validate(
        np.arange(40) // 2 % 4, scored, (0.01,)
    )
    assert np.isfinite(path.logits[scored]).all()
    assert np.isnan(path.logits[~scored]).all()
    shares = softmax(path.logits[scored], axis=1)[np.arange(20), labels[scored]]
    assert path.log_losses[0] == pytest.approx(-np.log(shares).mean())


def test_the_same_problem_has_the_same_solution_bit_for_bit(way):
    rows, labels = clusters(50, 80, 3)
    heads = [Problem(Array(rows), np.eye(3)[labels], np.ones(50)).fit(0.01) for _ in range(2)]
    assert heads[0].kernel.tobytes() == heads[1].kernel.tobytes()


def test_constant_features_count_for_nothing(way):
    rows, labels = clusters(30, 4, 2)
    constant = np.full((30, 1), 1e6, np.float32)
    targets = np.eye(2)[labels]
    without = Problem(Array(rows), targets, np.ones(30)).fit(0.1)
    beside = Problem(Array(np.hstack([constant, rows])), targets, np.ones(30)).fit(0.1)
    np.testing.assert_allclose(beside.kernel[1:], without.kernel, atol=1e-5)
    assert beside.kernel[0].tolist() == [0, 0]
