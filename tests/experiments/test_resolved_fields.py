"""What the fields that a recipe leaves open become: a prepared experiment's values, and the documented rules."""

import dataclasses

import pytest

import tl_toolkit as tl
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.resolved_fields import NO_STEPS, reasons_of, resolved_fields


@pytest.fixture
def open_recipe(photo_recipe):
    given = {"epochs": None, "batch_size": None, "learning_rate": None, "views": None}
    return photo_recipe.replace(**given)


def test_every_open_field_has_a_value_and_a_rule(open_recipe):
    recipe = open_recipe.replace(strategy=tl.FullFineTune(), batch_size=8)
    experiment = prepare(recipe)
    fields = {field.name: field for field in resolved_fields(experiment)}
    chosen = experiment.hyperparameters
    assert fields["epochs"].value == str(chosen.epochs)
    assert fields["learning_rate"].value == f"{chosen.learning_rate:.4g}"
    assert "square root for AdamW" in fields["learning_rate"].reason
    assert fields["bn_mode"].value == "affine"  # eight images are too few for statistics
    assert fields["image_size"].value == "16"
    assert fields["image_size"].reason == "that of the weights"
    assert fields["preprocessing"].value == "imagenet"
    assert fields["layer_decay"].value == "–"
    assert fields["labels_per_class"].value == "all"
    open_names = {
        field.name for field in dataclasses.fields(recipe) if getattr(recipe, field.name) is None
    }
    assert open_names | {"bn_mode", "devices"} == set(fields)
    assert not {"batch_size", "precision", "weights"} & set(fields)


def test_last_layers_name_the_stage_that_they_begin_with(open_recipe):
    fields = {
        field.name: (field.value, field.reason)
        for field in resolved_fields(prepare(open_recipe.replace(strategy=tl.LastLayers())))
    }
    assert fields["trainable_from"] == ("conv3", "the network's last stage")


def test_what_solving_has_no_use_for_says_so(open_recipe):
    fields = {field.name: field for field in resolved_fields(prepare(open_recipe))}
    assert fields["solver"].value == "lbfgs"
    assert (fields["epochs"].value, fields["epochs"].reason) == ("–", NO_STEPS)
    assert fields["views"].value == "1"


def test_the_rules_are_those_of_the_documentation():
    rules = reasons_of(tl.Recipe.__doc__)
    assert rules["validation_fraction"] == "0.2, or 0 with `labels_per_class`"
    assert rules["precision"] == "bfloat16 if the hardware supports it, else float32"
    undocumented = {
        field.name
        for field in dataclasses.fields(tl.Recipe)
        if field.default is None and field.name not in rules
    }
    assert undocumented == {"layer_rates", "ema"} - set(rules)
