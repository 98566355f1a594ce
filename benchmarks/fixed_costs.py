"""What a run costs beside its training, by stages, against `import tensorflow` and the Keras guide's same walk."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from cases import (
    CLASSES,
    KERAS_SETTINGS,
    guide_network,
    photo_folder,
    random_weights,
    small_network,
)
from harness import Benchmark, Comparison, Measured, main
from stopwatch import NOTHING, Spent, Stopwatch, seconds, wait

SEEDS = 3
# What the stages of a run are called; the tests hold them to the package.
TRAINING, EXPORTING, TESTING = "Training", "Exporting the SavedModel", "Testing"
FEATURES = "Computing features of the frozen layers"
# Stages of the report.
FIRST_LINE, TO_FIRST_STEP, TRAINED = "to the first line", "to the first step", "training"
AFTER, EVALUATING = "after the last epoch", "of it evaluating images"
REST, BESIDE, WHOLE = (
    "after the last epoch, without evaluating images",
    "all but training",
    "the whole",
)


@dataclasses.dataclass(frozen=True)
class Walk:
    """A run of the table.

    Attributes:
        strategy: Its name.
        photos: How many; three eighths of them are evaluated.
        side: Of the images, in pixels.
        epochs: Of the training.
        is_small: ResNet-18 of width 8 in place of ResNet-50.
    """

    strategy: str
    photos: int
    side: int
    epochs: int
    is_small: bool = False

    @property
    def folder(self) -> pathlib.Path:
        """The photos."""
        return photo_folder(self.photos, *((32, 32) if self.is_small else (300, 400)))

    def network(self) -> dict[str, str | int]:
        """The network and the weights that it starts from, as fields of a recipe."""
        if self.is_small:
            return small_network()
        return {"weights": str(random_weights()), "preprocessing": "imagenet"}

    def recipe(self):
        """The run as a recipe."""
        import tl_toolkit as tl
        from tl_toolkit.strategies import strategy_named

        return tl.Recipe(
            data=f"folder:{self.folder}",
            strategy=strategy_named(self.strategy),
            image_size=self.side,
            epochs=self.epochs,
            **self.network(),
        )


WALKS = {
    "ResNet-50, full fine-tuning": Walk("full_fine_tune", 152, 160, 1),
    "ResNet-50, new head": Walk("new_head", 152, 160, 1),
    "small": Walk("full_fine_tune", 60, 32, 2, is_small=True),
}
GUIDE, MORE_SEEDS = "Keras guide, {}, {}", "small, each of three more seeds"
IMPORT = "import tensorflow"


class Moments:
    """Notes when a run says what it does, by the names of its stages.

    Args:
        watch: Runs.
    """

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self.started = watch.read()
        self.first_line: Spent | None = None
        self.began: dict[str, Spent] = {}
        self.ended: dict[str, Spent] = {}
        self.in_stage: dict[str, Spent] = {}
        self.last_epoch = NOTHING

    def progress(self):
        """Returns the `Progress` to give to the run."""
        from tl_toolkit.progress import Progress, Stage

        moments = self

        class Noted(Stage):
            def describe(self, text: str) -> None:  # a training's stage, at each epoch's end
                moments.last_epoch = moments._watch.read()

        class Notes(Progress):
            @contextlib.contextmanager
            def stage(self, title: str, total: int | None = None, done: int = 0) -> Iterator[Stage]:
                name = TRAINING if title.startswith(TRAINING) else title
                began = moments._say()
                moments.began.setdefault(name, began)
                yield Noted() if name == TRAINING else Stage()
                moments.ended[name] = moments._watch.read()
                spent = moments.ended[name] - began
                moments.in_stage[name] = moments.in_stage.get(name, NOTHING) + spent

            def message(self, text: str) -> None:
                moments._say()

        return Notes()

    def _say(self) -> Spent:
        now = self._watch.read()
        self.first_line = self.first_line or now
        return now

    def stages(self) -> dict[str, Spent]:
        """Returns what each stage of a run that has just ended took."""
        end = self._watch.read()
        assert self.first_line is not None
        training = self.last_epoch - self.began[TRAINING]
        selecting = self.began[EXPORTING] - self.ended[TRAINING]  # by validation images
        evaluating = selecting + self.in_stage[TESTING]
        features = self.in_stage.get(FEATURES, NOTHING)
        return {
            FIRST_LINE: self.first_line - self.started,
            TO_FIRST_STEP: self.began[TRAINING] - self.first_line - features,
            TRAINED: training + features,
            AFTER: end - self.last_epoch,
            EVALUATING: evaluating,
            REST: end - self.last_epoch - evaluating,
            BESIDE: end - self.started - training - features,
            WHOLE: end - self.started,
        }


def import_tensorflow() -> Measured:
    """TensorFlow alone."""
    with Stopwatch() as watch:
        import tensorflow  # noqa: F401

        return seconds(watch.read())


def ours(walk: Walk) -> dict[str, Measured]:
    """`tl.run` from its first line to its finished folder, with nothing in the user's cache."""
    with _empty_cache(walk) as folder, Stopwatch() as watch:
        moments = Moments(watch)
        import tl_toolkit as tl

        tl.run(walk.recipe(), folder / "run", progress=moments.progress())
        stages = moments.stages()
    return {name: seconds(spent) for name, spent in stages.items()}


