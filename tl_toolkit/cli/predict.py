"""`tl-toolkit predict`."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.tables import predictions_table, print_json
from tl_toolkit.cli.terminal import drawn, terminal
from tl_toolkit.errors import InputError
from tl_toolkit.fields import Between, check_value

if TYPE_CHECKING:
    from tl_toolkit.export.file_answers import FileAnswer


def predict(
    model: tyro.conf.Positional[str],
    images: tyro.conf.Positional[tuple[str, ...]],
    top: int = 3,
    unsure_below: Maybe[float] = None,
    explain: Maybe[str] = None,
    html: Maybe[str] = None,
    runtime: Literal["auto", "tensorflow", "onnx", "litert", "openvino"] = "auto",
    json: bool = False,
    csv: bool = False,
    verbose: bool = False,
) -> None:
    """Classifies image files, or gives them labels. One that cannot be read is named at the end, and the exit code is 2.

    Args:
        model: A finished run's folder or the SavedModel in it; or a network such as resnet50, for the
            1,000 classes of ImageNet, with no training needed.
        images: Image files to classify, or folders of them.
        top: Classes to show for each image.
        unsure_below: Mark answers with a lower probability than this, such as 0.8, as unsure. Default: none is.
        explain: A folder for PNG files that show what in each photo speaks for the answer. Default: none.
        html: A file for a page with all answers and photos, the most doubtful first. Default: none.
        runtime: What computes. auto takes a file that tl-toolkit export wrote into the run and found equal to its
            SavedModel, where its runtime is installed, which starts in a fraction of TensorFlow's time; and TensorFlow
            where there is none, for --explain and for --html.
        json: Print JSON, with the probabilities of all classes.
        csv: Print a table for a spreadsheet, with the probabilities of all classes.
        verbose: Show TensorFlow's own messages.
    """
    if not images:
        raise InputError("Name at least one image file.")
    if top < 1:
        raise InputError(f"--top must be at least 1. Received: {top}")
    if json and csv:
        raise InputError("Choose one of --json and --csv.")
    check_value("--unsure-below", unsure_below, Annotated[float, Between(0, 1)] | None)
    from tl_toolkit.experiments.answering_file import AUTO, TENSORFLOW, answering_file
    from tl_toolkit.export.runtimes import OPENERS

    needs_tensorflow = explain is not None or html is not None
    if needs_tensorflow and runtime == AUTO:
        runtime = TENSORFLOW
    exported = answering_file(model, runtime)
    loads_tensorflow = needs_tensorflow or (
        exported is None and pathlib.PurePath(model).suffix not in OPENERS
    )
    with terminal(verbose, json or csv, loads_tensorflow) as progress:
        from tl_toolkit.data.file_names import printable, user_path
        from tl_toolkit.data.photo_files import photo_files
        from tl_toolkit.export.classifier import load_classifier
        from tl_toolkit.export.file_answers import answer_files

        files = photo_files(images)
        maps = page = None
        if explain is not None:
            from tl_toolkit.experiments.explained_files import HeatMapFiles

            maps = HeatMapFiles(user_path(explain), files)
        if html is not None:
            from tl_toolkit.experiments.answers_page import check_answers_page, write_answers_page

            page = user_path(html)
            check_answers_page(page)
        with progress.stage("Loading the model"):
            classifier = load_classifier(model if exported is None else exported[0])
        if classifier.thresholds is not None and unsure_below is not None:
            raise InputError(
                "--unsure-below is for one class a photo, and this model gives any number of labels, each from a threshold of "
                "its own: leave it out, or look at the probabilities with --csv."
            )
        answers = answer_files(classifier, files, progress)
        if maps is not None:
            maps.write(classifier, answers, progress)
        if page is not None:
            write_answers_page(page, model, classifier, answers, unsure_below, progress)
        if exported is not None:
            path, words = exported
            progress.message(f"{words} answers, with {printable(path)}.")
        given = [answer for answer in answers if answer.prediction is not None]
        faults = [answer.fault for answer in answers if answer.prediction is None]
        if json:
            print_json([_as_json(answer, unsure_below) for answer in answers])
        elif csv:
            _print_csv(answers, classifier.class_names, unsure_below)
        elif given:
            names = [printable(answer.path) for answer in given]
            predictions = [answer.prediction for answer in given if answer.prediction is not None]
            table = predictions_table(names, predictions, top, unsure_below)
            progress.console.print(drawn(table))
        if maps is not None and given:
            progress.message(f"Heat maps: {explain}")
        if page is not None:
            progress.message(f"The page: {page}")
    if faults:
        count = f"{len(faults)} of {len(answers)} files have no answer:\n" if given else ""
        raise InputError(count + "\n".join(faults))


def _as_json(answer: FileAnswer, unsure_below: float | None) -> dict[str, Any]:
    from tl_toolkit.data.file_names import printable

    if answer.prediction is None:
        return {"image": printable(answer.path), "error": answer.fault}
    values = {"image": printable(answer.path), **dataclasses.asdict(answer.prediction)}
    if "labels" in values:  # any number: the most probable one is no answer
        names = ("image", "labels", "probabilities", "thresholds")
        return {name: values[name] for name in names}
    if unsure_below is not None:
        values["unsure"] = answer.prediction.score < unsure_below
    return values


def _print_csv(
    answers: Sequence[FileAnswer], class_names: Sequence[str], unsure_below: float | None
) -> None:

    predictions = [answer.prediction for answer in answers if answer.prediction is not None]
    if any(hasattr(prediction, "labels") for prediction in predictions):
        _print_label_csv(answers, class_names)
        return
    of_unsure = [] if unsure_below is None else ["unsure"]
    columns = ["image", "answer", "score", *of_unsure, "error"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*columns, *(f"probability of {name}" for name in class_names)])
    for answer in answers:
        values = _as_json(answer, unsure_below)
        probabilities = values.get("probabilities", {})
        values["answer"] = values.get("class_name", "")
        writer.writerow(
            [
                *(values.get(column, "") for column in columns),
                *(probabilities.get(name, "") for name in class_names),
            ]
        )


def _print_label_csv(answers: Sequence[FileAnswer], label_names: Sequence[str]) -> None:
    """A row a file: the labels in words, then 0 or 1 and the probability of each."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = ["image", "labels", "error", *(f"answer of {name}" for name in label_names)]
    writer.writerow([*columns, *(f"probability of {name}" for name in label_names)])
    for answer in answers:
        values = _as_json(answer, None)
        given, probabilities = values.get("labels"), values.get("probabilities", {})
        writer.writerow(
            [
                values["image"],
                " | ".join(name for name in label_names if name in (given or ())),
                values.get("error", ""),
                *("" if given is None else int(name in given) for name in label_names),
                *(probabilities.get(name, "") for name in label_names),
            ]
        )
