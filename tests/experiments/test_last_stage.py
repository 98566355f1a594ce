"""A network that ends before its last stage is the front of the whole one, from the weights to what is served."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf
from tiny import PIXELS, classifier, values, write_safetensors

import tl_toolkit as tl
from tl_toolkit.catalog import Architecture, WeightSpec
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.transfer.network_pool import NetworkPool
from tl_toolkit.transfer.plan import TRAINED, stage_of

WHOLE = Architecture("basic", (1, 1, 1, 1), width=4, stem="cifar")


@pytest.fixture(scope="module")
def weights(made_once):
    """A file of a network of four stages with a last layer of five classes, which are named."""

    def make(folder):
        spec = WeightSpec("four", WHOLE, PIXELS, tuple("abcde"), 5, licence="MIT")
        return write_safetensors(
            folder / "four.safetensors", classifier(WHOLE, classes=5, seed=3), spec
        )

    return made_once("four_stages", make)


@pytest.fixture(scope="module")
def recipe(photo_recipe, weights):
    return photo_recipe.replace(
        weights=str(weights), strategy=tl.NewHead(on="all_blocks"), epochs=None, batch_size=None, learning_rate=None,
        views=None,
    )  # fmt: skip


@pytest.mark.parametrize("last_stage", ["conv2", "conv4"])
def test_its_layers_are_the_first_ones_of_the_whole_network(recipe, last_stage):
    whole, shorter = prepare(recipe), prepare(recipe.replace(last_stage=last_stage))
    of_whole, of_shorter = values(whole.model), values(shorter.model)
    assert {name.partition("_")[0] for name in of_shorter if name.startswith("conv")} == {
        f"conv{k}" for k in range(1, int(last_stage[-1]) + 1)
    }
    heads = {name for name in of_shorter if name.startswith("block_predictions")}
    assert len(heads) == 2
    for name in of_shorter.keys() - heads:
        assert of_shorter[name].tobytes() == of_whole[name].tobytes(), name
    assert shorter.spec.architecture == WHOLE.up_to(last_stage)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)
    block = f"{last_stage}_block1_out"
    seen = [
        type(one.model)(one.model.input, one.model.get_layer(block).output)(pixels).numpy()
        for one in (whole, shorter)
    ]
    np.testing.assert_array_equal(*seen)
    assert shorter.model.count_params() < whole.model.count_params()


def test_trainings_that_end_elsewhere_do_not_share_a_network(recipe):
    context = Context(networks=NetworkPool(3))
    networks = [prepare(recipe.replace(last_stage=s), context) for s in ("conv4", None, "conv4")]
    assert networks[0].model is networks[2].model
    assert networks[1].model is not networks[0].model
    assert [n.spec.architecture.stages[-1] for n in networks] == ["conv4", "conv5", "conv4"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"last_stage": "conv7"}, r"last_stage.*conv7.*conv2, conv3, conv4, conv5"),
        ({"last_stage": "head"}, r"last_stage.*head.*conv2, conv3, conv4, conv5"),
        (
            {"last_stage": "conv4", "strategy": tl.NewHead(on="logits")},
            r"needs the original network's last layer, but with last_stage='conv4' the network ends before it",
        ),
        (
            {"last_stage": "conv4", "strategy": tl.LastLayers("conv5_block1")},
            r"trainable_from.*conv5_block1.*conv4_block1",
        ),
        (
            {"last_stage": "conv4", "strategy": tl.FullFineTune(), "layer_rates": {"conv5": 0.1}},
            r"Unknown trained stage or block in `layer_rates`: 'conv5'",
        ),
    ],
)
def test_what_the_shorter_network_lacks_is_refused_by_name(recipe, change, message):
    with pytest.raises(tl.InputError, match=message):
        prepare(recipe.replace(**change))


def test_the_last_stage_itself_changes_nothing(recipe):
    asked = recipe.replace(last_stage="conv5", strategy=tl.NewHead(on="logits"))
    experiment = prepare(asked)  # the original last layer is still there
    assert experiment.spec.architecture == WHOLE
    assert experiment.spec.classes == 5


def test_weights_that_end_there_already_are_taken_as_they_are(recipe, tmp_path):
    shorter = WHOLE.up_to("conv4")
    spec = WeightSpec("three", shorter, PIXELS, licence="MIT")
    path = write_safetensors(
        tmp_path / "three.safetensors", classifier(shorter), spec,
        **{"predictions/kernel": None, "predictions/bias": None},
    )  # fmt: skip
    for last_stage in ("conv4", None):
        asked = recipe.replace(weights=str(path), last_stage=last_stage)
        assert prepare(asked).spec.architecture == shorter
    with pytest.raises(tl.InputError, match="the weights 'three' have none"):
        prepare(
            recipe.replace(weights=str(path), last_stage="conv4", strategy=tl.NewHead(on="logits"))
        )
    with pytest.raises(tl.InputError, match="Unknown last_stage 'conv5'"):
        prepare(recipe.replace(weights=str(path), last_stage="conv5"))


def test_the_name_of_the_whole_network_may_stand_beside_its_front(tmp_path, recipe):
    architecture = Architecture.named("resnet18", width=2, stem="cifar").up_to("conv3")
    spec = WeightSpec("front", architecture, PIXELS, licence="MIT")
    path = write_safetensors(tmp_path / "front.safetensors", classifier(architecture), spec)
    asked = recipe.replace(
        weights=str(path), backbone="resnet18", last_stage="conv3", width=2, stem="cifar"
    )
    assert prepare(asked).spec.architecture == architecture
    with pytest.raises(tl.InputError, match="block_counts"):
        prepare(asked.replace(last_stage=None))
    scratch = tl.comparison_recipes(recipe.data, weights=str(path))[-1]
    assert (scratch.backbone, scratch.last_stage, scratch.width) == ("resnet18", "conv3", 2)
    assert prepare(scratch).spec.architecture == architecture


def test_a_comparison_trains_the_last_layers_that_are_left(recipe, weights):
    recipes = tl.comparison_recipes(
        recipe.data,
        weights=str(weights),
        last_stage="conv4",
        strategies=(tl.NewHead(), tl.LastLayers()),
    )
    experiments = [prepare(recipe) for recipe in recipes]
    assert [e.spec.architecture.stages[-1] for e in experiments] == ["conv4", "conv4"]
    trained = {path.partition("/")[0] for path in experiments[1].plan.paths(TRAINED)}
    assert {stage_of(layer) for layer in trained} == {"conv4", "head"}


@pytest.mark.slow
def test_a_run_serves_the_shorter_network_and_another_run_begins_with_it(recipe, tmp_path, plots):
    first = tl.run(
        recipe.replace(last_stage="conv4"), tmp_path / "first", context=Context(photos=False)
    )
    said = json.loads((first.folder / "weights.json").read_text())
    assert said["architecture"]["block_counts"] == [1, 1, 1]
    assert {stage.stage for stage in first.plan.stages} == {
        "stem",
        "conv2",
        "conv3",
        "conv4",
        "head",
    }
    serve = tf.saved_model.load(str(first.folder / "saved_model")).signatures["serving_default"]
    dataset = open_recipe_data(recipe)
    test, test_classes = dataset.test, dataset.class_names
    files = tf.constant([test.images.encoded(index) for index in range(len(test))])
    with (first.folder / "test_answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [[float(row[f"probability of {n}"]) for n in test_classes] for row in rows]
    np.testing.assert_allclose(serve(image_bytes=files)["probabilities"], expected, atol=1e-5)
    assert "- network: resnet8, variant" in (first.folder / "summary.md").read_text()
    again = prepare(recipe.replace(weights=str(first.folder)))
    assert again.spec.architecture == WHOLE.up_to("conv4")
    assert json.loads((first.folder / "recipe.json").read_text())["last_stage"] == "conv4"
