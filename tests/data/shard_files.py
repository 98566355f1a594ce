"""Shards as other people's programs write them: by `webdataset`, `tarfile` and TensorFlow."""

import io
import tarfile

import tensorflow as tf
import webdataset

from tl_toolkit.data.shard_samples import DamagedShardError


def write_wds(path, samples):
    """Writes samples such as `{"__key__": "a/1", "jpg": b"…", "cls": 3}` with WebDataset's own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(sample)
    return path


def write_tar(path, members, **options):
    """Writes (name, contents) with Python's `tarfile`; of contents None, a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, **{"mode": "w", **options}) as tar:
        for name, contents in members:
            info = tarfile.TarInfo(name)
            if contents is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(contents)
                tar.addfile(info, io.BytesIO(contents))
    return path


def example(**features):
    """A serialized `tf.train.Example`; `__` in a name stands for `/`."""

    def feature(value):
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    made = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def write_records(path, records, compression=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return path


def read_until_damage(samples):
    """Returns the samples that come before the damage, and what is said of it."""
    found = []
    try:
        for sample in samples:
            found.append(sample)
    except DamagedShardError as error:
        return found, str(error)
    raise AssertionError(f"the damage was not noticed: {len(found)} samples")
