"""`tl-toolkit predict`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.tables import predictions_table, print_json
from tl_toolkit.cli.terminal import drawn, terminal
from tl_toolkit.errors import InputError
from tl_toolkit.fields import Between, check_value


def predict(
    model: tyro.conf.Positional[str],
    images: tyro.conf.Positional[tuple[str, ...]],
    top: int = 3,
    unsure_below: Maybe[float] = None,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Classifies image files.

    Args:
        model: A finished run's folder or the SavedModel in it; or a network such as resnet50, for the
            1,000 classes of ImageNet, with no training needed.
        images: Image files to classify.
        top: Classes to show for each image.
        unsure_below: Mark answers with a lower probability than this, such as 0.8, as unsure. Default: none is.
        json: Print JSON, with the probabilities of all classes.
        verbose: Show TensorFlow's own messages.
    """
    if not images:
        raise InputError("Name at least one image file.")
    if top < 1:
        raise InputError(f"--top must be at least 1. Received: {top}")
    check_value("--unsure-below", unsure_below, Annotated[float, Between(0, 1)] | None)
    with terminal(verbose, beside_json=json) as progress:
        from tl_toolkit.export.classifier import load_classifier

        with progress.stage("Loading the model"):
            classifier = load_classifier(model)
        with progress.stage("Classifying"):
            predictions = classifier.predict(images)
        if json:
            print_json(
                [
                    {
                        "image": image,
                        **dataclasses.asdict(prediction),
                        **(
                            {}
                            if unsure_below is None
                            else {"unsure": prediction.score < unsure_below}
                        ),
                    }
                    for image, prediction in zip(images, predictions, strict=True)
                ]
            )
            return
        progress.console.print(drawn(predictions_table(images, predictions, top, unsure_below)))
