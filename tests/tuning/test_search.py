"""A search: what its trials share, what they may read, how they fail, and what is left behind."""

import contextlib
import csv
import dataclasses
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from pretended import figures
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tl_toolkit as tl
from tl_toolkit.experiments import prepare
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.progress import Progress, Stage
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.transfer.feature_cache import FeatureCache
from tl_toolkit.tuning import hypermodel, tuner
from tl_toolkit.tuning.hypermodel import figures_of
from tl_toolkit.tuning.trials import COMPLETED, INFEASIBLE, read_trials

FILES = {
    "best_recipe.json",
    "best_recipe.weights.json",
    "parallel_coordinates.png",
    "report.html",
    "search.json",
    "search_map.png",
    "tensorboard",
    "tl_toolkit.json",
    "tl_toolkit.manifest.json",
    "trials",
    "trials.csv",
}


class Steps(keras.callbacks.Callback):
    """Counts the steps of every training."""

    counts: list

    def __init__(self, counts):
        super().__init__()
        self.counts = counts

    def on_train_begin(self, logs=None):
        self.counts.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.counts[-1] += 1


class Forbidden:
    """Stands where the test images are."""

    def __getattr__(self, name):
        raise AssertionError(f"a trial read the test images: {name}")

    def __len__(self):  # how many there are is part of a checkpoint's identity
        return 12


