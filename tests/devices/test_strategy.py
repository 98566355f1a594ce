"""The word in a recipe, and what the environment says, decide on the devices."""

import json

import pytest
import tensorflow as tf

import tl_toolkit as tl
from tl_toolkit.devices import strategy
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.devices.strategy import choose_devices, describe_devices
from tl_toolkit.errors import InputError


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS", "SLURMD_NODENAME"):
        monkeypatch.delenv(name, raising=False)
    strategy._strategy.cache_clear()
    strategy._joined_cluster.cache_clear()
    yield
    strategy._strategy.cache_clear()
    strategy._joined_cluster.cache_clear()


@pytest.fixture
def joined(monkeypatch):
    """The clusters that were joined, none of which there is."""
    clusters = []
    monkeypatch.setattr(strategy, "_join", lambda cluster: clusters.append(cluster) or "joined")
    return clusters


def tf_config(workers, index=0, chief=False):
    cluster = {"worker": [f"127.0.0.1:{5000 + n}" for n in range(workers)]}
    if chief:
        cluster["chief"] = ["127.0.0.1:4999"]
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


@pytest.mark.parametrize("word", ["auto", "one"])
def test_one_device_is_the_default_strategy(word):
    assert choose_devices(word) is tf.distribute.get_strategy()
    assert choose_devices(word).num_replicas_in_sync == 1


def test_mirrored_takes_every_logical_processor_where_there_is_no_gpu():
    mirrored = choose_devices("mirrored")
    assert isinstance(mirrored, tf.distribute.MirroredStrategy)
    assert mirrored.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU"))
    assert choose_devices("mirrored") is mirrored


def test_auto_takes_all_gpus_of_the_machine(monkeypatch):
    gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{n}", "GPU") for n in range(3)]
    names, grown = [], []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    monkeypatch.setattr(
        tf.config,
        "list_logical_devices",
        lambda kind: [tf.config.LogicalDevice(f"/device:GPU:{n}", kind) for n in range(3)],
    )
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: names.extend(devices))
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda gpu, on: grown.append((gpu, on))
    )
    choose_devices("auto")
    assert names == ["/device:GPU:0", "/device:GPU:1", "/device:GPU:2"]
    assert grown == [(gpu, True) for gpu in gpus]


@pytest.mark.parametrize("word", ["auto", "multi_worker"])
@pytest.mark.parametrize("chief", [False, True])
def test_tf_config_describes_the_cluster(word, chief, joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(2, index=1, chief=chief))
    assert choose_devices(word) == "joined"
    (cluster,) = joined
    assert (cluster.task_type, cluster.task_id) == ("worker", 1)
    assert strategy.count_workers(cluster) == 2 + chief


def test_a_cluster_is_joined_once_whatever_the_words(joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(2))
    chosen = [choose_devices(word) for word in ("multi_worker", "auto", "multi_worker")]
    assert chosen == ["joined"] * 3
    assert len(joined) == 1


@pytest.fixture
def slurm(monkeypatch):
    """Task 2 of 4, the first one on the third of the hosts that hold 1, 1 and 2 of them."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[9-10],gpu[07]")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "1(x2),2")
    monkeypatch.setenv("SLURM_PROCID", "2")
    monkeypatch.setenv("SLURMD_NODENAME", "gpu07")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_slurm_describes_the_cluster_in_the_order_of_its_tasks(slurm, joined):
    assert choose_devices("auto") == "joined"
    spec = joined[0].cluster_spec().as_dict()
    assert spec == {"worker": ["node9:8888", "node10:8888", "gpu07:8888", "gpu07:8889"]}
    assert (joined[0].task_type, joined[0].task_id) == ("worker", 2)
    assert joined[0].num_accelerators() == {"GPU": 0}


def test_slurm_tasks_in_another_order_are_refused(slurm, joined, monkeypatch):
    monkeypatch.setenv("SLURMD_NODENAME", "node9")  # tasks dealt out in turn
    with pytest.raises(InputError, match=r"runs task 2 on 'node9'.*'gpu07'.*--distribution=block"):
        choose_devices("auto")


def test_a_cluster_of_one_is_none(joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(1))
    assert choose_devices("auto") is tf.distribute.get_strategy()
    assert not joined
    with pytest.raises(InputError, match=r"needs a cluster: TF_CONFIG, a SLURM step.*launch"):
        choose_devices("multi_worker")


def test_a_strategy_for_clusters_without_one_is_its_own_chief():
    processes = ProcessGroup(tf.distribute.MultiWorkerMirroredStrategy())
    assert (processes.count, processes.is_chief) == (1, True)


def test_one_leaves_a_cluster_alone(joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(2))
    assert choose_devices("one") is tf.distribute.get_strategy()
    assert not joined


def test_a_cluster_that_is_joined_too_late_is_refused_in_our_words(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(2))
    tf.constant(1.0)  # TensorFlow has computed
    with pytest.raises(InputError, match="A cluster is joined before TensorFlow computes anything"):
        choose_devices("auto")


def test_the_strategy_of_the_scope_wins():
    mirrored = tf.distribute.MirroredStrategy(["CPU:0"])
    with mirrored.scope():
        assert choose_devices("one") is mirrored


def test_another_word_is_refused():
    with pytest.raises(InputError, match=r"Unknown devices 'mirorred'\. Did you mean 'mirrored'"):
        choose_devices("mirorred")
    with pytest.raises(InputError, match="Unknown devices 'tpu'"):
        tl.Recipe(data="digits", strategy=tl.NewHead(), devices="tpu")


def test_devices_are_described_with_each_ones_share():
    class Two:
        num_replicas_in_sync = 2
        cluster_resolver = None
        extended = type("", (), {"worker_devices": ("/device:GPU:0", "/device:GPU:1")})

    assert describe_devices(choose_devices("one"), 32) == "one CPU, batches of at most 32 images"
    assert describe_devices(Two(), 33) == (
        "2 replicas (/device:GPU:0, /device:GPU:1), batches of at most 33 images, at most 17 on each"
    )
    assert describe_devices(Two(), None) == "2 replicas (/device:GPU:0, /device:GPU:1)"
