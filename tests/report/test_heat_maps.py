"""Heat maps add up to the logit that they explain, and are bright where the evidence is."""

import dataclasses

import keras
import numpy as np
import pytest
from families import long_after
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny import TINY, randomise

from tl_toolkit.catalog import PREPROCESSING, Architecture
from tl_toolkit.models.head import assemble_classifier, new_head
from tl_toolkit.report.heat_maps import _on_grid, heat_maps, overlay

PREPARED = dataclasses.replace(PREPROCESSING["imagenet"], image_size=24)
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 24, 20, 3)).astype("float32")
HEADS = {
    "features": {},
    "logits": {"on": "logits", "original_classes": 7},
    "all blocks": {"on": "all_blocks"},
    "features, flips": {"tta": "flips"},
    "all blocks, flips": {"on": "all_blocks", "tta": "flips"},
}


@pytest.mark.parametrize("head", HEADS)
def test_maps_add_up_to_the_logit(head):
    model = randomise(assemble_classifier(TINY, PREPARED, 3, **HEADS[head]))
    classes = [0, 1, 2, 1, 0]
    maps = heat_maps(model, PIXELS, classes)
    logits, biases = model(PIXELS, training=False).numpy(), new_head(model).bias.numpy()
    if head == "logits":
        biases = biases + model.get_layer("predictions").bias.numpy() @ new_head(model).kernel
    wanted = (logits - biases) - (logits - biases).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        maps.sum(axis=(1, 2)), wanted[np.arange(5), classes], rtol=1e-4, atol=1e-4
    )
    assert maps.dtype == np.float32
    assert np.abs(maps).max() > 1e-3


def test_what_is_dealt_out_on_another_grid_stays_where_it_was():
    maps = np.random.default_rng(0).normal(0, 1, (2, 7, 5))
    finer = _on_grid(maps, (14, 10))
    np.testing.assert_allclose(finer[:, ::2, ::2], maps / 4)
    np.testing.assert_allclose(finer.sum(axis=(1, 2)), maps.sum(axis=(1, 2)))
    coarser = _on_grid(maps, (3, 4))
    np.testing.assert_allclose(coarser.sum(axis=(1, 2)), maps.sum(axis=(1, 2)))
    np.testing.assert_allclose(_on_grid(maps, (7, 5)), maps)


SPOT = 8  # of 32 pixels a side


@pytest.fixture(scope="module")
def spotted():
    """Noise with a spot that is red or blue, the class, at a place that is not."""
    random = np.random.default_rng(1)
    images = random.integers(90, 160, (96, 32, 32, 3)).astype("float32")
    labels, places = np.arange(96) % 2, random.integers(0, 4, (96, 2)) * SPOT
    for image, label, (top, left) in zip(images, labels, places, strict=True):
        image[top : top + SPOT, left : left + SPOT] = (230, 30, 30) if label else (30, 30, 230)
    return images, labels, places


def solved(images, labels, **head):
    """A frozen random network of three stages, with a head that is solved for."""
    architecture = Architecture("basic", (1, 1, 1), width=16, stem="cifar")
    preprocessing = dataclasses.replace(PREPROCESSING["imagenet"], image_size=32)
    model = assemble_classifier(architecture, preprocessing, 2, **head)
    features = keras.Model(model.input, new_head(model).input)(images, training=False).numpy()
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(C=0.1, max_iter=2000).fit(scaler.transform(features), labels)
    kernel = fitted.coef_[0] / scaler.scale_
    bias = fitted.intercept_[0] - kernel @ scaler.mean_
    new_head(model).kernel.assign(np.stack([-kernel, kernel], axis=1) / 2)
    new_head(model).bias.assign([-bias / 2, bias / 2])
    return model


@pytest.mark.parametrize(
    "head", long_after(1, [{"on": "all_blocks"}, {}]), ids=["all blocks", "features"]
)
def test_maps_are_bright_where_the_evidence_is(spotted, head):
    images, labels, places = spotted
    model = solved(images[:64], labels[:64], **head)
    test, true, where = images[64:], labels[64:], places[64:]
    assert (model(test, training=False).numpy().argmax(axis=1) == true).mean() >= 0.9
    maps = heat_maps(model, test, true)
    side = maps.shape[1] / 32
    inside = []
    for heat_map, (top, left) in zip(maps, where, strict=True):
        row, column = np.unravel_index(heat_map.argmax(), heat_map.shape)
        near = SPOT / 4  # a convolution looks beyond its place
        inside.append(
            top - near <= (row + 0.5) / side <= top + SPOT + near
            and left - near <= (column + 0.5) / side <= left + SPOT + near
        )
    # A place of the last block alone looks far around itself.
    assert np.mean(inside) >= (0.9 if head else 0.75)
    # Deletion and insertion (Petsiuk et al. 2018): grey out the brightest quarter of the places, or all but them.
    fine = np.repeat(np.repeat(maps, int(1 / side), 1), int(1 / side), 2)
    brightest = fine >= np.quantile(fine, 0.75, axis=(1, 2), keepdims=True)
    margin = {
        name: _margin(model, np.where(kept[..., None], test, 125), true)
        for name, kept in {"deleted": ~brightest, "inserted": brightest}.items()
    }
    assert margin["inserted"] > 0.5 * _margin(model, test, true)
    assert margin["deleted"] < 0.25 * _margin(model, test, true)


def _margin(model, images, labels):
    logits = model(images, training=False).numpy()
    return float((logits[np.arange(len(labels)), labels] - logits.mean(axis=1)).mean())


def test_the_overlay_colours_what_speaks_for_the_class_and_nothing_else():
    photo = np.full((40, 60, 3), 100, np.uint8)
    heat_map = np.zeros((2, 3))
    heat_map[0, 2], heat_map[1, 0] = 2.0, -5.0
    drawn = overlay(photo, heat_map).astype(int)
    assert drawn.shape == photo.shape
    coloured = np.ptp(drawn, axis=2)
    assert coloured[8, 52] > 50
    np.testing.assert_array_equal(drawn[32, :20], 100)
    np.testing.assert_array_equal(overlay(photo, -np.ones((2, 2))), photo)


def test_few_images_are_looked_at_at_once(monkeypatch):
    """Outputs of all blocks of several large images do not fit into memory together."""
    model = randomise(assemble_classifier(TINY, PREPARED, 3, on="all_blocks", tta="flips"))
    asked = []
    build = keras.Model

    def watched(*arguments):
        blocks = build(*arguments)
        return lambda images, training: (
            asked.append(len(images)) or blocks(images, training=training)
        )

    monkeypatch.setattr(keras, "Model", watched)
    maps = heat_maps(model, PIXELS, [0, 1, 2, 1, 0])
    assert asked == [2, 2, 1]  # of four views each
    monkeypatch.undo()
    alone = [heat_maps(model, PIXELS[n : n + 1], [c])[0] for n, c in enumerate([0, 1, 2, 1, 0])]
    np.testing.assert_allclose(maps, alone, atol=1e-5)
