"""Rotations are orthogonal, and their first coordinates are the directions in which features vary most."""

import numpy as np
import pytest

from tl_toolkit.transfer.rotation import Eigenvectors, LeadingDirections


def correlated(examples, features, seed=0):
    random = np.random.default_rng(seed)
    mixing = random.normal(0, 1, (features, features)) * np.linspace(3, 0.1, features)
    return random.normal(0, 1, (examples, features)) @ mixing.T


def dense(rotation, features):
    return rotation.to_features(np.eye(features))


@pytest.mark.parametrize("directions", [0, 1, 5, 12, 40])
@pytest.mark.parametrize("examples", [8, 60])
def test_it_is_orthogonal_and_goes_back(directions, examples):
    rows = correlated(examples, 12)
    rotation = LeadingDirections(rows.copy(), examples, directions)
    matrix = dense(rotation, 12)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(rotation.from_features(matrix), np.eye(12), atol=1e-12)


def test_the_leading_coordinates_are_those_of_all_eigenvectors():
    rows = correlated(60, 12)
    whole = Eigenvectors(rows.T @ rows)
    leading = LeadingDirections(rows.copy(), 60, 4)
    np.testing.assert_allclose(leading.curvature[:4], whole.curvature[::-1][:4], rtol=1e-9)
    cosines = np.abs((dense(leading, 12)[:, :4] * dense(whole, 12)[:, ::-1][:, :4]).sum(axis=0))
    np.testing.assert_allclose(cosines, 1, atol=1e-9)
    coordinates = rows @ dense(leading, 12)
    np.testing.assert_allclose(
        np.square(coordinates).sum(axis=0)[:4], leading.curvature[:4], rtol=1e-9
    )
    # What is left is taken for equal in all other directions.
    rest = np.square(coordinates).sum(axis=0)[4:].mean()
    np.testing.assert_allclose(leading.curvature[4:], rest, rtol=1e-9)


def test_a_samples_curvature_counts_for_all_examples():
    rows = correlated(60, 12)
    of_sample = LeadingDirections(rows.copy(), 60, 4).curvature
    of_all = LeadingDirections(rows.copy(), 6000, 4).curvature
    np.testing.assert_allclose(of_all, 100 * of_sample, rtol=1e-12)


def test_features_that_do_not_vary_are_no_direction():
    rows = correlated(60, 12)
    rows[:, 5:] = 0
    rotation = LeadingDirections(rows, 60, 12)
    assert np.isfinite(dense(rotation, 12)).all()
    np.testing.assert_allclose(rotation.curvature[5:], 0, atol=1e-9)
    empty = LeadingDirections(np.zeros((10, 12)), 10, 4)
    np.testing.assert_array_equal(dense(empty, 12), np.eye(12))
    np.testing.assert_array_equal(empty.curvature, 0)
