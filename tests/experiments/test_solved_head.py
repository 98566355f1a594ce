"""A new head that is solved for: from photos to a checked SavedModel, without a step of training."""

import csv
import dataclasses

import keras
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import tl_toolkit as tl
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.experiments import solve_new_head
from tl_toolkit.experiments import train_and_validate as train_module
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.report import run_facts
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.models.head import blocks_of_features, new_head
from tl_toolkit.strategies import strategy_label
from tl_toolkit.transfer import solved_head
from tl_toolkit.transfer.cut import cut_model
from tl_toolkit.transfer.feature_cache import FeatureCache, NoRoomError
from tl_toolkit.transfer.logistic_regression import Problem
from tl_toolkit.transfer.solved_head import deal_folds


@pytest.fixture(scope="module")
def recipe(photos, tiny_weights):
    return tl.Recipe(
        data=f"folder:{photos}",
        strategy=tl.NewHead(on="all_blocks"),
        weights=str(tiny_weights),
        precision="float32",
        seed=3,
    )


@pytest.fixture(scope="module")
def solved_run(recipe, made_once):
    return made_once("solved_runs", lambda folder: tl.run(recipe, folder / "solved"))


@pytest.fixture(scope="module")
def solved(recipe):
    return train_and_validate(recipe)


def features_of(trained, split):
    """float64[n, features], by the network itself."""
    experiment = trained.experiment
    frozen = cut_model(trained.model, experiment.plan.cut).frozen
    batches = EvaluationBatches(split, experiment.preprocessing, 8)
    return np.concatenate([frozen(images).numpy() for images, _ in batches]).astype(np.float64)


def test_the_head_is_scikit_learns_on_the_same_features(solved):
    train, test = solved.experiment.dataset.train, solved.experiment.dataset.test
    scaler = StandardScaler().fit(rows := features_of(solved, train))
    theirs = LogisticRegression(C=solved.solved.strength, tol=1e-10, max_iter=20000)
    theirs.fit(scaler.transform(rows), train.labels)
    logits = solved.experiment.predict(EvaluationBatches(test, solved.experiment.preprocessing, 8))[
        0
    ]
    expected = theirs.predict_proba(scaler.transform(features_of(solved, test)))
    np.testing.assert_allclose(softmax(logits, axis=1), expected, atol=1e-4)


