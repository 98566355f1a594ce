"""Batches are a pure function of (seed, epoch, step), and every image gets its turn."""

import collections
import dataclasses
import pathlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from PIL import Image

from tl_toolkit.catalog import AUGMENTATIONS, Preprocessing
from tl_toolkit.data import evaluation_batches
from tl_toolkit.data.dataset import ArrayImages, EncodedImages, FileImages, Split
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.data.pipeline import (
    ReplicaShares,
    batch_positions,
    batch_sizes,
    class_weights,
    epoch_order,
    steps_per_epoch,
    training_batches,
    training_signature,
)
from tl_toolkit.data.resize import resize_for_evaluation
from tl_toolkit.errors import InputError

SIZE = 8
PREPROCESSING = Preprocessing(image_size=SIZE)

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60)


def numbered(labels):
    """Images whose every pixel is their id."""
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    return Split.of(ArrayImages(np.tile(pixels, (1, SIZE, SIZE, 3))), labels)


def noise(labels):
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 12, 10, 3), np.uint8)
    return Split.of(ArrayImages(pixels), labels)


def batches_of(split, augmentation="none", **options):
    options = {"batch_size": 3, "epochs": 1, "seed": 0} | options
    dataset = training_batches(split, PREPROCESSING, AUGMENTATIONS[augmentation], **options)
    return list(dataset.as_numpy_iterator())


def ids_of(batches):
    """The images' ids by batch, read off their pixels."""
    assert all((np.ptp(batch[0], axis=(1, 2, 3)) == 0).all() for batch in batches)
    return [batch[0][:, 0, 0, 0].astype(int).tolist() for batch in batches]


def assert_same(some, others):
    assert len(some) == len(others)
    for batch, other in zip(some, others, strict=True):
        for part, other_part in zip(batch, other, strict=True):
            np.testing.assert_array_equal(part, other_part)


@hypothesis.given(st.integers(1, 5000), st.integers(1, 600))
def test_batches_are_as_few_and_as_even_as_can_be(examples, batch_size):
    sizes = batch_sizes(examples, batch_size)
    assert sum(sizes) == examples
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    assert (
        len(sizes) == steps_per_epoch(examples, batch_size) == int(np.ceil(examples / batch_size))
    )


@pytest.mark.parametrize(
    ("examples", "batch_size", "expected"),
    [(50, 32, [25, 25]), (7, 3, [3, 2, 2]), (64, 32, [32, 32]), (5, 32, [5]), (3, 1, [1, 1, 1])],
)
def test_batch_sizes_of_some_epochs(examples, batch_size, expected):
    assert batch_sizes(examples, batch_size) == expected


@hypothesis.given(LABELS, st.integers(0, 2**32), st.integers(0, 100))
def test_an_epoch_has_every_example_once(labels, seed, epoch):
    order = epoch_order(np.array(labels), seed, epoch)
    assert sorted(order) == list(range(len(labels)))
    np.testing.assert_array_equal(order, epoch_order(np.array(labels), seed, epoch))


@hypothesis.given(LABELS, st.integers(0, 2**32), st.integers(0, 100))
def test_a_balanced_epoch_has_all_classes_equally_often_and_every_image(labels, seed, epoch):
    labels = np.array(labels)
    order = epoch_order(labels, seed, epoch, balanced=True)
    assert set(order) == set(range(len(labels)))
    sizes = np.unique(labels, return_counts=True)[1]
    assert np.unique(labels[order], return_counts=True)[1].tolist() == [sizes.max()] * len(sizes)
    times = np.bincount(order)
    for label in np.unique(labels):
        assert np.ptp(times[labels == label]) <= 1  # no image stands in for its class
    np.testing.assert_array_equal(order, epoch_order(labels, seed, epoch, balanced=True))


@pytest.mark.parametrize("balanced", [False, True])
def test_seeds_and_epochs_have_orders_of_their_own(balanced):
    labels = np.repeat([0, 1], [30, 10])
    orders = {
        tuple(epoch_order(labels, seed, epoch, balanced)) for seed in range(5) for epoch in range(5)
    }
    assert len(orders) == 25


