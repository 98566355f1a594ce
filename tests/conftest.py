"""What tests share: one seed, a tiny pretrained network, photos that it can tell apart, a finished run."""

import collections
import dataclasses
import gc
import importlib
import os
import pathlib
import pickle
import shutil
import sys
import tempfile

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tl_toolkit` does, but before Keras
# Each of pytest's processes has a core: two threads of BLAS would wait for each other, at three times the processor time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Nothing of the user's caches is read or changed, and no home folder is needed.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="tl_toolkit_tests_")
os.environ["KERAS_HOME"] = os.path.join(os.environ["XDG_CACHE_HOME"], "keras")
os.environ.pop("TL_TOOLKIT_CACHE", None)

import filelock
import hypothesis
import keras
import numpy as np
import pytest
from graphs import OPTIMISED_FOLDERS, optimised_graphs, quick_graphs
from matplotlib.figure import Figure
from PIL import Image
from ready_python import ready_python
from this_process import plots_in_this_process, this_process
from tiny import TINY, randomise, write_safetensors

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING, WeightSpec
from tl_toolkit.experiments import measured_exports
from tl_toolkit.experiments import report as report_module
from tl_toolkit.experiments import run as run_module
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.training import precision

# A first example traces TensorFlow's functions, so that no deadline holds for each.
hypothesis.settings.register_profile("fast", max_examples=15, deadline=None, derandomize=True)
hypothesis.settings.register_profile("long", max_examples=200, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

# Equality to rounding is what most tests assert: as on a processor without bfloat16.
precision.CPU_INFO = pathlib.Path(os.devnull)


def pytest_collection_modifyitems(items):
    """What needs a finished run is slow: to train, export and load one takes seconds."""
    slow = collections.Counter()
    for item in items:
        if {"finished_run", "exported_run", "documented"} & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)
        slow[item.path] += item.get_closest_marker("slow") is not None
    # The files with most slow tests first: one that came last would keep one process waiting for the other.
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish(session):
    """What is imported by now stays: garbage collection, which looks at all objects, need not look at it again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _quick_checks_of_exports(monkeypatch):
    """Exports are loaded and plots drawn in this process; in others, as users have it, when `finished_run` is made."""

    monkeypatch.setattr(run_module, "fresh_process", this_process)
    monkeypatch.setattr(run_module, "plot_process", plots_in_this_process)


@pytest.fixture(autouse=True)
def _empty_plots(request, monkeypatch):
    """Plots take two seconds a run: they are drawn when `finished_run` is made, and where a test asks for `plots`."""
    if "plots" in request.fixturenames:
        return
    monkeypatch.setattr(report_module, "contact_sheet", lambda experiment: None)
    monkeypatch.setattr(Figure, "savefig", _save_one_pixel)


def _save_one_pixel(figure, path, **kwargs):
    Image.new("RGB", (1, 1)).save(path, "PNG")


@pytest.fixture
def plots():
    """Plots are drawn in a test that asks for this."""


@pytest.fixture(autouse=True, scope="module")
def _quick_graphs(request):
    """Graphs are not optimised, but in the folders where that matters, and in what tests share."""
    is_optimised = request.path.parent.name in OPTIMISED_FOLDERS
    with optimised_graphs(True) if is_optimised else quick_graphs():
        yield


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    keras.utils.set_random_seed(0)
    yield
    # Garbage collection takes longer than most tests.
    keras.backend.clear_session(free_memory=False)


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """An executable that does as `python` does, and has everything imported: for processes that tests start."""
    with ready_python(tmp_path_factory.mktemp("python")) as executable:
        yield str(executable)


COLOURS = {"blue": (30, 60, 220), "green": (40, 190, 60), "red": (220, 40, 30)}


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Returns what `make(folder)` returns, which the first of pytest's processes to ask for it has made for all."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def made_once(name, make):
        folder, result = root / name, root / f"{name}.pickle"
        with filelock.FileLock(root / f"{name}.lock"):
            if not result.exists():
                folder.mkdir()
                with optimised_graphs(True):
                    result.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(result.read_bytes())

    return made_once


@pytest.fixture(scope="session")
def tiny_weights(made_once):
    """A safetensors file of a two-block network with a head of seven classes."""

    def make(folder):
        preprocessing = dataclasses.replace(PREPROCESSING["imagenet"], image_size=16)
        model = randomise(assemble_classifier(TINY, preprocessing, 7))
        spec = WeightSpec("tiny", TINY, preprocessing, tuple("abcdefg"), 7, licence="MIT")
        return write_safetensors(folder / "tiny.safetensors", model, spec)

    return made_once("weights", make)


@pytest.fixture(scope="session")
def photos(made_once):
    """Three classes of JPEG photos of several sizes, told apart by colour."""

    def make(folder):
        rng = np.random.default_rng(1)
        for name, colour in COLOURS.items():
            (folder / name).mkdir()
            for number in range(20):
                height, width = rng.integers(20, 48, 2)
                pixels = rng.normal(colour, 25, (height, width, 3))
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(folder / name / f"{number}.jpg", quality=90)
        return folder

    return made_once("photos", make)


@pytest.fixture(scope="session")
def photo_recipe(photos, tiny_weights):
    """A recipe that learns those photos in a few steps."""
    return tl.Recipe(
        data=f"folder:{photos}",
        strategy=tl.NewHead(),
        weights=str(tiny_weights),
        epochs=12,
        batch_size=16,
        learning_rate=0.1,
        views=2,
        precision="float32",
        seed=3,
    )


@pytest.fixture(scope="session")
def finished_run(photo_recipe, made_once):
    """The result of that recipe."""
    return made_once("runs", lambda folder: tl.run(photo_recipe, folder / "photos"))


@pytest.fixture(autouse=True)
def _quick_timing_of_exports(monkeypatch):
    """A few calls say nothing of a format's speed, and are not asked to."""
    monkeypatch.setattr(measured_exports, "TIMED_SECONDS", 0.0)


@pytest.fixture(scope="session")
def exported_run(finished_run, made_once):
    """What was said of a copy of that run, `my_run`, in every format; of so small a network int8 may change any answer."""

    def make(folder):
        shutil.copytree(finished_run.folder, folder / "my_run")
        measured_exports.TIMED_SECONDS, before = 0.0, measured_exports.TIMED_SECONDS
        try:
            return tl.export_run(folder / "my_run", "all", accept_changes=True)
        finally:
            measured_exports.TIMED_SECONDS = before

    return made_once("exports", make)


@pytest.fixture
def import_benchmark(monkeypatch):
    """Imports a file of `benchmarks/` by its name, which no other test finds imported."""
    folder = pathlib.Path(__file__).parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module
    for path in folder.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def documented(photos, tiny_weights, made_once, tmp_path, monkeypatch):
    """Makes the current folder one as the documents assume it; what they call ImageNet's weights are random there."""
    import documents

    from tl_toolkit.weights import resolve

    made = made_once(
        "documented", lambda folder: documents.make_folder(folder, photos, tiny_weights)
    )

    def open_imagenet(architecture):
        return documents.stand_in_for_imagenet(tmp_path / "weights", architecture, tiny_weights)

    def prepare(without=()):
        place = tmp_path / "documented"
        documents.copy_folder(made, place, without)
        monkeypatch.chdir(place)

    monkeypatch.setattr(resolve, "_open_imagenet", open_imagenet)
    return prepare
