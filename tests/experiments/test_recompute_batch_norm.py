"""PreciseBN: the population's statistics take the moving ones' place, and nothing else changes."""

import numpy as np
import pytest
from families import long_after
from tiny import assert_same_bits, classifier, labelled_pixels, values, with_dropout

import tl_toolkit as tl
from tl_toolkit.models.batch_norm_statistics import batch_norm_layers

IMAGES, LABELS, _ = labelled_pixels(48)
STATISTICS = ("moving_mean", "moving_variance")


def statistics_of(found):
    return {path for path in found if path.endswith(STATISTICS)}


def test_one_batch_gives_the_statistics_that_training_computes():
    model, trained = classifier(), classifier()
    for layer in batch_norm_layers(trained).values():
        layer.momentum = 0.0
    trained(IMAGES, training=True)
    tl.recompute_batch_norm(model, [IMAGES])
    expected = values(trained)
    for path, value in values(model).items():
        np.testing.assert_allclose(value, expected[path], rtol=2e-4, atol=2e-5, err_msg=path)


def test_several_batches_give_the_mean_of_means_and_the_pooled_variance():
    model = classifier()
    batches = IMAGES[:30], IMAGES[30:]
    means, seconds = 0, 0
    for batch in batches:
        own = classifier()
        layer = own.get_layer("conv2_block1_2_bn")
        for each in batch_norm_layers(own).values():
            each.momentum = 0.0
        own(batch, training=True)
        mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
        means += mean * len(batch) / 48
        seconds += (variance + mean**2) * len(batch) / 48
    tl.recompute_batch_norm(model, batches)
    layer = model.get_layer("conv2_block1_2_bn")
    np.testing.assert_allclose(layer.moving_mean, means, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(layer.moving_variance, seconds - means**2, rtol=2e-4, atol=2e-5)


def test_nothing_else_changes_in_any_bit():
    model = with_dropout(classifier())
    before = values(model)
    modes = [(layer.mode, layer.trainable) for layer in batch_norm_layers(model).values()]
    tl.recompute_batch_norm(model, (IMAGES, LABELS))
    after = values(model)
    moved = statistics_of(before)
    kept = set(before) - moved
    assert_same_bits({p: after[p] for p in kept}, {p: before[p] for p in kept})
    assert all(after[p].tobytes() != before[p].tobytes() for p in moved)
    assert modes == [(layer.mode, layer.trainable) for layer in batch_norm_layers(model).values()]


def test_it_says_what_moved():
    model = classifier()
    before = values(model)
    found = tl.recompute_batch_norm(model, IMAGES)
    assert [layer.layer for layer in found] == list(batch_norm_layers(model))
    path = next(path for path in before if path.endswith("conv1_bn/moving_mean"))
    np.testing.assert_array_equal(found[0].mean_before, before[path])
    np.testing.assert_array_equal(found[0].mean, values(model)[path])
    assert found[0].mean_moved > 0.1
    again = tl.recompute_batch_norm(model, IMAGES)
    assert all(layer.mean_moved == layer.variance_moved == 0 for layer in again)


@pytest.mark.parametrize("frozen_by", long_after(1, ["affine", "frozen", "trainable"]))
def test_fixed_layers_are_refused_unless_told_otherwise(frozen_by):
    model = classifier()
    layer = model.get_layer("conv1_bn")
    if frozen_by == "trainable":
        layer.trainable = False
    else:
        layer.mode = frozen_by
    before = values(model)
    with pytest.raises(tl.InputError, match=r"'conv1_bn' on .*fixed='skip'"):
        tl.recompute_batch_norm(model, IMAGES)
    assert_same_bits(values(model), before)

    fixed = {path: value for path, value in before.items() if "conv1_bn" in path}
    assert len(tl.recompute_batch_norm(model, IMAGES, fixed="skip")) == 5
    after = values(model)
    assert_same_bits({path: after[path] for path in fixed}, fixed)

    assert len(tl.recompute_batch_norm(model, IMAGES, fixed="recompute")) == 6
    assert not np.array_equal(
        layer.moving_mean, fixed[next(p for p in fixed if p.endswith("mean"))]
    )


def test_layers_behind_skipped_ones_see_what_those_give_with_their_moving_statistics():
    model, trained = classifier(), classifier()
    for each in (model, trained):
        each.get_layer("conv1_bn").mode = "frozen"
    for layer in batch_norm_layers(trained).values():
        layer.momentum = 0.0
    trained(IMAGES, training=True)
    tl.recompute_batch_norm(model, [IMAGES], fixed="skip")
    expected = values(trained)
    for path, value in values(model).items():
        np.testing.assert_allclose(value, expected[path], rtol=2e-4, atol=2e-5, err_msg=path)


def test_an_unknown_word_for_fixed_layers_is_refused():
    with pytest.raises(tl.InputError, match="fixed"):
        tl.recompute_batch_norm(classifier(), IMAGES, fixed="ignore")


def test_data_that_end_in_an_error_change_nothing():
    def breaking():
        yield IMAGES[:24]
        raise OSError("the disk is gone")

    model = classifier()
    before = values(model)
    with pytest.raises(OSError, match="the disk is gone"):
        tl.recompute_batch_norm(model, breaking())
    assert_same_bits(values(model), before)


@pytest.mark.long
def test_it_mends_what_the_report_calls_serious():
    model = classifier()
    assert not tl.batch_norm_report(model, IMAGES).is_healthy
    tl.recompute_batch_norm(model, IMAGES)
    assert tl.batch_norm_report(model, IMAGES).is_healthy
