"""What tests of the walk share: runs that leave the export of a SavedModel out."""

import pytest

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