def test_a_balanced_epoch_mixes_the_classes():
    labels = np.repeat([0, 1, 2], [200, 20, 50])
    firsts = labels[epoch_order(labels, 0, 0, balanced=True)][:300]
    assert np.abs(np.bincount(firsts) - 100).max() < 40


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("examples", "batch_size"), [(50, 32), (7, 3), (9, 3), (4, 9)])
def test_the_batches_of_every_epoch_follow_its_order(examples, batch_size, balanced):
    labels = np.arange(examples) % 3
    split = numbered(labels)
    epochs, seed = 3, 4
    batches = batches_of(split, batch_size=batch_size, epochs=epochs, seed=seed, balanced=balanced)
    orders = [epoch_order(labels, seed, epoch, balanced) for epoch in range(epochs)]
    sizes = batch_sizes(len(orders[0]), batch_size)
    assert [len(batch[1]) for batch in batches] == sizes * epochs
    assert np.concatenate(ids_of(batches)).tolist() == np.concatenate(orders).tolist()
    for batch, ids in zip(batches, ids_of(batches), strict=True):
        np.testing.assert_array_equal(batch[1], labels[ids])


def test_every_image_comes_once_an_epoch_and_epochs_differ():
    split = numbered([0, 1] * 11)
    ids = ids_of(batches_of(split, batch_size=8, epochs=2))
    first, second = (np.concatenate(epoch).tolist() for epoch in (ids[:3], ids[3:]))
    assert sorted(first) == sorted(second) == list(range(22))
    assert first != second


def test_the_batches_have_the_documented_types():
    dataset = training_batches(
        noise([0, 1, 0, 1]), PREPROCESSING, AUGMENTATIONS["photo"], batch_size=2, epochs=1, seed=0
    )
    pixels, labels, weights = dataset.element_spec
    assert (pixels.dtype, pixels.shape.as_list()) == (np.float32, [None, SIZE, SIZE, 3])
    assert (labels.dtype, labels.shape.as_list()) == (np.int64, [None])
    assert (weights.dtype, weights.shape.as_list()) == (np.float32, [None])


@pytest.mark.slow
@pytest.mark.parametrize(("augmentation", "balanced"), [("photo", False), ("shift", True)])
def test_a_run_resumed_anywhere_has_the_same_batches_bit_for_bit(augmentation, balanced):
    split = noise([0, 0, 0, 1, 0, 1, 0])
    options = {"epochs": 2, "batch_size": 3, "seed": 5, "balanced": balanced}
    whole = batches_of(split, augmentation, **options)
    steps = len(batch_sizes(10 if balanced else 7, 3))
    assert len(whole) == 2 * steps
    # Which images come at every other step is tested by their positions.
    for epoch, step in ((0, 1), (0, steps), (1, steps - 1)):
        rest = batches_of(split, augmentation, first_epoch=epoch, first_step=step, **options)
        assert_same(rest, whole[epoch * steps + step :])


def test_a_finished_run_has_no_batches_left():
    assert batches_of(noise([0, 1, 0]), epochs=2, first_epoch=2) == []


@pytest.mark.parametrize("augmentation", long_after(1, ["photo", "shift"]))
def test_the_same_data_set_read_twice_gives_the_same_batches(augmentation):
    dataset = training_batches(
        noise([0, 1] * 8),
        PREPROCESSING,
        AUGMENTATIONS[augmentation],
        batch_size=5,
        epochs=2,
        seed=0,
    )
    assert_same(list(dataset), list(dataset))


def views_of(split, seed=0, epochs=1):
    """float32[epochs, n, size, size, 3], each epoch's views in the split's own order."""
    batches = batches_of(split, "photo", batch_size=len(split), seed=seed, epochs=epochs)
    orders = [epoch_order(split.labels, seed, epoch) for epoch in range(epochs)]
    return [batch[0][np.argsort(order)] for batch, order in zip(batches, orders, strict=True)]


