"""Where a model is cut, and that its two parts are the whole."""

import keras
import numpy as np
import pytest
from tiny import BOTTLENECK, SIDE, classifier, with_dropout

import tl_toolkit as tl
from tl_toolkit.strategies import strategy_label
from tl_toolkit.transfer.cut import cut_model
from tl_toolkit.transfer.plan import apply_plan, make_plan


@pytest.mark.parametrize(
    ("strategy", "arguments", "layer"),
    [
        (tl.NewHead(), {}, "avg_pool"),
        (tl.NewHead("logits"), {"on": "logits", "original_classes": 7}, "predictions"),
        (tl.LastLayers("conv3"), {}, "conv2_block1_out"),
        (tl.LastLayers("conv2_block1"), {}, "conv1_relu"),
        (tl.LastLayers("conv3", on="all_blocks"), {"on": "all_blocks"}, "conv2_block1_out"),
        (tl.FullFineTune(), {}, None),
        (tl.FromScratch(), {}, None),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_cut_is_before_the_first_block_that_moves(strategy, arguments, layer):
    model = classifier(BOTTLENECK, **arguments)
    assert make_plan(model, strategy, "frozen" if layer else "adapt").cut == layer


def test_what_is_random_is_never_before_the_cut():
    model = with_dropout(classifier())
    assert make_plan(model, tl.NewHead(), "frozen").cut == "avg_pool"


@pytest.mark.parametrize(
    "strategy",
    [
        tl.NewHead(),
        tl.LastLayers("conv3"),
        tl.LastLayers("conv3", on="all_blocks"),
        tl.LastLayers("conv2_block1", on="all_blocks"),  # nothing goes around the stem
    ],
    ids=strategy_label,
)
def test_the_parts_compose_to_the_same_bits_and_share_the_variables(strategy):
    model = classifier(BOTTLENECK, on=strategy.on)
    plan = make_plan(model, strategy, "affine" if strategy.name == "last_layers" else "frozen")
    apply_plan(model, plan)
    cut = cut_model(model, plan.cut)
    images = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 3)).astype(np.float32)
    whole = model(images, training=False).numpy()
    assert (
        cut.trained(cut.frozen(images, training=False), training=False).numpy().tobytes()
        == whole.tobytes()
    )
    assert cut.frozen.trainable_variables == []
    ours = {id(v) for v in model.trainable_variables}
    assert {id(v) for v in cut.trained.trainable_variables} == ours


def test_what_goes_around_the_cut_is_joined_to_the_activations():
    model = classifier(BOTTLENECK, on="all_blocks")
    cut = cut_model(model, "conv2_block1_out")
    images = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 3)).astype(np.float32)
    joined = cut.frozen(images, training=False).numpy()
    activations = keras.Model(model.input, model.get_layer("conv2_block1_out").output)(images)
    pooled = keras.Model(model.input, model.get_layer("block_features").output)(images)
    size = activations.shape[1] * activations.shape[2] * activations.shape[3]
    assert cut.is_joined
    assert not cut_model(classifier(BOTTLENECK), "conv2_block1_out").is_joined
    np.testing.assert_array_equal(joined[:, :size], activations.numpy().reshape(3, size))
    # The first block's average and maximum, which the head sees too, need not be computed again.
    width = activations.shape[3]
    np.testing.assert_array_equal(joined[:, size:], pooled.numpy()[:, : 2 * width])
