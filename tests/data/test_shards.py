"""`wds:` and `tfrecord:` hold what a folder of the same photos holds."""

import subprocess

import numpy as np
import pytest
from shard_files import example, write_records, write_tar, write_wds

import tl_toolkit as tl
from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.open import open_dataset, open_images
from tl_toolkit.data.opening import SKIP, Opening
from tl_toolkit.data.shards import NEAR_DUPLICATES
from tl_toolkit.errors import InputError, StoppedError
from tl_toolkit.experiments.run_inputs import inputs_of
from tl_toolkit.report import model_card
from tl_toolkit.training.step import TrainingStep

COUNTS = {"cat": 9, "dog": 8}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))


def rows_of(folder):
    """(contents, class) of every photo in a folder, mixed as shards are."""
    found = [(path.read_bytes(), path.parent.name) for path in sorted(folder.glob("*/*"))]
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))]


def as_wds(rows, path):
    samples = [{"__key__": f"{k:06d}", "jpg": c, "cls": name} for k, (c, name) in enumerate(rows)]
    samples = [{**sample, "cls": str(sample["cls"]).encode()} for sample in samples]
    return write_wds(path, samples)


def as_records(rows, path):
    return write_records(
        path, [example(image__encoded=c, image__class__text=str(n).encode()) for c, n in rows]
    )


WRITERS = {"wds": (as_wds, "tar"), "tfrecord": (as_records, "tfrecord")}


def in_shards(kind, rows, folder, name="s"):
    """Writes the rows in three shards; returns the URI."""
    write, ending = WRITERS[kind]
    for number in range(3):
        write(rows[number::3], folder / f"{name}-{number:03d}.{ending}")
    return f"{kind}:{folder}/{name}-{{000..002}}.{ending}"


def contents_of(split):
    return {split.images.identity(k): int(label) for k, label in enumerate(split.labels)}


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_photos_in_shards_are_the_same_data(kind, image_folder, tmp_path):
    folder = image_folder(COUNTS)
    uri = in_shards(kind, rows_of(folder), tmp_path / "shards")
    there = open_dataset(f"folder:{folder}", group_near_duplicates=False)
    here = open_dataset(uri)
    assert here.class_names == there.class_names == ("cat", "dog")
    for name in ("train", "validation", "test"):
        one, other = getattr(here, name), getattr(there, name)
        assert contents_of(one) == contents_of(other)  # the same photos in the same splits
        assert set(content_digests(one)) == set(content_digests(other))
    everything = np.concatenate([here.train.ids, here.validation.ids, here.test.ids])
    assert sorted(everything) == list(range(17))
    assert NEAR_DUPLICATES in here.notes


@pytest.mark.parametrize("kind", WRITERS)
def test_splits_of_their_own_are_kept(kind, image_folder, tmp_path):
    rows = rows_of(image_folder(COUNTS))
    in_shards(kind, rows[:11], tmp_path / "shards", "train")
    in_shards(kind, rows[11:], tmp_path / "shards", "val")
    data = open_dataset(f"{kind}:{tmp_path / 'shards'}")
    assert len(data.validation) == 6
    assert contents_of(data.validation) == {c: int(n == "dog") for c, n in rows[11:]}
    assert len(data.train) + len(data.test) == 11
    assert "shards of each split: 3 train, 3 validation" in data.notes
    source = open_images(f"{kind}:{tmp_path / 'shards'}?train=val-*&test=train-*")
    assert (len(source.train), source.validation, len(source.test)) == (6, None, 11)


def test_labels_of_whole_numbers_are_classes_in_their_order(image_folder, tmp_path):
    rows = [(c, (1, 10, 2)[k % 3]) for k, (c, _) in enumerate(rows_of(image_folder(COUNTS)))]
    assert open_images(in_shards("wds", rows, tmp_path / "a")).class_names == ("1", "2", "10")
    named = [(c, f"{number}a") for c, number in rows]
    assert open_images(in_shards("wds", named, tmp_path / "b")).class_names == ("10a", "1a", "2a")


