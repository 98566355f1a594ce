"""`tl.ResNet50` takes what keras.applications takes, and builds what the weights need."""

import ast
import dataclasses
import importlib
import inspect
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from families import long_after
from tiny import BOTTLENECK, SIDE, TINY, assert_same_bits, network, spec_of, values
from tiny import write_safetensors as write

import tl_toolkit as tl
from tl_toolkit.catalog import BLOCK_COUNTS, Architecture
from tl_toolkit.errors import InputError
from tl_toolkit.models.describe import describe_architecture
from tl_toolkit.weights import constructors

DEPTHS = {"resnet18": 18, "resnet34": 34, "resnet50": 50, "resnet101": 101, "resnet152": 152}
SMALL = {"block_counts": (1, 1), "block": "bottleneck", "width": 4, "stem": "cifar", "classes": 5}


@pytest.mark.parametrize("depth", DEPTHS.values())
def test_the_leading_arguments_are_those_of_keras_applications(depth):
    def leading(function):
        parameters = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}

    theirs = leading(keras.applications.ResNet50)
    ours = leading(getattr(tl, f"ResNet{depth}"))
    assert list(ours) == list(theirs)
    # Weights are not fetched unasked; a name of None becomes the architecture's, as is theirs.
    assert theirs | {"weights": None, "name": None} == ours
    assert (theirs["weights"], theirs["name"]) == ("imagenet", "resnet50")


@pytest.mark.slow
@pytest.mark.parametrize("name", long_after(3, DEPTHS))
def test_each_constructor_builds_its_depth(name):
    constructor = getattr(tl, f"ResNet{DEPTHS[name]}")
    model = constructor(include_top=False, width=2, stem="cifar")
    assert (model.name, constructor.__name__) == (name, f"ResNet{DEPTHS[name]}")
    assert describe_architecture(model.get_config()) == Architecture.named(
        name, width=2, stem="cifar"
    )
    block, counts = BLOCK_COUNTS[name]
    channels = 2 * 8 * (1 if block == "basic" else 4)
    assert model.output_shape == (None, None, None, channels)
    assert f"Builds ResNet-{DEPTHS[name]}: {block} blocks, {counts}" in constructor.__doc__
    assert "bn_epsilon: ε of batch normalisation." in constructor.__doc__


def test_positional_arguments_mean_what_they_mean_in_keras_applications():
    arguments = (False, None, None, (32, 48, 3), "avg", 7, None, "mine")
    model = tl.ResNet18(*arguments, width=2)
    assert (model.name, model.input_shape) == ("mine", (None, 32, 48, 3))
    assert (model.layers[-1].name, model.output_shape) == ("avg_pool", (None, 16))
    model = tl.ResNet18(True, None, keras.Input((32, 32, 3)), None, None, 7, None, width=2)
    assert (model.output_shape, model.layers[-1].activation) == (
        (None, 7),
        keras.activations.linear,
    )


def test_without_weights_the_variant_is_v15_and_epsilon_1e_5():
    described = describe_architecture(tl.ResNet(**SMALL).get_config())
    assert (described.variant, described.bn_epsilon) == ("v1.5", 1e-5)


@pytest.mark.parametrize("variant", ["v1", "v1.5"])
@pytest.mark.parametrize("epsilon", [1e-3, 1e-5])
def test_variant_and_epsilon_are_what_the_weights_need(variant, epsilon, tmp_path):
    architecture = dataclasses.replace(BOTTLENECK, variant=variant, bn_epsilon=epsilon)
    source = network(architecture, seed=1)
    path = write(tmp_path / "tiny.safetensors", source, spec_of(architecture))
    model = tl.ResNet(**SMALL, weights=path, input_shape=(SIDE, SIDE, 3))
    assert describe_architecture(model.get_config()) == architecture
    assert_same_bits(values(model), values(source))
    x = np.random.default_rng(0).normal(size=(2, SIDE, SIDE, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(x), source(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "v1.5"}, r"variant='v1', the network has variant='v1\.5'"),
        ({"bn_epsilon": 1e-5}, r"bn_epsilon=0\.001, the network has bn_epsilon=1e-05"),
        ({"width": 8}, r"width=4, the network has width=8"),
        ({"bn_epsilon": 0}, r"`bn_epsilon` must be positive. Received: 0"),
        ({"variant": ""}, r"Unknown variant ''"),
        ({"classes": 0}, r"`classes` must be at least 1"),
    ],
    ids=str,
)
def test_an_argument_that_the_weights_contradict_is_refused(changes, message, tmp_path):
    architecture = dataclasses.replace(BOTTLENECK, variant="v1", bn_epsilon=1e-3)
    path = write(
        tmp_path / "tiny.safetensors", network(architecture, seed=1), spec_of(architecture)
    )
    with pytest.raises(InputError, match=message):
        tl.ResNet(**{**SMALL, **changes}, weights=path)


