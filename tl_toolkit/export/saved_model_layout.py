"""What lies where in a SavedModel of ours, and how near to it another format has to be. No TensorFlow."""

from __future__ import annotations

import pathlib

SAVED_MODEL = "saved_model"  # folder in a run's
CARD = pathlib.PurePath("assets.extra", "model_card.json")
THRESHOLDS = "thresholds"  # on the card, by label
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}  # of probabilities, by the served precision
