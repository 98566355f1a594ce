"""A stopped search of which any file is damaged is gone on with, and ends as one that was not; see `test_resume`."""

import itertools
import json
import pathlib
import shutil

import pytest
from damage import FEW, KINDS, damage, files_of, randoms
from hypothesis import given

import tl_toolkit as tl
from tl_toolkit.experiments.run_folder import MARKER
from tl_toolkit.files.manifest import MANIFEST
from tl_toolkit.progress import Progress
from tl_toolkit.tuning import hypermodel, retrain
from tl_toolkit.tuning import search as search_module
from tl_toolkit.tuning.trials import trial_file

SPACE = {"batch_size": [8, 16], "learning_rate": [0.01, 0.1]}
TUNERS = {"random": 4, "bayesian": 4, "grid": 4, "hyperband": None}


class Noted(Progress):
    """Keeps the messages."""

    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


@pytest.fixture
def stopped(quick_search, trained, tmp_path, monkeypatch):
    """A function that stops a search in its third trial, and returns its folder and what it gives undisturbed."""
    monkeypatch.setattr(search_module, "write_results", lambda *arguments: None)
    monkeypatch.setattr(search_module, "write_search_page", lambda *arguments: None)

    def stop(**arguments):
        whole = quick_search(output=tmp_path / "whole", **arguments)
        expected = [(t.number, t.recipe, t.figures) for t in whole.trials]
        trained.clear()
        pretend = hypermodel.train_and_validate

        def two(recipe, context):
            if len(trained) == 2:
                raise KeyboardInterrupt
            return pretend(recipe, context)

        with monkeypatch.context() as patch:
            patch.setattr(hypermodel, "train_and_validate", two)
            with pytest.raises(KeyboardInterrupt):
                quick_search(output=tmp_path / "stopped", **arguments)
        return tmp_path / "stopped.partial", expected

    return stop


@pytest.fixture
def gone_on_with(quick_search, trained, tmp_path):
    """A function that goes on with a copy of a stopped search: trials, messages, and how many were trained."""

    def go_on(folder, **arguments):
        place = tmp_path / "again"
        for left in (place, tmp_path / "again.partial"):
            shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(folder, tmp_path / "again.partial")
        trained.clear()
        noted = Noted()
        result = quick_search(output=place, progress=noted, **arguments)
        assert tl.verify(place).is_whole
        return (
            [(t.number, t.recipe, t.figures) for t in result.trials],
            noted.messages,
            len(trained),
        )

    return go_on


def json_of(path):
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return {}


def damage_is_survived(folder, name, kind, where, expected, gone_on_with, common):
    before = json_of(folder / name)
    with damage(folder / name, kind, where):
        says_the_same = json_of(folder / name) == before != {}  # a cut of the last line's end
        if name == MARKER and json_of(folder / name).get("kind") != "search":
            with pytest.raises(tl.InputError, match=r"again\.partial"):
                gone_on_with(folder, **common)
            return
        trials, messages, count = gone_on_with(folder, **common)
    assert trials == expected, name
    is_rerun = bool(messages) and name.startswith("trials/")
    assert count == len(expected) - 2 + is_rerun
    if is_rerun:
        number = pathlib.PurePath(name).stem
        rerun = f"The record of trial {number} is damaged: the trial is run again."
        assert messages.pop() == rerun
    if messages:
        assert len(messages) == 1
        assert messages[0].startswith("The state of the search is damaged: ")
        assert name.startswith(("trials/", "tuner/"))
    else:  # white space, or a letter of the word "checksum"; of `search.json` there are two
        said_by_none = ("search.json", "tuner/search.json", "checkpoints/2/drawn.json")
        assert kind == "changed" or says_the_same or name in said_by_none


@pytest.mark.slow  # some 40 searches
@pytest.mark.parametrize(
    "tuner", [t if t == "random" else pytest.param(t, marks=pytest.mark.long) for t in TUNERS]
)
def test_every_damage_to_a_stopped_search_is_survived(stopped, gone_on_with, tuner, capfd):
    common = {"space": SPACE, "tuner": tuner, "trials": TUNERS[tuner]}
    folder, expected = stopped(**common)
    names = files_of(folder)
    assert {MARKER, "search.json", "tuner/search.json", "tuner/oracle.json"} < set(names)
    assert sum(name.endswith("/trial.json") for name in names) == 3
    assert sum(name.startswith("trials/") for name in names) == 2
    assert gone_on_with(folder, **common) == (expected, [], len(expected) - 2)

    @FEW
    @given(where=randoms)
    def survive(where):
        for kind in KINDS:
            for name in names:
                damage_is_survived(folder, name, kind, where, expected, gone_on_with, common)

    survive()
    assert "Reloading" not in capfd.readouterr().out


@pytest.mark.parametrize("tuner", TUNERS)
def test_damage_to_all_files_of_the_tuner_costs_no_trial(stopped, gone_on_with, tuner):
    common = {"space": SPACE, "tuner": tuner, "trials": TUNERS[tuner]}
    folder, expected = stopped(**common)
    for path in (folder / "tuner").rglob("*.json"):
        path.write_bytes(b"")
    trials, messages, count = gone_on_with(folder, **common)
    assert (trials, count) == (expected, len(expected) - 2)
    assert len(messages) == 1


