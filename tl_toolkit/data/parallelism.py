"""How far a pipeline works ahead: fixed, without tf.data's autotuning.

Where a pipeline with autotuning ends, its tuning thread can miss the word to stop, and the end of an iterator
then waits, cores idle, until that thread's next turn: 10 ms x 2^n after the pipeline's start (TensorFlow 2.21).
"""

from __future__ import annotations

import os

import tensorflow as tf

PARALLEL_CALLS = max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
PREFETCHED = 2  # batches
# Files that Python reads side by side. A whole batch of large ones would take gigabytes.
FILES_AT_ONCE = max(8, PARALLEL_CALLS)


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the data set with the parallelism that its transformations name, and no tuning thread."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
