"""TensorFlow Datasets: which features and splits are taken, and what is refused."""

import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tl_toolkit.data.open import open_dataset
from tl_toolkit.data.tfds import load_tfds
from tl_toolkit.errors import InputError

SHAPES = ("circle", "cross", "square")
IMAGE = tfds.features.Image(shape=(6, 6, 3), encoding_format="png")
LABEL = tfds.features.ClassLabel(names=SHAPES)
SPLITS = {"train": range(12), "test": range(100, 106)}


class ToyBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures of one grey level, which is their number; the class is the number modulo 3."""

    VERSION = tfds.core.Version("1.0.0")

    def toy_info(self, features, **options):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), **options
        )

    def _info(self):
        return self.toy_info({"image": IMAGE, "label": LABEL})

    def toy_splits(self):
        return SPLITS

    def _split_generators(self, dl_manager):
        return {
            split: self._generate_examples(split, ids) for split, ids in self.toy_splits().items()
        }

    def _generate_examples(self, split, ids):
        for number in ids:
            yield number, self.example(split, number)

    def image_of(self, number):
        return np.full((6, 6, 3), number, np.uint8)

    def example(self, split, number):
        return {"image": self.image_of(number), "label": number % 3}


class ToyShapes(ToyBuilder):
    """Two configurations; the first is the default."""

    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="plain", version="1.0.0"),
        tfds.core.BuilderConfig(name="negative", version="1.0.0"),
    ]

    def _info(self):
        return self.toy_info({"image": IMAGE, "label": LABEL}, license=" CC0 1.0\n")

    def image_of(self, number):
        image_of = super().image_of(number)
        return 255 - image_of if self.builder_config.name == "negative" else image_of


class ToyThreeSplits(ToyBuilder):
    """Validation is called "val", and there is a fourth split."""

    def toy_splits(self):
        return {"train": range(6), "val": range(6, 9), "test": range(9, 12), "extra": range(30)}


class ToySecretTest(ToyBuilder):
    """As in a competition: the test labels are -1."""

    def example(self, split, number):
        return super().example(split, number) | ({"label": -1} if split == "test" else {})


class ToySecretTrain(ToyBuilder):
    """Nothing to learn from."""

    def example(self, split, number):
        return super().example(split, number) | ({"label": -1} if split == "train" else {})


class ToyTestOnly(ToyBuilder):
    """No training split."""

    def toy_splits(self):
        return {"test": range(6), "extra": range(6, 9)}


class ToyNumbers(ToyBuilder):
    """A number where a class should be."""

    def _info(self):
        return self.toy_info({"image": IMAGE, "label": tf.int64})


class ToyTwoLabels(ToyBuilder):
    """Two classes an image."""

    def _info(self):
        return self.toy_info({"image": IMAGE, "label": LABEL, "parity": self.parity()})

    def parity(self):
        return tfds.features.ClassLabel(names=["even", "odd"])

    def example(self, split, number):
        return super().example(split, number) | {"parity": number % 2}


class ToySupervisedLabels(ToyTwoLabels):
    """Two classes an image, and its authors say which to learn."""

    def _info(self):
        return self.toy_info(
            {"image": IMAGE, "label": LABEL, "parity": self.parity()},
            supervised_keys=("image", "parity"),
        )


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    """Prepared data go to the test's own folder."""
    folder = str(tmp_path / "tfds")
    monkeypatch.setattr(tfds, "builder", functools.partial(tfds.builder, data_dir=folder))
    return folder


def grey_levels(split):
    load = split.images.loader()
    pictures = np.stack([load(tf.constant(n)).pixels() for n in range(len(split))])
    assert pictures.shape == (len(split), 6, 6, 3)
    assert (pictures.std(axis=(1, 2, 3)) == 0).all()
    return pictures[:, 0, 0, 0].astype(int)


def test_what_is_prepared_is_read_without_tuning(tuned_pipelines):
    load_tfds("toy_shapes")
    tuned_pipelines.clear()  # of preparing it
    load_tfds("toy_shapes")
    assert tuned_pipelines == [False, False]


def test_a_prepared_data_set_opens_by_its_folder(data_dir):
    by_name = load_tfds("toy_shapes:negative")
    folder = pathlib.Path(data_dir) / "toy_shapes" / "negative" / "1.0.0"
    by_folder = open_dataset(f"tfds:{folder}", validation_fraction=0)
    assert by_folder.class_names == by_name.class_names == SHAPES
    assert by_folder.train.labels.tolist() == by_name.train.labels.tolist()
    assert grey_levels(by_folder.train).tolist() == grey_levels(by_name.train).tolist()
    assert set(grey_levels(by_folder.test)) == {255 - n for n in SPLITS["test"]}
    with pytest.raises(InputError, match=r"holds no data set .* folder of a version"):
        load_tfds(str(folder.parent))
    (folder / "features.json").unlink()
    with pytest.raises(InputError, match="cannot be opened"):
        load_tfds(str(folder))


def test_train_and_test_splits_are_read_with_their_labels():
    source = load_tfds("toy_shapes")
    assert source.class_names == SHAPES
    assert source.validation is None
    assert source.licence == "CC0 1.0"
    assert source.notes == ()
    for split, ids in ((source.train, SPLITS["train"]), (source.test, SPLITS["test"])):
        levels = grey_levels(split)
        assert sorted(levels) == list(ids)
        assert split.labels.tolist() == (levels % 3).tolist()
    assert source.train.ids.tolist() == list(range(12))
    assert source.test.ids.tolist() == list(range(12, 18))


