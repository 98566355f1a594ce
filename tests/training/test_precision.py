"""What a precision's name stands for, that it is restored, and that half precision trains."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import TINY, batches, classifier, hyperparameters, labelled_pixels, randomise

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.training import precision
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.precision import (
    CPU_SWITCH,
    KEPT_FLOAT32,
    choose_precision,
    precision_scope,
)
from tl_toolkit.training.step import TrainingStep, make_predictor

OLD_PROCESSOR = "processor\t: 0\nflags\t\t: fpu sse avx2 avx512f\n"
NEW_PROCESSOR = "processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n"


def switch():
    return tf.config.optimizer.get_experimental_options().get(CPU_SWITCH, False)


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Replaces what Linux says of the processor."""

    def describe(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(precision, "_gpus", list)

    return describe


@pytest.fixture
def gpus(monkeypatch):
    """Replaces the GPUs by some of those compute capabilities."""

    def describe(*capabilities):
        monkeypatch.setattr(precision, "_gpus", lambda: list(capabilities))
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda capability: {"compute_capability": capability},
        )

    return describe


def test_auto_takes_bfloat16_from_a_processor_that_has_it(processor, monkeypatch):
    processor(OLD_PROCESSOR)
    assert choose_precision("auto") == "float32"
    processor(NEW_PROCESSOR)
    assert choose_precision("auto") == choose_precision("bfloat16") == "bfloat16"
    assert choose_precision("float32") == "float32"
    for off in ("0", "false"):
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", off)
        assert choose_precision("auto") == "float32"


def test_no_bfloat16_is_assumed_where_nothing_is_known(processor, tmp_path, monkeypatch):
    processor("")
    assert choose_precision("auto") == "float32"
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "not there")
    assert choose_precision("auto") == "float32"


def test_gpus_decide_where_there_are_any(processor, gpus):
    processor(NEW_PROCESSOR)
    gpus((7, 5))
    assert choose_precision("auto") == "float32"
    gpus((8, 0), (9, 0))
    assert choose_precision("auto") == "bfloat16"
    gpus((8, 0), (7, 0))
    assert choose_precision("auto") == "float32"


def test_bfloat16_without_hardware_is_refused_and_so_is_an_unknown_name(processor):
    processor(OLD_PROCESSOR)
    with pytest.raises(tl.InputError, match="AVX512_BF16 or AMX"):
        choose_precision("bfloat16")
    with pytest.raises(tl.InputError, match="Unknown precision 'half'"), precision_scope("half"):
        pass


def test_the_processors_switch_is_on_within_alone(processor):
    processor(NEW_PROCESSOR)
    assert not switch()
    with precision_scope("auto") as chosen:
        assert (chosen, switch(), keras.config.dtype_policy().name) == ("bfloat16", True, "float32")
        with precision_scope("float32"):
            assert not switch()
        assert switch()
    assert not switch()
    with pytest.raises(RuntimeError, match="broken"), precision_scope("bfloat16"):
        raise RuntimeError("broken")
    assert not switch()


@pytest.mark.parametrize(("name", "policy"), [("bfloat16", "mixed_bfloat16"), ("auto", "mixed_bfloat16"), ("float16", "mixed_float16"), ("float32", "float32")])  # fmt: skip
def test_a_gpu_has_a_policy_and_not_the_switch(name, policy, processor, gpus):
    processor(NEW_PROCESSOR)
    gpus((8, 6))
    with precision_scope(name) as chosen:
        assert keras.config.dtype_policy().name == policy
        assert chosen == policy.removeprefix("mixed_")
        assert not switch()
    assert keras.config.dtype_policy().name == "float32"


def test_a_policy_that_was_set_is_kept_by_auto():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with precision_scope("auto") as chosen:
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
            assert chosen == choose_precision("auto") == "bfloat16"
        with precision_scope("float32"):
            assert keras.config.dtype_policy().name == "float32"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def losses(name, steps=12):
    """Of a few steps in that precision, by the policy of a GPU."""
    with precision_scope(name):
        model = randomise(assemble_classifier(TINY, PREPROCESSING["imagenet"], 3), seed=1)
        optimizer = make_optimizer(model, hyperparameters(learning_rate=0.02, epochs=steps))
        step = TrainingStep(model, optimizer, 0.0, tf.distribute.get_strategy())
        batch = labelled_pixels(12)
        return model, optimizer, [step(batch).loss for _ in range(steps)]


@pytest.mark.long
def test_float16_trains_as_float32_does_with_a_scaled_loss():
    _, _, expected = losses("float32")
    model, optimizer, found = losses("float16")
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.get_layer("conv2_block1_1_conv").compute_dtype == "float16"
    assert model.layers[-1].compute_dtype == "float32"
    assert all(variable.dtype == "float32" for variable in model.weights)
    assert found[-1] < 0.8 * found[0]
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_statistics_and_logits_are_float32_under_bfloat16(gpus):
    gpus((9, 0))
    model, _, found = losses("bfloat16", steps=3)
    assert np.isfinite(found).all()
    normalisation = model.get_layer("conv2_block1_1_bn")
    assert normalisation.moving_mean.dtype == normalisation.moving_variance.dtype == "float32"
    for images, _, _ in batches():
        assert model(images).dtype == tf.float32
        break


def test_the_switch_takes_convolutions_to_bfloat16_and_leaves_the_head(processor):
    # Without such a processor TensorFlow multiplies in bfloat16 all the same, slowly.
    processor(NEW_PROCESSOR)
    model, (images, labels, _) = classifier(), labelled_pixels(12)
    expected, _ = make_predictor(model)([(images, tf.constant(labels))])
    with precision_scope("auto"):
        found, _ = make_predictor(model)([(images, tf.constant(labels))])
        statistics = [v.numpy() for v in model.non_trainable_variables]
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-4 < difference < 0.05
    assert (found.view(np.uint32) & 0xFFFF).any()  # a bfloat16 number has 16 bits of zeros
    assert all(value.dtype == np.float32 for value in statistics)
    assert not set(KEPT_FLOAT32) & set(os.environ)
    again, _ = make_predictor(model)([(images, tf.constant(labels))])
    np.testing.assert_array_equal(again, expected)


def test_the_public_name_is_the_scope():
    assert tl.precision_scope is precision_scope
    with tl.precision_scope("float32"):
        assert classifier().layers[1].compute_dtype == "float32"
