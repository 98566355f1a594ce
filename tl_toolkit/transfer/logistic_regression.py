"""Logistic regression with an L2 penalty, multinomial or of several labels, solved to its minimum for every strength of a path.

Of examples i with weights w_i, targets t_i (each a distribution over the classes) and standardised features z_i
it minimises, over a kernel W and a bias b,

    Σ w_i · cross-entropy(t_i, softmax(z_i W + b)) + ‖W‖² / (2 C),

where C is the strength, as scikit-learn has it; the bias is not penalised. Of examples with several labels the
cross-entropy is the sum over the labels of that of sigmoid(z_i W + b): as many binary problems, of one strength. The
problem is solved by L-BFGS (Liu and
Nocedal 1989) in float64, in coordinates in which the features are uncorrelated and as curved as the loss, which
takes tens of steps where it would take hundreds. Where there are fewer examples than features, W lies in the span
of the examples: then only their products are needed, however many features there are. More examples than fit in
memory are read block by block, once a step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.optimize

from tl_toolkit.transfer.blas_threads import scipy_in_one_thread
from tl_toolkit.transfer.feature_space import LinearHead, Rows, Space, choose_space
from tl_toolkit.transfer.links import Link, OneClass, SeveralLabels

STRENGTHS = tuple(float(c) for c in np.logspace(-6, 1, 15))
STRENGTHS_WITHOUT_GAIN = 2  # that end a path: weaker penalties take the longest
MOST_STEPS = 2000
LARGEST_KERNELS = 2**21  # numbers that are solved for together: L-BFGS holds 25 times as many
CORRECTIONS = 10  # that L-BFGS keeps
# Largest gradient that is taken for none, in coordinates in which a step's length is a change of logits.
EXACT, CLOSE = 1e-9, 1e-5


@dataclasses.dataclass(frozen=True)
class Path:
    """What every strength gives on examples that it was not fitted to.

    Attributes:
        strengths: C, rising, as far as it paid to go.
        log_losses: float64[strengths], means over the scored examples by their weights; of several labels, over all
            answers.
        accuracies: float64[strengths], of the scored examples, all alike; of several labels, the share of all answers
            that are right from probability 0.5 on.
        logits: float64[examples, classes] of the best strength; every example's are of the fold that left it
            out. NaN where an example is not scored.
        nearby: Kernel and bias, the folds' mean at the best strength: near those of all examples.
    """

    strengths: tuple[float, ...]
    log_losses: np.ndarray
    accuracies: np.ndarray
    logits: np.ndarray
    nearby: tuple[np.ndarray, np.ndarray]

    @property
    def best(self) -> int:
        """Of the strengths, the one of the least log loss."""
        return int(np.argmin(self.log_losses))


class Problem:
    """Examples to fit heads to; what does not depend on the strength is computed once.

    Args:
        rows: float[examples, features].
        targets: float[examples, classes], each row a distribution; of several labels, each from 0 to 1.
        weights: float[examples], at least 0; of several labels, float[examples, labels].
    """

    def __init__(self, rows: Rows, targets: np.ndarray, weights: np.ndarray) -> None:
        self._targets = np.asarray(targets, np.float64)
        self._weights = np.asarray(weights, np.float64)
        self._link: Link = OneClass(self._targets.shape[1])
        self._folds = self._weights  # by which problems on the same examples differ
        if self._weights.ndim == 2:
            self._link, self._folds = SeveralLabels(self._weights), np.ones(len(self._weights))
        self._space = choose_space(rows)

    def fit(
        self, strength: float, nearby: tuple[np.ndarray, np.ndarray] | None = None
    ) -> LinearHead:
        """Returns the head of a strength, fitted to all examples.

        Args:
            strength: C.
            nearby: Of a `Path`, which saves steps.
        """
        kernel, bias = _minimise(
            self._space, self._link, self._targets, self._folds[:, None], strength, nearby, EXACT
        )
        return self._space.head(kernel[:, 0], bias[0])

    def cross_validate(
        self,
        folds: np.ndarray,
        scored: np.ndarray,
        strengths: Sequence[float] = STRENGTHS,
    ) -> Path:
        """Fits every strength to all folds but one, and measures it on that one; as many folds at once as fit.

        The features are standardised by all examples: that looks at no label.

        Args:
            folds: int[examples], from 0, the fold that each is in. Views of one image belong in one fold.
            scored: bool[examples], which are measured.
            strengths: C, rising. The path ends where two of them in turn have not lowered the log loss.
        """
        all_folds, classes = np.arange(folds.max() + 1), self._targets.shape[1]
        weights = self._folds[:, None] * (folds[:, None] != all_folds)
        together = max(1, LARGEST_KERNELS // max(1, len(self._space.curvature) * classes))
        groups = [all_folds[k : k + together] for k in range(0, len(all_folds), together)]
        targets, scored_weights = self._targets[scored], self._weights[scored]
        losses: list[float] = []
        accuracies: list[float] = []
        best = np.full(self._targets.shape, np.nan)
        solutions: list = [None] * len(groups)
        for strength in strengths:
            left_out = np.empty(self._targets.shape)
            for number, group in enumerate(groups):
                solutions[number] = _minimise(
                    self._space,
                    self._link,
                    self._targets,
                    weights[:, group],
                    strength,
                    solutions[number],
                    CLOSE,
                )
                logits = _logits(self._space, *solutions[number])
                for problem, fold in enumerate(group):
                    left_out[folds == fold] = logits[folds == fold, problem]
            logits = left_out[scored]
            of_each = self._link.losses(logits, targets)
            losses.append(float(np.average(of_each, weights=scored_weights)))
            accuracies.append(float(self._link.right(logits, targets).mean()))
            if losses[-1] == min(losses):
                best[scored] = logits
                nearby = _mean(solutions)
            elif len(losses) - int(np.argmin(losses)) > STRENGTHS_WITHOUT_GAIN:
                break
        return Path(
            tuple(strengths[: len(losses)]), np.array(losses), np.array(accuracies), best, nearby
        )


def _mean(solutions: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel and bias of one problem, the mean of all groups' problems."""
    kernels, biases = zip(*solutions, strict=True)
    problems = sum(len(of_group) for of_group in biases)
    kernel = sum(of_group.sum(axis=1, keepdims=True) for of_group in kernels) / problems
    return kernel, np.concatenate(biases).mean(axis=0, keepdims=True)


