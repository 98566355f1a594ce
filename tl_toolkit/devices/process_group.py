"""The processes of a run: which one is the chief, what they agree on, and what the chief tells the others."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.errors import LostWorkerError

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


class ProcessGroup:
    """The processes that run the same training in step, of which this is one.

    Args:
        distribute: The strategy that they share.

    Attributes:
        count: Number of processes.
        is_chief: Whether this process reads checkpoints and writes files.
    """

    def __init__(self, distribute: tf.distribute.Strategy) -> None:
        self._distribute = distribute
        # In a graph: outside one, TensorFlow traces a function at every call.
        self._reduce = tf.function(
            lambda values: distribute.reduce("SUM", values, axis=None),
            reduce_retracing=True,
            autograph=False,
        )
        cluster = distribute.cluster_resolver
        self.count, self.is_chief = 1, True
        # A strategy for one process has an empty cluster.
        if cluster is not None and count_workers(cluster) > 1:
            self.count = count_workers(cluster)
            first = "chief" if "chief" in cluster.cluster_spec().jobs else "worker"
            self.is_chief = (cluster.task_type, cluster.task_id) == (first, 0)

    def all_agree(self, yes: bool) -> bool:
        """Whether `yes` is true on all of them."""
        if self.count == 1:
            return yes
        return int(self._sum(np.array([0 if yes else 1], np.int64))[0]) == 0

    def differences(self, values: Mapping[str, Any]) -> list[str]:
        """Returns the names of the plain JSON values that are not equal on all of them."""
        texts = {name: json.dumps(value, sort_keys=True) for name, value in values.items()}
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        of_chief = json.loads(self.broadcast_text(json.dumps(digests)))
        return [name for name in digests if not self.all_agree(digests[name] == of_chief[name])]

    def barrier(self) -> None:
        """Returns once all of them have called it."""
        self.all_agree(True)

    def broadcast_text(self, text: str) -> str:
        """Returns the text that the chief passed, whatever the others passed."""
        if self.count == 1:
            return text
        data = np.frombuffer(text.encode(), np.uint8) if self.is_chief else np.empty(0, np.uint8)
        length = self._sum(np.array([len(data)], np.int64))[0]
        if length == 0:
            return ""
        mine = data if self.is_chief else np.zeros(length, np.uint8)
        return self._sum(mine.astype(np.int64)).astype(np.uint8).tobytes().decode()

    def broadcast_variables(self, variables: Sequence[keras.Variable]) -> None:
        """Sets the variables to the values that they have on the chief, to the last bit."""
        if self.count == 1:
            return
        values = [variable.numpy() for variable in variables]
        data = np.frombuffer(b"".join(value.tobytes() for value in values), np.uint8)
        padded = np.pad(data, (0, -len(data) % 8)).view(np.int64)
        # Sums of whole numbers with zeros are exact.
        of_chief = self._sum(padded if self.is_chief else np.zeros_like(padded)).tobytes()
        start = 0
        for variable, value in zip(variables, values, strict=True):
            end = start + value.nbytes
            variable.assign(np.frombuffer(of_chief[start:end], value.dtype).reshape(value.shape))
            start = end

    def broadcast_text_files(self, folder: pathlib.Path, pattern: str) -> None:
        """Copies the chief's text files that match a pattern into the other processes' folders, damage and all."""
        files = {}
        if self.is_chief:
            files = {
                str(path.relative_to(folder)): path.read_text("utf-8", "surrogateescape")
                for path in sorted(folder.glob(pattern))
                if path.is_file()
            }
        files = json.loads(self.broadcast_text(json.dumps(files)))
        if not self.is_chief:
            for name, text in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, "utf-8", "surrogateescape")

    def _sum(self, mine: np.ndarray) -> np.ndarray:
        """Adds up int64 arrays of one shape, one of each process."""
        zeros = np.zeros_like(mine)

        def value(context: tf.distribute.ValueContext) -> tf.Tensor:
            local = context.replica_id_in_sync_group % self._local_replicas
            return tf.constant(mine if local == 0 else zeros)

        values = self._distribute.experimental_distribute_values_from_function(value)
        return self._reduce(values).numpy()

    @property
    def _local_replicas(self) -> int:
        return len(self._distribute.extended.worker_devices)


def count_workers(cluster: tf.distribute.cluster_resolver.ClusterResolver) -> int:
    """Returns how many processes of a cluster train."""
    spec = cluster.cluster_spec()
    return sum(spec.num_tasks(job) for job in ("chief", "worker") if job in spec.jobs)


@contextlib.contextmanager
def explain_lost_workers(processes: ProcessGroup) -> Iterator[None]:
    """Raises `LostWorkerError` in place of TensorFlow's errors when another process is gone."""
    try:
        yield
    except LOST as error:
        if processes.count == 1:
            raise
        raise LostWorkerError(
            f"Another of the {processes.count} processes is gone. Start all of them again: the run resumes "
            "from its last checkpoint."
        ) from error
