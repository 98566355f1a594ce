"""Whether two classifiers differ beyond chance on the same images: each image is asked of both."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, binomtest, norm

LEVEL = 0.05  # of p, two-sided
POWER = 0.8
Z = float(norm.ppf(1 - LEVEL / 2))
# Of pairs in which one alone is right, all of them for the same one: with fewer, p is never under 0.05.
FEWEST_PAIRS_THAT_CAN_TELL = 6


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """McNemar's test of two classifiers, A and B, on the same images.

    Attributes:
        images: How many there are.
        both_right: Images that both have right.
        only_a: Images that A alone has right.
        only_b: Images that B alone has right.
        both_wrong: Images that neither has right.
        p_value: Exact and two-sided: how often a difference as large would come about if an image that one alone has
            right were as likely A's as B's (McNemar 1947).
        difference: Accuracy of B less that of A.
        interval: 95% interval of that difference: Tango's score interval (Statistics in Medicine 17, 1998).
        images_needed: About how many images it takes to find a difference of this size at p < 0.05 in four cases of
            five (Connor, Biometrics 43, 1987); None where there is no difference.

    Examples:
        >>> test = tl.paired_test("my_run", "my_second_run")
        >>> test.images, test.only_a, test.only_b, test.is_beyond_chance
        (12, 0, 0, False)
    """

    images: int
    both_right: int
    only_a: int
    only_b: int
    both_wrong: int
    p_value: float
    difference: float
    interval: tuple[float, float]
    images_needed: int | None

    @property
    def is_beyond_chance(self) -> bool:
        """Whether p is under 0.05."""
        return self.p_value < LEVEL

    def __str__(self) -> str:
        if not self.is_beyond_chance:
            if self.images_needed is None:
                return f"These {self.images} test images cannot tell the two apart: both have as many right."
            return (
                f"These {self.images} test images cannot tell the two apart (McNemar p {p_text(self.p_value, '= ')}): it "
                f"would take about {_two_digits(self.images_needed):,} to find a difference of this size."
            )
        better, other, sign = ("B", "A", 1) if self.difference > 0 else ("A", "B", -1)
        low, high = sorted(sign * bound for bound in self.interval)
        more = abs(self.only_b - self.only_a)
        return (
            f"{better} is right on {more} more of {self.images} test images than {other} "
            f"({100 * abs(self.difference):.1f} points, 95% interval {100 * low:.1f} to {100 * high:.1f}; McNemar "
            f"p {p_text(self.p_value, '= ')})."
        )


def mcnemar_test(a_is_right: np.ndarray, b_is_right: np.ndarray) -> PairedTest:
    """Compares two classifiers by the images that one alone has right.

    Args:
        a_is_right: bool[n], of each image, whether A has it right.
        b_is_right: bool[n], of the same images in the same order, at least one.
    """
    images = len(a_is_right)
    only_a, only_b = int((a_is_right & ~b_is_right).sum()), int((~a_is_right & b_is_right).sum())
    return PairedTest(
        images=images,
        both_right=int((a_is_right & b_is_right).sum()),
        only_a=only_a,
        only_b=only_b,
        both_wrong=int((~a_is_right & ~b_is_right).sum()),
        p_value=float(binomtest(only_b, only_a + only_b).pvalue) if only_a + only_b else 1.0,
        difference=(only_b - only_a) / images,
        interval=tango_interval(only_b, only_a, images),
        images_needed=images_needed(only_b, only_a, images),
    )


def tango_interval(gained: int, lost: int, images: int) -> tuple[float, float]:
    """95% interval of a difference of paired proportions, by inverting its score test (Tango 1998, section 3).

    Args:
        gained: Pairs in which the second alone is right.
        lost: Pairs in which the first alone is right.
        images: All pairs.
    """

    def upper(gained: int, lost: int) -> float:
        estimate = (gained - lost) / images
        if estimate == 1:
            return 1.0
        return float(
            brentq(lambda d: _score(d, gained, lost, images) + Z, estimate, 1 - 1e-12, xtol=1e-12)
        )

    return -upper(lost, gained), upper(gained, lost)


def _score(difference: float, gained: int, lost: int, images: int) -> float:
    """Distance of what was seen from a difference, in standard errors if that is the true one."""
    # The most likely share of lost pairs under that difference solves 2n q² + b q + c = 0.
    b = (2 * images - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    share = (math.sqrt(max(b * b - 8 * images * c, 0.0)) - b) / (4 * images)
    variance = images * (2 * share + difference * (1 - difference))
    distance = gained - lost - images * difference
    return 0.0 if distance == 0 else distance / math.sqrt(max(variance, 1e-300))


def images_needed(gained: int, lost: int, images: int) -> int | None:
    """Images with which McNemar's test finds the same shares in four cases of five (Connor 1987, equation 3).

    Returns:
        Their number; None where as many are gained as lost.
    """
    if gained == lost:
        return None
    discordant, difference = (gained + lost) / images, abs(gained - lost) / images
    deviations = Z * math.sqrt(discordant)
    deviations += float(norm.ppf(POWER)) * math.sqrt(max(discordant - difference**2, 0.0))
    # The formula is of the test's normal approximation, which the exact one asks a little more than.
    return math.ceil(max((deviations / difference) ** 2, FEWEST_PAIRS_THAT_CAN_TELL / discordant))


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p of a paired permutation test: each image's difference could as well be the other way round.

    The distribution of the sum under all 2ⁿ flips of signs is computed exactly (Fisher 1935, section 21). With
    differences of -1, 0 and 1 it is McNemar's exact test.

    Args:
        differences: int64[n], for each image how many more times the one classifier was right than the other.
    """
    from scipy.signal import fftconvolve  # imported in an eighth of a second, and few compare

    sizes = np.abs(differences[differences != 0])
    if not len(sizes):
        return 1.0
    distribution = np.ones(1)  # of the sum of what is flipped, from 0 to all
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = _binomial(int(count))
        distribution = fftconvolve(distribution, of_size)
    sums = 2 * np.arange(len(distribution)) - int(sizes.sum())
    as_far = np.abs(sums) >= abs(int(differences.sum()))
    return float(np.clip(distribution[as_far].sum(), 0.0, 1.0))


def _binomial(count: int) -> np.ndarray:
    """float64[count + 1], the probabilities of a fair coin's heads."""
    return binom.pmf(np.arange(count + 1), count, 0.5)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p values that hold for all of them together (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def p_text(p_value: float, equals: str = "") -> str:
    """Returns a p value as it is read: two digits under 0.1, and no more zeros than say something."""
    if p_value < 0.001:
        return "< 0.001"
    return f"{equals}{p_value:.2f}" if p_value >= 0.0995 else f"{equals}{p_value:.2g}"


def _two_digits(count: int) -> int:
    """Rounds a number up to two digits: it is a rough one."""
    step = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // step) * step
