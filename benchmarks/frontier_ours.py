"""A contender of `frontier.py`: this toolkit with its defaults, as `tl-toolkit train` trains."""

from __future__ import annotations

import pathlib

import numpy as np
from frontier_worker import Images, Job, begin, tell

import tl_toolkit as tl  # before TensorFlow, because it decides on oneDNN
from tl_toolkit.data.dataset import Split
from tl_toolkit.experiments.climb import climb
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.strategies import strategy_named


def recipe_of(job: Job) -> tl.Recipe:
    """Returns the recipe: all but its strategy, data, weights, size and seed is the default."""
    (archive,) = pathlib.Path(job.weights).glob("*.tgz")
    return tl.Recipe(
        data=f"csv:{job.table}",
        strategy=strategy_named(**job.options),
        weights=str(archive),
        image_size=job.side,
        seed=job.seed,
    )


def in_order(logits: np.ndarray, split: Split, images: Images) -> np.ndarray:
    """Returns the logits of a split in the order of the job's images."""
    places = {str(path): place for place, path in enumerate(split.images.paths)}
    return logits[[places[path] for path, _ in images]]


def main() -> None:
    """Trains, and answers the test images."""
    job, clock = begin()
    recipe = recipe_of(job)
    if isinstance(recipe.strategy, tl.Auto):
        trained = climb(recipe, Context()).trained
    else:
        trained = train_and_validate(recipe)
    spent = clock.read()
    experiment, dataset = trained.experiment, trained.experiment.dataset
    validation = in_order(trained.validation_logits, dataset.validation, job.validation)
    test = in_order(predict_logits(experiment, dataset.test)[0], dataset.test, job.test)
    minutes = job.options.get("minutes")
    setting = f"within {60 * minutes:.0f} s" if minutes else "defaults"
    tell(setting, spent, validation, test, is_last=True)


if __name__ == "__main__":
    main()
