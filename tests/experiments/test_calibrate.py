"""A calibrated model: its probabilities are those of divided logits, in the network, its files and its figures."""

import json

import numpy as np
import pytest
from scipy.special import softmax

import tl_toolkit as tl
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.experiments import calibrate as module
from tl_toolkit.experiments.train_and_validate import train_and_validate


@pytest.fixture(scope="module", params=["gradient", "lbfgs"])
def recipes(request, photo_recipe):
    """The same training."""
    if request.param == "gradient":
        return photo_recipe.replace(strategy=tl.FullFineTune(), epochs=2, learning_rate=0.03)
    steps = ("epochs", "batch_size", "learning_rate")
    return photo_recipe.replace(strategy=tl.NewHead(), **dict.fromkeys(steps))


def logits_of(trained):
    experiment = trained.experiment
    return experiment.predict(
        EvaluationBatches(experiment.dataset.test, experiment.preprocessing, 8)
    )[0]


def test_logits_are_divided_where_there_are_enough_images(recipes, monkeypatch, tmp_path):
    raw = train_and_validate(recipes)
    assert (raw.calibration.temperature, raw.calibration.images) == (1, 0)
    monkeypatch.setattr(module, "FEWEST_IMAGES", 8)
    result = tl.run(recipes, tmp_path / "run")
    served = train_and_validate(recipes)
    temperature = served.calibration.temperature
    assert temperature != pytest.approx(1, rel=0.01)
    before, after = logits_of(raw), logits_of(served)
    np.testing.assert_allclose(after * temperature, before, rtol=1e-4, atol=1e-4)

    # What is kept from the test and what the SavedModel says is the divided one.
    folder, test = tmp_path / "run", served.experiment.dataset.test
    losses = -np.log(softmax(after, axis=1)[np.arange(len(test)), test.labels])
    assert result.test["log_loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert result.validation["log_loss"] == pytest.approx(served.validation["log_loss"], rel=1e-4)
    prediction = tl.load_classifier(folder).predict(test.images.encoded(0))[0]
    assert prediction.score == pytest.approx(softmax(after[0]).max(), abs=1e-4)
    assert "calibration_error" in json.loads((folder / "metrics.json").read_text())["test"]
    assert f"logits divided by {temperature:.3f}, fitted to" in (folder / "summary.md").read_text()
    assert (folder / "reliability.png").exists()


def test_no_test_image_fits_the_temperature(recipes, monkeypatch):
    monkeypatch.setattr(module, "FEWEST_IMAGES", 8)
    fitted = []
    fit = module.fit_temperature
    monkeypatch.setattr(module, "fit_temperature", lambda *of: fitted.append(of[1]) or fit(*of))
    trained = train_and_validate(recipes)
    dataset = trained.experiment.dataset
    expected = dataset.train if recipes.solver == "lbfgs" else dataset.validation
    assert [labels.tolist() for labels in fitted] == [expected.labels.tolist()]
