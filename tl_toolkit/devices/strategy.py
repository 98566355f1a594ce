"""From the word in a recipe to a `tf.distribute` strategy."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading

import tensorflow as tf

from tl_toolkit.devices.process_group import count_workers
from tl_toolkit.devices.replicas import largest_share
from tl_toolkit.errors import InputError
from tl_toolkit.fields import check_value
from tl_toolkit.private_names import slurm_hosts
from tl_toolkit.recipe import Devices

TF_CONFIG, SLURM_TASKS, SLURM_HOST = "TF_CONFIG", "SLURM_STEP_NUM_TASKS", "SLURMD_NODENAME"


def choose_devices(devices: str = "auto") -> tf.distribute.Strategy:
    """Returns the strategy that a word stands for, or the one whose scope is active.

    On a cluster, call it on every worker before TensorFlow computes anything.

    Args:
        devices: `"one"` device; `"mirrored"`, all GPUs of this machine, or without any all logical
            processors; `"multi_worker"`, the cluster that `TF_CONFIG` or SLURM describes; `"auto"`, the
            cluster where one is described, else all GPUs where there are several, else one device.

    Raises:
        InputError: The word is unknown, no cluster is described, TensorFlow has computed already, or the scope
            of a cluster's strategy is active.
    """
    check_value("devices", devices, Devices)
    if tf.distribute.has_strategy():
        strategy = tf.distribute.get_strategy()
        if strategy.cluster_resolver is not None and count_workers(strategy.cluster_resolver) > 1:
            raise InputError(
                "A run makes variables on the chief alone, which the scope of a cluster's strategy does not "
                "allow: leave the scope, and give the strategy as `Context(distribute=…)`."
            )
        return strategy
    return _strategy(devices)


def describe_devices(distribute: tf.distribute.Strategy, batch_size: int | None) -> str:
    """Describes the devices that training uses, and how a batch is divided among them."""
    replicas = distribute.num_replicas_in_sync
    batches = f", batches of at most {batch_size} images" if batch_size is not None else ""
    if replicas == 1:
        kind = "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
        return f"one {kind}{batches}"
    names = ", ".join(name.removeprefix("/job:") for name in distribute.extended.worker_devices)
    cluster = distribute.cluster_resolver
    processes = count_workers(cluster) if cluster is not None else 1
    where = f"{processes} processes, of which this has {names}" if processes > 1 else names
    share = (
        f", at most {largest_share(batch_size, replicas)} on each" if batch_size is not None else ""
    )
    return f"{replicas} replicas ({where}){batches}{share}"


@functools.cache
def _strategy(devices: str) -> tf.distribute.Strategy:
    _let_memory_grow()
    cluster = _joined_cluster() if devices in ("auto", "multi_worker") else None
    if cluster is not None:
        return cluster
    if devices == "multi_worker":
        raise InputError(
            "devices='multi_worker' needs a cluster: TF_CONFIG, a SLURM step of several tasks, or "
            "`tl-toolkit launch`. There is none here."
        )
    gpus = tf.config.get_visible_devices("GPU")
    if devices == "mirrored" or (devices == "auto" and len(gpus) > 1):
        kind = "GPU" if gpus else "CPU"
        return tf.distribute.MirroredStrategy(
            [device.name for device in tf.config.list_logical_devices(kind)]
        )
    return tf.distribute.get_strategy()


def _let_memory_grow() -> None:
    for gpu in tf.config.get_visible_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # in use already: somebody else has decided
            tf.config.experimental.set_memory_growth(gpu, True)


@functools.cache
def _joined_cluster() -> tf.distribute.Strategy | None:
    """Joins the cluster, whatever word asks for it, once: two strategies number their messages alike."""
    cluster = _described_cluster()
    return _join(cluster) if cluster is not None else None


def _described_cluster() -> tf.distribute.cluster_resolver.ClusterResolver | None:
    """The cluster that this process is one of several workers of."""
    if TF_CONFIG in os.environ:
        cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    elif int(os.environ.get(SLURM_TASKS, "1")) > 1:
        cluster = _slurm_cluster(int(os.environ[SLURM_TASKS]))
    else:
        return None
    return cluster if count_workers(cluster) > 1 else None


def _slurm_cluster(tasks: int) -> tf.distribute.cluster_resolver.ClusterResolver:
    """The tasks of a SLURM step as workers, each with the GPUs that SLURM lets it see, or none."""
    # The resolver by itself shares out the GPUs of a host, and fails where there are none.
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(
        gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
    )
    addresses = slurm.cluster_spec().job_tasks("worker")
    kind, index = slurm.get_task_info()
    hosts = slurm_hosts(slurm)  # SLURM numbers its tasks in their order
    addresses.sort(key=lambda address: hosts.index(address.rpartition(":")[0]))
    host, here = addresses[index].rpartition(":")[0], os.environ.get(SLURM_HOST)
    if here not in (None, host):
        raise InputError(
            f"SLURM runs task {index} on {here!r}, where one in blocks would be on {host!r}: give srun "
            "`--distribution=block`."
        )
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({kind: addresses}),
        task_type=kind,
        task_id=index,
        num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        rpc_layer="grpc",
    )


def _join(cluster: tf.distribute.cluster_resolver.ClusterResolver) -> tf.distribute.Strategy:
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=cluster)
        _take_sigterm_back()
        return strategy
    except RuntimeError as error:
        if "startup" not in str(error):
            raise
        raise InputError(
            "A cluster is joined before TensorFlow computes anything, and here it has: call "
            "`tl_toolkit.devices.strategy.choose_devices()` at the start of the script."
        ) from error


def _take_sigterm_back() -> None:
    """Sets Python's own handler again: TensorFlow has put one in its place that swallows the signal."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
