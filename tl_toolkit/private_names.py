"""Private names of other packages, all in one place: what is used, and why there is no public way.

This file stands at the root because several layers use it. pyproject.toml bounds the versions of Keras,
TensorFlow and keras-tuner, and `tests/test_private_names.py` checks that every name is still there.
"""

from __future__ import annotations

import dataclasses
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


@dataclasses.dataclass(frozen=True)
class InheritedName:
    """A private name of another package's class that a subclass here calls or overrides.

    Attributes:
        owner: The class.
        name: The method or attribute.
        parameters: Of the method, without `self`; None for an attribute.
        reason: Why it is used.
    """

    owner: str
    name: str
    parameters: tuple[str, ...] | None
    reason: str


TUNER, ORACLE, GRID = (
    "keras_tuner.Tuner",
    "keras_tuner.Oracle",
    "keras_tuner.oracles.GridSearchOracle",
)
_IN_PLACE = "keras-tuner writes its state files in place: a kill leaves half a file."
_NO_POSITION = "keras-tuner forgets a grid's position when it saves its state."
_REPEATED = (
    "The predicted optimum may be a point that was tried; another trial of it would tell nothing."
)
INHERITED = (
    InheritedName(
        "keras.optimizers.Optimizer",
        "_get_variable_index",
        ("variable",),
        "Keras tells an optimizer which variable it updates as a replica's part of it, without a path.",
    ),
    InheritedName(
        TUNER,
        "_populate_initial_space",
        (),
        "keras-tuner builds models to find the axes; all are declared up front.",
    ),
    InheritedName(
        TUNER,
        "_try_run_and_update_trial",
        ("trial", "fit_args", "fit_kwargs"),
        "keras-tuner continues after any error, and prints its traceback.",
    ),
    InheritedName(TUNER, "_is_worker", (), "A worker must not write the oracle's state."),
    InheritedName(
        TUNER,
        "_get_tuner_fname",
        (),
        "keras-tuner reloads a damaged state with a traceback, and a whole one with a line on the terminal.",
    ),
    InheritedName(ORACLE, "_get_oracle_fname", (), _IN_PLACE),
    InheritedName(ORACLE, "_get_trial_dir", ("trial_id",), _IN_PLACE),
    InheritedName(ORACLE, "_save_trial", ("trial",), _IN_PLACE),
    InheritedName(ORACLE, "_duplicate", ("values",), _REPEATED),
    InheritedName(ORACLE, "_random_values", (), _REPEATED),
    InheritedName(GRID, "_compare", ("a", "b"), _NO_POSITION),
    InheritedName(GRID, "_ordered_ids", None, _NO_POSITION),
    InheritedName(GRID, "_populate_next", None, _NO_POSITION),
)
