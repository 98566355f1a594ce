"""Orthogonal changes of coordinates in which features are uncorrelated, wholly or for the most part."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.linalg

NULL = 1e-10  # of the largest eigenvalue: what rounding leaves of none


class Rotation(Protocol):
    """An orthogonal matrix Q, float64[features, features], which need not be held as such."""

    curvature: (
        np.ndarray
    )  # float64[features], of the features along Q's columns: their sums of squares

    def to_features(self, coordinates: np.ndarray) -> np.ndarray:
        """Returns Q times float64[features, columns]."""

    def from_features(self, features: np.ndarray) -> np.ndarray:
        """Returns Qᵀ times float64[features, columns]."""


class Eigenvectors:
    """All directions of few features: uncorrelated coordinates.

    Args:
        covariance: float64[features, features], sums of products over the examples.
    """

    def __init__(self, covariance: np.ndarray) -> None:
        values, self._vectors = scipy.linalg.eigh(covariance, check_finite=False)
        self.curvature = np.maximum(values, 0.0)

    def to_features(self, coordinates: np.ndarray) -> np.ndarray:
        return self._vectors @ coordinates

    def from_features(self, features: np.ndarray) -> np.ndarray:
        return self._vectors.T @ features


class LeadingDirections:
    """The directions in which many features vary most, and as one the rest, which is taken for uncorrelated.

    Q is a product of Householder reflections, one a direction, in compact form (Schreiber and Van Loan 1989): it
    takes `directions` columns of memory, and its product with a vector as much work.

    Args:
        sample: float64[some, features], standardised examples to find the directions by. It is overwritten.
        examples: How many there are in all.
        directions: How many to find; fewer where the sample spans no more.
    """

    def __init__(self, sample: np.ndarray, examples: int, directions: int) -> None:
        sampled, features = sample.shape
        values, vectors = scipy.linalg.eigh(sample @ sample.T, overwrite_a=True, check_finite=False)
        values, vectors = values[::-1][:directions], vectors[:, ::-1][:, :directions]
        kept = values > NULL * max(values.max(initial=0.0), 1.0)
        leading = values[kept]
        total = float(np.square(sample).sum())
        along = sample.T @ (vectors[:, kept] / np.sqrt(leading))
        (raw, scales), _ = scipy.linalg.qr(along, mode="raw", overwrite_a=True, check_finite=False)
        count = len(leading)
        reflectors = np.tril(raw[:, :count], -1)
        np.fill_diagonal(reflectors, 1.0)
        self._reflectors = reflectors
        products = np.triu(reflectors.T @ reflectors, 1)
        # A scale of 0 is a reflection that does nothing.
        self._triangle = np.linalg.solve(
            np.eye(count) + scales[:, None] * products, np.diag(scales)
        )
        rest = max(total - leading.sum(), 0.0) / max(features - count, 1)
        of_sample = np.full(features, rest)
        of_sample[:count] = leading
        self.curvature = of_sample * (examples / sampled)

    def to_features(self, coordinates: np.ndarray) -> np.ndarray:
        return coordinates - self._reflectors @ (
            self._triangle @ (self._reflectors.T @ coordinates)
        )

    def from_features(self, features: np.ndarray) -> np.ndarray:
        return features - self._reflectors @ (self._triangle.T @ (self._reflectors.T @ features))
