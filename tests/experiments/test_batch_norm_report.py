"""The report on batch normalisation: planted faults are found, sound networks are called sound."""

import dataclasses

import keras
import numpy as np
import pytest
from families import long_after
from tiny import (
    PIXELS,
    assert_same_bits,
    batches,
    classifier,
    labelled_pixels,
    values,
    with_dropout,
)

import tl_toolkit as tl
from tl_toolkit.data.dataset import ArrayImages, ImageDataset, Split
from tl_toolkit.models.batch_norm_statistics import batch_norm_layers
from tl_toolkit.models.preprocessing import ImagePreprocessing
from tl_toolkit.report.batch_norm_causes import Evidence, causes

IMAGES, LABELS, _ = labelled_pixels(96)


def followed(momentum, passes, model=None):
    """A network whose moving statistics have followed so many passes over the images, from 0 and 1."""
    model = model or classifier()
    for layer in batch_norm_layers(model).values():
        layer.momentum = momentum
        layer.moving_mean.assign(np.zeros(layer.moving_mean.shape))
        layer.moving_variance.assign(np.ones(layer.moving_variance.shape))
    for _ in range(passes):
        for start in range(0, len(IMAGES), 48):
            model(IMAGES[start : start + 48], training=True)
    return model


@pytest.fixture(scope="module")
def followed_values():
    return [variable.numpy() for variable in followed(0.6, 6).variables]


@pytest.fixture
def healthy(followed_values):
    model = classifier()
    for variable, value in zip(model.variables, followed_values, strict=True):
        variable.assign(value)
    return model


def test_a_healthy_network_is_called_healthy(healthy):
    report = tl.batch_norm_report(healthy, (IMAGES, LABELS))
    assert report.is_healthy
    assert [row.cause for row in report.rows] == [""] * 6
    assert max(row.mean_gap for row in report.rows) < 0.1
    assert max(row.variance_gap for row in report.rows) < 0.1
    assert report.summary().startswith("Healthy: the moving statistics of all 6 layers fit")
    assert report.images == 96


@pytest.mark.slow
def test_few_images_of_the_same_kind_do_not_make_it_ill(healthy):
    for count in (4, 8, 16):
        assert tl.batch_norm_report(healthy, IMAGES[:count]).is_healthy


def test_no_bit_of_the_model_changes(healthy):
    model = with_dropout(healthy)
    model.get_layer("conv1_bn").mode = "affine"
    model.get_layer("conv2_block1_1_bn").trainable = False
    before = values(model)
    modes = [(layer.mode, layer.trainable) for layer in batch_norm_layers(model).values()]
    tl.batch_norm_report(model, (IMAGES, LABELS))
    assert_same_bits(values(model), before)
    assert modes == [(layer.mode, layer.trainable) for layer in batch_norm_layers(model).values()]


def test_statistics_shifted_in_one_layer_are_found_there_and_called_inherited_behind_it(healthy):
    layer = healthy.get_layer("conv2_block1_2_bn")
    layer.moving_mean.assign(layer.moving_mean.numpy() + 2 * np.sqrt(layer.moving_variance))
    report = tl.batch_norm_report(healthy, IMAGES)
    found = {row.layer: row for row in report.rows}
    assert found["conv1_bn"].cause == found["conv2_block1_1_bn"].cause == ""
    assert found["conv2_block1_2_bn"].cause == "other data"
    assert found["conv2_block1_2_bn"].mean_gap == pytest.approx(2, abs=0.1)
    behind = [row.cause for row in report.rows[3:]]
    assert "inherited" in behind
    assert set(behind) <= {"", "inherited"}
    assert "conv2_block1_2_bn: the statistics come from other images" in report.summary()


def test_one_shifted_channel_is_enough(healthy):
    layer = healthy.get_layer("conv3_block1_1_bn")
    mean = layer.moving_mean.numpy()
    mean[5] += 6 * np.sqrt(layer.moving_variance.numpy()[5])
    layer.moving_mean.assign(mean)
    row = {r.layer: r for r in tl.batch_norm_report(healthy, IMAGES).rows}["conv3_block1_1_bn"]
    assert (row.is_serious, row.worst_mean_channel) == (True, 5)
    assert row.mean_gap < 0.1
    assert row.worst_mean_gap == pytest.approx(6, abs=0.3)


