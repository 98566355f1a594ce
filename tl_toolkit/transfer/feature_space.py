"""Coordinates in which a linear head on many features is quickly solved for.

Of few examples, only what lies in their span matters, however many features there are; more examples than fit in
memory are read block by block.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import scipy.linalg

from tl_toolkit.errors import InputError

MOST_EXAMPLES = 6000  # of many features: their products take 288 MB
MANY_FEATURES = 4096  # the products of as many take 134 MB
# Of more examples with many features: how many to find the directions by in which they vary most, and how many directions.
SAMPLED, DIRECTIONS = 2048, 1024
NULL = 1e-10  # of the largest eigenvalue: what rounding leaves of none
NULL_SINGLE = 1e-6  # the same in float32
COLUMNS_AT_ONCE = 1024
ROWS_AT_ONCE = 4096
ROUNDING = 1e-4  # of a feature's mean: a deviation that says nothing, of a network in bfloat16

Respond = Callable[[slice, np.ndarray], np.ndarray]


class Rows(Protocol):
    """Features of examples, which need not be in memory."""

    @property
    def shape(self) -> tuple[int, int]:
        """(examples, features)."""

    def blocks(self, columns: slice = slice(None)) -> Iterator[np.ndarray]:
        """Yields float[rows, columns], all examples in order, a part that fits in memory at a time."""


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """A dense layer for features as they are: the standardisation is folded in.

    Attributes:
        kernel: float64[features, classes].
        bias: float64[classes].
        norms: float64[features], of the kernel's rows for standardised features: how much each counts.
    """

    kernel: np.ndarray
    bias: np.ndarray
    norms: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Returns float64[n, classes]."""
        return np.asarray(features, np.float64) @ self.kernel + self.bias


@dataclasses.dataclass(frozen=True)
class Standardisation:
    """What features are shifted and divided by.

    Attributes:
        mean: float64[features].
        deviation: float64[features]; infinite where a feature is constant, which then counts for nothing.
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, rows: Rows) -> Standardisation:
        """Measures it in two passes: of E[x²] − E[x]², rounding takes more.

        Raises:
            InputError: A feature is not finite.
        """
        examples, features = rows.shape
        mean = np.zeros(features)
        for block in rows.blocks():
            mean += block.sum(axis=0, dtype=np.float64)
        mean /= examples
        squares = np.zeros(features)
        for block in rows.blocks():
            squares += np.square(block - mean).sum(axis=0)
        deviation = np.sqrt(squares / examples)
        if not np.isfinite(deviation).all():
            raise InputError(
                f"{int((~np.isfinite(deviation)).sum())} of {features} features of the images are not finite numbers. "
                "Check the weights and their preprocessing, or use precision='float32'."
            )
        is_constant = deviation <= ROUNDING * np.abs(mean)
        return cls(mean, np.where(is_constant, np.inf, deviation))

    def apply(self, block: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """Returns those columns of examples, float64, standardised."""
        return (block - self.mean[columns]) / self.deviation[columns]

    def folded(self, kernel: np.ndarray, bias: np.ndarray) -> LinearHead:
        """Returns the head for features as they are, of a kernel and a bias for standardised ones."""
        norms = np.linalg.norm(kernel, axis=1)
        kernel = kernel / self.deviation[:, None]
        return LinearHead(kernel, bias - self.mean @ kernel, norms)


class Space(Protocol):
    """Orthonormal coordinates of the standardised features: Z = G Qᵀ, and W = Q V has V's norm."""

    curvature: np.ndarray  # float64[coordinates], Σ G², over the examples

    def sweep(self, kernels: np.ndarray, respond: Respond) -> np.ndarray:
        """Hands G V out block by block, and returns Gᵀ times what is answered.

        Args:
            kernels: float64[coordinates, columns], V.
            respond: From a slice of the examples and their float64[rows, columns] to as many numbers.
        """

    def head(self, kernel: np.ndarray, bias: np.ndarray) -> LinearHead:
        """Returns a kernel, float64[coordinates, classes], and its bias for features as they are."""


def choose_space(rows: Rows) -> Space:
    """Returns the coordinates that suit as many examples and features."""
    examples, features = rows.shape
    standardisation = Standardisation.of(rows)
    is_wide = features > MANY_FEATURES
    if examples <= (MOST_EXAMPLES if is_wide else features):
        return SpanOfExamples(rows, standardisation)
    return (LeadingDirections if is_wide else Streamed)(rows, standardisation)


class SpanOfExamples:
    """Coordinates of few examples: with Z Zᵀ = U S Uᵀ, G = U √S; nothing is as wide as the features."""

    def __init__(self, rows: Rows, standardisation: Standardisation) -> None:
        self._rows, self._standardisation = rows, standardisation
        values, vectors = scipy.linalg.eigh(
            _products(rows, standardisation), overwrite_a=True, check_finite=False
        )
        kept = values > NULL * max(values[-1], 1.0)
        self.curvature, self._roots = values[kept], np.sqrt(values[kept])
        self._coordinates = vectors[:, kept] * self._roots

    def sweep(self, kernels: np.ndarray, respond: Respond) -> np.ndarray:
        everything = slice(0, len(self._coordinates))
        return self._coordinates.T @ respond(everything, self._coordinates @ kernels)

    def head(self, kernel: np.ndarray, bias: np.ndarray) -> LinearHead:
        dual = self._coordinates @ (kernel / self.curvature[:, None])
        wide = np.zeros((self._rows.shape[1], kernel.shape[1]))
        start = 0
        for block in self._rows.blocks():
            wide += self._standardisation.apply(block).T @ dual[start : start + len(block)]
            start += len(block)
        return self._standardisation.folded(wide, bias)