@pytest.mark.parametrize("kind", WRITERS)
def test_copies_stay_together_and_are_counted(kind, image_folder, tmp_path):
    rows = rows_of(image_folder(COUNTS))
    source = open_images(in_shards(kind, [*rows, rows[0], rows[0]], tmp_path / "a"))
    copies = np.flatnonzero([source.train.images.identity(k) == rows[0][0] for k in range(19)])
    assert len(copies) == 3
    assert len(set(source.groups[copies])) == 1
    assert len(set(source.groups)) == 17
    assert "2 images are copies of others; copies stay in one split" in source.notes
    in_shards(kind, rows, tmp_path / "b", "train")
    in_shards(kind, rows[:6], tmp_path / "b", "test")
    notes = open_images(f"{kind}:{tmp_path / 'b'}").notes
    assert "6 test images are also training images: their figures will be too high" in notes


def test_an_image_in_two_classes_is_refused_or_skipped_with_its_copies(image_folder, tmp_path):
    rows = rows_of(image_folder(COUNTS))
    contents, name = rows[0]
    uri = in_shards("wds", [*rows, (contents, "dog" if name == "cat" else "cat")], tmp_path / "a")
    with pytest.raises(InputError, match=r"the same image is also in another class.* And 1 more"):
        open_images(uri)
    source = open_images(uri, Opening(SKIP))
    assert contents not in contents_of(source.train)
    assert len(source.train) == 16
    assert sum(note.startswith("skipped the image at byte") for note in source.notes) == 2


@pytest.mark.parametrize("kind", WRITERS)
def test_bad_images_are_refused_or_skipped(kind, image_folder, tmp_path):
    rows = rows_of(image_folder(COUNTS))
    cut = (rows[3][0][:200], "cat")
    uri = in_shards(kind, [*rows, cut], tmp_path / "a")
    with pytest.raises(InputError, match=r"of '.*s-002\..*: damaged or cut short\. Repair"):
        open_images(uri)
    source = open_images(uri, Opening(SKIP))
    assert len(source.train) == 17
    assert sum(note.startswith("skipped ") for note in source.notes) == 1


@pytest.mark.parametrize("kind", WRITERS)
def test_a_damaged_shard_is_refused_or_read_up_to_there(kind, image_folder, tmp_path):
    uri = in_shards(kind, rows_of(image_folder(COUNTS)), tmp_path / "a")
    last = sorted((tmp_path / "a").iterdir())[-1]
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"{last.name}' is .*cut short.* byte [0-9,]+.*Repair"):
        open_images(uri)
    source = open_images(uri, Opening(SKIP))
    assert 12 < len(source.train) < 17
    assert any(
        note.startswith("not read to its end: ") and last.name in note for note in source.notes
    )


def test_labels_from_two_places_are_refused(image_folder, tmp_path):
    rows = rows_of(image_folder(COUNTS))
    members = []
    for k, (contents, name) in enumerate(rows):
        members += [(f"{k}.jpg", contents), (f"{k}.{'txt' if k % 2 else 'cls'}", name.encode())]
    path = write_tar(tmp_path / "a.tar", members)
    with pytest.raises(
        InputError, match=r"taken from \.cls and from \.txt: choose one with label="
    ):
        open_images(f"wds:{path}")


def test_a_text_of_two_classes_is_refused_and_its_numbers_are_taken(image_folder, tmp_path):
    rows = [c for c, _ in rows_of(image_folder(COUNTS))]
    records = [
        example(
            image=c, image__class__text=b"crane" if k % 3 else b"oak", image__class__label=k % 3
        )
        for k, c in enumerate(rows)
    ]
    write_records(tmp_path / "0.tfrecord", [r for k, r in enumerate(records) if k % 3 != 2])
    write_records(tmp_path / "1.tfrecord", [r for k, r in enumerate(records) if k % 3 == 2])
    with pytest.raises(InputError, match=r"'crane' .* stands for the classes 1 and 2"):
        open_images(f"tfrecord:{tmp_path}/*.tfrecord")
    source = open_images(f"tfrecord:{tmp_path}/*.tfrecord?label=image/class/label")
    assert source.class_names == ("0", "1", "2")


