"""A calibrated model: its probabilities are those of divided logits, in the network, its files and its figures."""

import json

import numpy as np
import pytest
from scipy.special import softmax

import tl_toolkit as tl
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.experiments import calibrate as module
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.train_and_validate import train_and_validate


@pytest.mark.slow  # a training and a run
@pytest.mark.parametrize("solver", [pytest.param("gradient", marks=pytest.mark.long), "lbfgs"])
def test_logits_are_divided_where_there_are_enough_images(
    photo_recipe, solver, monkeypatch, tmp_path
):
    recipe = photo_recipe.replace(strategy=tl.NewHead(), epochs=2)
    if solver == "lbfgs":
        steps = ("epochs", "batch_size", "learning_rate")
        recipe = photo_recipe.replace(strategy=tl.NewHead(), **dict.fromkeys(steps))
    raw = train_and_validate(recipe)
    assert (raw.calibration.temperature, raw.calibration.images) == (1, 0)
    assert "it takes 200 images" in str(raw.calibration)

    fitted, fit = [], module.fit_temperature
    monkeypatch.setattr(module, "FEWEST_IMAGES", 8)
    monkeypatch.setattr(
        module, "fit_temperature", lambda *of: fitted.append((*of, fit(*of))) or fitted[-1][-1]
    )
    result = tl.run(recipe, tmp_path / "run", context=Context(photos=False))
    dataset, folder = raw.experiment.dataset, tmp_path / "run"
    ((_, fitted_labels, temperature),) = fitted
    # No test image fits it: those that the head was not learned from do.
    expected = dataset.train if solver == "lbfgs" else dataset.validation
    assert fitted_labels.tolist() == expected.labels.tolist()
    assert temperature != pytest.approx(1, rel=0.01)

    batches = EvaluationBatches(dataset.test, raw.experiment.preprocessing, 64)
    ((images, labels),) = batches
    before = raw.model(images, training=False).numpy()
    after = tl.load_model(folder / "model.keras")(images, training=False).numpy()
    np.testing.assert_allclose(after * temperature, before, rtol=1e-4, atol=1e-4)
    losses = -np.log(softmax(after, axis=1)[np.arange(len(labels)), labels])
    assert result.test["log_loss"] == pytest.approx(losses.mean(), rel=1e-4, abs=1e-6)
    if solver == "gradient":
        of_validation = softmax(fitted[0][0], axis=1)  # before: divided, they would flatter
        losses = -np.log(of_validation[np.arange(len(fitted_labels)), fitted_labels])
        assert result.validation["log_loss"] == pytest.approx(losses.mean(), rel=1e-4, abs=1e-6)
    prediction = tl.load_classifier(folder).predict(dataset.test.images.encoded(0))[0]
    assert prediction.score == pytest.approx(softmax(after[0]).max(), abs=1e-4)
    test = json.loads((folder / "metrics.json").read_text())["test"]
    assert 0 <= test["calibration_error"] <= 1
    assert f"logits divided by {temperature:.3f}, fitted to" in (folder / "summary.md").read_text()
    assert (folder / "reliability.png").exists()