def _minimise(
    space: Space,
    link: Link,
    targets: np.ndarray,
    weights: np.ndarray,
    strength: float,
    start: tuple[np.ndarray, np.ndarray] | None,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Solves several problems with the same examples, whose weights differ, as one.

    Args:
        space: Coordinates of the examples.
        link: From logits to the loss.
        targets: float64[examples, classes].
        weights: float64[examples, problems], by which the problems differ.
        strength: C.
        start: A solution to begin from; None: no features, and the classes' shares.
        tolerance: `EXACT` or `CLOSE`.

    Returns:
        Kernels, float64[coordinates, problems, classes], and biases, float64[problems, classes].
    """
    problems, classes = weights.shape[1], targets.shape[1]
    totals = link.totals(weights)
    shape = len(space.curvature), problems, classes
    if start is None:
        start = np.zeros(shape), link.shares(targets, weights)
    scale = 1 / np.sqrt(link.curvature * weights.mean() * space.curvature + 1 / strength)
    scale = scale[:, None, None]
    bias_scale = 1 / np.sqrt(link.curvature * totals)

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        kernels, biases = _unpacked(flat, shape)
        kernels, biases = kernels * scale, biases * bias_scale
        loss = np.square(kernels).sum() / (2 * strength)
        of_biases = np.zeros(biases.shape)

        def respond(part: slice, products: np.ndarray) -> np.ndarray:
            nonlocal loss
            logits = products.reshape(len(products), problems, classes) + biases
            lost, errors = link.respond(logits, targets, weights, part)
            loss += lost
            of_biases[:] += errors.sum(axis=0)
            return errors.reshape(products.shape)

        pulled = space.sweep(kernels.reshape(len(kernels), -1), respond).reshape(shape)
        gradient = (pulled + kernels / strength) * scale
        packed = np.concatenate([gradient.ravel(), (of_biases * bias_scale).ravel()])
        return loss, packed

    begin = np.concatenate([(start[0] / scale).ravel(), (start[1] / bias_scale).ravel()])
    with scipy_in_one_thread():
        found = scipy.optimize.minimize(
            loss_and_gradient,
            begin,
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": MOST_STEPS,
                "maxfun": 2 * MOST_STEPS,
                "maxcor": CORRECTIONS,
                "ftol": 1e-14,
                "gtol": tolerance * np.sqrt(totals.min()),
            },
        )
    kernels, biases = _unpacked(found.x, shape)
    return kernels * scale, biases * bias_scale


def _unpacked(flat: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    size = int(np.prod(shape))
    return flat[:size].reshape(shape), flat[size:].reshape(shape[1:])


def _logits(space: Space, kernels: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """Returns float64[examples, problems, classes]."""
    parts = []

    def respond(_: slice, products: np.ndarray) -> np.ndarray:
        parts.append(products.reshape(-1, *biases.shape) + biases)
        return np.zeros(products.shape)

    space.sweep(kernels.reshape(len(kernels), -1), respond)
    return np.concatenate(parts)
