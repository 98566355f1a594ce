"""Where the time of a training step of ResNet-50 goes, by oneDNN's own count, beside matrix products as fast as here."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from cases import matrix_products
from harness import Benchmark, CannotRunError, Measured, all_cores, main
from stopwatch import Spent
from training_step import BATCH, STEPS, WARM_UP, our_steps

OURS = "tl_toolkit ResNet-50, float32"
BOUND = "matrix products of 4,096², as many operations as the convolutions"
# oneDNN's names for a primitive and its propagation; the order of the rows.
PARTS = {
    ("convolution", "forward_training"): "convolutions, forward",
    ("convolution", "backward_data"): "convolutions, gradient of the input",
    ("convolution", "backward_weights"): "convolutions, gradient of the filter",
    ("batch_normalization", "forward_training"): "batch normalisation, forward",
    ("batch_normalization", "backward"): "batch normalisation, gradient",
    ("reorder", "undef"): "changes of layout",
}
REST = "all else: ReLU, additions, pooling, loss, AdamW, Python"


def profile() -> dict[str, Measured]:
    """Seconds of a step and of its parts, means over the measured steps."""
    with _standard_output() as written:
        steps = our_steps(50, "float32")[WARM_UP:]
        text = written()
    parts = _seconds_of_parts(text, len(steps))
    whole = sum(step.wall for step in steps) / len(steps)
    parts[REST] = whole - sum(parts.values())
    spent = sum(steps, Spent(0.0, 0.0, 0.0)) * (1 / len(steps))
    return {
        "": Measured(whole, spent),
        # Spent as the whole step: oneDNN counts a part's seconds by the clock alone.
        **{name: Measured(seconds, spent) for name, seconds in parts.items()},
    }


def _seconds_of_parts(text: str, steps: int) -> dict[str, float]:
    """Sums oneDNN's milliseconds up by part, over the last steps of those in the text, for one step."""
    lines = [line.split(",") for line in text.splitlines() if ",exec,cpu," in line]
    if not lines:
        raise CannotRunError("oneDNN says nothing of its work here")
    last = lines[-(len(lines) // (WARM_UP + steps)) * steps :]
    seconds: collections.Counter[str] = collections.Counter()
    for words in last:
        primitive, _, propagation = words[words.index("exec") + 2 :][:3]
        name = PARTS.get((primitive, propagation))
        if name is not None:
            seconds[name] += float(words[-1]) / 1000 / steps
    return {name: seconds[name] for name in PARTS.values()}


def bound() -> Measured:
    """Seconds that a step's convolutions would take at the speed of a large matrix product."""
    measured = matrix_products(passes=3)
    return Measured(BATCH / measured.figure, measured.spent)


@contextlib.contextmanager
def _standard_output() -> Iterator[Callable[[], str]]:
    """Yields a function that returns what oneDNN has written to standard output since."""
    sys.stdout.flush()
    before = os.dup(1)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 1)

        def written() -> str:
            file.seek(0)
            return file.read()

        try:
            yield written
        finally:
            os.dup2(before, 1)
            os.close(before)


BENCHMARK = Benchmark(
    title="Parts of a training step, ResNet-50, 224 px, batch 16",
    unit="seconds",
    cases={OURS: profile, BOUND: bound},
    minutes=3,
    environment={OURS: {"ONEDNN_VERBOSE": "1", "TF_NUM_INTEROP_THREADS": "1"}},
    cores=all_cores(),
    note=(
        "One operation at a time on all cores, so that the parts add up to the step; by itself TensorFlow runs two side "
        f"by side, and takes as long. Means of {STEPS} steps. The parts' seconds are oneDNN's own, by the clock; wall "
        "and CPU seconds stand for the whole step."
    ),
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
