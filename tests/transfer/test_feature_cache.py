"""Stored activations are those that the frozen part would compute, and are computed once."""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import time

import filelock
import numpy as np
import pytest
from tiny import BOTTLENECK, PIXELS, classifier

from tl_toolkit.catalog import AUGMENTATIONS
from tl_toolkit.data import examples
from tl_toolkit.data.dataset import ArrayImages, FileImages, Split
from tl_toolkit.data.examples import view_reader
from tl_toolkit.data.open import open_images
from tl_toolkit.errors import InputError
from tl_toolkit.progress import Progress, Stage
from tl_toolkit.transfer import feature_cache
from tl_toolkit.transfer.cut import cut_model
from tl_toolkit.transfer.feature_cache import FeatureCache, SplitViews
from tl_toolkit.transfer.feature_room import NoRoomError, lease_room

PHOTO = AUGMENTATIONS["photo"]
LAYER = "conv2_block1_out"  # 16 x 16 x 16 numbers of 4 bytes an image: 16 KB
ROW_BYTES = 16 * 16 * 16 * 4


@pytest.fixture(scope="module")
def frozen():
    return cut_model(classifier(BOTTLENECK), LAYER).frozen


@pytest.fixture
def split():
    pixels = np.random.default_rng(0).integers(0, 256, (11, 20, 24, 3), np.uint8)
    return Split.of(ArrayImages(pixels), np.arange(11) % 3, first_id=5)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "SHARD_BYTES", 4 * ROW_BYTES)
    monkeypatch.setattr(feature_cache, "BATCH_SIZE", 3)
    return FeatureCache(tmp_path / "features")


@pytest.fixture
def computed(monkeypatch):
    """How many rows have been computed since."""
    counts = []
    write = feature_cache._write_shard

    def counting(path, rows):
        counts.append(len(rows))
        write(path, rows)

    monkeypatch.setattr(feature_cache, "_write_shard", counting)
    return counts


def features_of(
    cache, frozen, split, preprocessing, augmentation=None, *, seed=0, views=1, **options
):
    """Features of one split; they are in use until the result is let go."""
    wanted = [SplitViews(split, augmentation, seed, views)]
    return cache.features(frozen, wanted, preprocessing, **options)[0]


class Recorder(Progress):
    """Keeps title, total and advances of each stage."""

    def __init__(self):
        self.stages = []

    @contextlib.contextmanager
    def stage(self, title, total=None, done=0):
        stage = Stage()
        counts = []
        stage.advance = counts.append
        yield stage
        self.stages.append((title, total, sum(counts)))


def entries_of(cache):
    return [path for path in cache.place.iterdir() if path.is_dir()]


def expected(frozen, split, augmentation=None, seed=0, view=0):
    (images,) = view_reader(split, PIXELS, augmentation, seed)(np.arange(len(split)), view, 99)
    return frozen(images, training=False).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [None, PHOTO], ids=["evaluation", "photo"])
def test_every_row_is_what_the_frozen_part_makes_of_its_view(augmentation, frozen, split, cache):
    views = 2 if augmentation else 1
    features = features_of(cache, frozen, split, PIXELS, augmentation, seed=3, views=views)
    assert (features.shape, features.rows_per_shard) == ((16, 16, 16), 4)
    assert [len(shard) for shard in features.entries[0]] == [4, 4, 3]
    assert isinstance(features.entries[0][0], np.memmap)
    positions = np.array([10, 0, 4, 4, 7])
    for view in range(views):
        truth = expected(frozen, split, augmentation, 3, view)
        found = features.rows(positions, view)
        assert found.dtype == np.float32
        assert np.abs(found - truth[positions]).max() <= 1e-5 * np.abs(truth).max()