def test_an_image_looks_different_in_every_epoch_and_under_every_seed():
    split = noise([0, 1] * 8)
    views = views_of(split, epochs=2) + views_of(split, seed=1)
    for some, others in ((0, 1), (0, 2), (1, 2)):
        difference = np.abs(views[some] - views[others]).mean(axis=(1, 2, 3))
        assert difference.min() > 1


def test_a_view_follows_the_images_id_whatever_split_it_is_in():
    split = noise([0, 1] * 8)
    (whole,), (part,) = views_of(split), views_of(split.take([9, 4, 11]))
    np.testing.assert_array_equal(part, whole[[9, 4, 11]])


@hypothesis.given(LABELS)
def test_class_weights_make_every_class_weigh_the_same(labels):
    labels = np.array(labels)
    classes = labels.max() + 1
    weights = class_weights(labels, classes)
    assert (weights.dtype, weights.shape) == (np.float32, (classes,))
    total = np.bincount(labels, weights[labels], minlength=classes)
    present = np.bincount(labels) > 0
    np.testing.assert_allclose(total[present], len(labels) / classes, rtol=1e-6)


def test_class_weights_of_one_and_three_images_are_two_and_two_thirds():
    np.testing.assert_allclose(class_weights(np.array([0, 1, 1, 1]), 2), [2, 2 / 3])


def test_weights_arrive_with_their_examples():
    labels = np.array([2, 0, 2, 1, 2, 1, 2])
    weights = np.array([3.0, 0.5, 0.25], np.float32)
    for _, batch_labels, batch_weights in batches_of(numbered(labels), class_weights=weights):
        np.testing.assert_array_equal(batch_weights, weights[batch_labels])
    for batch in batches_of(numbered(labels)):
        np.testing.assert_array_equal(batch[2], np.ones(len(batch[1])))


def test_evaluation_is_in_order_with_a_smaller_last_batch():
    split = numbered(np.arange(8) % 3).take([7, 0, 3, 1, 2, 4, 6])
    batches = [
        [part.numpy() for part in batch] for batch in EvaluationBatches(split, PREPROCESSING, 3)
    ]
    assert ids_of(batches) == [[7, 0, 3], [1, 2, 4], [6]]
    assert [batch[1].tolist() for batch in batches] == [[1, 0, 0], [1, 2, 1], [0]]


def test_no_more_files_are_read_ahead_than_two_calls_decode(monkeypatch):
    held, most = set(), []

    class Noted(EncodedImages):
        def encoded(self, index):
            held.add(index)
            most.append(len(held))
            return super().encoded(index)

    def resize(contents, preprocessing):
        assert len(contents) <= 2
        held.difference_update(sorted(held)[: len(contents)])
        return tf.zeros((len(contents), SIZE, SIZE, 3))

    monkeypatch.setattr(evaluation_batches, "FILES_AT_ONCE", 2)
    monkeypatch.setattr(evaluation_batches, "resize_files_for_evaluation", resize)
    split = Split.of(Noted(np.array([b"x"] * 9, object)), np.arange(9) % 2)
    (batch,) = EvaluationBatches(split, PREPROCESSING, 9)
    assert batch[0].shape[0] == len(batch[1]) == len(most) == 9
    assert max(most) <= 4