@pytest.mark.slow
def test_a_whole_search(quick_search, photo_dataset, tmp_path, monkeypatch):
    guarded, counts, opened = dataclasses.replace(photo_dataset), [], []
    object.__setattr__(guarded, "test", Forbidden())
    original = prepare.open_recipe_weights
    monkeypatch.setattr(
        prepare, "open_recipe_weights", lambda *a, **k: opened.append(a) or original(*a, **k)
    )
    context = Context(
        dataset=guarded,
        callbacks=(Steps(counts),),
        feature_cache=FeatureCache(tmp_path / "cache"),
    )
    space = {"batch_size": [4, 16], "learning_rate": [0.01]}
    result = quick_search(space=space, tuner="grid", trials=None, context=context)
    assert {path.name for path in (tmp_path / "search").iterdir()} == FILES
    assert [trial.status for trial in result.trials] == [COMPLETED] * 2

    # The batch size reaches the pipeline.
    images = len(photo_dataset.train)
    assert [t.recipe.batch_size for t in result.trials] == [4, 16]
    assert counts == [3 * -(-images // size) for size in (4, 16)]

    # The best recipe gives its trial's figures again, from the features that the trials left.
    assert len(opened) == 1
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    again = train_and_validate(
        tl.Recipe.load(result.folder / "best_recipe.json"),
        dataclasses.replace(context, callbacks=()),
    )
    assert figures_of(again) == result.best.figures
    scores = [trial.figures["val_loss"] for trial in result.trials]
    assert result.best.figures["val_loss"] == min(scores)
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    assert len(times) >= 2


def test_another_seed_draws_other_points(quick_search, trained, tmp_path):
    first, other = (
        quick_search(trials=1, seed=seed, output=tmp_path / str(seed)) for seed in (0, 1)
    )
    assert first.best.recipe.learning_rate != other.best.recipe.learning_rate


def test_the_table_has_the_axes_of_every_strategy(quick_search, trained):
    space = {
        "strategy": ["new_head", "last_layers"],
        "trainable_from": ["conv3"],
        "batch_size": [16],
        "learning_rate": [0.01],
    }
    result = quick_search(recipe={"epochs": 1}, space=space, tuner="grid", trials=None)
    with (result.folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["strategy"], row["trainable_from"]) for row in rows] == [
        ("new_head", ""),
        ("last_layers", "conv3"),
    ]
    assert (result.folder / "parallel_coordinates.png").stat().st_size > 0


@pytest.mark.slow
def test_heads_that_are_solved_for_are_searched(quick_search):
    recipe = {"strategy": tl.NewHead(solver="lbfgs"), "epochs": None}
    axes = {"on": ["features", "all_blocks"]}
    result = quick_search(recipe=recipe, space=axes, tuner="grid", trials=None)
    assert [trial.recipe.strategy.on for trial in result.trials] == ["features", "all_blocks"]
    assert {path.name for path in result.folder.iterdir()} == FILES - {"search_map.png"}
    losses = [trial.figures["val_loss"] for trial in result.trials]
    assert result.best.figures["val_loss"] == min(losses) < max(losses)
    alone = train_and_validate(result.trials[1].recipe)
    assert figures_of(alone) == result.trials[1].figures
    assert "search_map.png" not in result._repr_html_()


@pytest.mark.slow
def test_a_head_whose_features_have_no_room_fails_its_trial_alone(quick_search, tmp_path):
    recipe = {"strategy": tl.NewHead(solver="lbfgs"), "epochs": None}
    cache = FeatureCache(tmp_path / "cache", limit=4_000)  # of which all blocks take more
    result = quick_search(
        recipe=recipe,
        space={"on": ["features", "all_blocks"]},
        tuner="grid",
        trials=None,
        context=Context(feature_cache=cache),
    )
    assert [trial.status for trial in result.trials] == [COMPLETED, INFEASIBLE]
    assert "no room" in result.trials[1].message
    assert result.best.recipe.strategy.on == "features"


@pytest.mark.slow
def test_a_search_in_which_every_trial_failed_raises(quick_search, monkeypatch, tmp_path):
    def diverge(recipe, context):
        raise DivergedError("The loss is nan at step 1.")

    monkeypatch.setattr(hypermodel, "train_and_validate", diverge)
    with pytest.raises(tl.InputError, match="All 3 trials failed: The loss is nan"):
        quick_search()
    assert not (tmp_path / "search").exists()


def test_an_error_of_ours_ends_the_search(quick_search, monkeypatch):
    calls = []

    def broken(recipe, context):
        calls.append(recipe)
        raise RuntimeError("A frozen variable moved.")

    monkeypatch.setattr(hypermodel, "train_and_validate", broken)
    with pytest.raises(RuntimeError, match="A frozen variable moved"):
        quick_search()
    assert len(calls) == 1


def test_a_space_that_the_data_cannot_serve_is_refused_before_the_first_trial(
    quick_search, tmp_path
):
    with pytest.raises(tl.InputError, match="Batches of 64 images cannot be made of 39"):
        quick_search(space={"batch_size": [8, 64]})
    with pytest.raises(tl.InputError, match="conv9"):
        quick_search(
            recipe={"strategy": tl.LastLayers("conv3")},
            space={"trainable_from": ["conv3", "conv9"]},
        )
    with pytest.raises(tl.InputError, match=r"last_stage.*conv8"):
        quick_search(space={"last_stage": ["conv2", "conv8"]})
    with pytest.raises(tl.InputError, match=r"Unknown trainable_from 'conv3'"):
        quick_search(
            recipe={"strategy": tl.LastLayers("conv3")}, space={"last_stage": ["conv3", "conv2"]}
        )
    assert not list(tmp_path.iterdir())


def test_whether_the_weights_have_logits_is_asked_before_the_first_trial(quick_search, monkeypatch):
    prepared = []

    def refuse(recipe, context):
        prepared.append(recipe.strategy)
        raise tl.InputError("the weights have no last layer")

    monkeypatch.setattr(hypermodel, "prepare", refuse)
    with pytest.raises(tl.InputError, match="the weights have no last layer"):
        quick_search(space={"on": ["features", "logits"]})
    assert prepared == [tl.NewHead(on="logits")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tuner": "rand"}, "random"),
        ({"objective": "accuracy"}, "val_top1"),
        ({"trials": 0}, "`trials` must be at least 1"),
        ({"executions": 0}, "`executions` must be at least 1"),
        ({"trials": None}, "never ends by itself"),
        ({"recipe": {"validation_fraction": 0.0}}, "none: set `validation_fraction`"),
        (
            {
                "recipe": {"strategy": tl.NewHead(solver="lbfgs"), "epochs": None},
                "tuner": "hyperband",
            },
            "a head of solver='lbfgs' has none",
        ),
    ],
)
def test_wrong_arguments_are_refused(quick_search, arguments, message):
    with pytest.raises(tl.InputError, match=message):
        quick_search(**arguments)


