"""A trained model's figures on a split."""

from __future__ import annotations

from typing import Any

import numpy as np

from tl_toolkit.data.dataset import Split
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.experiments.batch_source import EVALUATION_BATCH_SIZE
from tl_toolkit.experiments.figures import figures_of
from tl_toolkit.experiments.prepare import Experiment


def evaluate(experiment: Experiment, split: Split) -> dict[str, Any]:
    """Returns `classification_metrics` of the experiment's model on a split."""
    logits, labels = predict_logits(experiment, split)
    return figures_of(logits, labels, experiment.dataset.class_names, experiment.positive)


def predict_logits(experiment: Experiment, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns (float32[n, classes] logits, their labels) of a split."""
    return experiment.predict(
        EvaluationBatches(split, experiment.preprocessing, EVALUATION_BATCH_SIZE)
    )
