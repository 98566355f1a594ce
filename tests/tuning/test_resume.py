"""A search that is killed at any write of its state, and given again, ends as one that was not."""

import json
import os
import pathlib
import shutil

import pytest

import tl_toolkit as tl
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.pin_file import read_pin
from tl_toolkit.files import atomic
from tl_toolkit.progress import Progress
from tl_toolkit.tuning import search as search_module
from tl_toolkit.tuning import search_file
from tl_toolkit.tuning.trials import read_trials, trial_file
from tl_toolkit.weights.pinned import contents_digest

SPACE = {"batch_size": [8, 16], "learning_rate": [0.01, 0.1]}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def killed_at(monkeypatch):
    """Returns a function that ends a call before or after its k-th rename of a state file."""

    def kill(k, when, call):
        renames = []
        rename = os.replace

        def counted(source, target):
            renames.append(target)
            if len(renames) == k and when == "before":
                raise Killed
            rename(source, target)
            if len(renames) == k:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, "replace", counted)
            try:
                call()
            except Killed:
                return True
        return False

    return kill


@pytest.mark.slow  # some 40 searches
@pytest.mark.parametrize("tuner", ["random", pytest.param("grid", marks=pytest.mark.long)])
def test_a_search_killed_at_any_write_ends_as_one_that_was_not(
    quick_search, trained, killed_at, tuner, tmp_path, monkeypatch
):
    monkeypatch.setattr(search_module, "write_results", lambda *arguments: None)
    monkeypatch.setattr(search_module, "write_search_page", lambda *arguments: None)
    common = {"space": SPACE, "tuner": tuner, "trials": 2}
    whole = quick_search(output=tmp_path / "whole", **common)
    expected = [(t.recipe, t.figures) for t in whole.trials]
    kills = 0
    for when in ("before", "after"):
        k = 1
        while killed_at(
            k, when, lambda o=f"{when}{k}": quick_search(output=tmp_path / o, **common)
        ):
            place = tmp_path / f"{when}{k}"
            finished_before = len(read_trials(place.with_name(f"{place.name}.partial") / "trials"))
            trained.clear()
            again = quick_search(output=place, **common)
            assert [(t.recipe, t.figures) for t in again.trials] == expected, (when, k)
            assert len(trained) == 2 - finished_before, "a finished trial was trained again"
            k, kills = k + 1, kills + 1
    assert kills > 20


@pytest.fixture
def stopped(quick_search, trained, tmp_path, monkeypatch):
    """The partial folder of a search that was stopped after one of two trials."""
    from tl_toolkit.tuning import hypermodel

    pretend = hypermodel.train_and_validate

    def stop(recipe, context):
        if trained:
            raise KeyboardInterrupt
        return pretend(recipe, context)

    with monkeypatch.context() as patch:
        patch.setattr(hypermodel, "train_and_validate", stop)
        with pytest.raises(KeyboardInterrupt):
            quick_search(trials=2)
    trained.clear()
    return tmp_path / "search.partial"


@pytest.fixture
def own_weights(tiny_weights, tmp_path):
    return pathlib.Path(shutil.copy(tiny_weights, tmp_path / "own.safetensors"))


def test_the_weights_are_resolved_once_and_pinned(
    quick_search, trained, tiny_weights, stopped, monkeypatch
):
    pin = json.loads((stopped / "search.json").read_text())["weights"]
    assert pin["asked"] == str(tiny_weights)
    assert pin["sha256"] == contents_digest(tiny_weights)

    def never(*arguments):
        raise AssertionError("the name was resolved again")

    monkeypatch.setattr(search_file, "open_recipe_weights", never)
    result = quick_search(trials=2)
    assert [context.weights.to_json() for _, context in trained] == [pin]
    assert read_pin(result.folder / "best_recipe.json").to_json() == pin


@pytest.mark.slow
def test_a_resumed_search_refuses_weights_that_changed(quick_search, own_weights, monkeypatch):
    def stop(recipe, context):
        raise KeyboardInterrupt

    from tl_toolkit.tuning import hypermodel

    common = {"recipe": {"weights": str(own_weights)}, "trials": 1}
    with monkeypatch.context() as patch:
        patch.setattr(hypermodel, "train_and_validate", stop)
        with pytest.raises(KeyboardInterrupt):
            quick_search(**common)
    contents = own_weights.read_bytes()
    own_weights.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
    with pytest.raises(tl.InputError, match=r"This recipe ran with weights .* whose sha256 is"):
        quick_search(**common)


def test_a_search_from_scratch_has_no_weights(quick_search, trained):
    result = quick_search(
        recipe={"strategy": tl.FromScratch(), "weights": None, "backbone": "resnet18"}, trials=1
    )
    assert json.loads((result.folder / "search.json").read_text())["weights"] is None
    assert not (result.folder / "best_recipe.weights.json").exists()


def test_a_damaged_record_is_run_again_with_a_note(quick_search, trained, stopped, monkeypatch):
    # It was written, and the oracle did not know yet; then the disk lost half of it.
    quick = trial_file(1, stopped / "trials")
    quick.write_text('{"number": 1, "rec')
    lines = []

    class Noted(Progress):
        def message(self, text):
            lines.append(text)

    result = quick_search(trials=2, progress=Noted())
    assert len(trained) == 1
    assert len(result.trials) == 2
    assert "The record of trial 1 is damaged: the trial is run again." in lines


def test_a_damaged_search_file_says_what_to_do(quick_search, trained, stopped):
    for name in ("search.json", "tuner/search.json"):
        (stopped / name).write_text("{")
    with pytest.raises(tl.InputError, match=r"search\.json' is damaged.*Remove '.*search\.partial"):
        quick_search(trials=2)


def test_workers_start_from_the_chiefs_weights(quick_search, trained, stopped, monkeypatch):
    identity = search_file.read_identity(stopped)
    monkeypatch.setattr(search_file, "SECONDS_TO_WAIT_FOR_CHIEF", 0.5)
    wanted = {name: value for name, value in identity.items() if name != "weights"}
    found = search_file.wait_for_chief(stopped, wanted)
    assert search_file.pin_in(found).to_json() == identity["weights"]
    with pytest.raises(tl.InputError, match="No chief has started this search"):
        search_file.wait_for_chief(stopped, wanted | {"seed": 77})
    assert Context().weights is None
