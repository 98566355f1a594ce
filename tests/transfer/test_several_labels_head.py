"""Of several labels each is scikit-learn's binary logistic regression, its column in its place."""

import numpy as np
import pytest
from families import long_after
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tl_toolkit.transfer import feature_space, logistic_regression
from tl_toolkit.transfer.logistic_regression import Problem
from tl_toolkit.transfer.solved_head import deal_folds, solve_head


class Array:
    """Rows in memory, in blocks, all of one view."""

    views = 1

    def __init__(self, array):
        self.array = array

    @property
    def shape(self):
        return self.array.shape

    def blocks(self, columns=slice(None)):
        for start in range(0, len(self.array), 37):
            yield self.array[start : start + 37, columns]


def rows_and_labels(examples=240, features=40, seed=0):
    """Features, and three labels of half, a fifth and a twentieth of the examples, the first two not independent."""
    random = np.random.default_rng(seed)
    rows = random.normal(0, 1, (examples, features)) * random.uniform(0.1, 10, features) + 5
    standardised = StandardScaler().fit_transform(rows)
    scores = standardised @ random.normal(0, 0.7, (features, 3)) + random.normal(
        0, 1, (examples, 3)
    )
    scores[:, 1] += 0.5 * scores[:, 0]
    labels = scores > np.quantile(scores, [0.5, 0.8, 0.95], axis=0)[np.arange(3), np.arange(3)]
    return rows.astype(np.float32), labels.astype(np.uint8)


def of_scikit_learn(rows, targets, weights, strength, scored=None):
    scaler = StandardScaler().fit(rows)
    columns = []
    for label in range(targets.shape[1]):
        head = LogisticRegression(C=strength, tol=1e-12, max_iter=50000)
        head.fit(scaler.transform(rows), targets[:, label], sample_weight=weights[:, label])
        columns.append(head.decision_function(scaler.transform(rows if scored is None else scored)))
    return np.stack(columns, axis=1)


@pytest.fixture(params=["span of examples", "streamed"])
def way(request, monkeypatch):
    name = request.param.title().replace(" Of ", "Of").replace(" ", "")
    chosen = getattr(feature_space, name)
    monkeypatch.setattr(
        logistic_regression,
        "choose_space",
        lambda rows: chosen(rows, feature_space.Standardisation.of(rows)),
    )


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("strength", long_after(2, [1e-3, 10.0, 0.1]))
def test_probabilities_are_scikit_learns_label_by_label(strength):
    rows, labels = rows_and_labels()
    weights = np.random.default_rng(4).uniform(0.3, 3, labels.shape)
    found = Problem(Array(rows), labels, weights).fit(strength)
    theirs = of_scikit_learn(rows.astype(np.float64), labels, weights, strength)
    np.testing.assert_allclose(expit(found.logits(rows)), expit(theirs), atol=1e-5)


def test_every_fold_is_scored_by_the_others_and_the_strength_is_shared():
    rows, labels = rows_and_labels()
    weights = np.ones(labels.shape)
    solved = solve_head(Array(rows), labels, 3, weights.astype(np.float32), np.arange(len(rows)))
    np.testing.assert_array_equal(solved.folds, deal_folds(labels, np.arange(len(rows)), 0))
    path = solved.path
    strength = path.strengths[path.best]
    theirs = np.empty(labels.shape)
    scaler = StandardScaler().fit(rows.astype(np.float64))
    for fold in range(solved.folds.max() + 1):
        out = solved.folds == fold
        for label in range(3):
            head = LogisticRegression(C=strength, tol=1e-10, max_iter=50000)
            head.fit(scaler.transform(rows[~out]), labels[~out, label])
            theirs[out, label] = head.decision_function(scaler.transform(rows[out]))
    # Folds are solved to what choosing a strength needs, the head itself exactly.
    np.testing.assert_allclose(expit(path.logits), expit(theirs), atol=1e-3)
    losses = np.logaddexp(0, theirs) - labels * theirs
    assert path.log_losses[path.best] == pytest.approx(losses.mean(), abs=1e-4)
    assert path.accuracies[path.best] == pytest.approx(((theirs >= 0) == labels).mean(), abs=2e-3)


def test_columns_that_are_exchanged_give_outputs_that_are_exchanged():
    rows, labels = rows_and_labels()
    order = [2, 0, 1]
    weights = np.random.default_rng(4).uniform(0.3, 3, labels.shape)
    found = Problem(Array(rows), labels, weights).fit(0.1)
    other = Problem(Array(rows), labels[:, order], weights[:, order]).fit(0.1)
    np.testing.assert_allclose(other.logits(rows), found.logits(rows)[:, order], atol=1e-5)


def test_a_label_that_a_fold_lacks_gives_finite_figures():
    rows, labels = rows_and_labels(60)
    labels[:, 2] = 0
    labels[7, 2] = 1
    uniform = np.ones(labels.shape, np.float32)
    solved = solve_head(Array(rows), labels, 3, uniform, np.arange(60))
    assert np.isfinite(solved.path.log_losses).all()
    assert np.isfinite(solved.head.kernel).all()
