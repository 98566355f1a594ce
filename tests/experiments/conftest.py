"""What tests of the walk share: runs that leave the export of a SavedModel out, and one with several labels."""

import pytest
import several_labels

import tl_toolkit as tl
from tl_toolkit.data.seen_images import SEEN_IMAGES
from tl_toolkit.experiments import run as run_module
from tl_toolkit.export.saved_model_layout import SAVED_MODEL
from tl_toolkit.weights.run_folder import MODEL_FILE


@pytest.fixture
def no_saved_model(monkeypatch):
    """Runs leave a model to train on from, and an empty folder in place of the SavedModel."""

    class NothingToCheck:
        images = 0

        def result(self):
            return 0.0

    def export(trained, folder, process):
        trained.model.save(folder / MODEL_FILE)
        (folder / SAVED_MODEL / SEEN_IMAGES).parent.mkdir(parents=True, exist_ok=True)
        return {}, NothingToCheck()

    monkeypatch.setattr(run_module, "export", export)


@pytest.fixture
def labels_run(plots, tiny_weights, made_once):
    """The folder of a finished run on photos with several labels (`patches_uri`), made once with its plots."""
    recipe = several_labels.recipe(tiny_weights, tl.NewHead(on="all_blocks"))
    return made_once("labels_run", lambda folder: tl.run(recipe, folder / "run").folder)
