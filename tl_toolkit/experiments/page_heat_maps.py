"""Heat maps of the photos that a page explains."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from PIL import Image

from tl_toolkit.data.dataset import Split
from tl_toolkit.data.resize import resize_each_for_evaluation
from tl_toolkit.experiments.answer_rows import image_name
from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.heat_maps import heat_maps, overlay
from tl_toolkit.report.page.answer_sections import HeatMaps
from tl_toolkit.report.page.thumbnails import webp

SIDE = 224  # pixels of a map in the page, at most
NOTE = (
    "The brighter a place, the more it adds to the class's logit, compared with the mean over all classes: the logit is "
    "a sum over places, and nothing is approximated. A place of a deep layer looks far around itself."
)


def page_heat_maps(
    model: keras.Model, table: AnswerTable, positions: Sequence[int], split: Split
) -> HeatMaps:
    """Draws what speaks for the class that was said and for the true one, over what the network sees.

    Args:
        model: The trained one.
        table: Its answers.
        positions: Of the photos to explain, in the table; the split has them all.
        split: The images.
    """
    place_of = {str(image_name(split, place)): place for place in range(len(split))}
    if not positions:
        return HeatMaps()
    files = [split.images.encoded(place_of[table.images[position]]) for position in positions]
    record = model.get_layer("preprocessing").record
    seen = resize_each_for_evaluation(files, record).numpy()
    asked = [
        (row, int(label))
        for row, position in enumerate(positions)
        for label in dict.fromkeys((table.said[position], table.labels[position]))
    ]
    rows, classes = (list(column) for column in zip(*asked, strict=True))
    maps = dict(zip(asked, heat_maps(model, seen[rows], classes), strict=True))
    pixels = [_small(np.round(image).astype(np.uint8)) for image in seen]

    def drawn(row: int, label: int) -> bytes:
        return webp(overlay(pixels[row], maps[row, int(label)]))

    return HeatMaps(
        {
            position: (drawn(row, table.said[position]), drawn(row, table.labels[position]))
            for row, position in enumerate(positions)
        },
        NOTE,
    )


def _small(pixels: np.ndarray) -> np.ndarray:
    if len(pixels) <= SIDE:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))
