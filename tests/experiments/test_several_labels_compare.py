"""A comparison of strategies on photos with several labels: what is measured, what chooses, and what is said of chance."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.special import expit
from several_labels import patches_uri, recipe  # noqa: F401
from sklearn.metrics import log_loss

import tl_toolkit as tl
from tl_toolkit.cli.tables import print_comparison
from tl_toolkit.experiments import compare as comparison
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.strategy_result import (
    StrategyResult,
    against_best,
    differences_in_words,
    selection_score,
    strategies_table,
)
from tl_toolkit.experiments.tested import measure_test
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.report.calibration import fit_temperature
from tl_toolkit.report.ladder import LABELS_RIGHT
from tl_toolkit.report.paired_test import p_text, sign_flip_p


def result(name, right, **fields):
    """What a strategy gave, by bool[photos, labels] a seed of the labels that are right."""
    given = {"selection_top1": (0.0,), "selection_log_loss": (0.0,), "seconds": (1.0,)}
    of_labels = {"test_mean_average_precision": (0.5, 0.7), "test_macro_f1": (0.25, 0.75)}
    top1 = tuple(float(of_seed.mean()) for of_seed in right)
    return StrategyResult(
        name, top1, **{**given, **of_labels, **fields}, trained_parameters=1, measure=LABELS_RIGHT
    )


def test_labels_of_one_photo_are_not_taken_for_so_many_photos():
    """Ten photos of which all labels are lost together say as much as ten answers, not as thirty."""
    base = np.ones((100, 3), bool)
    worse = base.copy()
    worse[:10] = False
    answers = {"a": [worse] * 2, "b": [base] * 2}
    found = against_best([result(name, of) for name, of in answers.items()], "b", answers)
    assert found[0].p_value == pytest.approx(2 / 2**10)
    assert found[0].difference == pytest.approx(-0.1)
    assert (found[1].p_value, found[1].difference) == (None, 0.0)


def test_a_photo_counts_by_how_many_of_its_labels_are_right():
    random = np.random.default_rng(0)
    answers = {name: list(random.random((2, 12, 3)) < 0.7) for name in "ab"}
    found = against_best([result(name, of) for name, of in answers.items()], "b", answers)
    by_photo = sum(a.sum(axis=1) - b.sum(axis=1) for a, b in zip(*answers.values(), strict=True))
    flips = np.array(np.meshgrid(*[[-1, 1]] * 12)).reshape(12, -1)
    as_far = np.abs(by_photo @ flips) >= abs(by_photo.sum())
    assert found[0].p_value == pytest.approx(as_far.mean())
    assert found[0].difference == pytest.approx(by_photo.sum() / (2 * 12 * 3))


def test_the_least_log_loss_is_chosen_and_not_the_most_labels_right():
    right = [np.ones((4, 2), bool)]
    a = result("a", right, selection_top1=(0.9, 0.9), selection_log_loss=(0.4, 0.2))
    b = result("b", right, selection_top1=(0.8, 0.8), selection_log_loss=(0.1, 0.3))
    assert max([a, b], key=selection_score) is b


def test_table_and_words_name_the_measure():
    n = np.arange(200)[:, None] + np.zeros((1, 2), int)
    answers = {"a": [n < 100], "b": [n < 150], "c": [n < 160], "d": [n < 151]}
    found = against_best([result(name, of) for name, of in answers.items()], "b", answers)
    assert differences_in_words(found, "b", 200) == (
        "On these 200 test images, a has fewer labels right than b beyond chance; c has more labels right than b beyond "
        "chance; d cannot be told from b."
    )
    table = strategies_table(found)
    assert table.columns[1:4] == (
        "labels right\nand range",
        "against\nthe best",
        "mean AP\nmacro F1",
    )
    against = f"-25.0 pts\np {p_text(found[0].p_value, '= ')}"
    assert table.rows[0][:4] == ("a", "0.500\n0.500–0.500", against, "0.600\n0.500")
    assert table.rows[1][2] == "–"
    unknown = dataclasses.replace(found[0], test_mean_average_precision=(None, None))
    assert strategies_table([unknown]).rows[0][3] == "–\n0.500"


def test_a_result_of_one_class_a_photo_is_written_without_figures_of_labels():
    one = StrategyResult("a", (0.9,), (0.8,), (0.4,), (1.0,), 27)
    fields = [
        "strategy",
        "test_top1",
        "selection_top1",
        "selection_log_loss",
        "seconds",
        "trained_parameters",
        "difference",
        "p_value",
    ]
    assert list(one.to_json()) == fields
    several = result("a", [np.ones((4, 2), bool)]).to_json()
    of_labels = ["measure", "test_mean_average_precision", "test_macro_f1"]
    assert list(several) == [*fields, *of_labels]
    assert several["measure"] == "labels right"


@pytest.mark.usefixtures("patches_uri")
def test_without_validation_photos_nothing_is_trained(tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "train_and_validate", None)
    heads = (tl.NewHead(), tl.NewHead(on="all_blocks"))
    recipes = [recipe(tiny_weights, head, validation_fraction=0.0) for head in heads]
    with pytest.raises(
        tl.InputError, match=r"there are no validation images: .* validation_fraction"
    ):
        tl.compare(recipes, seeds=1, output=tmp_path / "compared")


@pytest.mark.slow  # four trainings, and a SavedModel
@pytest.mark.usefixtures("patches_uri", "plots")
def test_strategies_are_compared_by_labels_right_and_chosen_by_validation_photos(
    tiny_weights, tmp_path, monkeypatch, capsys
):
    trained = []

    def train_and_note(asked, context):
        model = train_and_validate(asked, context)
        tested = measure_test(model)
        given = expit(tested.logits) >= 0.5
        trained.append((model, tested.metrics, given == (tested.labels > 0)))
        return model

    monkeypatch.setattr(comparison, "train_and_validate", train_and_note)
    heads = (tl.NewHead(), tl.NewHead(on="all_blocks"))
    found = tl.compare(
        [recipe(tiny_weights, head) for head in heads],
        seeds=2,
        output=tmp_path / "compared",
        context=Context(photos=False),
    )
    results, images = found.results, len(trained[0][2])
    assert found.test_images == images
    for number, row in enumerate(results):
        own = trained[2 * number : 2 * number + 2]
        assert row.measure == "labels right"
        assert row.test_top1 == pytest.approx([right.mean() for *_, right in own])
        precisions = [metrics["mean_average_precision"] for _, metrics, _ in own]
        assert row.test_mean_average_precision == pytest.approx(precisions)
        assert row.test_macro_f1 == pytest.approx([metrics["macro_f1"] for _, metrics, _ in own])
        for model, top1, loss in zip(
            [m for m, *_ in own], row.selection_top1, row.selection_log_loss, strict=True
        ):
            logits, labels = model.validation_logits, model.experiment.dataset.validation.labels
            assert top1 == pytest.approx(((logits > 0) == (labels > 0)).mean())
            calm = expit(logits / fit_temperature(logits, labels))
            assert loss == pytest.approx(log_loss(labels.ravel(), calm.ravel()), rel=1e-5)
    assert found.best is min(results, key=lambda row: np.mean(row.selection_log_loss))
    other = next(row for row in results if row is not found.best)
    times = [sum(r.astype(int).sum(axis=1) for *_, r in trained[k : k + 2]) for k in (0, 2)]
    assert other.p_value == pytest.approx(sign_flip_p(times[1] - times[0]))
    assert other.difference == pytest.approx(
        np.mean(other.test_top1) - np.mean(found.best.test_top1)
    )
    test = json.loads((tmp_path / "compared/best/metrics.json").read_text())["test"]
    assert found.best.test_macro_f1[0] == test["macro_f1"]
    assert found.best.test_mean_average_precision[0] == test["mean_average_precision"]
    assert test["mean_average_precision"] > 0.8
    assert found.title == "patches, several labels a photo, weights tiny"
    written = json.loads((tmp_path / "compared/comparison.json").read_text())
    assert [StrategyResult(**row).measure for row in written] == ["labels right"] * 2
    assert (tmp_path / "compared/comparison.png").stat().st_size > 5000

    page = found.page.read_text("utf-8")
    mean = np.mean(found.best.test_mean_average_precision)
    assert f'<span class="number">{mean:.3f}</span>' in page
    assert f"{100 * np.mean(found.best.test_top1):.1f}% of the labels" in page
    with tl.terminal() as progress:
        print_comparison(found, progress)
    out = capsys.readouterr().out
    assert (
        f"The first test image has {found.example[0]!r}, and is given {found.example[1]!r}" in out
    )
    assert "macro" in out
