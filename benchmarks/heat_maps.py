"""Whether heat maps show what the network uses: the answer's probability while places of the photo are hidden.

    python benchmarks/heat_maps.py RUN [--images 200]

Deletion and insertion (Petsiuk et al. 2018, "RISE"): of each test image the brightest tenth, quarter and half of the places
is replaced by the image's mean colour, or everything but them; beside it as many places at random, and the dimmest. A map
that shows what counts lowers the probability more than chance where its bright places are hidden, and keeps more of it
where only they are left.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import tensorflow as tf
from scipy.special import softmax

import tl_toolkit as tl
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.data.resize import resize_files_for_evaluation
from tl_toolkit.report.heat_maps import heat_maps

SHARES = (0.1, 0.25, 0.5)
AT_ONCE = 32


def probabilities(model, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns float[n], the probability of each image's class."""
    parts = [
        np.asarray(model(images[start : start + AT_ONCE], training=False))
        for start in range(0, len(images), AT_ONCE)
    ]
    return softmax(np.concatenate(parts), axis=1)[np.arange(len(classes)), classes]


def chosen_places(order: np.ndarray, share: float) -> np.ndarray:
    """Returns bool[n, rows, columns]: of each map the first share of the places in an order, float[n, rows, columns]."""
    flat = order.reshape(len(order), -1)
    count = max(1, round(share * flat.shape[1]))
    ranks = flat.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return (ranks < count).reshape(order.shape)


def hidden(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Replaces what lies in some places, bool[n, rows, columns], by the image's mean colour."""
    sides = images.shape[1:3]
    rows, columns = (
        np.arange(side) * count // side for side, count in zip(sides, places.shape[1:], strict=True)
    )
    mask = places[:, rows][:, :, columns][..., None]
    return np.where(mask, images.mean(axis=(1, 2), keepdims=True), images)


def measure(run: pathlib.Path, count: int) -> list[tuple[str, float, float, float]]:
    """Returns rows (what, share of the places, mean probability with them hidden, with only them left)."""
    recipe = tl.Recipe.load(run / "recipe.json")
    test = open_recipe_data(recipe).test
    chosen = np.random.default_rng(0).permutation(len(test))[:count]
    model = tl.load_model(run / "model.keras")
    record = model.get_layer("preprocessing").record
    files = [test.images.encoded(int(index)) for index in chosen]
    images = resize_files_for_evaluation(tf.constant(files), record).numpy()
    logits = np.concatenate(
        [
            np.asarray(model(images[s : s + AT_ONCE], training=False))
            for s in range(0, len(images), AT_ONCE)
        ]
    )
    classes = logits.argmax(axis=1)
    maps = heat_maps(model, images, classes)
    random = np.random.default_rng(1).permuted(
        np.arange(maps[0].size, dtype=float)[None].repeat(len(maps), 0), axis=1
    )
    orders = {"brightest": -maps, "random": random.reshape(maps.shape), "dimmest": maps}
    rows = [("none", 0.0, float(probabilities(model, images, classes).mean()), float("nan"))]
    for share in SHARES:
        for what, order in orders.items():
            places = chosen_places(order, share)
            without = probabilities(model, hidden(images, places), classes).mean()
            alone = probabilities(model, hidden(images, ~places), classes).mean()
            rows.append((what, share, float(without), float(alone)))
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--images", type=int, default=200)
    asked = parser.parse_args()
    print("| places | share | the answer's probability with them hidden | with only them left |")
    print("|---|---|---|---|")
    for what, share, without, alone in measure(asked.run, asked.images):
        print(f"| {what} | {share:.0%} | {without:.3f} | {alone:.3f} |")


if __name__ == "__main__":
    main()
