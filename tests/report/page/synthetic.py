"""Answers that nobody gave, with as many photos and classes as a test asks for, and the files of a run around them."""

import pathlib

import numpy as np

from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.held_back import MARKS, held_back
from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.report.page.answer_sections import HeatMaps
from tl_toolkit.report.page.photo_choice import choose_photos
from tl_toolkit.report.page.run_files import RunFiles
from tl_toolkit.report.page.run_page import run_page
from tl_toolkit.report.page.thumbnails import BYTES_OF_ALL, MOST, Thumbnails, in_base64, webp
from tl_toolkit.report.two_classes import HeldOut, threshold_rows

HOSTILE = (
    "<script>document.title = 'run'</script>",
    "\"quoted\" & 'single'",
    "قطة",
    "🐈‍⬛ </script><img src=x onerror=\"document.title='run'\">",
    "{{ 7 * 7 }}\u2028line",
)


def answers(photos=60, classes=3, *, names=None, seed=0, folder="photos"):
    """Answers of which about three in four are right; a wrong one mostly names the next class."""
    random = np.random.default_rng(seed)
    labels = np.arange(photos) % classes
    logits = random.normal(0, 1, (photos, classes))
    logits[np.arange(photos), labels] += np.where(random.random(photos) < 0.75, 5, 0)
    logits[np.arange(photos), (labels + 1) % classes] += random.exponential(2, photos)
    odds = np.exp(logits)
    names = tuple(names or (f"class {number}" for number in range(classes)))
    return AnswerTable(
        images=tuple(f"{folder}/{names[label]}/{place}.jpg" for place, label in enumerate(labels)),
        class_names=names,
        labels=labels,
        probabilities=odds / odds.sum(axis=1, keepdims=True),
    )


def run_files(table, positive=None, **metrics):
    """What a run with those answers would have written."""
    logits, labels = table.log_probabilities, table.labels
    test = classification_metrics(logits, labels, table.class_names, positive)
    thresholds = []
    if positive is not None:
        held_out = HeldOut(logits, labels, "validation images")
        thresholds = threshold_rows(held_out, (logits, labels), positive, None)
    history = [
        {
            "epoch": n + 1,
            "loss": 1 / (n + 1),
            "top1": n / 5,
            "val_loss": 1.2 / (n + 1),
            "val_top1": n / 6,
        }
        for n in range(5)
    ]
    return RunFiles(
        folder=pathlib.Path("my_run"),
        recipe={"data": "folder:photos", "strategy": {"name": "last_layers"}, "seed": 0},
        metrics={
            "test": test,
            "validation": None,
            "held_back": [held_back(logits, labels, below) for below in MARKS],
            "thresholds": thresholds,
            "trained_parameters": 1234,
            "seconds": 12.3,
            "notes": [],
            "facts": {"licence of the weights": "MIT", "network": "resnet18"},
            "kept": 4,
            **metrics,
        },
        plan={
            "stages": [{"stage": "head", "trained": 1234, "frozen": 0, "bn_modes": []}],
            "bn_modes": {"conv1_bn": "frozen"},
            "cut": None,
        },
        versions={"keras": "3"},
        history=history,
        rungs=[],
        answers=table,
    )


def noise_thumbnails(positions, room=BYTES_OF_ALL, side=128, seed=0):
    """Thumbnails that compress as badly as photos with much detail, as many as there is room for."""
    random = np.random.default_rng(seed)
    file = in_base64(webp(random.integers(60, 190, (side, side, 3), dtype=np.uint8)))
    most = min(len(positions), MOST, room // len(file))
    # Text is as long for one photo as for another: it need not be compressed anew.
    return Thumbnails(dict.fromkeys(positions[:most], file), len(positions) - most)


def page(table, positive=None, *, heat_maps=None, **options):
    """The HTML of a run with those answers."""
    chosen = choose_photos(table)
    thumbnails = noise_thumbnails(chosen.by_importance(), side=24)
    if heat_maps:
        image = webp(np.zeros((8, 8, 3), np.uint8))
        pair = {position: (image, image) for position, _ in chosen.explained}
        options["heat_maps"] = HeatMaps(pair, "By Grad-CAM.")
    return run_page(run_files(table, positive), "my_run", thumbnails, chosen=chosen, **options)
