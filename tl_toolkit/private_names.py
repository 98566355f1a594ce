"""Private names of other packages, all in one place: what is used, and why there is no public way.

This file stands at the root because several layers use it. pyproject.toml bounds the versions of Keras,
TensorFlow and keras-tuner, and `tests/test_private_names.py` checks that every name is still there.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

KERAS_SUM_OF_GRADIENTS = "_all_reduce_sum_gradients"


def sums_gradients_as_known(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether Keras adds up the replicas' gradients by the method that `leave_gradients_alone` replaces."""
    return hasattr(optimizer, KERAS_SUM_OF_GRADIENTS)


def leave_gradients_alone(optimizer: keras.optimizers.Optimizer) -> None:
    """Keeps Keras from adding up the replicas' gradients; `TrainingStep` does.

    Keras would add them up after it has looked for overflows on one replica alone, and on a single replica by
    a custom gradient that TensorFlow registers for good, with the graph of every trial of a search.
    """
    setattr(optimizer, KERAS_SUM_OF_GRADIENTS, list)


def slurm_hosts(slurm: tf.distribute.cluster_resolver.SlurmClusterResolver) -> list[str]:
    """Returns the hosts in SLURM's own order; the resolver's public list is sorted as text: 10 before 9."""
    return list(slurm._task_configuration)


def release_pages(rows: np.ndarray) -> None:
    """Takes a memory-mapped array's pages off this process's memory; they stay in the system's file cache."""
    if isinstance(rows, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped: Any = rows._mmap  # type: ignore[attr-defined]
        mapped.madvise(mmap.MADV_DONTNEED)