@pytest.mark.parametrize("momentum", long_after(1, [0.99, 0.999]))
def test_a_momentum_too_high_for_the_steps_is_named(momentum):
    report = tl.batch_norm_report(followed(momentum, 5), IMAGES)
    assert report.rows[0].cause == "lagging"
    kept = f"{momentum**10:.0%}"
    assert f"about {kept} of a new layer's mean 0 and variance 1 are left" in report.summary()
    assert f"as after 10 steps at momentum {momentum}" in report.summary()


def test_known_steps_say_what_momentum_keeps():
    report = tl.batch_norm_report(followed(0.99, 5), IMAGES, steps=10)
    assert "momentum 0.99 keeps 90% of the old statistics after 10 steps" in report.summary()


def test_a_new_layer_is_called_never_updated():
    report = tl.batch_norm_report(followed(0.9, 0), IMAGES)
    assert report.rows[0].cause == "never updated"


@pytest.mark.parametrize("scale", long_after(1, [1 / 255, 1 / 300]))
def test_pixels_of_0_to_1_are_recognised(healthy, scale):
    report = tl.batch_norm_report(healthy, (IMAGES * np.float32(scale), LABELS))
    assert report.rows[0].cause == "preprocessing"
    assert {row.cause for row in report.rows[1:]} <= {"inherited", ""}
    assert "all pixels are between 0 and 1, where the network takes 0-255" in report.summary()


def test_a_scale_of_255_is_recognised_without_the_pixels():
    moving = np.linspace(1.0, 2.0, 8)
    narrow = evidence(moving_variance=moving, variance=moving / 255**2)
    assert causes([narrow], None)[0][0] == "preprocessing"
    assert "255 times narrower" in causes([narrow], None)[0][1]
    wide = evidence(moving_variance=moving, variance=moving * 255**2)
    assert "255 times wider" in causes([wide], None)[0][1]
    twice = evidence(
        moving_mean=np.linspace(3, 4, 8),
        mean=2 * np.linspace(3, 4, 8),
        moving_variance=moving,
        variance=moving * 4,
    )
    assert causes([twice], None)[0][0] == "other data"


def evidence(**fields):
    usual = {
        "mode": "adapt",
        "momentum": 0.9,
        "epsilon": 1e-5,
        "moving_mean": np.linspace(3, 4, 8),
        "moving_variance": np.linspace(2, 3, 8),
        "mean": np.linspace(0.4, 0.8, 8),
        "variance": np.linspace(1, 3, 8),
        "is_serious": True,
        "own_is_serious": True,
        "noise": None,
        "own_mean_gap": 0.3,
    }
    return Evidence(**usual | fields)


def test_noise_of_small_batches_is_named_where_their_size_is_known():
    assert causes([evidence(noise=0.2)], None)[0][0] == "small batches"
    assert causes([evidence(noise=0.1)], None)[0][0] == "other data"


def test_the_noise_of_small_batches_is_what_they_leave(healthy):
    """Single images, again and again: the gap is that which momentum 0.5 leaves of their noise."""
    random = np.random.default_rng(0)
    for layer in batch_norm_layers(healthy).values():
        layer.momentum = 0.5
    for position in random.integers(0, len(IMAGES), 12):
        healthy(IMAGES[position : position + 1], training=True)
    report = tl.batch_norm_report(healthy, IMAGES, batch_size=1)
    assert {row.cause for row in report.rows if row.is_serious} <= {"small batches", "inherited"}


def test_fixed_statistics_on_other_images_are_no_fault_but_told(healthy):
    for layer in batch_norm_layers(healthy).values():
        layer.mode = "frozen"
    report = tl.batch_norm_report(healthy, 255 - IMAGES * 0.2)
    assert {row.cause for row in report.rows if row.is_serious} <= {"fixed statistics", "inherited"}
    assert report.rows[0].cause == "fixed statistics"
    assert report.is_healthy
    assert report.summary().startswith("Not those of these images, by intent")
    assert "the layer is frozen" in report.summary()


def test_statistics_that_are_not_numbers_are_named(healthy):
    layer = healthy.get_layer("conv2_block1_1_bn")
    layer.moving_variance.assign(np.full(layer.moving_variance.shape, np.nan))
    found = [row.cause for row in tl.batch_norm_report(healthy, IMAGES).rows]
    assert found[:2] == ["", "not finite"]
    assert set(found[2:]) == {"inherited"}


