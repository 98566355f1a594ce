"""Which shards a URI names, and which split each is of."""

import pytest

from tl_toolkit.data.shard_uri import parse_shard_uri
from tl_toolkit.errors import InputError


@pytest.fixture
def shards(tmp_path):
    """A function that makes empty files and returns the folder."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def found(argument, kind="wds"):
    splits = parse_shard_uri(kind, argument).splits()
    return {split: [path.name for path in some] for split, some in splits.items()}


def test_a_pattern_without_splits_is_all_for_training(shards):
    top = shards("s-0.tar", "s-1.tar", "s-2.tar")
    assert found(f"{top}/s-{{0..1}}.tar") == {"train": ["s-0.tar", "s-1.tar"]}
    assert found(f"{top}/*.tar") == {"train": ["s-0.tar", "s-1.tar", "s-2.tar"]}
    assert found(f"{top}/s-2.tar") == {"train": ["s-2.tar"]}


def test_names_of_shards_tell_their_splits(shards):
    top = shards("imagenet-val-0.tar", "imagenet-train-1.tar", "imagenet-train-0.tar", "README.md")
    parted = {
        "train": ["imagenet-train-0.tar", "imagenet-train-1.tar"],
        "validation": ["imagenet-val-0.tar"],
    }
    assert found(str(top)) == parted
    assert found(f"{top}/*.tar") == parted


def test_folders_tell_the_splits_of_shards_below_them(shards):
    top = shards("train/0.tar", "train/1.tar", "test/0.tar", ".cache/9.tar")
    assert found(str(top)) == {"train": ["0.tar", "1.tar"], "test": ["0.tar"]}
    assert found(f"{top}/{{train,test}}/*.tar") == {"train": ["0.tar", "1.tar"], "test": ["0.tar"]}


def test_the_word_must_stand_alone(shards):
    assert found(str(shards("strain-0.tar", "latest.tar"))) == {
        "train": ["latest.tar", "strain-0.tar"]
    }


def test_options_name_the_splits(shards):
    top = shards("a-0.tar", "a-1.tar", "b.tar", "c.tar")
    parted = {"train": ["a-0.tar", "a-1.tar"], "validation": ["b.tar"], "test": ["c.tar"]}
    assert found(f"{top}?train=a-*.tar&validation=b.tar&test=c.tar") == parted
    assert found(f"{top}?validation=b.tar&test=c.tar") == parted
    assert found(f"{top}/a-{{0..1}}.tar?validation=b.tar&test=c.tar") == parted
    assert found(f"{top}?train=a-*.tar") == {"train": ["a-0.tar", "a-1.tar"]}


def test_training_shards_alone_are_not_parted_by_name_where_they_are_named(shards):
    top = shards("train.tar", "val.tar")
    assert found(f"{top}?train=*.tar") == {"train": ["train.tar", "val.tar"]}


def test_tfrecord_shards_are_known_by_the_names_that_tensorflow_gives_them(shards):
    top = shards(
        "mnist-train.tfrecord-00000-of-00002", "mnist-train.tfrecord-00001-of-00002", "features.json",
        "mnist-test.tfrecord-00000-of-00001",
    )  # fmt: skip
    assert found(str(top), "tfrecord") == {
        "train": ["mnist-train.tfrecord-00000-of-00002", "mnist-train.tfrecord-00001-of-00002"],
        "test": ["mnist-test.tfrecord-00000-of-00001"],
    }
    other = shards("imagenet/train-00000-of-01024", "imagenet/validation-00000-of-00128")
    assert found(f"{other}/imagenet", "tfrecord") == {
        "train": ["train-00000-of-01024"],
        "validation": ["validation-00000-of-00128"],
    }


@pytest.mark.parametrize(
    ("names", "query", "message"),
    [
        (["a.txt"], "", "holds no shards"),
        (["train.tar", "other.tar"], "", "'other.tar' is of no split by its name"),
        (
            ["val.tar", "test.tar"],
            "",
            "of test and validation by their names, and none is of train",
        ),
        (
            ["a.tar", "b.tar"],
            "?train=*.tar&test=b.tar",
            "'.*b.tar' is a shard of train and of test",
        ),
        (["a.tar"], "/a.tar?train=a.tar", "both name training shards"),
        (["a.tar"], "?test=b.tar", "There is no file"),
        (["a.tar"], "?tset=b.tar", "Unknown option of shards 'tset'. Did you mean 'test'"),
        (["a.tar"], "?test=", "'test' in .* needs a value"),
    ],
)
def test_what_is_open_or_wrong_is_refused(shards, names, query, message):
    with pytest.raises(InputError, match=message):
        found(f"{shards(*names)}{query}")


def test_only_tar_shards_have_fields():
    with pytest.raises(InputError, match="Unknown option of shards 'field'"):
        parse_shard_uri("tfrecord", "a?field=x")


def test_folders_are_left_out_of_what_is_published(shards):
    top = shards("a.tar", "b.tar")
    shown = parse_shard_uri("wds", f"{top}/a.tar?test={top}/b.tar&label=txt").without_folders()
    assert shown == "a.tar?test=b.tar&label=txt"


def test_what_is_read_is_the_folder_or_the_shards(shards):
    top = shards("a-0.tar", "a-1.tar")
    assert parse_shard_uri("wds", str(top)).inputs() == [top]
    assert parse_shard_uri("wds", f"{top}/a*").inputs() == [top / "a-0.tar", top / "a-1.tar"]
    assert parse_shard_uri("wds", f"{top}/b*").inputs() == []
