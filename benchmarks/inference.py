"""Inference of ResNet-50 and ResNet-18 at 224 px, against Keras' `predict` and PyTorch."""

from __future__ import annotations

from cases import our_model, pixels, seconds_a_call, torch_images, torch_model
from harness import main
from peers import beside_peers

BATCH = 32


def ours(depth: int, precision: str) -> float:
    """The engine that computes frozen layers and SavedModels."""
    import tl_toolkit as tl  # noqa: I001  first, because it decides on oneDNN
    import tensorflow as tf

    from tl_toolkit.models.fold import inference_engine

    with tl.precision_scope(precision):
        engine = inference_engine(our_model(depth))
        images = tf.constant(pixels(BATCH)[0])
        return BATCH / seconds_a_call(lambda: engine(images).numpy(), calls=5)


def keras_predict(make) -> float:
    """`predict` on a few batches."""
    model, batches = make(), 3
    images, _ = pixels(BATCH * batches)

    def predict():
        model.predict(images, batch_size=BATCH, verbose=0)

    return BATCH * batches / seconds_a_call(predict, calls=2)


def torch_forward(depth: int, half: bool) -> float:
    """PyTorch's usual eager inference."""
    import torch

    model = torch_model(depth).eval()
    images = torch_images(pixels(BATCH)[0])

    def forward():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            model(images)

    return BATCH / seconds_a_call(forward, calls=5)


BENCHMARK = beside_peers(
    "Inference, 224 px, batch 32",
    ours,
    keras_predict,
    torch_forward,
    default=1.8,
    same_precision=1.0,
    torch_bfloat16=1.2,
    note="Keras models by `predict`. The default precision is float32 where the processor has no bfloat16.",
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