def test_a_class_that_a_split_lacks_is_named(image_folder, tmp_path):
    rows = rows_of(image_folder(COUNTS))
    in_shards("wds", rows, tmp_path / "a", "train")
    in_shards("wds", [row for row in rows if row[1] == "cat"], tmp_path / "a", "test")
    with pytest.raises(InputError, match=r"Class 'dog' .* has no image in the split 'test'"):
        open_images(f"wds:{tmp_path / 'a'}", Opening(SKIP))


def test_one_label_is_too_few_and_the_first_fault_is_said(image_folder, tmp_path):
    rows = rows_of(image_folder(COUNTS))
    members = [("a.jpg", rows[0][0]), ("a.cls", b"1"), ("b.jpg", rows[1][0])]
    path = write_tar(tmp_path / "a.tar", members)
    with pytest.raises(
        InputError, match=r"at least two labels\. Found: 1\. b\.jpg at byte .*no label"
    ):
        open_images(f"wds:{path}", Opening(SKIP))


def test_a_compressed_shard_is_refused(image_folder, tmp_path):
    rows = rows_of(image_folder(COUNTS))
    write_records(tmp_path / "a.tfrecord", [example(image=c, label=1) for c, _ in rows], "GZIP")
    with pytest.raises(InputError, match=r"a\.tfrecord' is compressed \(gzip\)"):
        open_images(f"tfrecord:{tmp_path}")


def test_where_shards_lie_is_not_shown_and_not_overwritten(tmp_path):
    write_tar(tmp_path / "a.tar", [("a.jpg", b"x")])
    write_tar(tmp_path / "b.tar", [("a.jpg", b"x")])
    recipe = tl.Recipe(data=f"wds:{tmp_path}/a.tar?test=b.tar", strategy=tl.NewHead(), weights=None)
    assert inputs_of(recipe) == [tmp_path / "a.tar", tmp_path / "b.tar"]
    assert model_card._without_folders(recipe.data) == "wds:a.tar?test=b.tar"


@pytest.mark.slow
def test_another_process_sees_the_same_images_in_the_same_order(image_folder, tmp_path, python):
    uri = in_shards("wds", rows_of(image_folder(COUNTS)), tmp_path / "a")
    program = (
        "import sys; from tl_toolkit.data.open import open_dataset; "
        "from tl_toolkit.data.content_digests import content_digests; "
        "data = open_dataset(sys.argv[1]); "
        "print(*data.train.ids, *content_digests(data.train), *content_digests(data.test))"
    )
    ran = subprocess.run([python, "-c", program, uri], capture_output=True, text=True, check=True)
    data = open_dataset(uri)
    digests = (*content_digests(data.train), *content_digests(data.test))
    assert ran.stdout.split() == [*map(str, data.train.ids), *digests]


@pytest.mark.long
def test_a_run_on_shards_resumes_and_is_that_on_the_photos(
    finished_run, photo_recipe, photos, tmp_path, monkeypatch
):
    paths = sorted(photos.glob("*/*"))
    rows = [(path.read_bytes(), path.parent.name) for path in paths]  # in the order of the folder
    for number in range(3):
        as_wds(rows[20 * number :][:20], tmp_path / "shards" / f"s-{number}.tar")
    recipe = photo_recipe.replace(data=f"wds:{tmp_path / 'shards'}")
    call, taken = TrainingStep.__call__, []

    def breaking(self, batch, stop=()):
        if len(taken) == 5:
            raise StoppedError("stopped")
        taken.append(1)
        return call(self, batch, stop)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", breaking)
        with pytest.raises(StoppedError):
            tl.run(recipe, tmp_path / "run")
    ended = tl.run(recipe, tmp_path / "run")
    assert ended.test == finished_run.test
    assert ended.history == finished_run.history
    first, *_ = tl.load_classifier(ended.folder).predict([paths[0]])
    expected, *_ = tl.load_classifier(finished_run.folder).predict([paths[0]])
    assert first == expected
