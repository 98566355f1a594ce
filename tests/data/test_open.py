"""`open_dataset` makes the splits that a source lacks, and none of them leaks into another."""

import dataclasses

import numpy as np
import pytest

from tl_toolkit.data.dataset import ArrayImages, ImageSource, Split
from tl_toolkit.data.digits import load_digits
from tl_toolkit.data.open import SOURCES, open_dataset
from tl_toolkit.errors import InputError

CLASS_NAMES = ("ash", "birch", "cedar")
CLASS_SIZES = (20, 30, 50)


def split_of(class_sizes, first_id=0):
    labels = np.repeat(np.arange(len(class_sizes)), class_sizes)
    pixels = np.zeros((len(labels), 8, 8, 3), np.uint8)
    return Split.of(ArrayImages(pixels), labels, first_id)


@pytest.fixture
def trees(monkeypatch):
    """A function that registers a source `"trees"`: train's class sizes, fields of ImageSource."""

    def register(class_sizes=CLASS_SIZES, **fields):
        source = ImageSource(
            class_names=CLASS_NAMES[: len(class_sizes)], train=split_of(class_sizes), **fields
        )
        monkeypatch.setitem(SOURCES, "trees", lambda: source)
        return source

    return register


def ids(split):
    return set() if split is None else set(split.ids.tolist())


def counts(split):
    return np.bincount(split.labels, minlength=len(CLASS_NAMES)).tolist()


def test_a_fifth_is_tested_and_a_fifth_of_the_rest_validated_by_default(trees):
    trees()
    dataset = open_dataset("trees")
    assert counts(dataset.test) == [4, 6, 10]
    assert counts(dataset.validation) == [3, 5, 8]
    assert counts(dataset.train) == [13, 19, 32]
    assert (dataset.uri, dataset.class_names, dataset.notes) == ("trees", CLASS_NAMES, ())


@pytest.mark.parametrize("validation_fraction", [None, 0, 0.5])
@pytest.mark.parametrize("split_seed", [0, 1])
def test_the_splits_share_no_image_and_leave_none_out(trees, split_seed, validation_fraction):
    trees()
    dataset = open_dataset(
        "trees", split_seed=split_seed, validation_fraction=validation_fraction, test_fraction=0.3
    )
    parts = [ids(dataset.train), ids(dataset.validation), ids(dataset.test)]
    assert sum(map(len, parts)) == 100
    assert set.union(*parts) == set(range(100))
    assert (dataset.validation is None) == (validation_fraction == 0)


def test_labels_go_with_their_images(trees):
    source = trees()
    dataset = open_dataset("trees")
    for split in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_array_equal(split.labels, source.train.labels[split.ids])


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 7},
        {"labels_per_class": 3},
        {"labels_per_class": 3, "validation_fraction": 0.5, "seed": 7},
        {"validation_fraction": 0},
        {"validation_fraction": 0.6},
    ],
    ids=str,
)
def test_the_test_split_depends_on_split_seed_alone(options):
    expected = open_dataset("digits").test
    test = open_dataset("digits", **options).test
    assert test.ids.tolist() == expected.ids.tolist()
    assert len(test) == 359


def test_another_split_seed_makes_another_test_split():
    tests = [ids(open_dataset("digits", split_seed=seed).test) for seed in (0, 1)]
    shared = len(tests[0] & tests[1])
    assert 40 < shared < 110  # a fifth of 359, by chance


def test_the_seed_leaves_the_splits_of_all_images_alone_and_chooses_the_few():
    whole = [open_dataset("digits", seed=seed) for seed in (0, 1)]
    few = [open_dataset("digits", labels_per_class=5, seed=seed) for seed in (0, 0, 1)]
    assert ids(whole[0].train) == ids(whole[1].train)
    assert ids(whole[0].validation) == ids(whole[1].validation)
    assert ids(few[0].train) == ids(few[1].train)
    assert len(ids(few[0].train) & ids(few[2].train)) < 10


@pytest.mark.parametrize("labels_per_class", [1, 5, 40])
def test_few_labels_are_exactly_so_many_a_class_and_all_are_trained_on(labels_per_class):
    dataset = open_dataset("digits", labels_per_class=labels_per_class)
    assert dataset.validation is None
    assert np.bincount(dataset.train.labels).tolist() == [labels_per_class] * 10
    assert not ids(dataset.train) & ids(dataset.test)