class Streamed:
    """Uncorrelated coordinates of many examples, which are read anew in every sweep."""

    def __init__(self, rows: Rows, standardisation: Standardisation) -> None:
        self._rows, self._standardisation = rows, standardisation
        features = rows.shape[1]
        covariance = np.zeros((features, features))
        for block in rows.blocks():
            standardised = standardisation.apply(block)
            covariance += standardised.T @ standardised
        self.curvature, self._axes = _principal_axes(covariance)

    def sweep(self, kernels: np.ndarray, respond: Respond) -> np.ndarray:
        head = self.head(kernels, np.zeros(kernels.shape[1]))
        pulled = np.zeros(kernels.shape)
        responses = np.zeros(kernels.shape[1])
        start = 0
        for block in self._rows.blocks():
            raw = block.astype(np.float64)
            response = respond(slice(start, start + len(raw)), raw @ head.kernel + head.bias)
            pulled += raw.T @ response
            responses += response.sum(axis=0)
            start += len(raw)
        standardisation = self._standardisation
        pulled -= standardisation.mean[:, None] * responses
        pulled /= standardisation.deviation[:, None]
        return self._axes.T @ pulled

    def head(self, kernel: np.ndarray, bias: np.ndarray) -> LinearHead:
        return self._standardisation.folded(self._axes @ kernel, bias)


class LeadingDirections:
    """Coordinates of many examples with many features, along the directions in which a sample varies most.

    The head is the best of those that see nothing else: what varies along no such direction is left out. In exchange
    the features are read a few times, and not in every step; an image takes 4 kB of memory.
    """

    def __init__(self, rows: Rows, standardisation: Standardisation) -> None:
        self._standardisation = standardisation
        sample = standardisation.apply(_sampled(rows, SAMPLED)).astype(np.float32)
        values, vectors = scipy.linalg.eigh(sample @ sample.T, check_finite=False)
        values, vectors = values[-DIRECTIONS:], vectors[:, -DIRECTIONS:]
        kept = values > NULL_SINGLE * max(values[-1], 1.0)
        directions = sample.T @ (vectors[:, kept] / np.sqrt(values[kept]))
        del sample
        coordinates = np.empty((rows.shape[0], directions.shape[1]), np.float32)
        start = 0
        for block in rows.blocks():
            standardised = standardisation.apply(block).astype(np.float32)
            np.matmul(standardised, directions, out=coordinates[start : start + len(block)])
            start += len(block)
        self._directions, self._coordinates = directions, coordinates
        covariance = np.zeros((directions.shape[1],) * 2)
        for _, part in self._parts():
            covariance += part.T @ part
        self.curvature, self._axes = _principal_axes(covariance)

    def sweep(self, kernels: np.ndarray, respond: Respond) -> np.ndarray:
        along = self._axes @ kernels
        pulled = np.zeros(along.shape)
        for rows, part in self._parts():
            pulled += part.T @ respond(rows, part @ along)
        return self._axes.T @ pulled

    def head(self, kernel: np.ndarray, bias: np.ndarray) -> LinearHead:
        return self._standardisation.folded(self._directions @ (self._axes @ kernel), bias)

    def _parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, len(self._coordinates), ROWS_AT_ONCE):
            part = self._coordinates[start : start + ROWS_AT_ONCE].astype(np.float64)
            yield slice(start, start + len(part)), part


def _principal_axes(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns what features vary along each axis, float64[axes], and the axes, float64[features, axes]."""
    values, vectors = scipy.linalg.eigh(covariance, check_finite=False)
    return np.maximum(values, 0.0), vectors


def _sampled(rows: Rows, count: int) -> np.ndarray:
    """Returns float[count, features], examples from the first to the last, evenly."""
    wanted = np.arange(count) * rows.shape[0] // count
    parts, start = [], 0
    for block in rows.blocks():
        inside = (wanted >= start) & (wanted < start + len(block))
        parts.append(block[wanted[inside] - start])
        start += len(block)
    return np.concatenate(parts)


def _products(rows: Rows, standardisation: Standardisation) -> np.ndarray:
    """Returns Z Zᵀ, float64[examples, examples]: over all features, a few at a time."""
    examples, features = rows.shape
    products = np.zeros((examples, examples), order="F")
    for start in range(0, features, COLUMNS_AT_ONCE):
        columns = slice(start, start + COLUMNS_AT_ONCE)
        part = np.concatenate(list(rows.blocks(columns)))
        part = standardisation.apply(part, columns)
        # Of a symmetric product, half is enough: `eigh` reads the lower triangle.
        products = scipy.linalg.blas.dsyrk(
            1.0, part.T, beta=1.0, c=products, trans=1, lower=1, overwrite_c=1
        )
    return products