@pytest.mark.parametrize(("storage", "precision"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_half_precision_is_rounded_once(storage, precision, frozen, split, cache):
    rows = features_of(cache, frozen, split, PIXELS, storage=storage).rows(np.arange(11))
    truth = expected(frozen, split)
    assert np.abs(rows - truth).max() <= precision * 1.01 * np.abs(truth).max()
    assert np.abs(rows - truth).max() > 0


def test_an_unknown_storage_is_refused(frozen, split, cache):
    with pytest.raises(InputError, match="storage 'float8'"):
        features_of(cache, frozen, split, PIXELS, storage="float8")


@pytest.mark.parametrize("limit", [-1, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(InputError, match="at least 0 bytes, and finite"):
        FeatureCache(limit=limit)


@pytest.mark.slow
def test_what_is_there_is_not_computed_again(frozen, split, cache, computed):
    first = features_of(cache, frozen, split, PIXELS, PHOTO, views=2)
    assert sum(computed) == 22
    again = features_of(cache, frozen, split, PIXELS, PHOTO, views=2)
    more = features_of(cache, frozen, split, PIXELS, PHOTO, views=3)
    assert sum(computed) == 33
    for features in (again, more):
        rows = features.rows(np.arange(11), 1)
        assert rows.tobytes() == first.rows(np.arange(11), 1).tobytes()


def test_every_change_that_matters_is_another_entry(frozen, split, cache, monkeypatch):
    """By the names of entries alone: what stands in their shards is tested elsewhere."""
    computed = []

    def pretend(shard, advance):
        np.save(shard.path, np.zeros((shard.rows, 1), np.float32))
        computed.append(shard.rows)

    monkeypatch.setattr(feature_cache, "_compute", pretend)
    usual = {
        "frozen": frozen,
        "split": split,
        "preprocessing": PIXELS,
        "augmentation": PHOTO,
        "seed": 0,
        "storage": "float32",
    }
    changed_pixels = split.images.pixels.copy()
    changed_pixels[3, 0, 0, 0] ^= 1
    changes = {
        "nothing": {},
        "weights": {"frozen": cut_model(classifier(BOTTLENECK, seed=1), LAYER).frozen},
        "cut": {"frozen": cut_model(classifier(BOTTLENECK), "conv1_relu").frozen},
        "size": {"preprocessing": dataclasses.replace(PIXELS, image_size=24)},
        "mean": {"preprocessing": dataclasses.replace(PIXELS, mean=(1.0, 1.0, 2.0))},
        "augmentation": {"augmentation": AUGMENTATIONS["shift"]},
        "no augmentation": {"augmentation": None},
        "seed": {"seed": 1},
        "storage": {"storage": "float16"},
        "contents": {"split": dataclasses.replace(split, images=ArrayImages(changed_pixels))},
        "ids": {"split": dataclasses.replace(split, ids=split.ids + 1)},
        "order": {"split": split.take(np.arange(11)[::-1])},
    }
    entries = []
    for change in changes.values():
        features_of(cache, **{**usual, **change})
        entries.append(len(entries_of(cache)))
    assert entries == list(range(1, len(changes) + 1))
    for change in changes.values():
        before = sum(computed)
        features_of(cache, **{**usual, **change})
        assert sum(computed) == before


def test_a_killed_run_resumes_with_the_missing_shards(frozen, split, cache, computed):
    whole = features_of(cache, frozen, split, PIXELS).rows(np.arange(11))
    (entry,) = entries_of(cache)
    (entry / "00001.npy").unlink()
    (entry / "00001.npy.77.partial").write_bytes(b"half")
    computed.clear()
    again = features_of(cache, frozen, split, PIXELS).rows(np.arange(11))
    assert computed == [4]
    assert again.tobytes() == whole.tobytes()
    assert sorted(p.name for p in entry.iterdir()) == [
        "00000.npy",
        "00001.npy",
        "00002.npy",
        "manifest.json",
    ]


@pytest.mark.long
def test_files_are_known_by_size_and_time_and_then_by_contents(
    photos, tmp_path, frozen, cache, computed
):
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    source = open_images(f"folder:{root}").train.take(np.arange(6))
    assert isinstance(source.images, FileImages)
    features_of(cache, frozen, source, PIXELS)
    path = str(source.images.paths[2])
    os.utime(path, (time.time() + 9, time.time() + 9))  # touched, with the same contents
    features_of(cache, frozen, source, PIXELS)
    assert sum(computed) == 6
    shutil.copy(source.images.paths[3], path)
    features_of(cache, frozen, source, PIXELS)
    assert sum(computed) == 12


@pytest.mark.slow
def test_a_warm_start_reads_no_image(photos, frozen, cache, monkeypatch):
    few = np.arange(0, 60, 10)
    features_of(cache, frozen, open_images(f"folder:{photos}").train.take(few), PIXELS)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: pytest.fail(f"{path} was read")
                        if path.suffix == ".jpg" else path.open("rb").read())  # fmt: skip
    source = open_images(f"folder:{photos}").train.take(few)
    assert len(features_of(cache, frozen, source, PIXELS).rows(np.arange(6))) == 6


@pytest.mark.long
def test_the_least_recently_used_entry_makes_way(frozen, split, cache, computed):
    limit = 2.5 * 11 * ROW_BYTES
    cache = dataclasses.replace(cache, limit=limit)
    for seed in (0, 1):
        features_of(cache, frozen, split, PIXELS, PHOTO, seed=seed)
        time.sleep(0.02)
    features_of(cache, frozen, split, PIXELS, PHOTO, seed=0)
    time.sleep(0.02)
    features_of(cache, frozen, split, PIXELS, PHOTO, seed=2)
    assert len(entries_of(cache)) == 2
    computed.clear()
    features_of(cache, frozen, split, PIXELS, PHOTO, seed=0)
    assert computed == []
    features_of(cache, frozen, split, PIXELS, PHOTO, seed=1)
    assert sum(computed) == 11
    size = sum(path.stat().st_size for path in cache.place.rglob("*/*") if path.is_file())
    assert size <= limit


@pytest.mark.slow
def test_training_and_validation_fit_together_or_nothing_is_computed(
    frozen, split, cache, computed
):
    validation = split.take(np.arange(3))
    wanted = [SplitViews(split, PHOTO, views=2), SplitViews(validation)]
    rows = 2 * 11 + 3
    tight = dataclasses.replace(cache, limit=(rows - 1) * ROW_BYTES)
    with pytest.raises(NoRoomError, match=r"the features need 0\.00 GB, and the cache's limit is"):
        tight.features(frozen, wanted, PIXELS)
    assert computed == []
    fits = dataclasses.replace(cache, limit=rows * ROW_BYTES + 7 * feature_cache.HEADER_BYTES)
    both = fits.features(frozen, wanted, PIXELS)
    assert sum(computed) == rows
    assert [len(features.entries) for features in both] == [2, 1]
    assert both[0].lease is both[1].lease
    size = sum(path.stat().st_size for path in cache.place.glob("*/*.npy"))
    assert size == fits.limit
    for _ in range(2):  # as the next runs of the same recipe
        fits.features(frozen, wanted, PIXELS)
    assert sum(computed) == rows


@pytest.mark.slow
def test_what_a_run_reads_stays_from_the_first_image_to_its_end(
    frozen, split, cache, computed, monkeypatch
):
    cache = dataclasses.replace(cache, limit=3.5 * 11 * ROW_BYTES)
    refused = []
    write = feature_cache._write_shard

    def with_a_rival(path, rows):
        write(path, rows)
        with pytest.raises(NoRoomError, match="runs under way use"):
            lease_room(cache.place, {"rival": 11 * ROW_BYTES}, cache.limit)
        refused.append(path)

    monkeypatch.setattr(feature_cache, "_write_shard", with_a_rival)
    train, validation = cache.features(
        frozen, [SplitViews(split, PHOTO, views=2), SplitViews(split)], PIXELS
    )
    assert (len(refused), sum(computed)) == (9, 33)
    monkeypatch.undo()
    with pytest.raises(NoRoomError):
        features_of(cache, frozen, split, PIXELS, PHOTO, seed=1)
    assert train.rows(np.arange(11), 1).shape == validation.rows(np.arange(11)).shape
    train.lease.release()
    features_of(cache, frozen, split, PIXELS, PHOTO, seed=1)
    assert len(entries_of(cache)) == 3


def test_a_failure_releases_what_it_held(frozen, split, cache, monkeypatch):
    monkeypatch.setattr(np, "save", lambda *given: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(NoRoomError, match="cannot be written: disk full") as caught:
        features_of(cache, frozen, split, PIXELS)
    assert not list(cache.place.glob("*.lease*")), caught
    assert not list(cache.place.rglob("*.partial"))


@pytest.mark.slow
def test_progress_counts_the_missing_rows_of_all_splits(frozen, split, cache):
    progress = Recorder()
    validation = split.take(np.arange(3))
    features_of(cache, frozen, split, PIXELS, PHOTO, progress=progress)
    wanted = [SplitViews(split, PHOTO, views=2), SplitViews(validation)]
    for _ in range(2):
        cache.features(frozen, wanted, PIXELS, progress=progress)
    title = "Computing features of the frozen layers"
    assert progress.stages == [(title, 11, 11), (title, 14, 14)]


def test_two_at_once_compute_an_entry_once(frozen, split, cache, computed):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = [pool.submit(features_of, cache, frozen, split, PIXELS) for _ in range(2)]
        rows = [future.result().rows(np.arange(11)) for future in both]
    assert rows[0].tobytes() == rows[1].tobytes()
    assert sum(computed) == 11


def test_what_another_process_is_at_is_left_to_it_and_done_if_it_dies(
    frozen, split, cache, computed
):
    whole = features_of(cache, frozen, split, PIXELS).rows(np.arange(11))
    (entry,) = entries_of(cache)
    for shard in ("00000.npy", "00001.npy", "00002.npy"):
        (entry / shard).unlink()
    computed.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with filelock.FileLock(f"{entry}.00000.lock", is_singleton=False):
            future = pool.submit(features_of, cache, frozen, split, PIXELS)
            while len(computed) < 2:
                assert not future.done(), future.result()
                time.sleep(0.01)
            assert computed == [4, 3]
            assert not future.done()
        rows = future.result(timeout=30).rows(np.arange(11))
    assert computed == [4, 3, 4]
    assert rows.tobytes() == whole.tobytes()


def test_rows_that_were_read_do_not_count_as_memory(tmp_path):
    shards = []
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", np.full((64, 2**16), number, np.float32))
        rows = np.load(tmp_path / f"{number}.npy", mmap_mode="r").view(np.float32)
        shards.append(rows)
    features = feature_cache.Features((tuple(shards),), rows_per_shard=64)

    def megabytes_of_files():
        status = pathlib.Path("/proc/self/status").read_text()
        return int(re.search(r"RssFile:\s+(\d+)", status).group(1)) / 1024

    before = megabytes_of_files()
    for number in range(4):  # 16 MB each
        found = features.rows(np.arange(64 * number, 64 * (number + 1)))
        assert (found == number).all()
    assert megabytes_of_files() - before < 10


@pytest.mark.slow
def test_network_and_views_are_traced_once_whatever_their_number(frozen, split, cache, monkeypatch):
    made, traced = [], []
    engine, view = feature_cache.inference_engine, examples.augment_and_resize
    monkeypatch.setattr(
        feature_cache, "inference_engine", lambda model: made.append(1) or engine(model)
    )
    monkeypatch.setattr(
        examples, "augment_and_resize", lambda *given: traced.append(1) or view(*given)
    )
    for _ in range(2):
        features_of(cache, frozen, split, PIXELS, PHOTO, views=3)
        assert (len(made), len(traced)) == (1, 1)
