"""In which precision models are built and computed: two mechanisms behind one name.

On a processor, TensorFlow's own switch rewrites float32 graphs to bfloat16 where oneDNN has kernels for it; on
a GPU, and for float16, Keras' dtype policies make layers compute in half precision. Logits, loss, batch
statistics and variables stay float32 either way.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from tl_toolkit.errors import InputError
from tl_toolkit.fields import check_value
from tl_toolkit.recipe import Precision

CPU_SWITCH = "auto_mixed_precision_onednn_bfloat16"
# The switch would take the head, whose layer says float32, to bfloat16 too.
KEPT_FLOAT32 = {"TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_REMOVE": "MatMul"}
CPU_INFO = pathlib.Path("/proc/cpuinfo")
CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
FIRST_GPU = (8, 0)  # compute capability from which on GPUs multiply in bfloat16


def choose_precision(precision: str = "auto") -> str:
    """Returns `"float32"`, `"bfloat16"` or `"float16"`: what the name stands for here.

    Args:
        precision: One of them, or `"auto"`: that of the dtype policy where one was set that is not float32;
            else bfloat16 where the GPUs, or without any the processor, multiply in it; else float32.

    Raises:
        InputError: There is no such precision, or the hardware has no bfloat16.
    """
    check_value("precision", precision, Precision)
    if precision == "auto" and _policy() != "float32":
        return _policy().removeprefix("mixed_")
    if precision == "auto":
        return "bfloat16" if _has_bfloat16() else "float32"
    if precision == "bfloat16" and not _has_bfloat16():
        raise InputError(
            "precision='bfloat16' needs a GPU of compute capability 8.0, or a processor with AVX512_BF16 or "
            "AMX and TF_ENABLE_ONEDNN_OPTS not 0; there is none here. Use 'float32', or 'auto'."
        )
    return precision


@contextlib.contextmanager
def precision_scope(precision: str = "auto") -> Iterator[str]:
    """A context in which models are built and run in a precision; restored at its end.

    A dtype policy other than float32 that was set with `keras.config.set_dtype_policy` is kept by
    `"auto"`. The processor's switch is global: it acts on whatever is computed within.

    Args:
        precision: See `choose_precision`.

    Yields:
        What the name stood for.

    Examples:
        >>> with tl.precision_scope("auto"):
        ...     model = tl.ResNet50(include_top=False, pooling="avg")
        >>> model.predict(np.zeros((1, 64, 64, 3), np.float32), verbose=0).shape
        (1, 2048)
    """
    policy, chosen = keras.config.dtype_policy(), choose_precision(precision)
    if precision == "auto" and policy.name != "float32":
        yield chosen
        return
    on_processor = chosen == "bfloat16" and not _gpus()
    switch = tf.config.optimizer.get_experimental_options().get(CPU_SWITCH, False)
    environment = {name: os.environ.get(name) for name in KEPT_FLOAT32}
    try:
        _set_switch(on_processor)
        if on_processor:
            os.environ.update(KEPT_FLOAT32)
        keras.config.set_dtype_policy(
            "float32" if on_processor or chosen == "float32" else f"mixed_{chosen}"
        )
        yield chosen
    finally:
        keras.config.set_dtype_policy(policy)
        _set_switch(switch)
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _set_switch(on: bool) -> None:
    tf.config.optimizer.set_experimental_options({CPU_SWITCH: on})


def _gpus() -> list:
    return tf.config.get_visible_devices("GPU")


def _policy() -> str:
    return keras.config.dtype_policy().name


def _has_bfloat16() -> bool:
    if gpus := _gpus():
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(d.get("compute_capability", (0, 0)) >= FIRST_GPU for d in details)
    has_onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false")
    return has_onednn and bool(CPU_FLAGS & _cpu_flags())


def _cpu_flags() -> set[str]:
    """Of the first processor, as Linux lists them; none are known elsewhere."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