def test_a_basic_network_takes_weights_of_either_variant(tmp_path):
    v1 = dataclasses.replace(TINY, variant="v1")
    source = network(v1, seed=1)
    path = write(tmp_path / "tiny.safetensors", source, spec_of(v1))
    model = tl.ResNet((1, 1), "basic", weights=path, width=4, stem="cifar", classes=5)
    assert_same_bits(values(model), values(source))


def test_another_number_of_classes_keeps_the_new_head_with_a_warning(tmp_path):
    path = write(tmp_path / "tiny.safetensors", network(BOTTLENECK, seed=1), spec_of(BOTTLENECK))
    with pytest.warns(UserWarning, match="'predictions' of 5 classes is left out; ours has 3"):
        model = tl.ResNet(**{**SMALL, "classes": 3}, weights=path)
    assert model.output_shape == (None, 3)


def test_kernels_are_drawn_only_where_no_weights_give_them(tmp_path, monkeypatch):
    source = network(BOTTLENECK, seed=1)
    path = write(tmp_path / "tiny.safetensors", source, spec_of(BOTTLENECK))
    drawn = []
    draw = keras.initializers.HeNormal.__call__
    monkeypatch.setattr(
        keras.initializers.HeNormal,
        "__call__",
        lambda self, shape, dtype=None: drawn.append(shape) or draw(self, shape, dtype),
    )
    assert_same_bits(values(tl.ResNet(**SMALL, weights=path)), values(source))
    assert drawn == []
    tl.ResNet(**SMALL)
    assert len(drawn) == sum(isinstance(layer, keras.layers.Conv2D) for layer in source.layers)


def test_zero_init_residual_starts_each_blocks_last_gamma_at_0():
    model = tl.ResNet(**SMALL, zero_init_residual=True)
    zero = [layer.name for layer in model.layers if not np.any(getattr(layer, "gamma", 1))]
    assert zero == ["conv2_block1_3_bn", "conv3_block1_3_bn"]


def test_an_argument_that_is_none_of_ours_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'widht'"):
        tl.ResNet18(widht=4)


def test_every_public_name_is_what_its_module_holds():
    stub = pathlib.Path(tl.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    modules = {alias.name: node for node in imports for alias in node.names}
    names = set(tl.__all__) - {"__version__"}
    assert len(tl.__all__) == len(names) + 1
    for name in names:
        relative = f"{'.' * modules[name].level}{modules[name].module}"
        module = importlib.import_module(relative, "tl_toolkit")
        assert getattr(tl, name) is getattr(module, name)
        assert getattr(tl, name).__doc__
    assert names <= set(dir(tl))
    assert dir(tl) == sorted(set(dir(tl)))


def test_dir_lists_the_public_names_before_any_is_loaded():
    probe = (
        "import sys, tl_toolkit as tl; names = set(dir(tl)); "
        "print(set(tl.__all__) - {'__version__'} <= names, 'keras' in sys.modules, 'ResNet50' in vars(tl))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "True False False\n"


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No tl_toolkit attribute ResNet19"):
        tl.ResNet19  # noqa: B018
    with pytest.raises(ImportError, match="ResNet19"):
        from tl_toolkit import ResNet19  # noqa: F401


def test_without_docstrings_the_constructors_are_there():
    """As `python -OO` runs them."""
    source = pathlib.Path(constructors.__file__)
    code = compile(source.read_text(encoding="utf-8"), str(source), "exec", optimize=2)
    names = {"__name__": "without_docstrings"}
    exec(code, names)
    assert names["ResNet"].__doc__ is None
    assert names["ResNet18"].__name__ == "ResNet18"
    assert "Args:" in constructors.ResNet18.__doc__