def more_seeds() -> dict[str, Measured]:
    """What each further seed of the small run takes in the process that has run the first one."""
    walk = WALKS["small"]
    with _empty_cache(walk) as folder, Stopwatch() as watch:
        import tl_toolkit as tl
        from tl_toolkit.experiments.context import Context
        from tl_toolkit.transfer.network_pool import NetworkPool

        context = Context(networks=NetworkPool())
        runs = []
        for seed in range(1 + SEEDS):
            moments = Moments(watch)
            recipe = walk.recipe().replace(seed=seed)
            tl.run(recipe, folder / str(seed), context=context, progress=moments.progress())
            runs.append(moments.stages())
    later = runs[1:]
    return {
        name: seconds(sum((run[name] for run in later), NOTHING) * (1 / SEEDS))
        for name in (TRAINED, BESIDE, WHOLE)
    }


def guide(walk: Walk, jit_compile: str | bool) -> dict[str, Measured]:
    """The Keras guide's walk: data, network, `fit`, `evaluate`, `model.export`."""
    with _empty_cache(walk) as folder, Stopwatch() as watch:
        import keras
        from keras_steps import StepTimer

        imported = watch.read()
        train, held_out = keras.utils.image_dataset_from_directory(
            walk.folder,
            image_size=(walk.side, walk.side),
            validation_split=3 / 8,
            subset="both",
            seed=0,
            verbose=False,
        )
        flip = keras.layers.RandomFlip("horizontal")
        train = train.map(lambda images, labels: (flip(images), labels)).prefetch(2)
        trains_all = walk.strategy == "full_fine_tune"
        model = guide_network(walk.side, walk.is_small, trains_all, jit_compile)
        built = watch.read()
        timer = StepTimer(watch)
        model.fit(train, epochs=walk.epochs, verbose=0, callbacks=[timer])
        waits = timer.waits()
        trained = watch.read()
        timer = StepTimer(watch)
        model.evaluate(held_out, verbose=0, callbacks=[timer])
        waits_of_evaluation = timer.waits()
        evaluated = watch.read()
        model.export(folder / "saved_model", verbose=False)
        exported = watch.read()
    assert model.output_shape == (None, CLASSES)
    stages = {
        FIRST_LINE: imported,
        TO_FIRST_STEP: built - imported,
        TRAINED: trained - built - waits,
        EVALUATING: evaluated - trained - waits_of_evaluation,
        REST: exported - evaluated,
        BESIDE: exported - (trained - built) - waits_of_evaluation,
        WHOLE: exported - waits - waits_of_evaluation,
    }
    return {
        **{name: seconds(spent) for name, spent in stages.items()},
        "waits at the ends of epochs and of `evaluate`": wait(waits + waits_of_evaluation),
    }


@contextlib.contextmanager
def _empty_cache(walk: Walk) -> Iterator[pathlib.Path]:
    """Yields an empty folder, in which the cache of features is too, once the walk's files are there.

    Another process makes them: TensorFlow must not be imported before the clock starts.
    """
    make = f"import fixed_costs; fixed_costs.make_files({walk!r})"
    make = make.replace("Walk(", "fixed_costs.Walk(")
    here = str(pathlib.Path(__file__).parent)
    subprocess.run([sys.executable, "-c", make], check=True, capture_output=True, cwd=here)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TL_TOOLKIT_CACHE"] = str(pathlib.Path(folder, "cache"))
        yield pathlib.Path(folder)


def make_files(walk: Walk) -> None:
    """Makes the photos and the weights that a walk starts from, if they are not there."""
    _ = walk.folder, walk.network()
    guide_network(walk.side, walk.is_small, trainable=True)


def _comparisons() -> list[Comparison]:
    fine_tuning = "ResNet-50, full fine-tuning"
    over_import = (
        (f"{fine_tuning}: {REST}", 1.5),
        (f"small: {BESIDE}", 2.0),
        (f"{MORE_SEEDS}: {BESIDE}", 0.5),
    )
    return [
        *(
            Comparison(f"{row}, over {IMPORT}", IMPORT, (row,), target, at_most=True)
            for row, target in over_import
        ),
        *(
            Comparison(
                f"{name}: {WHOLE}",
                f"{name}: {WHOLE}",
                tuple(f"{GUIDE.format(name, setting)}: {WHOLE}" for setting in KERAS_SETTINGS),
                1.0,
            )
            for name in WALKS
        ),
    ]


GUIDES = {
    GUIDE.format(name, setting): (functools.partial(guide, walk, jit_compile), variables)
    for name, walk in WALKS.items()
    for setting, (variables, jit_compile) in KERAS_SETTINGS.items()
}
BENCHMARK = Benchmark(
    title="Fixed costs of a run",
    unit="seconds",
    cases={
        IMPORT: import_tensorflow,
        **{name: functools.partial(ours, walk) for name, walk in WALKS.items()},
        MORE_SEEDS: more_seeds,
        **{name: case for name, (case, _) in GUIDES.items()},
    },
    minutes=40,
    comparisons=tuple(_comparisons()),
    environment={name: dict(variables) for name, (_, variables) in GUIDES.items()},
    note=(
        "ResNet-50 at 160 px on 152 photos for one epoch; small is a ResNet-18 of width 8 at 32 px on 60 photos for two. "
        "Both start from a file of random weights, with nothing in the cache of features, and evaluate three eighths of the "
        "photos; ours validates some of them after each epoch. Ours ends with a checked "
        "SavedModel of three signatures, a report and plots, the guide's with `model.export`. Training has the first "
        "step's tracing in it, and the pass over frozen layers. The CPU seconds of a child process count where it ends: "
        "those of ours, which checks the SavedModel and lives on for the next run, do not. "
        "What the guide's `fit` and `evaluate` wait for behind their last steps is not in its whole."
    ),
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
