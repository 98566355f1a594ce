"""Contenders of `frontier.py` in Keras: its guide on transfer learning, and KerasHub's image classifier.

The guide (keras.io/guides/transfer_learning) trains a new head behind dropout on the frozen network with Adam, then everything
at a rate of 1e-5; its section on the workflow says 20 and 10 epochs, its example 2 and 1. Where it has Xception we have
ResNet-50, with the preprocessing of keras.applications for it.

KerasHub's classifier trains everything, by its defaults with Adam at 5e-5, in its guide
(keras.io/guides/keras_hub/classification_with_keras_hub) with SGD at 0.01; one epoch is the default of `fit`, and the rate
is constant, so that a longer training passes through the shorter ones.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from frontier_weights import KERAS, PROBE, check_features, name_of_hub
from frontier_worker import Clock, Images, Job, begin, tell
from keras_steps import StepTimer
from stopwatch import Stopwatch

GUIDE_BATCH, HUB_BATCH = 64, 32


def photos(images: Images, resize: keras.layers.Layer) -> tf.data.Dataset:
    """Reads the photos, of one size, with their labels."""
    paths, labels = (list(column) for column in zip(*images, strict=True))

    def read(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return resize(tf.io.decode_jpeg(tf.io.read_file(path), channels=3)), label

    return tf.data.Dataset.from_tensor_slices((paths, labels)).map(read, tf.data.AUTOTUNE)


def load(network: keras.Model, job: Job, our_name: Callable[[str], str]) -> None:
    """Gives a network of keras.applications or KerasHub our weights.

    Args:
        network: Without its head.
        job: Says where they are.
        our_name: Of a layer, by the network's name.
    """
    folder = pathlib.Path(job.weights)
    tensors = np.load(folder / KERAS)
    epsilon = float(np.load(folder / PROBE)["epsilon"])
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = epsilon
        for variable in layer.weights:
            name = f"{our_name(layer.name)}/{variable.name}"
            is_bias = variable.name == "bias"  # ours has them in the batch normalisation
            variable.assign(np.zeros(variable.shape) if is_bias else tensors[name])


def check(network: keras.Model, prepare: Callable, job: Job, library: str) -> None:
    """Compares features with ours; see `check_features`."""
    probe = np.load(pathlib.Path(job.weights) / PROBE)
    maps = network(prepare(tf.cast(probe["images"], tf.float32)), training=False)
    check_features(np.asarray(maps).mean(axis=(1, 2)), probe["features"], library)


def fit(model: keras.Model, clock: Clock, train, validation, epochs: int) -> None:
    """Fits; idle cores while `fit` waits for TensorFlow's tuning thread behind its last steps are not counted."""
    with Stopwatch() as watch:
        timer = StepTimer(watch)
        model.fit(train, epochs=epochs, validation_data=validation, verbose=0, callbacks=[timer])
        clock.leave_out(timer.waits().idle, 0.0)


def guide(job: Job, clock: Clock) -> None:
    """The Keras guide: a new head, then everything."""
    resize = keras.layers.Resizing(job.side, job.side)
    views = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]

    def view(image, label):
        for layer in views:
            image = layer(image)
        return image, label

    def batches(images: tf.data.Dataset) -> tf.data.Dataset:
        return images.batch(GUIDE_BATCH).prefetch(tf.data.AUTOTUNE).cache()

    train = batches(photos(job.train, resize).map(view))
    validation, test = (batches(photos(part, resize)) for part in (job.validation, job.test))
    shape = (job.side, job.side, 3)
    base = keras.applications.ResNet50(weights=None, include_top=False, input_shape=shape)
    load(base, job, lambda name: name)
    prepare = keras.applications.resnet.preprocess_input
    with clock.paused():
        check(base, prepare, job, "keras.applications")
    base.trainable = False
    inputs = keras.Input(shape)
    x = base(prepare(inputs), training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(inputs, keras.layers.Dense(len(job.class_names))(x))
    head, everything = job.options["epochs"]
    for epochs, optimizer, trains_all in (
        (head, keras.optimizers.Adam(), False),
        (everything, keras.optimizers.Adam(1e-5), True),
    ):
        base.trainable = trains_all
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"])
        fit(model, clock, train, validation, epochs)
        spent = clock.read()
        with clock.paused():
            answers = (model.predict(part, verbose=0) for part in (validation, test))
            setting = f"new head, {head} epochs"
            if trains_all:
                setting += f", then everything, {everything}"
            is_last = trains_all or spent[0] > job.longest
            tell(setting, spent, *answers, is_last)
        if is_last:
            break


def hub(job: Job, clock: Clock) -> None:
    """KerasHub's classifier on its own backbone."""
    import keras_hub

    resize = keras.layers.Resizing(job.side, job.side, crop_to_aspect_ratio=True)
    rgb_means = np.load(pathlib.Path(job.weights) / PROBE)["rgb_means"]
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(job.side, job.side), scale=1.0, offset=(-rgb_means).tolist()
    )

    def batches(images: Images) -> tf.data.Dataset:
        return photos(images, resize).batch(HUB_BATCH)

    # Shuffled anew each epoch, as in the guide.
    train = photos(job.train, resize).shuffle(10 * HUB_BATCH).batch(HUB_BATCH)
    validation, test = batches(job.validation), batches(job.test)
    backbone = v1_backbone(job)
    with clock.paused():
        check(backbone, converter, job, "KerasHub")
    model = keras_hub.models.ImageClassifier(
        backbone=backbone,
        num_classes=len(job.class_names),
        preprocessor=keras_hub.models.ResNetImageClassifierPreprocessor(converter),
    )
    if "sgd" in job.options:
        model.compile(optimizer=keras.optimizers.SGD(job.options["sgd"]))
    done = 0
    for epochs in job.options["epochs"]:
        fit(model, clock, train, validation, epochs - done)
        spent, done = clock.read(), epochs
        is_last = epochs == job.options["epochs"][-1] or spent[0] > job.longest
        with clock.paused():
            answers = (model.predict(part, verbose=0) for part in (validation, test))
            tell(f"{epochs} epoch{'s' * (epochs > 1)}", spent, *answers, is_last)
        if is_last:
            break


def v1_backbone(job: Job, block_counts: Sequence[int] = (3, 4, 6, 3)) -> keras.Model:
    """Returns KerasHub's ResNet made v1, with our weights and a stem for RGB images."""
    import keras_hub

    stages = range(len(block_counts))
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64 * 2**stage for stage in stages],
        stackwise_num_blocks=list(block_counts),
        stackwise_num_strides=[1 if stage == 0 else 2 for stage in stages],
        block_type="bottleneck_block",
        image_shape=(job.side, job.side, 3),
    )
    load(backbone, job, name_of_hub)
    stem = backbone.get_layer("conv1_conv").kernel
    stem.assign(stem.numpy()[:, :, ::-1])
    for stage in stages[1:]:
        for number, strides in ((1, (2, 2)), (2, (1, 1))):
            backbone.get_layer(f"stack{stage}_block0_{number}_conv").strides = strides
    return backbone


if __name__ == "__main__":
    given_job, running_clock = begin()
    keras.utils.set_random_seed(given_job.seed)
    {"guide": guide, "hub": hub}[given_job.options["of"]](given_job, running_clock)