def test_images_are_kept_as_their_files():
    images = load_tfds("toy_shapes").train.images
    assert all(images.encoded(number).startswith(b"\x89PNG") for number in range(12))


def test_a_configuration_stands_behind_a_colon():
    assert sorted(grey_levels(load_tfds("toy_shapes:plain").train)) == list(range(12))
    negative = grey_levels(load_tfds("toy_shapes:negative").train)
    assert sorted(negative) == list(range(244, 256))


def test_the_order_is_the_same_every_time():
    first, second = (load_tfds("toy_shapes").train for _ in range(2))
    assert grey_levels(first).tolist() == grey_levels(second).tolist()


def test_all_three_splits_are_read_and_others_are_not():
    source = load_tfds("toy_three_splits")
    levels = [grey_levels(split) for split in (source.train, source.validation, source.test)]
    assert [sorted(some) for some in levels] == [[0, 1, 2, 3, 4, 5], [6, 7, 8], [9, 10, 11]]
    ids = [split.ids for split in (source.train, source.validation, source.test)]
    assert np.concatenate(ids).tolist() == list(range(12))


def test_the_label_that_the_authors_chose_is_learned():
    source = load_tfds("toy_supervised_labels")
    assert source.class_names == ("even", "odd")
    assert source.train.labels.tolist() == (grey_levels(source.train) % 2).tolist()


def test_a_test_split_without_labels_is_left_out_and_noted():
    source = load_tfds("toy_secret_test")
    assert source.test is None
    assert len(source.train) == 12
    assert source.notes == ("the split 'test' has images without a label: it is not used",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("toy_numbers", r"'toy_numbers' must have exactly one ClassLabel.* are image, label\."),
        ("toy_two_labels", r"must have exactly one ClassLabel.* are image, label, parity\."),
        ("toy_test_only", r"'toy_test_only' has no split 'train' with.*It has: test, extra\."),
        ("toy_secret_train", r"has no split 'train' with a label for every image\."),
        ("toy_shape", r"has no data set 'toy_shape'.*Did you mean: toy_shape -> toy_shapes"),
        ("toy_shapes:coloured", r"has no data set 'toy_shapes:coloured'.*coloured not found"),
        ("toy shapes", r"has no data set 'toy shapes'"),
    ],
)
def test_what_cannot_be_classified_is_refused_with_the_reason(name, message):
    with pytest.raises(InputError, match=message):
        load_tfds(name)


def test_preparing_and_reading_are_shown(recorded_progress):
    dataset = open_dataset("tfds:toy_three_splits", progress=recorded_progress)
    assert len(dataset.test) == 3
    assert recorded_progress.stages == [
        ("Downloading and preparing toy_three_splits", None, 0),
        ("Reading toy_three_splits", 12, 12),
    ]


def test_a_uri_opens_it_and_keeps_its_own_test_split():
    dataset = open_dataset("tfds:toy_shapes:negative", validation_fraction=0.25)
    assert sorted(grey_levels(dataset.test)) == list(range(150, 156))
    assert (len(dataset.train), len(dataset.validation)) == (9, 3)
    assert dataset.licence == "CC0 1.0"


BUILT_IN = {
    "mnist": ((28, 28), 10),
    "imagenette:160px-v2": (None, 10),
    "cifar100": ((32, 32), 100),
}


@pytest.mark.parametrize(("name", "expected"), BUILT_IN.items(), ids=BUILT_IN)
def test_built_in_data_sets_are_read(name, expected, data_dir):
    builder = tfds.builder(name.replace(":", "/"))
    folder = pathlib.Path(builder.data_dir)
    folder.mkdir(parents=True)
    # TFDS' mock takes the splits' names from a prepared folder.
    shards = tfds.core.ShardedFileTemplate(
        dataset_name=builder.name, data_dir=folder, filetype_suffix="tfrecord"
    )
    builder.info.set_splits(
        tfds.core.splits.SplitDict(
            tfds.core.SplitInfo(
                name=split, shard_lengths=[1], num_bytes=0, filename_template=shards
            )
            for split in ("train", "test")
        )
    )
    builder.info.write_to_directory(folder)
    size, classes = expected
    with tfds.testing.mock_data(
        num_examples=7, policy=tfds.testing.MockPolicy.USE_FILES, data_dir=data_dir
    ):
        source = load_tfds(name)
    assert len(source.class_names) == classes
    assert source.class_names == tuple(builder.info.features["label"].names)
    assert (len(source.train), source.validation, len(source.test)) == (7, None, 7)
    assert source.train.labels.max() < classes
    shape = source.train.images.loader()(tf.constant(0)).pixels().shape
    assert shape[-1] == 3
    assert size is None or tuple(shape[:2]) == size


def test_where_the_home_folder_takes_nothing_the_cache_does(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("no folder")
    usual = str(tmp_path / "home" / "tensorflow_datasets")
    monkeypatch.setattr(tfds, "builder", functools.partial(tfds.builder.func, data_dir=usual))
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    assert len(load_tfds("toy_three_splits").train) == 6
    found = tmp_path / "cache" / "tensorflow_datasets" / "toy_three_splits"
    assert found.is_dir()