@pytest.fixture
def photo_files(tmp_path):
    """A JPEG that lies on its side, a large JPEG, a PNG with transparency and a TIFF."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "0.jpg", exif=exif)
    Image.fromarray(pixels).resize((130, 90)).save(tmp_path / "1.jpg")
    Image.fromarray(np.dstack([pixels, pixels[..., :1]])).save(tmp_path / "2.png")
    Image.fromarray(pixels).save(tmp_path / "3.tif")
    return sorted(map(str, tmp_path.iterdir()))


@pytest.mark.parametrize("size", [3, 1], ids=["mixed formats", "of one format each"])
def test_files_are_evaluated_by_their_paths_bit_for_bit_as_by_their_contents(
    size, photo_files, monkeypatch
):
    images = FileImages(photo_files)
    contents = Split.of(
        EncodedImages(np.array([images.encoded(k) for k in range(4)], object)), [0, 1, 0, 1]
    )
    expected = list(EvaluationBatches(contents, PREPROCESSING, size))
    monkeypatch.setattr(FileImages, "encoded", None)  # Python reads none of them
    of_paths = EvaluationBatches(Split.of(images, [0, 1, 0, 1]), PREPROCESSING, size)
    assert_same(list(of_paths), expected)


def test_a_range_of_values_is_not_passed_over_where_files_are_read_by_their_paths(tmp_path):
    ramp = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE) * 40
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    split = Split.of(FileImages([tmp_path / "deep.png"], (0.0, 2520.0)), [0])
    ((pixels, _),) = EvaluationBatches(split, PREPROCESSING, 1)
    np.testing.assert_allclose(pixels[0, :, :, 0], ramp * (255 / 2520), atol=0.51)


@pytest.mark.parametrize(
    ("contents", "error"),
    [
        (None, FileNotFoundError),
        (b"\xff\xd8\xff damaged", tf.errors.InvalidArgumentError),
        (b"no photo", InputError),
    ],
    ids=["gone", "damaged", "another format"],
)
def test_what_cannot_be_evaluated_is_an_error_that_says_why(contents, error, photo_files):
    path = pathlib.Path(photo_files[1])
    path.unlink()
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(error):
        list(EvaluationBatches(Split.of(FileImages(photo_files), [0, 1, 0, 1]), PREPROCESSING, 3))


def test_evaluation_shows_every_image_as_it_is_and_the_same_twice():
    split = noise([0, 1, 0, 1, 1])
    dataset = EvaluationBatches(split, PREPROCESSING, 2)
    batches = list(dataset)
    views = np.concatenate([pixels for pixels, _ in batches])
    for view, pixels in zip(views, split.images.pixels, strict=True):
        np.testing.assert_array_equal(view, resize_for_evaluation(pixels, PREPROCESSING))
    assert_same(batches, list(dataset))


def test_a_balanced_run_shows_small_classes_as_often_as_large_ones():
    split = numbered([0] * 12 + [1] * 3)
    batches = batches_of(split, epochs=2, batch_size=8, balanced=True)
    labels = np.concatenate([batch[1] for batch in batches])
    assert np.bincount(labels).tolist() == [24, 24]
    times = collections.Counter(np.concatenate(ids_of(batches)).tolist())
    assert [times[number] for number in range(15)] == [2] * 12 + [8] * 3


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (1, 2), (2, 0)])
def test_positions_are_those_of_the_batches_from_any_step_on(epoch, step, balanced):
    labels = np.arange(17) % 3
    start = {"first_epoch": epoch, "first_step": step, "balanced": balanced, "epochs": 3}
    batches = batches_of(numbered(labels), **start)
    positions = list(batch_positions(labels, batch_size=3, seed=0, **start))
    assert [batch.tolist() for _, batch in positions] == ids_of(batches)
    assert [e for e, _ in positions] == sorted(e for e, _ in positions)
    assert {e for e, _ in positions} == set(range(epoch, 3))


@pytest.mark.slow
def test_views_are_seen_in_turn():
    split = noise([0, 1, 0])
    options = {"batch_size": 3, "epochs": 5, "augmentation": "photo"}

    def by_image(batch, epoch):
        order = epoch_order(split.labels, 0, epoch)
        return batch[0][np.argsort(order)]

    two = [by_image(b, e) for e, b in enumerate(batches_of(split, views=2, **options))]
    new = [by_image(b, e) for e, b in enumerate(batches_of(split, **options))]
    for epoch, pixels in enumerate(two):
        np.testing.assert_array_equal(pixels, new[epoch % 2])
    assert np.abs(new[2] - new[0]).mean() > 1


@pytest.mark.parametrize("batch_size", [4, 5, 11])
def test_an_image_is_read_once_an_epoch(batch_size):
    read = []

    class Counted(ArrayImages):
        def loader(self):
            load = super().loader()

            def counting(number):
                seen = tf.numpy_function(lambda n: read.append(int(n)) or n, [number], tf.int64)
                return load(tf.ensure_shape(seen, []))

            return counting

    pixels = np.zeros((11, 8, 8, 3), np.uint8)
    split = Split.of(Counted(pixels), np.arange(11) % 2)
    epochs = 2
    batches = training_batches(
        split, PREPROCESSING, None, batch_size=batch_size, epochs=epochs, seed=1
    )
    assert sum(len(images) for images, _, _ in batches) == 11 * epochs
    assert sorted(read) == sorted([*range(11)] * epochs)


def shares_of(processes, local):
    return [ReplicaShares(processes * local, first * local, local) for first in range(processes)]


@hypothesis.given(
    st.integers(1, 60), st.integers(1, 20), st.integers(1, 4), st.integers(1, 3), st.integers(0, 9)
)
def test_the_shares_of_all_replicas_are_the_batch_in_its_order(
    examples, batch_size, processes, local, seed
):
    options = {"batch_size": batch_size, "epochs": 2, "seed": seed}
    labels = np.zeros(examples, np.int64)
    whole = list(batch_positions(labels, **options))
    of_processes = [
        list(batch_positions(labels, replica_shares=shares, **options))
        for shares in shares_of(processes, local)
    ]
    for step, (epoch, batch) in enumerate(whole):
        shares = [share for own in of_processes for share in own[step * local : (step + 1) * local]]
        assert {e for e, _ in shares} == {epoch}
        sizes = [len(share) for _, share in shares]
        assert max(sizes) - min(sizes) <= 1
        np.testing.assert_array_equal(np.concatenate([share for _, share in shares]), batch)
    assert sum(map(len, of_processes)) == len(whole) * processes * local


@pytest.mark.slow
@pytest.mark.parametrize("examples", long_after(1, [9, 1]))
def test_a_replica_without_a_share_gets_an_empty_batch_epoch_after_epoch(examples):
    split = numbered(np.zeros(examples, np.int64))
    whole = ids_of(batches_of(split, batch_size=8, epochs=3))
    own = [
        ids_of(batches_of(split, batch_size=8, epochs=3, replica_shares=s)) for s in shares_of(4, 2)
    ]
    assert [len(batches) for batches in own] == [2 * len(whole)] * 4
    for step, batch in enumerate(whole):
        shares = [share for batches in own for share in batches[2 * step : 2 * step + 2]]
        assert [image for share in shares for image in share] == batch
        assert len(shares) == 8


MIXED = dataclasses.replace(AUGMENTATIONS["photo"], mixup=0.4, cutmix=1.0)


def mixed_batches(split, augmentation=MIXED, **options):
    options = {"batch_size": 3, "epochs": 2, "seed": 5} | options
    return list(training_batches(split, PREPROCESSING, augmentation, **options).as_numpy_iterator())


def test_mixed_batches_have_two_labels_an_example_and_the_documented_types():
    dataset = training_batches(
        noise([0, 1, 0, 1]), PREPROCESSING, MIXED, batch_size=2, epochs=1, seed=0
    )
    assert dataset.element_spec == training_signature(PREPROCESSING, mixed=True)
    (_, labels, weights), _ = dataset.as_numpy_iterator()
    assert (labels.dtype, labels.shape) == (np.int64, (2, 2))
    assert (weights.dtype, weights.shape) == (np.float32, (2, 2))


@pytest.mark.slow
def test_a_mixed_example_is_what_its_shares_say_of_the_two_views():
    """Each image is its own class here, so that the labels say which two were mixed."""
    split = noise(np.arange(9))
    mixup = dataclasses.replace(AUGMENTATIONS["photo"], mixup=1.0)
    plain = {}
    for batch in batches_of(split, "photo", epochs=2, seed=5):
        for pixels, label in zip(*batch[:2], strict=True):
            plain.setdefault(int(label), []).append(pixels)
    partners, order = set(), [epoch_order(split.labels, 5, epoch) for epoch in range(2)]
    for number, batch in enumerate(mixed_batches(split, mixup)):
        epoch = number // 3
        np.testing.assert_array_equal(
            batch[1][:, 0], order[epoch][3 * (number % 3) : 3 * (number % 3) + 3]
        )
        for pixels, (one, other), (share, rest) in zip(*batch, strict=True):
            expected = share * plain[one][epoch] + rest * plain[other][epoch]
            np.testing.assert_allclose(pixels, expected, atol=1e-3)
            assert share + rest == pytest.approx(1, abs=1e-6)
            assert one != other
            partners.add((one, other))
    assert len(partners) > 12


@pytest.mark.slow
def test_the_shares_of_a_mixed_example_are_of_the_weights_of_its_images():
    labels = np.array([2, 0, 2, 1, 2, 1, 2])
    split = noise(labels)
    of_images = np.array([1, 2, 0.5, 1, 3, 1, 1], np.float32)
    split = dataclasses.replace(split, weights=of_images)
    of_classes = np.array([3.0, 0.5, 0.25], np.float32)
    numbered_split = dataclasses.replace(split, labels=np.arange(7))
    shares = mixed_batches(dataclasses.replace(numbered_split, weights=None))
    weighted = mixed_batches(numbered_split, class_weights=of_classes[labels])
    for (_, pairs, share), (_, same, weights) in zip(shares, weighted, strict=True):
        np.testing.assert_array_equal(pairs, same)
        expected = share * of_images[pairs] * of_classes[labels[pairs]]
        np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("balanced", long_after(1, [True, False]))
def test_a_mixed_run_resumed_anywhere_has_the_same_batches_bit_for_bit(balanced):
    split = noise([0, 0, 0, 1, 0, 1, 0])
    whole = mixed_batches(split, balanced=balanced)
    steps = len(batch_sizes(10 if balanced else 7, 3))
    for epoch, step in ((0, 1), (1, steps - 1)):
        rest = mixed_batches(split, balanced=balanced, first_epoch=epoch, first_step=step)
        assert_same(rest, whole[epoch * steps + step :])


@pytest.mark.slow
def test_mixed_examples_are_the_same_however_they_are_shared_out():
    split = noise([0, 1] * 4)
    whole = mixed_batches(split, batch_size=5)
    own = [mixed_batches(split, batch_size=5, replica_shares=s) for s in shares_of(2, 1)]
    for step, batch in enumerate(whole):
        shares = [batches[step] for batches in own]
        joined = [np.concatenate(parts) for parts in zip(*shares, strict=True)]
        assert_same([joined], [batch])


@pytest.mark.slow
def test_an_image_has_another_partner_in_another_epoch_and_under_another_seed():
    split = noise(np.arange(30))

    def pairs(**options):
        batches = mixed_batches(split, batch_size=30, **options)
        return [dict(batch[1].tolist()) for batch in batches]

    (first, second), (other,) = pairs(), pairs(seed=6, epochs=1)
    for some, others in ((first, second), (first, other)):
        assert np.mean([some[image] != others[image] for image in some]) > 0.7


@pytest.mark.slow
def test_a_balanced_epoch_mixes_in_small_classes_as_often():
    split = noise([0] * 90 + [1] * 10)
    (batch,) = mixed_batches(split, batch_size=180, epochs=1, balanced=True)
    assert np.bincount(batch[1][:, 0]).tolist() == [90, 90]
    assert abs(batch[1][:, 1].mean() - 0.5) < 4 * 0.5 / np.sqrt(180)


@pytest.mark.slow
def test_a_replica_without_a_share_of_a_mixed_batch_gets_an_empty_one():
    batches = mixed_batches(noise([0, 1, 0]), replica_shares=ReplicaShares(4, 3, 1))
    assert [[part.shape for part in batch] for batch in batches] == [
        [(0, SIZE, SIZE, 3), (0, 2), (0, 2)]
    ] * 2
