"""Inference of ResNet-50 and ResNet-18 at 224 px, against Keras' `predict`, PyTorch and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

from cases import our_model, pixels, torch_images, torch_model
from harness import Measured, all_cores, main
from peers import beside_peers
from stopwatch import Stopwatch, a_second, timed_calls, wait

BATCH = 32
WARM_UP, STEPS = 2, 7


def ours(depth: int, precision: str) -> Measured:
    """The engine that computes frozen layers and SavedModels."""
    import tl_toolkit as tl  # noqa: I001  first, because it decides on oneDNN
    import tensorflow as tf

    from tl_toolkit.models.fold import inference_engine

    with tl.precision_scope(precision):
        engine = inference_engine(our_model(depth))
        images = tf.constant(pixels(BATCH)[0])
        return a_second(BATCH, timed_calls(lambda: engine(images).numpy(), WARM_UP, STEPS))


def keras_predict(make: Callable, jit_compile: str | bool) -> dict[str, Measured]:
    """The batches of a `predict`, and what comes after the last one."""
    from keras_steps import StepTimer

    model = make()
    model.compile(jit_compile=jit_compile)
    images, _ = pixels(BATCH * (WARM_UP + STEPS))
    with Stopwatch() as watch:
        timer = StepTimer(watch)
        model.predict(images, batch_size=BATCH, verbose=0, callbacks=[timer])
        end = timer.waits()
    steps = timer.passes[0][WARM_UP:]
    return {"": a_second(BATCH, steps), "wait at the end of `predict`": wait(end)}


def torch_forward(depth: int, half: bool, compiled: bool) -> Measured:
    """PyTorch's usual inference."""
    import torch

    model = torch_model(depth, compiled).eval()
    images = torch_images(pixels(BATCH)[0])

    def forward():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return model(images).float().numpy()

    return a_second(BATCH, timed_calls(forward, WARM_UP, STEPS))


def onnx_run(depth: int) -> Measured:
    """ONNX Runtime on PyTorch's network, as PyTorch writes it."""
    import io

    import onnxruntime
    import torch

    model, images = torch_model(depth).eval(), torch_images(pixels(BATCH)[0]).contiguous()
    written = io.BytesIO()
    torch.onnx.export(
        model,
        (images,),
        written,
        input_names=["images"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = all_cores()
    session = onnxruntime.InferenceSession(
        written.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    given = {"images": images.numpy()}
    expected = model(images[:2]).detach().numpy()
    assert abs(session.run(None, given)[0][:2] - expected).max() < 1e-4
    return a_second(BATCH, timed_calls(lambda: session.run(None, given), WARM_UP, STEPS))


BENCHMARK = beside_peers(
    "Inference, 224 px, batch 32",
    25,
    ours,
    keras_predict,
    torch_forward,
    onnx_run,
    passes=1,
    applications=1.3,
    torch=1.5,
    onnx=1.0,
    note="Images in memory on both sides. A figure is that of the median batch; Keras' are timed between the callbacks "
    "of `predict`. PyTorch and ONNX Runtime get images that are scaled already. The default precision is float32 where "
    "the processor has no bfloat16. keras.applications' ResNet-50 is v1, which has 6% fewer multiply-adds than the "
    "v1.5 of all others.",
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
