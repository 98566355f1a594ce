"""A card for people who are given the model: what it says of what, how often it is right, whose the data are."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.data.label_table import without_label_options
from tl_toolkit.data.shard_uri import KINDS, parse_shard_uri
from tl_toolkit.data.table_uri import parse_table_uri
from tl_toolkit.report.label_metrics import are_of_labels
from tl_toolkit.report.label_words import card_opening, table_of_labels

MODEL_CARD = "model_card.md"
MOST_CLASSES_SHOWN = 100
CALLS = """\
With `tl_toolkit`, from the run's folder or from `saved_model` alone:

```python
import tl_toolkit as tl

classifier = tl.load_classifier("saved_model")
print(classifier.predict("photo.jpg")[0].class_name)
```

With TensorFlow alone (`serving_default` takes image files' contents; `serve_images` uint8 and `serve_float_images`
float32 pixels, [batch, height, width, 3], RGB, 0-255; preprocessing is inside):

```python
import tensorflow as tf

answer = tf.saved_model.load("saved_model").signatures["serving_default"]
found = answer(image_bytes=tf.constant([open("photo.jpg", "rb").read()]))
print(found["classes"][0, 0].numpy().decode(), float(found["scores"][0, 0]))
```

TensorFlow Serving takes it as it is, from a folder whose name is the version's number:

```bash
docker run -p 8501:8501 -v "$PWD/saved_model:/models/classifier/1" -e MODEL_NAME=classifier tensorflow/serving
```
"""
CALLS_OF_LABELS = CALLS.replace(
    'print(classifier.predict("photo.jpg")[0].class_name)',
    'print(classifier.predict("photo.jpg")[0].labels)',
).replace(
    'print(found["classes"][0, 0].numpy().decode(), float(found["scores"][0, 0]))',
    """for name, score, is_given in zip(found["classes"][0], found["scores"][0], found["given"][0]):
    if is_given:
        print(name.numpy().decode(), float(score))""",
)


def model_card(
    name: str,
    data: str,
    spec: WeightSpec,
    data_licence: str,
    test: dict[str, Any],
    facts: dict[str, str],
    notes: Sequence[str],
    thresholds: str = "",
) -> str:
    """Returns a model card in Markdown, with the metadata that the Hugging Face Hub reads.

    Args:
        name: Of the model.
        data: URI of what it learned from.
        spec: What it started from.
        data_licence: Of the images.
        test: `classification_metrics` on the test images, or `label_metrics`.
        facts: What the summary lists, by name.
        notes: What the reader should know.
        thresholds: Of several labels, what their thresholds were chosen by, in a sentence.

    Reference: Mitchell et al. 2019, "Model Cards for Model Reporting".
    """
    data = _without_folders(data)
    lines = [f"# {_plain(name)} on {_plain(data)}", ""]
    if are_of_labels(test):
        lines += card_opening(test, thresholds)
        lines += table_of_labels(test["labels"], _plain, MOST_CLASSES_SHOWN)
        beware = "Of others, and of things that no label names, it says something all the same."
    else:
        lines += _opening(test)
        beware = "Of others, and of things that are in none of the classes, it names a class all the same."
    lines += ["", "## What to beware of", ""]
    lines += [f"- {_plain(note)}" for note in notes]
    lines += [
        f"- The figures hold for photos like the test images. {beware}",
        "",
        "## Licences",
        "",
        f"- images that it learned from: {_plain(data_licence) or 'unknown; it was not stated with the data'}",
        f"- weights that it started from ({_plain(spec.name)}): {_plain(spec.licence) or 'unknown'}",
        "",
        "## How to call it",
        "",
        CALLS_OF_LABELS if are_of_labels(test) else CALLS,
        "## How it was made",
        "",
    ]
    lines += [f"- {name}: {_plain(value)}" for name, value in facts.items() if value]
    return f"---\n{_metadata(name, data, spec, test)}\n---\n" + "\n".join(lines) + "\n"


def _opening(test: dict[str, Any]) -> list[str]:
    low, high = test["top1_interval"]
    commonest = max(row["support"] for row in test["classes"].values()) / test["examples"]
    lines = [
        f"Says which of {len(test['classes'])} classes a photo shows.",
        "",
        "## How often it is right",
        "",
        f"On {test['examples']} test images that nothing was learned from or chosen by: {test['top1']:.1%} right (95% "
        f"interval {low:.1%} to {high:.1%}); always answering the most frequent class would be right on {commonest:.1%}. "
        f"Mean over the classes {test['balanced_accuracy']:.1%}; log loss {test['log_loss']:.3f}; expected calibration "
        f"error {test['calibration_error']:.3f}.",
        "",
        "| class | right, of its images | right, where it is answered | test images |",
        "|---|---|---|---|",
    ]
    classes = list(test["classes"].items())
    lines += [
        f"| {_plain(label)} | {row['recall']:.1%} | {row['precision']:.1%} | {row['support']} |"
        for label, row in classes[:MOST_CLASSES_SHOWN]
    ]
    if len(classes) > MOST_CLASSES_SHOWN:
        lines.append(f"| … and {len(classes) - MOST_CLASSES_SHOWN} more | | | |")
    return lines


def _metadata(name: str, data: str, spec: WeightSpec, test: dict[str, Any]) -> str:
    """What the Hub reads, in YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    headline = {"accuracy": test.get("top1"), "log_loss": test["log_loss"]}
    if are_of_labels(test):
        headline = {
            "mean_average_precision": test["mean_average_precision"],
            "f1": test["macro_f1"],
            "log_loss": test["log_loss"],
        }
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=data,
            dataset_name=data,
            dataset_split="test",
            metric_type=metric,
            metric_value=None if value is None else round(value, 4),
        )
        for metric, value in headline.items()
    ]
    # Of two licences, of weights and of data, which of them binds the model is not ours to say.
    card = ModelCardData(
        model_name=name,
        library_name="keras",
        pipeline_tag="image-classification",
        tags=[
            "image-classification",
            "transfer-learning",
            spec.architecture.whole_name,
            "tl_toolkit",
        ],
        metrics=[next(iter(headline))],
        license="other",
        license_name="see-licences-below",
        eval_results=results,
    )
    return card.to_yaml()


def _without_folders(uri: str) -> str:
    """Where a file lies on somebody's disk is not for the public."""
    kind, colon, rest = uri.partition(":")
    if kind == "csv":
        return f"{kind}{colon}{parse_table_uri(without_label_options(rest)).without_folders()}"
    if kind in KINDS:
        return f"{kind}{colon}{parse_shard_uri(kind, rest).without_folders()}"
    return f"{kind}{colon}{pathlib.PurePath(rest).name}" if kind == "folder" else uri


def _plain(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line."""
    shown = " ".join(text.split())
    for sign in "\\`*_{}[]<>#|":
        shown = shown.replace(sign, f"\\{sign}")
    return shown