@pytest.mark.long
def test_bayesian_search_tries_no_point_twice(quick_search, trained):
    # The best rate is at the end of the range, where the predicted optimum stays.
    space = {"batch_size": [8], "learning_rate": (1e-4, 1e-2)}
    result = quick_search(recipe={"epochs": 1}, space=space, tuner="bayesian", trials=12)
    rates = [trial.recipe.learning_rate for trial in result.trials]
    assert len(set(rates)) == 12


def test_another_search_is_not_resumed(quick_search, trained, monkeypatch, tmp_path):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuner.RecipeTuner, "run_trial", stop)
        with pytest.raises(KeyboardInterrupt):
            quick_search()
    with pytest.raises(tl.InputError, match="unfinished search that differs in: seed"):
        quick_search(seed=5)
    with monkeypatch.context() as patch:
        patch.setattr(tuner.RecipeTuner, "run_trial", stop)
        with pytest.raises(KeyboardInterrupt):
            quick_search(seed=5, overwrite=True)
    assert len(quick_search(seed=5).trials) == 3  # it resumes what the overwriting one began
    with pytest.raises(tl.InputError, match="exists"):
        quick_search(seed=5)


@pytest.mark.long
def test_a_full_disk_is_not_taken_for_too_little_memory(quick_search, monkeypatch):
    def full(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "x; No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(hypermodel.RecipeHyperModel, "train", full)
        with pytest.raises(tl.InputError, match="The disk is full"):
            quick_search()
    trials = quick_search().trials
    assert [trial.status for trial in trials] == ["completed"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("name", long_after(2, ["bayesian", "hyperband", "random", "grid"]))
def test_every_tuner_searches_the_space_and_resumes_where_it_was_stopped(
    quick_search, trained, monkeypatch, name, tmp_path
):
    space = {"batch_size": [8, 16], "learning_rate": [0.01, 0.1]}
    trials = {"grid": None, "hyperband": None}.get(name, 4)
    common = {"space": space, "tuner": name, "trials": trials}
    whole = quick_search(output=tmp_path / "whole", **common)
    points = [(t.recipe.batch_size, t.recipe.learning_rate) for t in whole.trials]
    # The rates of the space are those of a batch of 32.
    grid = [(8, 0.005), (8, 0.05), (16, 0.007071), (16, 0.07071)]
    assert set(points) <= set(grid)
    if name == "hyperband":
        assert {t.recipe.epochs for t in whole.trials} == {1, 3}
    else:
        assert sorted(points) == grid

    begun = []
    run_trial = tuner.RecipeTuner.run_trial

    def stop_at_the_third(self, trial):
        begun.append(trial.trial_id)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return run_trial(self, trial)

    with monkeypatch.context() as patch:
        patch.setattr(tuner.RecipeTuner, "run_trial", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            quick_search(**common)
    assert len(read_trials(tmp_path / "search.partial" / "trials")) == 2
    executed = []
    execute = tuner.RecipeTuner._execute
    monkeypatch.setattr(
        tuner.RecipeTuner,
        "_execute",
        lambda self, number, recipe: executed.append(number) or execute(self, number, recipe),
    )
    again = quick_search(overwrite=True, **common)
    assert executed == [trial.number for trial in whole.trials[2:]]
    assert [t.recipe for t in again.trials] == [t.recipe for t in whole.trials]
    assert [t.figures for t in again.trials] == [t.figures for t in whole.trials]


def test_one_trial_a_process_and_one_for_all_processes_exclude_each_other(
    photo_recipe, tmp_path, monkeypatch
):
    cluster = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": ["127.0.0.1:1", "127.0.0.1:2"]}),
        task_type="worker",
        task_id=1,
    )
    distribute = types.SimpleNamespace(cluster_resolver=cluster, num_replicas_in_sync=2)
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(tl.InputError, match=r"choose one\. Give devices='one'"):
        tl.search(photo_recipe, output=tmp_path / "s", context=Context(distribute=distribute))
    assert list(tmp_path.iterdir()) == []


def test_larger_batches_are_not_tried_where_memory_did_not_suffice(
    quick_search, trained, monkeypatch
):
    tried, pretend = [], hypermodel.train_and_validate

    def small_memory(recipe, context):
        tried.append((recipe.strategy.name, recipe.batch_size))
        if recipe.strategy.name == "full_fine_tune" and recipe.batch_size >= 16:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return pretend(recipe, context)

    monkeypatch.setattr(hypermodel, "train_and_validate", small_memory)
    space = {
        "strategy": ["full_fine_tune", "new_head"],
        "batch_size": [8, 16, 32],
        "learning_rate": [0.01, 0.1],
    }
    result = quick_search(space=space, tuner="grid", trials=None)
    # Another strategy takes other memory: its large batches are tried.
    assert tried == [("full_fine_tune", size) for size in (8, 8, 16)] + [
        ("new_head", size) for size in (8, 8, 16, 16, 32, 32)
    ]
    failed = [t for t in result.trials if t.status == INFEASIBLE]
    assert [t.recipe.batch_size for t in failed] == [16, 16, 32, 32]
    messages = [t.message.splitlines()[0] for t in failed]
    assert "not enough memory for batches of 16" in messages[0]
    assert messages[1:] == ["not tried: not enough memory for batches of 16 images"] * 3


def test_a_diverged_trial_is_recorded_and_the_search_continues(quick_search, trained):
    space = {"batch_size": [8], "learning_rate": [0.01, 1e30]}
    result = quick_search(space=space, tuner="grid", trials=None)
    assert [trial.status for trial in result.trials] == [COMPLETED, "diverged"]
    assert result.trials[0].message == ""
    with (result.folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["completed", "diverged"]
    assert "learning rate is most likely too high" in rows[1]["message"]
    assert float(rows[0]["val_top1"]) == result.trials[0].figures["val_top1"]


def test_executions_differ_in_the_seed_and_their_mean_counts(quick_search, trained):
    result = quick_search(trials=1, executions=3)
    assert [recipe.seed for recipe, _ in trained] == [3, 4, 5]
    (trial,) = result.trials
    alone = [figures(recipe) for recipe, _ in trained]
    assert list(trial.executions) == alone
    mean = np.mean([found["val_loss"] for found in alone])
    assert trial.figures["val_loss"] == pytest.approx(mean, rel=1e-12)


class Lines(Progress):
    """Keeps what is reported, where there is no terminal."""

    def __init__(self):
        self.lines, self.stages = [], []

    @contextlib.contextmanager
    def stage(self, title, total=None, done=0):
        self.stages.append([title, total, done])
        stage = self.stages[-1]

        class Counted(Stage):
            def advance(self, count=1):
                stage[2] += count

        yield Counted()

    def message(self, text):
        self.lines.append(text)

    def show(self, table, line=""):
        self.lines.append(line)


def test_what_is_shown_and_left_for_other_tools(quick_search, trained, monkeypatch):
    pretend = hypermodel.train_and_validate

    def chatty(recipe, context):
        context.progress.message("one CPU, batches of at most 16 images")
        with context.progress.stage("Training"):
            return pretend(recipe, context)

    monkeypatch.setattr(hypermodel, "train_and_validate", chatty)
    shown = Lines()
    result = quick_search(trials=2, progress=shown)
    assert len(shown.lines) == 2  # a line a trial, and nothing of what every training says
    assert "batch_size" in shown.lines[0]
    assert "1 of 2 trials, best val_loss" in shown.lines[0]
    assert "left" in shown.lines[0]
    assert "left" not in shown.lines[1]
    assert ["Searching", 2, 2] in shown.stages
    assert [title for title, *_ in shown.stages].count("Training") == 2

    identity = json.loads((result.folder / "search.json").read_text())
    assert identity["tuner"] == "random"
    assert identity["space"]["batch_size"] == [8, 16]

    events = EventAccumulator(str(result.folder / "tensorboard" / "1"))
    events.Reload()
    assert {"val_top1", "val_loss"} <= set(events.Tags()["tensors"])
    value = tf.make_ndarray(events.Tensors("val_top1")[0].tensor_proto)
    assert value == pytest.approx(result.trials[1].figures["val_top1"])
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_hyperbands_short_trials_refuse_stages_that_would_never_join(tmp_path):
    recipe = tl.Recipe(data="digits", strategy=tl.FullFineTune(), unfreeze_epochs=2)
    with pytest.raises(tl.InputError, match="Hyperband begins with trials of few epochs"):
        tl.search(recipe, tuner="hyperband", output=tmp_path / "search")
    assert not list(tmp_path.iterdir())