@pytest.mark.parametrize(
    ("labels_per_class", "fraction", "expected"), [(2, 0.2, 1), (10, 0.2, 2), (5, 0.9, 4)]
)
def test_few_labels_cover_training_and_validation_together(labels_per_class, fraction, expected):
    dataset = open_dataset(
        "digits", labels_per_class=labels_per_class, validation_fraction=fraction
    )
    assert np.bincount(dataset.validation.labels).tolist() == [expected] * 10
    assert np.bincount(dataset.train.labels).tolist() == [labels_per_class - expected] * 10
    parts = [ids(dataset.train), ids(dataset.validation), ids(dataset.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 10 * labels_per_class + 359


def test_fewer_labels_are_part_of_more_of_the_same_seed():
    few, more = (open_dataset("digits", labels_per_class=n).train for n in (5, 10))
    assert ids(few) < ids(more)


@pytest.mark.parametrize("validation_fraction", [0, 0.4])
def test_copies_count_once_among_few_labels(trees, validation_fraction):
    trees((8, 8), groups=np.repeat(np.arange(8), 2))
    dataset = open_dataset(
        "trees", labels_per_class=3, test_fraction=0.25, validation_fraction=validation_fraction
    )
    labelled = ids(dataset.train) | ids(dataset.validation)
    assert len(labelled) == len({n // 2 for n in labelled}) == 6
    assert not {n // 2 for n in labelled} & {n // 2 for n in ids(dataset.test)}
    with pytest.raises(InputError, match=r"Class 'ash' has 3 distinct images.*labels_per_class=4"):
        open_dataset("trees", labels_per_class=4, test_fraction=0.25)


@pytest.mark.parametrize("split_seed", range(3))
def test_copies_stay_in_one_split(trees, split_seed):
    trees((12, 30), groups=np.repeat(np.arange(14), 3))
    dataset = open_dataset("trees", split_seed=split_seed, validation_fraction=0.4)
    parts = [ids(dataset.train), ids(dataset.validation), ids(dataset.test)]
    assert sum(len({n // 3 for n in part}) for part in parts) == 14


def test_a_sources_own_splits_are_taken_as_they_are(trees):
    validation, test = split_of((1, 2, 3), 100), split_of((3, 2, 1), 106)
    source = trees(
        validation=validation, test=test, licence="CC0", augmentation="shift", notes=("a note",)
    )
    dataset = open_dataset("trees", validation_fraction=0.5, test_fraction=0.5)
    assert (dataset.train, dataset.validation, dataset.test) == (source.train, validation, test)
    assert (dataset.licence, dataset.augmentation, dataset.notes) == ("CC0", "shift", ("a note",))


def test_validation_is_cut_from_train_where_a_source_has_test_images_alone(trees):
    trees(test=split_of((1, 1, 1), 100))
    dataset = open_dataset("trees", validation_fraction=0.1)
    assert ids(dataset.test) == {100, 101, 102}
    assert counts(dataset.validation) == [2, 3, 5]
    assert ids(dataset.train) | ids(dataset.validation) == set(range(100))


def test_test_images_are_cut_from_train_where_a_source_has_validation_alone(trees):
    validation = split_of((1, 1, 1), 100)
    trees(validation=validation)
    dataset = open_dataset("trees")
    assert dataset.validation is validation
    assert counts(dataset.test) == [4, 6, 10]
    assert counts(dataset.train) == [16, 24, 40]


@pytest.mark.parametrize(("fraction", "images"), [(None, 0), (0.5, 6)])
def test_few_labels_leave_a_sources_own_validation_unused_and_note_it(trees, fraction, images):
    trees(validation=split_of((9, 9, 9), 100), notes=("a note",))
    dataset = open_dataset("trees", labels_per_class=4, validation_fraction=fraction)
    assert dataset.notes == (
        "a note",
        "labels_per_class covers validation too: the source's own validation split is not used",
    )
    assert len(ids(dataset.validation)) == images
    assert len(ids(dataset.train) | ids(dataset.validation)) == 12
    assert max(ids(dataset.train) | ids(dataset.validation)) < 100


@pytest.mark.parametrize(
    ("class_sizes", "options", "message"),
    [
        ((1, 9), {}, r"Class 'ash' has 1 image; it needs 3, one each to train, validate, test"),
        ((9, 1), {"validation_fraction": 0}, r"Class 'birch' has 1 image; it needs 2"),
        ((9, 2), {}, r"'birch' has 2 distinct images; it needs 3.*validation_fraction=0 needs one"),
        ((9, 1), {"labels_per_class": 1}, r"Class 'birch' has 1 image; it needs 2"),
        ((5, 9), {"labels_per_class": 5}, r"Class 'ash' has 4 distinct.*labels_per_class=5: lower"),
        (
            (9, 9),
            {"labels_per_class": 1, "validation_fraction": 0.2},
            r"`labels_per_class=1` leaves nothing to validate with: use validation_fraction=0",
        ),
    ],
    ids=str,
)
def test_a_class_too_small_for_its_splits_is_refused(trees, class_sizes, options, message):
    trees(class_sizes)
    with pytest.raises(InputError, match=message):
        open_dataset("trees", **options)


def test_without_validation_the_sources_own_split_is_trained_on(trees):
    own, heavy = split_of((2, 1, 3), first_id=100), np.float32([2, 2, 2, 3, 3, 3])
    trees(validation=dataclasses.replace(own, weights=heavy))
    kept = open_dataset("trees")
    dataset = open_dataset("trees", validation_fraction=0)
    assert dataset.validation is None
    assert counts(dataset.train) == [
        n + m for n, m in zip(counts(kept.train), (2, 1, 3), strict=True)
    ]
    assert ids(dataset.train) == ids(kept.train) | ids(own)
    assert ids(dataset.test) == ids(kept.test)
    assert dataset.train.weights.tolist() == [1] * len(kept.train) + heavy.tolist()
    pixels = [split.images.encoded(len(split) - 1) for split in (dataset.train, own)]
    assert pixels[0] == pixels[1]
    assert any("own validation images are trained on" in note for note in dataset.notes)


def test_the_way_out_for_two_images_works(trees):
    trees((9, 2))
    dataset = open_dataset("trees", validation_fraction=0)
    assert (counts(dataset.train)[1], counts(dataset.test)[1]) == (1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fraction": 0}, r"`test_fraction` must be over 0 and under 1\. Received: 0"),
        ({"test_fraction": 1}, r"`test_fraction` must be over 0 and under 1\. Received: 1"),
        ({"test_fraction": -0.2}, r"`test_fraction` must be.*Received: -0\.2"),
        ({"test_fraction": float("nan")}, r"`test_fraction` must be.*Received: nan"),
        ({"validation_fraction": 1.0}, r"`validation_fraction` must be.*Received: 1\.0"),
        ({"validation_fraction": -0.1}, r"`validation_fraction` must be.*Received: -0\.1"),
        ({"validation_fraction": float("nan")}, r"`validation_fraction` must be.*Received: nan"),
        ({"labels_per_class": 0}, r"`labels_per_class` must be at least 1\. Received: 0"),
        ({"labels_per_class": -3}, r"`labels_per_class` must be at least 1\. Received: -3"),
        ({"labels_per_class": 2.5}, r"`labels_per_class` must be a whole number or None.*: 2\.5"),
        ({"seed": -1}, r"`seed` must be at least 0\. Received: -1"),
        ({"split_seed": "a"}, r"`split_seed` must be a whole number\. Received: 'a'"),
        ({"on_bad_image": "ignore"}, r"Unknown on_bad_image 'ignore'\..*Known: error, skip"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused_with_their_value(options, message):
    with pytest.raises(InputError, match=message):
        open_dataset("digits", **options)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("digit", r"Unknown data source 'digit'\. Did you mean 'digits'\?"),
        ("flder:photos", r"Unknown data source 'flder'\. Did you mean 'folder'\?"),
        ("/home/me/photos", r"Unknown data source '/home/me/photos'.*Use folder:PATH"),
        ("", r"Unknown data source ''"),
        (None, r"`data` must be text\. Received: None"),
        ("digits:x", r"The data URI 'digits:x' should be 'digits'"),
        ("folder", r"The data URI 'folder' should be 'folder:…'"),
        ("folder:", r"The data URI 'folder:' should be 'folder:…'"),
        ("tfds", r"The data URI 'tfds' should be 'tfds:…'"),
    ],
)
def test_a_uri_that_says_nothing_known_is_refused_with_what_it_should_be(uri, message):
    with pytest.raises(InputError, match=message):
        open_dataset(uri)


def test_a_source_that_takes_an_option_by_itself_is_told_to_take_them_together(monkeypatch):
    monkeypatch.setitem(SOURCES, "mine", lambda on_bad_image="error": load_digits())
    with pytest.raises(InputError, match="'mine' takes `on_bad_image`: let it take `opening`"):
        open_dataset("mine")


def test_what_stands_behind_the_first_colon_is_the_sources_own(monkeypatch):
    received = []

    def load(path, opening):
        received.append((path, opening.on_bad_image))
        return load_digits()

    monkeypatch.setitem(SOURCES, "mine", load)
    open_dataset("mine:C:/photos", on_bad_image="skip")
    assert received == [("C:/photos", "skip")]
