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
from tl_toolkit.transfer.rotation import NULL, Eigenvectors, LeadingDirections, Rotation

MOST_IN_MEMORY = 6000  # examples: their products take 288 MB
MOST_ROTATED = 4096  # features
SAMPLED, DIRECTIONS = (
    2048,
    256,
)  # of more features: examples to find the directions by in which they vary most
COLUMNS_AT_ONCE = 1024
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
    if examples <= min(features, MOST_IN_MEMORY):
        return SpanOfExamples(rows, standardisation)
    return Streamed(rows, standardisation)


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
    """Coordinates of many examples, which are read anew in every sweep."""

    def __init__(self, rows: Rows, standardisation: Standardisation) -> None:
        self._rows, self._standardisation = rows, standardisation
        examples, features = rows.shape
        if features <= MOST_ROTATED:
            covariance = np.zeros((features, features))
            for block in rows.blocks():
                standardised = standardisation.apply(block)
                covariance += standardised.T @ standardised
            self._rotation: Rotation = Eigenvectors(covariance)
        else:
            sample = standardisation.apply(_sampled(rows, min(SAMPLED, examples)))
            self._rotation = LeadingDirections(sample, examples, DIRECTIONS)
        self.curvature = self._rotation.curvature

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
        return self._rotation.from_features(pulled)

    def head(self, kernel: np.ndarray, bias: np.ndarray) -> LinearHead:
        return self._standardisation.folded(self._rotation.to_features(kernel), bias)


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