@pytest.mark.slow
def test_the_effect_is_that_of_evaluation_and_of_training(healthy):
    layer = healthy.get_layer("conv3_block1_2_bn")
    layer.moving_mean.assign(layer.moving_mean.numpy() + 3)
    effect = tl.batch_norm_report(healthy, (IMAGES[:40], LABELS[:40])).effect
    served, own = (np.asarray(healthy(IMAGES[:40], training=t)) for t in (False, True))
    assert effect.top1 == (served.argmax(1) == LABELS[:40]).mean()
    assert effect.batch_top1 == (own.argmax(1) == LABELS[:40]).mean()
    shifted = served - served.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    assert effect.log_loss == pytest.approx(-logs[np.arange(40), LABELS[:40]].mean(), rel=1e-5)
    assert tl.batch_norm_report(healthy, IMAGES[:40]).effect is None


@pytest.mark.slow
def test_probabilities_are_not_taken_for_logits(healthy):
    softmax = keras.Model(healthy.input, keras.layers.Softmax()(healthy.output))
    data = IMAGES[:40], LABELS[:40]
    expected, found = (tl.batch_norm_report(m, data).effect for m in (healthy, softmax))
    np.testing.assert_allclose(dataclasses.astuple(found), dataclasses.astuple(expected), rtol=1e-4)


def one_layer():
    """Preprocessing and one batch normalisation."""
    images = keras.Input((None, None, 3))
    x = keras.layers.BatchNormalization()(ImagePreprocessing(PIXELS)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def test_batches_arrays_pairs_and_datasets_are_measured_alike():
    healthy = one_layer()
    pixels = IMAGES.astype(np.uint8)
    split = Split.of(ArrayImages(pixels), LABELS)
    dataset = ImageDataset("mine", ("a", "b", "c"), split, None, split)
    expected = tl.batch_norm_report(healthy, pixels).rows[0]
    for data in (
        [pixels[:50], pixels[50:]],
        iter([(pixels[:50], LABELS[:50]), (pixels[50:], LABELS[50:])]),
        (pixels, LABELS),
        dataset,
        split,
    ):
        row = tl.batch_norm_report(healthy, data).rows[0]
        assert row.mean_gap == pytest.approx(expected.mean_gap, rel=1e-3)
        assert row.variance_gap == pytest.approx(expected.variance_gap, rel=1e-3)
    assert tl.batch_norm_report(healthy, dataset, images=20).images == 20
    assert tl.batch_norm_report(healthy, batches(12)).images == 12


def test_batches_of_a_data_set_are_mixed(healthy):
    """Sorted by class, their statistics would be those of a class."""
    order = np.argsort(LABELS, kind="stable")
    split = Split.of(ArrayImages(IMAGES[order].astype(np.uint8)), LABELS[order])
    effect = tl.batch_norm_report(
        healthy, ImageDataset("mine", ("a", "b", "c"), split, None, split)
    ).effect
    mixed = tl.batch_norm_report(healthy, (IMAGES, LABELS)).effect
    assert effect.batch_log_loss == pytest.approx(mixed.batch_log_loss, abs=0.05)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "must be a data URI"),
        ([IMAGES[0]], r"\[batch, height, width, 3\]"),
        ([(IMAGES, LABELS[:5])], "one for each of 96 images"),
        ([], "no images"),
        ("foldr:x", "Did you mean"),
    ],
)
def test_what_is_no_data_is_refused(healthy, data, message):
    with pytest.raises(tl.InputError, match=message):
        tl.batch_norm_report(healthy, data)


def test_a_path_that_holds_no_model_is_refused(tmp_path):
    with pytest.raises(tl.InputError, match=r"neither a finished run's folder nor a \.keras file"):
        tl.batch_norm_report(tmp_path, IMAGES)


def test_a_finished_run_is_measured_with_its_own_class_names(finished_run, photos):
    report = tl.batch_norm_report(finished_run.folder, f"folder:{photos}", images=30)
    assert report.images == 30
    assert report.effect.top1 > 0.8
    assert {row.mode for row in report.rows} == {"frozen"}
    assert report.is_healthy


def test_the_table_has_a_row_a_layer(healthy):
    report = tl.batch_norm_report(healthy, IMAGES)
    lines = str(report).splitlines()
    assert len(lines) == 2 + 6 + 1
    assert lines[2].split() == ["conv1_bn", "adapt", *lines[2].split()[2:6], "fits"]
    assert report.table().rows[0][0] == "conv1_bn"
    assert report.worst in report.rows
