"""A folder of photos: which files, which classes, which splits, and what is refused."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tl_toolkit.data import folder as folder_module
from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.folder import load_folder
from tl_toolkit.data.listing import list_photos
from tl_toolkit.data.open import open_dataset
from tl_toolkit.data.opening import SKIP, Opening
from tl_toolkit.errors import InputError

TEXT = b"This is not an image.\n"


def names(split, root):
    """Paths below the root."""
    return [pathlib.Path(path).relative_to(root).as_posix() for path in split.images.paths]


def copy(source, *targets):
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())


def test_class_folders_are_the_classes_in_alphabetical_order(image_folder):
    root = image_folder({"dog": 2, "cat": 3, "Bear": 1})
    source = load_folder(str(root))
    assert source.class_names == ("Bear", "cat", "dog")
    assert source.train.labels.tolist() == [0, 1, 1, 1, 2, 2]
    assert source.train.ids.tolist() == list(range(6))
    assert names(source.train, root) == [
        "Bear/0.jpg",
        "cat/0.jpg",
        "cat/1.jpg",
        "cat/2.jpg",
        "dog/0.jpg",
        "dog/1.jpg",
    ]
    assert (source.validation, source.test, source.notes, source.licence) == (None, None, (), "")


def test_the_files_pixels_are_what_is_loaded(image_folder, photo):
    root = image_folder({"cat": 2, "dog": 2}, suffix=".png")
    load = load_folder(str(root)).train.images.loader()
    for seed in range(4):
        np.testing.assert_array_equal(load(tf.constant(seed)).pixels(), np.asarray(photo(seed)))


def test_a_home_folder_is_found_by_its_tilde(image_folder, monkeypatch):
    root = image_folder({"cat": 1, "dog": 1})
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(load_folder("~/photos").train) == 2


@pytest.mark.parametrize("train", ["train", "training", "Train"])
@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_split_folders_are_splits_whatever_they_are_called(image_folder, train, validation):
    root = image_folder(
        {
            f"{train}/cat": 2,
            f"{train}/dog": 3,
            f"{validation}/cat": 1,
            f"{validation}/dog": 2,
            "test/cat": 2,
            "test/dog": 1,
        }
    )
    source = load_folder(str(root))
    splits = source.train, source.validation, source.test
    assert source.class_names == ("cat", "dog")
    assert [split.labels.tolist() for split in splits] == [[0, 0, 1, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert np.concatenate([split.ids for split in splits]).tolist() == list(range(11))
    assert names(source.validation, root)[0] == f"{validation}/cat/0.jpg"


@pytest.mark.parametrize("beside", ["validation", "test"])
def test_one_split_folder_may_be_missing(image_folder, beside):
    root = image_folder({"train/cat": 2, "train/dog": 2, f"{beside}/cat": 1, f"{beside}/dog": 1})
    source = load_folder(str(root))
    lengths = {"validation": source.validation, "test": source.test}
    assert len(lengths.pop(beside)) == 2
    assert list(lengths.values()) == [None]


def test_a_class_may_be_called_train(image_folder):
    source = load_folder(str(image_folder({"train": 2, "tram": 2, "bus": 2})))
    assert source.class_names == ("bus", "train", "tram")
    assert source.test is None


@pytest.mark.parametrize(
    "others",
    [("test/cat", "test/dog", "extra"), ("val/cat", "valid/cat"), ("training/cat", "test/cat")],
    ids=["a folder that is no split", "validation twice", "training twice"],
)
def test_split_folders_with_others_beside_them_are_refused(image_folder, others):
    root = image_folder({"train/cat": 1, "train/dog": 1} | dict.fromkeys(others, 1))
    found = ", ".join(sorted({"train", *(name.split("/")[0] for name in others)}))
    with pytest.raises(
        InputError, match=f"must hold class folders, or only one folder each.*Found: {found}"
    ):
        load_folder(str(root))


def test_folders_inside_a_class_belong_to_it(image_folder):
    root = image_folder({"cat": 1, "cat/indoors/old": 2, "cat/outdoors": 1, "dog/b": 1, "dog/a": 1})
    source = load_folder(str(root))
    assert source.class_names == ("cat", "dog")
    assert source.train.labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert names(source.train, root)[1:] == [
        "cat/indoors/old/0.jpg",
        "cat/indoors/old/1.jpg",
        "cat/outdoors/0.jpg",
        "dog/a/0.jpg",
        "dog/b/0.jpg",
    ]


LEFT_BEHIND = ("Thumbs.db", "desktop.ini", "DESKTOP.INI", ".DS_Store", "._0.jpg", "labels.csv",
               "notes.TXT", "annotations.json", "0.AAE", "0.xmp")  # fmt: skip


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_what_systems_and_tools_leave_behind_is_passed_over_and_counted(image_folder, on_bad_image):
    root = image_folder(
        {
            "cat": 2,
            "dog": 2,
            "__MACOSX/cat": 1,
            ".cache/cat": 1,
            ".ipynb_checkpoints": 1,
            "cat/__MACOSX": 1,
            "cat/.ipynb_checkpoints": 3,
            "dog/@eaDir": 1,
        }
    )
    for name in LEFT_BEHIND:
        (root / "dog" / name).write_bytes(TEXT)
    (root / "Thumbs.db").write_bytes(TEXT)
    source = load_folder(str(root), Opening(on_bad_image))
    assert source.class_names == ("cat", "dog")
    assert names(source.train, root) == ["cat/0.jpg", "cat/1.jpg", "dog/0.jpg", "dog/1.jpg"]
    assert source.notes == (
        f"ignored {6 + len(LEFT_BEHIND) + 1} files and folders that are not photos: "
        ".ipynb_checkpoints (2), Thumbs.db (2), __MACOSX (2), .DS_Store, ._0.jpg and 9 other names",
    )


def test_split_folders_may_have_left_behind_ones_beside_them(image_folder):
    root = image_folder({"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/dog": 1})
    (root / "__MACOSX" / "train").mkdir(parents=True)
    (root / "test" / ".DS_Store").write_bytes(TEXT)
    source = load_folder(str(root))
    assert (len(source.train), len(source.test)) == (4, 2)
    assert source.notes == ("ignored 2 files and folders that are not photos: .DS_Store, __MACOSX",)


@pytest.mark.parametrize("name", ["0.pdf", "model.bin", "Thumbs.db.jpg", "MACOSX"])
def test_other_files_that_are_not_images_still_stop_it(image_folder, name):
    root = image_folder({"cat": 2, "dog": 2})
    (root / "dog" / name).write_bytes(TEXT)
    with pytest.raises(InputError, match=f"{name}' cannot be used: not a photo"):
        load_folder(str(root))
    (note,) = load_folder(str(root), Opening(SKIP)).notes
    assert note == f"skipped dog/{name}: not a photo in a known format"


@pytest.mark.parametrize("extension", [".png", ".JPEG", ".dat", ""])
def test_a_wrong_extension_does_no_harm(image_folder, extension):
    root = image_folder({"cat": 1, "dog": 1})
    expected = load_folder(str(root)).train.images.loader()(tf.constant(1)).pixels()
    (root / "dog/0.jpg").rename(root / f"dog/0{extension}")
    load = load_folder(str(root)).train.images.loader()
    np.testing.assert_array_equal(load(tf.constant(1)).pixels(), expected)


def test_a_link_to_a_folder_is_followed(image_folder, tmp_path):
    root = image_folder({"cat": 1, "dog": 1})
    copy(root / "cat/0.jpg", tmp_path / "elsewhere/bird.jpg")
    (root / "cat/0.jpg").unlink()
    (root / "cat/more").symlink_to(tmp_path / "elsewhere")
    assert names(load_folder(str(root)).train, root) == ["cat/more/bird.jpg", "dog/0.jpg"]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, r"photos' must hold at least two class folders.*Found: none"),
        ({".hidden": 1}, r"photos' must hold at least two class folders.*Found: none"),
        ({"cat": 3}, r"photos' must hold at least two class folders.*Found: only 'cat'"),
        ({"train/cat": 3, "test/cat": 1}, r"photos/train' must hold at least two.*only 'cat'"),
        ({"cat": 3, "dog": 0}, r"Class 'dog' in '.*photos' has no readable image"),
        ({"cat": 3, "dog/.old": 2}, r"Class 'dog' in '.*photos' has no readable image"),
        (
            {"train/cat": 1, "train/dog": 1, "test/cat": 1, "test/dog": 0},
            r"Class 'dog' in '.*photos/test' has no readable image",
        ),
        (
            {"train/cat": 1, "train/dog": 1, "val/cat": 1},
            r"Class 'dog' in '.*photos/val' has no readable image",
        ),
        (
            {"train/cat": 1, "train/dog": 1, "test/cat": 1, "test/dog": 1, "test/fox": 1},
            r"photos/test' has classes that the training folder lacks: fox",
        ),
    ],
    ids=[
        "empty",
        "hidden folders alone",
        "one class",
        "one class to train on",
        "a class without images",
        "a class of hidden images",
        "a class without test images",
        "a class that validation has not",
        "a class that training has not",
    ],
)
def test_classes_without_images_and_too_few_classes_are_refused(image_folder, counts, message):
    root = image_folder(counts)
    root.mkdir(exist_ok=True)
    with pytest.raises(InputError, match=message):
        load_folder(str(root))


def test_an_audit_lists_a_split_without_a_folder_of_a_class(image_folder):
    root = image_folder({"train/cat": 1, "train/dog": 2, "val/dog": 1})
    listing = list_photos(f"folder:{root}")
    assert listing.labels.tolist() == [0, 1, 1, 1]
    assert listing.splits.tolist() == ["train", "train", "train", "validation"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", r"nowhere': No such file or directory"),
        ("photos/cat/0.jpg", r"0\.jpg': Not a directory"),
    ],
)
def test_a_path_that_is_no_folder_is_refused(image_folder, tmp_path, name, message):
    image_folder({"cat": 1, "dog": 1})
    with pytest.raises(
        InputError, match=rf"Cannot read the folder '.*{message}. Expected a folder"
    ):
        load_folder(str(tmp_path / name))


@pytest.mark.parametrize("name", ["photos", "photos/cat", "photos/cat/indoors"])
def test_a_folder_that_may_not_be_read_is_refused(image_folder, tmp_path, monkeypatch, name):
    image_folder({"cat": 1, "cat/indoors": 1, "dog": 1})
    locked = tmp_path / name

    def refusing(function):
        def listing(path=".", *arguments):
            if pathlib.Path(path) == locked:
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *arguments)

        return listing

    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    monkeypatch.setattr(os, "listdir", refusing(os.listdir))
    with pytest.raises(InputError, match=rf"Cannot read the folder '{locked}': Permission denied"):
        load_folder(str(tmp_path / "photos"))


BAD = {
    "text": (lambda jpeg: TEXT, "not a photo in a known format"),
    "half a JPEG": (lambda jpeg: jpeg[: len(jpeg) // 2], "damaged or cut short"),
    "empty": (lambda jpeg: b"", "the file is empty"),
    "HEIC": (lambda jpeg: b"\0\0\0\x18ftypheic" + bytes(40), "not a photo in a known format"),
    "AVIF": (lambda jpeg: b"\0\0\0\x18ftypavif" + bytes(40), "not a photo in a known format"),
    "half a PPM": (lambda jpeg: b"P6 30 30 255\n" + bytes(999), "damaged or cut short"),
}


@pytest.mark.parametrize(("damage", "reason"), BAD.values(), ids=BAD)
def test_a_bad_image_is_refused_with_its_name_and_the_reason(image_folder, damage, reason):
    root = image_folder({"cat": 2, "dog": 2})
    file = root / "dog/1.jpg"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(
        InputError, match=rf"'{file}' cannot be used: {reason}.*on_bad_image='skip'"
    ) as raised:
        load_folder(str(root))
    assert "more" not in str(raised.value)


@pytest.mark.parametrize(("damage", "reason"), BAD.values(), ids=BAD)
def test_a_bad_image_can_be_left_out_and_is_listed(image_folder, damage, reason):
    root = image_folder({"cat": 2, "dog": 2})
    file = root / "dog/0.jpg"
    file.write_bytes(damage(file.read_bytes()))
    source = load_folder(str(root), Opening(SKIP))
    assert names(source.train, root) == ["cat/0.jpg", "cat/1.jpg", "dog/1.jpg"]
    assert source.train.ids.tolist() == [0, 1, 2]
    assert len(source.notes) == 1
    assert source.notes[0].startswith(f"skipped dog/0.jpg: {reason}")


def test_several_bad_images_are_counted_and_listed(image_folder):
    root = image_folder({"train/cat": 3, "train/dog": 2, "test/cat": 2, "test/dog": 1})
    for name in ("train/cat/1.jpg", "train/cat/2.jpg", "train/dog/0.jpg", "test/cat/0.jpg"):
        (root / name).write_bytes(TEXT)
    with pytest.raises(InputError, match=r"train/cat/1\.jpg' cannot be used: .*And 3 more\."):
        load_folder(str(root))
    source = load_folder(str(root), Opening(SKIP))
    assert [note.split(":")[0] for note in source.notes] == [
        "skipped train/cat/1.jpg",
        "skipped train/cat/2.jpg",
        "skipped train/dog/0.jpg",
        "skipped test/cat/0.jpg",
    ]
    assert (len(source.train), len(source.test)) == (2, 2)


def test_a_class_whose_images_are_all_bad_is_refused_even_when_they_are_left_out(image_folder):
    root = image_folder({"cat": 2, "dog": 1})
    (root / "dog/0.jpg").write_bytes(TEXT)
    with pytest.raises(InputError, match=r"Class 'dog' in '.*' has no readable image"):
        load_folder(str(root), Opening(SKIP))


def test_a_file_that_cannot_be_read_is_a_bad_image(image_folder):
    root = image_folder({"cat": 2, "dog": 2})
    (root / "cat/gone.jpg").symlink_to(root / "nowhere.jpg")
    with pytest.raises(InputError, match=r"gone\.jpg' cannot be used: No such file or directory"):
        load_folder(str(root))


def test_the_same_picture_in_two_classes_is_refused_with_both_names(image_folder):
    root = image_folder({"cat": 2, "dog": 2, "fox": 2})
    copy(root / "cat/1.jpg", root / "dog/7.jpg")
    with pytest.raises(
        InputError,
        match=rf"'{root}/cat/1\.jpg' cannot be used: the same image is also in another class: "
        rf"{root}/dog/7\.jpg\. And 1 more",
    ):
        load_folder(str(root))


def test_every_copy_of_a_picture_in_two_classes_is_left_out(image_folder):
    root = image_folder({"cat": 2, "dog": 2, "fox": 2})
    copy(root / "cat/1.jpg", root / "cat/2.jpg", root / "dog/7.jpg")
    source = load_folder(str(root), Opening(SKIP))
    reason = "the same image is also in another class"
    assert source.notes == (
        f"skipped cat/1.jpg: {reason}: {root}/dog/7.jpg",
        f"skipped cat/2.jpg: {reason}: {root}/dog/7.jpg",
        f"skipped dog/7.jpg: {reason}: {root}/cat/1.jpg",
    )
    assert np.bincount(source.train.labels).tolist() == [1, 2, 2]


def test_copies_in_one_class_are_one_group_and_are_noted(image_folder):
    root = image_folder({"cat": 3, "dog": 2})
    copy(root / "cat/0.jpg", root / "cat/again.jpg", root / "cat/old/0.jpg")
    source = load_folder(str(root))
    paths = names(source.train, root)
    copies = [paths.index(name) for name in ("cat/0.jpg", "cat/again.jpg", "cat/old/0.jpg")]
    assert len(set(source.groups[copies])) == 1
    assert len(set(source.groups)) == 5
    assert source.notes == ("2 images are copies of others; copies stay in one split",)


@pytest.mark.parametrize("split_seed", range(5))
def test_copies_of_one_file_never_part(image_folder, split_seed):
    root = image_folder({"cat": 6, "dog": 6})
    for name in ("cat/0", "cat/1", "cat/2", "dog/0", "dog/1"):
        copy(root / f"{name}.jpg", root / f"{name} (1).jpg", root / f"{name} (2).jpg")
    dataset = open_dataset(f"folder:{root}", split_seed=split_seed, test_fraction=0.4)
    contents = [
        {split.images.encoded(n) for n in range(len(split))}
        for split in (dataset.train, dataset.validation, dataset.test)
    ]
    assert [len(files) for files in contents] == [6, 2, 4]
    assert len(set.union(*contents)) == 12
    assert dataset.notes == ("10 images are copies of others; copies stay in one split",)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_images_of_another_split_that_are_trained_on_too_are_noted(image_folder, split):
    root = image_folder({"train/cat": 3, "train/dog": 2, f"{split}/cat": 2, f"{split}/dog": 1})
    copy(root / "train/cat/0.jpg", root / f"{split}/cat/7.jpg")
    copy(root / "train/dog/0.jpg", root / f"{split}/dog/7.jpg", root / f"{split}/cat/8.jpg")
    (root / f"{split}/cat/8.jpg").unlink()
    assert load_folder(str(root)).notes == (
        f"2 {split} images are also training images: their figures will be too high",
    )


def test_the_split_follows_the_contents_whatever_the_files_are_called(image_folder):
    root = image_folder({"cat": 8, "dog": 8})

    def test_files():
        split = open_dataset(f"folder:{root}").test
        return {split.images.encoded(n) for n in range(len(split))}

    before = test_files()
    for number, file in enumerate(sorted(root.glob("*/*.jpg"), reverse=True)):
        file.rename(file.with_name(f"{number:03}.jpg"))
    assert test_files() == before
    assert len(before) == 4


def test_every_file_is_checked_once_and_the_user_sees_how_many(
    image_folder, monkeypatch, recorded_progress
):
    root = image_folder({"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 1})
    checked = []
    monkeypatch.setattr(folder_module, "check_image", checked.append)
    load_folder(str(root), Opening(progress=recorded_progress))
    assert len(checked) == len(set(checked)) == 7
    assert recorded_progress.stages[0] == ("Checking photos", 7, 7)


def test_files_beside_the_class_folders_are_counted_in_a_note(image_folder):
    root = image_folder({"cat": 3, "dog": 3})
    (root / "cat.jpg").write_text("x")
    source = load_folder(str(root))
    assert source.notes == (f"not used: 1 file directly in {root}, in no class folder",)
    assert len(source.train) == 6


def test_a_name_that_is_not_utf8_is_no_obstacle_for_a_photo_and_refused_for_a_class(image_folder):
    root = image_folder({"cat": 2, "dog": 2})
    odd = os.path.join(os.fsencode(root), b"dog", b"caf\xe9.jpg")
    os.rename(root / "dog/1.jpg", odd)
    source = load_folder(str(root))
    load = source.train.images.loader()
    with Image.open(odd) as expected:
        np.testing.assert_array_equal(load(tf.constant(3)).pixels(), np.asarray(expected))
    assert len(set(content_digests(source.train))) == 4

    with open(odd, "wb") as file:
        file.write(TEXT)
    with pytest.raises(InputError, match=r"caf\\udce9\.jpg' cannot be used: not a photo"):
        load_folder(str(root))
    (note,) = load_folder(str(root), Opening(SKIP)).notes
    assert note == r"skipped dog/caf\xe9.jpg: not a photo in a known format"

    os.rename(root / "cat", os.path.join(os.fsencode(root), b"caf\xe9"))
    with pytest.raises(InputError, match=r"caf\\+xe9' has a name that is not UTF-8 text: rename"):
        load_folder(str(root))


@pytest.mark.parametrize("path", ["~nobody-of-this-name/photos", "photos\0"])
@pytest.mark.parametrize("source", ["folder", "csv"])
def test_what_cannot_be_a_path_is_refused(source, path):
    with pytest.raises(InputError, match="is not a path: "):
        open_dataset(f"{source}:{path}")
