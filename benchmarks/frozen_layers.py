"""20 epochs of a new head and of the last layers on 512 photos, against the Keras guide."""

from __future__ import annotations

import functools
import pathlib
import tempfile

from cases import (
    CLASSES,
    KERAS_SETTINGS,
    PHOTOS,
    SIDE,
    compile_for_fit,
    keras_applications_model,
    photo_folder,
    photo_recipe,
)
from harness import Benchmark, Case, Comparison, Measured, main
from stopwatch import NOTHING, Stopwatch, seconds, wait

EPOCHS, BATCH = 20, 32
MEASURED_EPOCHS = 2  # of the guide's training, whose epochs all do the same work
STRATEGIES = {"new_head": "new head", "last_layers": "last layers"}
GUIDE = "Keras guide, {}, {}"


def ours(strategy: str, views: int) -> Measured:
    """Seconds of `train_and_validate` on an empty cache: model, pass over the frozen layers, 20 epochs."""
    from tl_toolkit.experiments.context import Context
    from tl_toolkit.experiments.train_and_validate import train_and_validate
    from tl_toolkit.transfer.feature_cache import FeatureCache

    recipe = photo_recipe(
        strategy,
        test_fraction=0.02,
        validation_fraction=0.0,
        views=views,
        epochs=EPOCHS,
        batch_size=BATCH,
    )
    with tempfile.TemporaryDirectory() as folder, Stopwatch() as watch:
        context = Context(feature_cache=FeatureCache(pathlib.Path(folder)))
        trained = train_and_validate(recipe, context)
        spent = watch.read()
    # Scaled to as many images as the guide trains on.
    return seconds(spent * (PHOTOS / len(trained.experiment.dataset.train)))


def guide(strategy: str, jit_compile: str | bool) -> dict[str, Measured]:
    """Seconds of the guide's training: frozen layers in the model, augmentation layers, `fit`."""
    import keras
    import tensorflow as tf
    from keras_steps import StepTimer

    folder = photo_folder(PHOTOS, 300, 400)
    with Stopwatch() as watch:
        photos = keras.utils.image_dataset_from_directory(
            folder, image_size=(SIDE, SIDE), batch_size=BATCH, verbose=False
        )
        flip = keras.layers.RandomFlip("horizontal")
        photos = photos.map(
            lambda images, labels: (flip(images), labels), num_parallel_calls=tf.data.AUTOTUNE
        ).prefetch(tf.data.AUTOTUNE)
        base, model = keras_applications_model(trainable=strategy == "last_layers")
        if strategy == "last_layers":
            for layer in base.layers:
                is_normalisation = isinstance(layer, keras.layers.BatchNormalization)
                layer.trainable = layer.name.startswith("conv5") and not is_normalisation
        compile_for_fit(model, jit_compile)
        before = watch.read()
        timer = StepTimer(watch)
        model.fit(photos, epochs=MEASURED_EPOCHS, verbose=0, callbacks=[timer])
        end = timer.waits()
    assert model.output_shape == (None, CLASSES)
    first, *others = (sum(steps, NOTHING) for steps in timer.passes)
    later = sum(others, NOTHING) * (1 / len(others))
    return {
        "": seconds(before + first + later * (EPOCHS - 1)),
        "a later epoch": seconds(later),
        f"behind the last steps of {MEASURED_EPOCHS} epochs": wait(end),
    }


OURS = {
    "new head, one view": functools.partial(ours, "new_head", 1),
    "new head, two views": functools.partial(ours, "new_head", 2),
    "last layers, one view": functools.partial(ours, "last_layers", 1),
}
GUIDES: dict[str, tuple[Case, dict[str, str]]] = {
    GUIDE.format(name, setting): (functools.partial(guide, strategy, jit_compile), variables)
    for strategy, name in STRATEGIES.items()
    for setting, (variables, jit_compile) in KERAS_SETTINGS.items()
}


def _against_the_guide(case: str, target: float) -> Comparison:
    name = case.partition(",")[0]
    guides = tuple(GUIDE.format(name, setting) for setting in KERAS_SETTINGS)
    return Comparison(case, case, guides, target)


BENCHMARK = Benchmark(
    title="20 epochs on 512 photos, 224 px, ResNet-50",
    unit="seconds",
    cases={**OURS, **{name: case for name, (case, _) in GUIDES.items()}},
    minutes=75,
    comparisons=(
        _against_the_guide("new head, one view", 20),
        _against_the_guide("new head, two views", 12),
        _against_the_guide("last layers, one view", 3.5),
    ),
    environment={name: dict(variables) for name, (_, variables) in GUIDES.items()},
    note=(
        "Ours starts from an empty cache and is the whole of `train_and_validate` by the clock: reading the photos, "
        "building the model, the pass over the frozen layers, 20 epochs, the comparison of the frozen variables. Of the "
        f"guide's {EPOCHS} epochs {MEASURED_EPOCHS} are measured: the total is building the model, the steps of the first "
        f"one, and {EPOCHS - 1} times those of the later ones. What its `fit` waits for behind the last step of an epoch is not in it. "
        "The last layers are conv5 and the head, with fixed batch statistics on both sides."
    ),
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