def test_a_record_that_is_gone_is_made_anew(stopped, gone_on_with):
    common = {"space": SPACE, "tuner": "random", "trials": 4}
    folder, expected = stopped(**common)
    trial_file(0, folder / "trials").unlink()
    trials, messages, count = gone_on_with(folder, **common)
    assert (trials, count) == (expected, 3)
    assert "trial 0 has ended and has no record that can be read" in messages[0]


def test_results_count_for_the_point_that_was_tried_though_another_is_drawn(
    stopped, gone_on_with, monkeypatch
):
    """As where several workers, or another version of keras-tuner, drew in another order."""
    from tl_toolkit.tuning import tuner

    common = {"space": {**SPACE, "learning_rate": (1e-4, 1e-1)}, "tuner": "random", "trials": 4}
    folder, expected = stopped(**common)
    (folder / "tuner" / "oracle.json").write_bytes(b"")
    known = []
    resumed, end = tuner.RecipeTuner, tuner.RecipeTuner.on_trial_end

    def keep(self, trial):
        end(self, trial)
        known.append(self.oracle.get_trial(trial.trial_id))

    make_oracle = search_module.make_oracle
    monkeypatch.setattr(
        search_module, "make_oracle", lambda *arguments: make_oracle(*arguments[:-1], 77)
    )
    monkeypatch.setattr(resumed, "on_trial_end", keep)
    trials, _, count = gone_on_with(folder, **common)
    assert count == 2
    assert trials[:2] == expected[:2]
    assert trials[2:] != expected[2:]
    for trial, (_, recipe, figures) in zip(known[:2], expected[:2], strict=True):
        assert trial.hyperparameters.values["batch_size"] == recipe.batch_size
        assert trial.score == figures["val_loss"]
    rates = {trial.hyperparameters.values["learning_rate"] for trial in known}
    assert len(rates) == 4


@pytest.mark.parametrize(("seed", "is_kept"), [(1, True), (77, False)])
def test_the_running_trial_goes_on_unless_another_is_drawn(
    stopped, gone_on_with, monkeypatch, seed, is_kept
):
    common = {"space": {**SPACE, "learning_rate": (1e-4, 1e-1)}, "tuner": "random", "trials": 4}
    folder, _ = stopped(**common)
    (folder / "tuner" / "oracle.json").write_bytes(b"")
    (folder / "checkpoints" / "2" / "0").mkdir(parents=True)
    (folder / "checkpoints" / "2" / "0" / "ckpt-7.index").write_text("")
    found, pretend = [], hypermodel.train_and_validate
    make_oracle = search_module.make_oracle

    def look(recipe, context):
        found.append((context.checkpoints / "ckpt-7.index").exists())
        return pretend(recipe, context)

    monkeypatch.setattr(hypermodel, "train_and_validate", look)
    monkeypatch.setattr(
        search_module, "make_oracle", lambda *arguments: make_oracle(*arguments[:-1], seed)
    )
    gone_on_with(folder, **common)
    assert found == [is_kept, False]


def test_a_search_file_that_is_damaged_with_its_copy_says_what_to_do(stopped, gone_on_with):
    common = {"space": SPACE, "tuner": "random", "trials": 4}
    folder, _ = stopped(**common)
    for name in ("search.json", "tuner/search.json"):
        path = folder / name
        path.write_bytes(path.read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    with pytest.raises(tl.InputError, match=r"search\.json' is damaged.*Remove '.*again\.partial'"):
        gone_on_with(folder, **common)


def test_the_results_of_a_finished_search_are_checked(quick_search, trained):
    folder = quick_search().folder
    found = tl.verify(folder)
    assert (found.is_whole, found.unknown) == (True, ())
    assert {"search.json", "best_recipe.json", "trials/0.json", "trials.csv"} < set(found.intact)
    assert tl.Recipe.load(folder / "best_recipe.json") is not None
    with (
        damage(folder / "best_recipe.json", "changed"),
        pytest.raises(tl.InputError, match=r"best_recipe\.json' is damaged"),
    ):
        tl.Recipe.load(folder / "best_recipe.json")


@FEW
@given(where=randoms)
def test_a_seed_that_was_trained_again_and_damaged_is_run_anew(
    finished_run, tmp_path_factory, where
):
    place = shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("retrained") / "seed_3")
    noted = Noted()
    found = retrain._finished(place, finished_run.recipe, noted)
    assert found.recipe == finished_run.recipe
    assert (found.test, found.plan, found.notes) == (
        finished_run.test,
        finished_run.plan,
        finished_run.notes,
    )
    assert retrain._finished(place, finished_run.recipe.replace(seed=4), noted) is None
    assert retrain._finished(place / "none", finished_run.recipe, noted) is None
    assert noted.messages == []
    whole = [name for name in files_of(place) if MANIFEST not in name]
    for kind, name in itertools.product(KINDS, whole):
        with damage(place / name, kind, where) as is_other:
            found = retrain._finished(place, finished_run.recipe, noted)
            assert (found is None) == is_other, name
            if is_other:
                assert str(place / name) in noted.messages.pop()
    # Of an earlier version: what is read has to be whole.
    (place / MANIFEST).unlink()
    assert retrain._finished(place, finished_run.recipe, noted).test == finished_run.test
    for name in ("recipe.json", "metrics.json", "plan.json"):
        with damage(place / name, "emptied"):
            assert retrain._finished(place, finished_run.recipe, noted) is None
            assert "cannot be used and is run again" in noted.messages.pop()