def test_the_features_are_averages_and_maxima_of_every_block(solved):
    model, split = solved.model, solved.experiment.dataset.test.take([0, 1])
    found = features_of(solved, split)
    blocks = blocks_of_features(solved.experiment.spec.architecture)
    assert found.shape == (2, len(blocks))
    ((images, _),) = EvaluationBatches(split, solved.experiment.preprocessing, 8)
    start = 0
    for block in dict.fromkeys(blocks):
        maps = keras.Model(model.input, model.get_layer(f"{block}_out").output)(images).numpy()
        channels = maps.shape[-1]
        part = found[:, start : start + 2 * channels]
        np.testing.assert_allclose(part[:, :channels], maps.mean((1, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(part[:, channels:], maps.max((1, 2)), rtol=1e-5, atol=1e-6)
        assert blocks[start : start + 2 * channels] == [block] * (2 * channels)
        start += 2 * channels


def test_only_the_head_is_trained(solved):
    assert set(solved.experiment.plan.paths("trained")) == {
        variable.path for variable in new_head(solved.model).weights
    }
    assert solved.verified == len(solved.model.variables) - 2


def test_a_run_leaves_how_the_head_was_chosen(solved_run, recipe):
    folder = solved_run.folder
    names = {path.name for path in folder.iterdir()}
    assert {"regularisation_path.png", "blocks.png", "out_of_fold.csv"} <= names
    assert "training_curves.png" not in names
    with (folder / "history.csv").open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert [list(row) for row in rows] == [["strength", "log_loss", "top1"]] * len(rows)
    best = min(rows, key=lambda row: row["log_loss"])
    summary = (folder / "summary.md").read_text()
    assert f"strength C = {best['strength']:.3g}, the best of {len(rows)} in 5-fold" in summary
    assert "not augmented" in summary
    assert solved_run.recipe == recipe
    assert solved_run.test["top1"] > 0.9


def test_out_of_fold_probabilities_are_kept_with_the_photos(solved_run, solved, photos):
    with (solved_run.folder / "out_of_fold.csv").open() as file:
        rows = list(csv.DictReader(file))
    dataset, path = solved.experiment.dataset, solved.solved.path
    assert [row["image"] for row in rows] == list(map(str, dataset.train.images.paths))
    assert [row["class"] for row in rows] == [dataset.class_names[k] for k in dataset.train.labels]
    found = [[float(row[f"probability of {name}"]) for name in dataset.class_names] for row in rows]
    np.testing.assert_allclose(found, softmax(path.logits, axis=1), atol=2e-6)
    losses = -np.log(np.array(found)[np.arange(len(rows)), dataset.train.labels])
    assert losses.mean() == pytest.approx(path.log_losses[path.best], abs=1e-4)
    assert {int(row["fold"]) for row in rows} == set(range(5))


@pytest.mark.long
def test_the_saved_model_and_model_keras_answer_alike(solved_run, solved):
    test = solved.experiment.dataset.test
    served = tl.load_classifier(solved_run.folder)
    model = tl.load_model(solved_run.folder / "model.keras")
    ((images, _),) = EvaluationBatches(test.take(range(4)), solved.experiment.preprocessing, 8)
    expected = softmax(model(images, training=False).numpy(), axis=1).max(axis=1)
    scores = [served.predict(test.images.encoded(index))[0].score for index in range(4)]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.long
def test_such_a_run_can_be_started_from(solved_run, recipe, photo_recipe):
    trained = train_and_validate(
        photo_recipe.replace(weights=str(solved_run.folder), epochs=1, strategy=tl.FullFineTune())
    )
    assert trained.model.get_layer("predictions").kernel.shape[-1] == 3


@pytest.mark.long
@pytest.mark.parametrize("on", ["features", "all_blocks"])
def test_two_trainings_are_equal_bit_for_bit(recipe, on):
    heads = [
        new_head(train_and_validate(recipe.replace(strategy=tl.NewHead(on=on))).model).kernel
        for _ in range(2)
    ]
    assert heads[0].numpy().tobytes() == heads[1].numpy().tobytes()


def test_no_test_image_is_read_and_validation_images_choose_nothing(recipe, monkeypatch):
    solved = train_and_validate(recipe)
    prepared = train_module.figures_of
    read = []

    def noted(logits, labels, names, positive):
        read.append(len(labels))
        return prepared(logits, labels, names)

    monkeypatch.setattr(train_module, "figures_of", noted)
    dataset = solved.experiment.dataset
    other_labels = (dataset.validation.labels + 1) % 3
    validation = Split(dataset.validation.images, other_labels, dataset.validation.ids)

    class Unreadable:
        def __getattr__(self, name):
            raise AssertionError("a test image was read")

    test = Split(Unreadable(), dataset.test.labels, dataset.test.ids)
    changed = type(dataset)(**{**vars(dataset), "validation": validation, "test": test})
    again = train_and_validate(recipe, Context(dataset=changed))
    assert again.solved.head.kernel.tobytes() == solved.solved.head.kernel.tobytes()
    assert read == [len(validation)]
    assert again.validation["top1"] < 0.2


@pytest.mark.long
def test_views_of_one_image_are_in_one_fold_and_weigh_one_together(recipe, monkeypatch):
    given = {}

    class Noted(Problem):
        def __init__(self, rows, targets, weights):
            given.update(rows=rows, targets=targets, weights=weights)
            super().__init__(rows, targets, weights)

        def cross_validate(self, folds, scored, *rest):
            given.update(folds=folds, scored=scored)
            return super().cross_validate(folds, scored, *rest)

    monkeypatch.setattr(solved_head, "Problem", Noted)
    trained = train_and_validate(
        recipe.replace(views=3, augmentation="shift", class_balance="weights", label_smoothing=0.1)
    )
    images = len(trained.experiment.dataset.train)
    folds = given["folds"].reshape(3, images)
    assert (folds == folds[0]).all()
    assert given["scored"].reshape(3, images).tolist() == [[True] * images] + [[False] * images] * 2
    assert given["weights"].sum() == pytest.approx(images, rel=1e-6)
    by_class = given["weights"] @ (given["targets"] > 0.5)
    np.testing.assert_allclose(by_class, images / 3, rtol=1e-6)
    assert given["targets"].min() == pytest.approx(0.1 / 3)
    first, second, _ = np.split(np.concatenate(list(given["rows"].blocks())), 3)
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_allclose(
        first, features_of(trained, trained.experiment.dataset.train), rtol=1e-5, atol=1e-5
    )


def test_a_recipe_without_a_cache_leaves_no_features_behind(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    context = Context(feature_cache=FeatureCache(tmp_path / "features"))
    trained = train_and_validate(recipe.replace(cache=False), context)
    assert trained.solved.path is not None
    assert not (tmp_path / "features").exists()


@pytest.mark.long
def test_too_little_room_is_explained(recipe, tmp_path):
    asked_for = recipe.replace(strategy=tl.NewHead(on="all_blocks", solver="lbfgs"))
    no_room = Context(feature_cache=FeatureCache(tmp_path, limit=1000))
    with pytest.raises(tl.InputError, match=r"no room for them.*solver='gradient'") as error:
        train_and_validate(asked_for, no_room)
    assert isinstance(error.value.__cause__, NoRoomError)
    # Where the solver is left open, the recipe that was trained names the other one; it can be resumed.
    no_room = dataclasses.replace(no_room, checkpoints=tmp_path / "checkpoints")
    trained = train_and_validate(recipe, no_room)
    epochs = EpochsSeen()
    again = train_and_validate(recipe, dataclasses.replace(no_room, callbacks=(epochs,)))
    assert epochs.seen == 0
    assert again.progress.history == trained.progress.history
    assert trained.solved is None
    assert trained.experiment.recipe.solver == "gradient"
    assert trained.experiment.hyperparameters.views > 1
    assert "by steps and not solved for" in "".join(trained.experiment.notes)


@pytest.mark.long
def test_one_image_a_class_has_a_default_penalty_and_a_note(recipe, tmp_path):
    result = tl.run(recipe.replace(labels_per_class=1), tmp_path / "run")
    assert solve_new_head.ONE_IMAGE_A_CLASS in result.notes
    assert [list(row) for row in result.history] == [["strength"]]
    assert not (tmp_path / "run" / "regularisation_path.png").exists()


def test_steps_are_taken_where_the_recipe_asks_for_them(recipe):
    assert recipe.solver == "lbfgs"
    assert recipe.replace(epochs=2).solver == "gradient"
    assert recipe.replace(strategy=tl.LastLayers()).solver == "gradient"
    assert recipe.replace(strategy=tl.NewHead(solver="gradient")).solver == "gradient"
    with pytest.raises(tl.InputError, match="`batch_size` is for training by steps"):
        recipe.replace(strategy=tl.NewHead(solver="lbfgs"), batch_size=8)


def test_folds_hold_every_class_evenly_and_copies_together():
    labels = np.repeat([0, 1, 2], [40, 20, 5])
    groups = np.arange(65)
    groups[1] = groups[0]
    folds = deal_folds(labels, groups, seed=0)
    assert folds[0] == folds[1]
    for label, count in ((1, 4), (2, 1)):
        assert np.bincount(folds[labels == label]).tolist() == [count] * 5
    assert np.abs(np.bincount(folds) - 13).max() <= 1
    assert (folds == deal_folds(labels, groups, seed=0)).all()
    assert (folds != deal_folds(labels, groups, seed=1)).any()
    assert deal_folds(np.arange(4), np.arange(4), seed=0) is None
    assert set(deal_folds(np.arange(6) % 3, np.arange(6), seed=0)) == {0, 1}


class FirstHead(keras.callbacks.Callback):
    """Keeps the head that training begins with, and the loss of the first step."""

    loss = kernel = None

    def on_train_begin(self, logs=None):
        self.kernel = new_head(self.model).kernel.numpy()

    def on_train_batch_end(self, batch, logs=None):
        self.loss = logs["loss"] if self.loss is None else self.loss


class EpochsSeen(keras.callbacks.Callback):
    """Counts the epochs that are trained."""

    seen = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.seen += 1


@pytest.mark.long
@pytest.mark.parametrize("strategy", [tl.FullFineTune, tl.LastLayers])
def test_fine_tuning_can_begin_with_the_head_that_is_best_before_it(recipe, strategy):
    options = {"trainable_from": "conv3"} if strategy is tl.LastLayers else {}
    first = {}
    for head_first in (False, True):
        begun = first[head_first] = FirstHead()
        train_and_validate(
            recipe.replace(
                strategy=strategy(head_first=head_first, bn_mode="affine", **options),
                epochs=1,
                batch_size=16,
                augmentation="none",
            ),
            Context(callbacks=(begun,)),
        )
    alone = train_and_validate(recipe.replace(strategy=tl.NewHead()))
    np.testing.assert_array_equal(first[True].kernel, new_head(alone.model).kernel.numpy())
    assert not first[False].kernel.any()
    assert first[False].loss == pytest.approx(np.log(3), rel=1e-6)
    assert first[True].loss < 0.5


@pytest.mark.slow
def test_a_head_for_adapting_batch_normalisation_fits_the_statistics_that_it_will_see(recipe):
    strategy = tl.FullFineTune(head_first=True, bn_mode="adapt")
    begun = FirstHead()
    trained = train_and_validate(
        recipe.replace(strategy=strategy, epochs=1, batch_size=32, augmentation="none"),
        Context(callbacks=(begun,)),
    )
    alone = train_and_validate(recipe.replace(strategy=tl.NewHead()))
    assert not np.array_equal(begun.kernel, new_head(alone.model).kernel.numpy())
    assert begun.loss < 0.5  # by the batch's own statistics, before any step
    assert trained.verified == 0  # nothing is frozen


@pytest.mark.slow
def test_fine_tuning_that_only_makes_it_worse_keeps_the_solved_head_and_says_so(recipe):
    harmful = {"epochs": 1, "batch_size": 16, "learning_rate": 3.0, "augmentation": "none"}
    strategy = tl.LastLayers("conv3", head_first=True, bn_mode="affine")
    trained = train_and_validate(recipe.replace(strategy=strategy, **harmful))
    alone = train_and_validate(recipe.replace(strategy=tl.NewHead()))
    assert trained.progress.best_epoch == -1
    assert trained.progress.history[0]["val_loss"] > trained.validation["log_loss"]
    head = new_head(trained.model).name
    for mine, other in zip(trained.model.variables, alone.model.variables, strict=True):
        is_head = mine.path.startswith(head)  # and divided by a temperature
        scales = [m.calibration.temperature if is_head else 1.0 for m in (trained, alone)]
        scaled = [v.numpy() * scale for v, scale in zip((mine, other), scales, strict=True)]
        np.testing.assert_allclose(*scaled, rtol=1e-5, err_msg=mine.path)
    (note,) = [note for note in trained.experiment.notes if "no epoch was better" in note]
    assert "new-head" in note
    assert "before the first epoch" in run_facts(trained)["weights kept"]


@pytest.mark.long
@pytest.mark.parametrize(
    "strategy",
    [
        tl.FullFineTune(on="all_blocks", head_first=True),
        tl.LastLayers("conv3", on="all_blocks"),
    ],
    ids=strategy_label,
)
def test_fine_tuning_can_sit_on_all_blocks(recipe, strategy):
    trained = train_and_validate(recipe.replace(strategy=strategy, epochs=1))
    assert trained.validation["top1"] > 0.9


@pytest.mark.long
def test_without_room_for_features_fine_tuning_begins_at_0_and_says_so(recipe, tmp_path):
    begun = FirstHead()
    trained = train_and_validate(
        recipe.replace(strategy=tl.FullFineTune(head_first=True), epochs=1),
        Context(feature_cache=FeatureCache(tmp_path, limit=1000), callbacks=(begun,)),
    )
    assert not begun.kernel.any()
    assert any("starts at 0 and is not solved for first" in n for n in trained.experiment.notes)


@pytest.mark.long
def test_features_can_be_averaged_over_mirror_images_everywhere(recipe, tmp_path):
    recipe = recipe.replace(strategy=tl.NewHead(on="all_blocks", tta="flips"))
    result = tl.run(recipe, tmp_path / "run")
    plain = train_and_validate(recipe.replace(strategy=tl.NewHead(on="all_blocks")))
    model = tl.load_model(tmp_path / "run" / "model.keras")
    test = plain.experiment.dataset.test.take(range(3))
    ((images, _),) = EvaluationBatches(test, plain.experiment.preprocessing, 8)
    # The mean over views that are made by hand, of features by the network without them.
    frozen = cut_model(plain.model, plain.experiment.plan.cut).frozen
    views = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    features = np.mean([frozen(view).numpy() for view in views], axis=0)
    head = new_head(model)
    expected = softmax(features @ head.kernel.numpy() + head.bias.numpy(), axis=1)
    served = tl.load_classifier(tmp_path / "run")
    for index in range(3):
        prediction = served.predict(test.images.encoded(index))[0]
        assert prediction.score == pytest.approx(expected[index].max(), abs=1e-5)
    mirrored = model(images[:, :, ::-1], training=False).numpy()
    np.testing.assert_allclose(mirrored, model(images, training=False).numpy(), atol=1e-4)
    assert result.test["top1"] > 0.9


@pytest.mark.long
def test_another_trainings_checkpoints_are_refused_and_kept(recipe, photo_recipe, tmp_path):
    fine_tuning = photo_recipe.replace(strategy=tl.FullFineTune(), epochs=1)
    train_and_validate(fine_tuning, Context(checkpoints=tmp_path))
    kept = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(tl.InputError, match="holds the checkpoint of another run"):
        train_and_validate(recipe, Context(checkpoints=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_features_that_are_no_numbers_are_refused(recipe, monkeypatch):
    rows = solved_head.FeatureRows.blocks

    def broken(self, columns=slice(None)):
        for block in rows(self, columns):
            block[0, 0] = np.nan
            yield block

    monkeypatch.setattr(solved_head.FeatureRows, "blocks", broken)
    with pytest.raises(tl.InputError, match="1 of 24 features of the images are not finite"):
        train_and_validate(recipe)
