"""Folders that `datasets` saves and Parquet files of its Hub hold what a folder of the same photos holds."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.hf_shards import contents_of_parquet, hf_samples
from tl_toolkit.data.open import open_dataset, open_images
from tl_toolkit.data.opening import SKIP, Opening
from tl_toolkit.data.shard_images import ShardImages
from tl_toolkit.data.shard_samples import DamagedShardError
from tl_toolkit.errors import InputError

NAMES = ["dog", "cat"]  # not in alphabetical order
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "id": {"dtype": "int64", "_type": "Value"},
    "image": {"_type": "Image"},
    "label": {"names": NAMES, "_type": "ClassLabel"},
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def rows(image_folder):
    """(contents, class) of every photo of a folder."""
    folder = image_folder({"cat": 9, "dog": 8})
    found = [(path.read_bytes(), path.parent.name) for path in sorted(folder.glob("*/*"))]
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))]


def table(rows, features=FEATURES, image_type=IMAGE_TYPE):
    """As `datasets` lays a table out; a class that is not text is stored as it is."""
    labels = [NAMES.index(name) if isinstance(name, str) else name for _, name in rows]
    images = [c if image_type == pa.binary() else {"bytes": c, "path": "p.jpg"} for c, _ in rows]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    columns = {
        "id": pa.array(range(len(rows)), pa.int64()),
        "image": pa.array(images, image_type),
        "label": pa.array(labels, pa.int64()),
    }
    return pa.table(columns).replace_schema_metadata(metadata)


def write_arrow(content, path, as_file=False, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    new = pa.ipc.new_file if as_file else pa.ipc.new_stream
    with (
        pa.OSFile(str(path), "wb") as file,
        new(file, content.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer,
    ):
        writer.write_table(content, max_chunksize=4)


def write_parquet(content, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, row_group_size=5, **options)


def save_to_disk(content, folder, shards=2, indices=None):
    """What `Dataset.save_to_disk` leaves."""
    names = [f"data-{k:05d}-of-{shards:05d}.arrow" for k in range(shards)]
    ends = np.linspace(0, len(content), shards + 1).astype(int)
    for name, start, end in zip(names, ends, ends[1:], strict=False):
        write_arrow(content.slice(start, end - start), folder / name)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps({**state, "_indices_data_files": indices}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def contents_of(split):
    return {split.images.identity(k): int(label) for k, label in enumerate(split.labels)}


@pytest.mark.parametrize("kind", ["saved", "arrow", "parquet"])
def test_the_same_photos_are_the_same_data(kind, rows, image_folder, tmp_path):
    there = open_dataset(
        f"folder:{image_folder({'cat': 9, 'dog': 8})}", group_near_duplicates=False
    )
    if kind == "saved":
        place = save_to_disk(table(rows), tmp_path / "saved")
        (place / "data-00009-of-00010.arrow").write_bytes(b"left over")
        (place / "cache-1a2b.arrow").write_bytes(b"left over")
    elif kind == "arrow":
        place = tmp_path / "a.arrow"
        write_arrow(table(rows), place, as_file=True)
    else:
        place = tmp_path / "hub"
        write_parquet(table(rows[:9]), place / "data" / "all-00000-of-00002.parquet")
        write_parquet(table(rows[9:]), place / "data" / "all-00001-of-00002.parquet")
    for _ in range(2):  # the second time by the index
        here = open_dataset(f"hf:{place}")
        assert isinstance(here.train.images, ShardImages) == (kind != "parquet")
        assert here.class_names == there.class_names == ("cat", "dog")
        for name in ("train", "validation", "test"):
            one, other = getattr(here, name), getattr(there, name)
            assert contents_of(one) == contents_of(other)
            assert set(content_digests(one)) == set(content_digests(other))
    assert "labels are those of 'label'" in here.notes


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_splits_of_their_own_are_kept(kind, rows, tmp_path):
    parts = {"train": rows[:8], "validation": rows[8:12], "test": rows[12:]}
    for name, some in parts.items():
        if kind == "saved":
            save_to_disk(table(some), tmp_path / "d" / name, shards=1)
        else:
            write_parquet(table(some), tmp_path / "d" / f"{name}-00000-of-00001.parquet")
    (tmp_path / "d" / "dataset_dict.json").write_text(json.dumps({"splits": list(parts)}))
    data = open_images(f"hf:{tmp_path / 'd'}")
    for name, some in parts.items():
        expected = {c: ("cat", "dog").index(label) for c, label in some}
        assert contents_of(getattr(data, name)) == expected


def test_columns_without_metadata_and_of_other_names_are_chosen(rows, tmp_path):
    plain = table(rows, None, pa.binary()).rename_columns(["id", "picture", "kind"])
    plain = plain.set_column(2, "kind", pa.array([name for _, name in rows]))
    write_parquet(plain, tmp_path / "p.parquet")
    with pytest.raises(
        InputError, match=r"no column that is known to hold the image.*picture, kind"
    ):
        open_images(f"hf:{tmp_path / 'p.parquet'}")
    data = open_images(f"hf:{tmp_path / 'p.parquet'}?image=picture&label=kind")
    assert contents_of(data.train) == {c: ("cat", "dog").index(name) for c, name in rows}
    with pytest.raises(InputError, match=r"'kind' of .* holds no encoded images, but string"):
        open_images(f"hf:{tmp_path / 'p.parquet'}?image=kind&label=kind")
    bare = table(rows, None)
    write_arrow(bare, tmp_path / "n.arrow")
    assert open_images(f"hf:{tmp_path / 'n.arrow'}").class_names == ("0", "1")


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_bad_rows_are_named_or_skipped_and_the_others_keep_their_places(kind, rows, tmp_path):
    bad = [(None, "cat"), (b"no photo", "dog"), (rows[0][0], -1), (b"", "cat")]
    place = tmp_path / f"p.{kind}"
    mixed = [*bad[:2], *rows[:9], *bad[2:], *rows[9:]]
    (write_arrow if kind == "arrow" else write_parquet)(table(mixed), place)
    with pytest.raises(
        InputError, match=r"row 0 at byte .*its image is not in the file.* And 3 more"
    ):
        open_images(f"hf:{place}")
    data = open_images(f"hf:{place}", Opening(SKIP))
    assert contents_of(data.train) == {c: ("cat", "dog").index(name) for c, name in rows}
    skipped = [note for note in data.notes if note.startswith("skipped row")]
    assert len(skipped) == 4
    assert "its label is -1, which stands for none of 2 classes" in skipped[2]


def test_other_formats_in_parquet_are_decodable(rows, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF")
    write_parquet(table([*rows, (file.getvalue(), "cat")]), tmp_path / "p.parquet")
    images = open_images(f"hf:{tmp_path / 'p.parquet'}").train.images
    last = images.loader()(len(rows)).pixels().numpy()
    np.testing.assert_array_equal(last, pixels)


@pytest.mark.parametrize("kind", ["stream", "file", "parquet"])
def test_what_is_cut_short_is_damaged(kind, rows, tmp_path):
    path = tmp_path / ("p.parquet" if kind == "parquet" else "p.arrow")
    if kind == "parquet":
        write_parquet(table(rows), path)
    else:
        write_arrow(table(rows), path, as_file=kind == "file")
    whole = path.read_bytes()
    assert len(list(hf_samples(str(path), {}))) == len(rows)
    for end in (0, 5, 100, len(whole) // 2, len(whole) - 8):
        path.write_bytes(whole[:end])
        with pytest.raises(DamagedShardError, match=r"is damaged or cut short|is cut short"):
            list(hf_samples(str(path), {}))
    with pytest.raises(FileNotFoundError):
        list(hf_samples(str(tmp_path / "none.arrow"), {}))


def test_offsets_are_where_the_images_lie(rows, tmp_path):
    write_arrow(table(rows), tmp_path / "p.arrow")
    large = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])
    write_arrow(table(rows, image_type=large), tmp_path / "large.arrow")
    write_parquet(table(rows), tmp_path / "p.parquet", compression="snappy")
    stored = {
        path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".arrow"
    }
    packed = contents_of_parquet(str(tmp_path / "p.parquet"), {}).tobytes()
    for name, within in {**stored, "p.parquet": packed}.items():
        for sample, (contents, label) in zip(
            hf_samples(str(tmp_path / name), {}), rows, strict=True
        ):
            assert within[sample.offset :].startswith(contents)
            assert (sample.contents, sample.label) == (contents, label)


def test_what_cannot_be_opened_is_said(rows, tmp_path):
    write_arrow(table(rows), tmp_path / "z" / "p.arrow", compression="zstd")
    with pytest.raises(InputError, match=r"p\.arrow' is compressed.*save_to_disk"):
        open_images(f"hf:{tmp_path / 'z'}")
    write_parquet(table(rows), tmp_path / "z" / "p.parquet")
    with pytest.raises(InputError, match=r"Arrow and Parquet files.*\?train=\*\.parquet"):
        open_images(f"hf:{tmp_path / 'z'}")
    assert len(open_images(f"hf:{tmp_path / 'z'}?train=*.parquet").train) == len(rows)
    old = save_to_disk(table(rows), tmp_path / "old", indices=[{"filename": "indices.arrow"}])
    with pytest.raises(InputError, match=r"a list of the rows that count.*save it again"):
        open_images(f"hf:{old}")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no shards to train on"):
        open_images(f"hf:{tmp_path / 'none'}")
