"""The contact sheet shows what training saw: those images, those views, mixed ones included."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from families import long_after

import tl_toolkit as tl
from tl_toolkit.catalog import AUGMENTATIONS
from tl_toolkit.data.resize import resize_for_evaluation
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.batch_source import distributed_batches, open_batch_source
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.training_views import (
    IMAGES,
    choose_images,
    contact_sheet,
    sheet_rows,
    views_shown,
)


@hypothesis.given(st.lists(st.integers(0, 11), min_size=1, max_size=60), st.integers(0, 2**32))
def test_images_are_chosen_from_as_many_classes_as_there_are(labels, seed):
    labels = np.array(labels)
    chosen = choose_images(labels, seed)
    assert len(chosen) == len(set(chosen)) == min(len(labels), IMAGES)
    assert len(set(labels[chosen])) == min(len(set(labels)), IMAGES)
    assert (np.diff(labels[chosen]) >= 0).all()
    np.testing.assert_array_equal(chosen, choose_images(labels, seed))


def test_another_seed_chooses_other_images():
    labels = np.arange(400) % 20
    assert len({tuple(choose_images(labels, seed)) for seed in range(10)}) == 10


@pytest.fixture(scope="module")
def experiment_of(photo_recipe):
    """Returns the experiment of a recipe that differs from the photos' in some fields."""
    return lambda **changes: prepare(photo_recipe.replace(**changes))


@pytest.mark.long
@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_the_views_are_those_of_the_batches(mixup, experiment_of):
    experiment = experiment_of(strategy=tl.FullFineTune(), views=None, epochs=2, batch_size=99)
    augmentation = dataclasses.replace(experiment.augmentation, mixup=mixup)
    experiment = dataclasses.replace(experiment, augmentation=augmentation)
    train, context = experiment.dataset.train, Context()
    distribute = context.devices(experiment.recipe)
    source, _ = open_batch_source(experiment, context, ProcessGroup(distribute))
    numbered = dataclasses.replace(train, labels=np.arange(len(train)))
    object.__setattr__(experiment.dataset, "train", numbered)  # to know which image is which
    batches = list(distributed_batches(experiment, source, distribute, 0, 0))
    object.__setattr__(experiment.dataset, "train", train)
    assert views_shown(experiment) == len(batches) == 2

    positions = choose_images(train.labels, 0)
    load = train.images.loader()
    names = experiment.dataset.class_names
    for position, row in zip(positions, sheet_rows(experiment, positions, 2), strict=True):
        assert row.name == names[train.labels[position]]
        evaluation = resize_for_evaluation(load(position), experiment.preprocessing)
        np.testing.assert_allclose(row.images[0], evaluation, atol=0.51)
        assert row.captions[0] == []
        for image, caption, batch in zip(row.images[1:], row.captions[1:], batches, strict=True):
            pixels, labels, weights = (part.numpy() for part in batch)
            place = int(np.flatnonzero(labels.reshape(len(labels), -1)[:, 0] == position)[0])
            np.testing.assert_allclose(image, pixels[place], atol=0.51)
            expected = []
            if mixup:
                mixed = zip(weights[place], labels[place], strict=True)
                expected = [(share, names[train.labels[image]]) for share, image in mixed]
            assert caption == expected


@pytest.mark.parametrize(
    ("changes", "views"),
    [
        ({"views": 2}, 2),
        ({"views": 9}, 6),
        ({"augmentation": "none"}, 0),
        ({"strategy": tl.FullFineTune(), "views": None, "epochs": 3}, 3),
        ({"strategy": tl.FullFineTune(), "views": None, "epochs": 30}, 6),
    ],
    ids=str,
)
def test_as_many_views_are_shown_as_training_saw(changes, views, experiment_of):
    assert views_shown(experiment_of(**changes)) == views


@pytest.mark.slow
@pytest.mark.parametrize(("views", "expected"), long_after(1, [(3, 2), (None, None)]))
def test_of_a_head_that_is_solved_for_only_further_views_are_drawn(
    views, expected, experiment_of, tmp_path
):
    unset = dict.fromkeys(("epochs", "batch_size", "learning_rate"))
    experiment = experiment_of(views=views, **unset)
    assert experiment.recipe.solver == "lbfgs"
    sheet = contact_sheet(experiment)
    assert (sheet is None) == (expected is None)
    if expected is not None:
        assert views_shown(experiment) == expected


@pytest.mark.slow
@pytest.mark.parametrize("strategy", long_after(1, [tl.LastLayers("conv3"), tl.NewHead()]), ids=str)
def test_nothing_is_mixed_where_layers_are_frozen_and_a_note_says_so(strategy, experiment_of):
    cached = experiment_of(strategy=strategy, augmentation="strong")
    streamed = experiment_of(strategy=strategy, augmentation="strong", cache=False)
    for experiment in (cached, streamed):
        assert experiment.augmentation == AUGMENTATIONS["strong"].without_mixing()
        (note,) = [note for note in experiment.notes if "MixUp" in note]
        assert "only where the whole network is trained" in note
    distribute = Context().devices(streamed.recipe)
    source, _ = open_batch_source(streamed, Context(), ProcessGroup(distribute))
    assert source.signature[1].shape.rank == 1


def test_where_everything_is_trained_images_are_mixed_without_a_note(experiment_of):
    experiment = experiment_of(strategy=tl.FullFineTune(), augmentation="strong")
    assert experiment.augmentation.mixes
    assert not any("MixUp" in note for note in experiment.notes)
