"""Views of an image in one batch, and their mean, in every form that a network has."""

import numpy as np
import pytest
from tiny import BOTTLENECK, PIXELS, TINY, randomise

from tl_toolkit.errors import InputError
from tl_toolkit.models.deep_graph import load_model
from tl_toolkit.models.flipped_views import FlippedViews, MeanOfViews
from tl_toolkit.models.fold import copy_in, inference_engine
from tl_toolkit.models.head import assemble_classifier, blocks_of_features, new_head

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)


def test_views_are_the_four_mirror_images_and_the_mean_is_each_images_own():
    views = FlippedViews()(IMAGES).numpy()
    expected = [IMAGES, IMAGES[:, :, ::-1], IMAGES[:, ::-1], IMAGES[:, ::-1, ::-1]]
    np.testing.assert_array_equal(views, np.concatenate(expected))
    sums = views.sum(axis=(1, 2)) * np.repeat([1, 2, 3, 4], 3)[:, None]
    mean = MeanOfViews()(sums).numpy()
    np.testing.assert_allclose(mean, IMAGES.sum(axis=(1, 2)) * 2.5, rtol=1e-5)


@pytest.fixture(scope="module", params=["features", "all_blocks"])
def model(request):
    return randomise(assemble_classifier(TINY, PIXELS, 3, on=request.param, tta="flips"))


def test_every_form_of_the_network_gives_the_same_logits(model, tmp_path):
    expected = model(IMAGES, training=False).numpy()
    np.testing.assert_allclose(
        model(IMAGES[:, ::-1], training=False), expected, rtol=1e-4, atol=1e-5
    )
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES, training=False), expected)
    np.testing.assert_allclose(inference_engine(model)(IMAGES), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(copy_in(model, "float32")(IMAGES), expected, rtol=1e-5, atol=1e-6)
    in_half = inference_engine(model, "bfloat16")(IMAGES).numpy()
    assert in_half.dtype == np.float32
    np.testing.assert_allclose(in_half, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("architecture", [TINY, BOTTLENECK], ids=lambda a: a.block)
def test_the_head_on_all_blocks_is_as_wide_as_their_averages_and_maxima(architecture):
    model = assemble_classifier(architecture, PIXELS, 3, on="all_blocks")
    widening = 4 if architecture.block == "bottleneck" else 1
    assert new_head(model).kernel.shape == (2 * widening * (4 + 8), 3)
    blocks = blocks_of_features(architecture)
    assert blocks == ["conv2_block1"] * 8 * widening + ["conv3_block1"] * 16 * widening


def test_other_views_are_refused():
    with pytest.raises(InputError, match="Known: flips, none"):
        assemble_classifier(TINY, PIXELS, 3, tta="turns")
