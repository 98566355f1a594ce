"""The model card says what the figures say, and the Hub can read it."""

import pytest
from huggingface_hub import ModelCard

from tl_toolkit.catalog import PREPROCESSING, Architecture, WeightSpec
from tl_toolkit.report.model_card import model_card

SPEC = WeightSpec(
    "tiny",
    Architecture("basic", (1, 1), width=4),
    PREPROCESSING["imagenet"],
    None,
    7,
    licence="MIT",
)
TEST = {
    "examples": 40,
    "top1": 0.9,
    "top1_interval": [0.769, 0.96],
    "balanced_accuracy": 0.85,
    "log_loss": 0.25,
    "calibration_error": 0.05,
    "classes": {
        "cat": {"precision": 0.96, "recall": 0.9, "f1": 0.9, "support": 30},
        "<b>|dog*": {"precision": 0.7, "recall": 0.8, "f1": 0.8, "support": 10},
    },
}


@pytest.fixture
def card():
    facts = {"training": "5 epochs", "updates": ""}
    return model_card(
        "pets", "folder:/home/me/photos", SPEC, "", TEST, facts, ["2 files_are missing"]
    )


def test_the_hub_reads_its_metadata(card):
    read = ModelCard(card)
    assert read.data.model_name == "pets"
    assert read.data.pipeline_tag == "image-classification"
    figures = {result.metric_type: result.metric_value for result in read.data.eval_results}
    assert figures == {"accuracy": 0.9, "log_loss": 0.25}
    assert read.data.eval_results[0].dataset_name == "folder:photos"


def test_it_says_figures_with_intervals_limits_and_licences(card):
    text = " ".join(card.split())
    assert "On 40 test images" in text
    assert "90.0% right (95% interval 76.9% to 96.0%)" in text
    assert "most frequent class would be right on 75.0%" in text
    assert "/home" not in card
    assert "| cat | 90.0% | 96.0% | 30 |" in card
    assert "- 2 files\\_are missing" in card
    assert "images that it learned from: unknown" in card
    assert "(tiny): MIT" in card
    assert "updates" not in card


def test_names_are_shown_as_they_are(card):
    assert "| \\<b\\>\\|dog\\* |" in card


def test_of_many_classes_the_first_are_listed():
    classes = {f"class {n}": TEST["classes"]["cat"] for n in range(130)}
    card = model_card("m", "d", SPEC, "", {**TEST, "classes": classes}, {}, [])
    assert "| class 99 |" in card
    assert "| class 100 |" not in card
    assert "and 30 more" in card
