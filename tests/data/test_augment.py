"""A view is a pure function of (seed, image, view), inside the ranges of its preset."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tl_toolkit.catalog import AUGMENTATIONS, Preprocessing, augmentation_named
from tl_toolkit.data.augment import augment_and_resize
from tl_toolkit.data.resize import resample_window, resize_for_evaluation
from tl_toolkit.errors import InputError

SIZE = 32
PREPROCESSING = Preprocessing(image_size=SIZE)
RANDOM = tuple(name for name, preset in AUGMENTATIONS.items() if preset is not None)
CENTRED = tuple(name for name in RANDOM if AUGMENTATIONS[name].shift is not None)
SIDED = tuple(name for name in RANDOM if not AUGMENTATIONS[name].mirror)
SHAPES = {"square": (15, 15), "4:3": (15, 20), "3:4": (20, 15)}
# Every window of those is enlarged, even at a quarter of the size: a view of a ramp is a ramp.
LARGE = Preprocessing(image_size=128)
VIEWS = 400
TOLERANCE = 1e-3


def view_of(pixels, preset, seed=0, image_id=0, view=0, preprocessing=PREPROCESSING):
    return augment_and_resize(
        pixels, AUGMENTATIONS[preset], preprocessing, seed, image_id, view
    ).numpy()


def noise(height=40, width=50):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def ramp(height, width):
    """Pixels that say where they are: red is the column, green the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return pixels


@functools.cache
def windows(preset, height, width, seed):
    """Read off a ramp's views: float[VIEWS, 4] (top, left, height, width), bool[VIEWS] mirrored, flipped."""
    pixels = tf.constant(ramp(height, width))
    # The middle half is linear in the place, whatever happens at the border.
    size = LARGE.image_size
    near, far, middle = size // 4, 3 * size // 4, size // 2

    def rows_and_columns(image_id):
        view = augment_and_resize(pixels, AUGMENTATIONS[preset], LARGE, seed, image_id, 0)
        return view[near :: far - near, middle, 1], view[middle, near :: far - near, 0]

    views = tf.data.Dataset.range(VIEWS).map(rows_and_columns, tf.data.AUTOTUNE).batch(VIEWS)
    rows, columns = (values.astype(float) for values in next(views.as_numpy_iterator()))
    mirrored, flipped = columns[:, 0] > columns[:, 1], rows[:, 0] > rows[:, 1]
    columns, rows = np.sort(columns, axis=1), np.sort(rows, axis=1)
    scales = np.stack([rows[:, 1] - rows[:, 0], columns[:, 1] - columns[:, 0]], 1) / (far - near)
    # A view's pixel k shows the place start + (k + 1/2) scale; a ramp's pixel i lies at i + 1/2.
    # In a mirror, pixel k is pixel size - 1 - k.
    first = np.where(np.stack([flipped, mirrored], 1), size - 1 - far, near)
    starts = np.stack([rows[:, 0], columns[:, 0]], 1) + 0.5 - (first + 0.5) * scales
    return np.concatenate([starts, scales * size], 1), mirrored, flipped


def assert_inside(found, shape):
    top, left, height, width = found.T
    assert min(top.min(), left.min()) > -TOLERANCE
    assert (top + height).max() < shape[0] + TOLERANCE
    assert (left + width).max() < shape[1] + TOLERANCE


def assert_covers(values, low, high):
    """All of them from low to high, and next to both ends."""
    near = 0.05 * (high - low)
    assert low - TOLERANCE < values.min() < low + near
    assert high - near < values.max() < high + TOLERANCE


@pytest.mark.parametrize("preset", RANDOM)
def test_the_same_arguments_give_the_same_pixels(preset):
    first, second = (view_of(noise(), preset, 3, 5, 7) for _ in range(2))
    assert first.shape == (SIZE, SIZE, 3)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("preset", RANDOM)
def test_a_number_gives_the_same_pixels_whatever_its_type(preset, dtype):
    pixels = noise()
    keys = tf.constant(5, dtype), tf.constant(7, dtype)
    np.testing.assert_array_equal(
        view_of(pixels, preset, 3, *keys), view_of(pixels, preset, 3, 5, 7)
    )


@pytest.mark.parametrize("preset", RANDOM)
@pytest.mark.parametrize("change", [{"seed": 4}, {"image_id": 6}, {"view": 8}], ids=str)
def test_another_seed_image_or_view_gives_other_pixels(preset, change):
    arguments = {"seed": 3, "image_id": 5, "view": 7}
    pixels = noise()
    unchanged = view_of(pixels, preset, **arguments)
    changed = view_of(pixels, preset, **(arguments | change))
    assert np.abs(unchanged - changed).mean() > 5


@pytest.mark.parametrize("preset", RANDOM)
def test_image_and_view_cannot_stand_in_for_one_another(preset):
    pixels = noise()
    assert np.abs(view_of(pixels, preset, 0, 1, 2) - view_of(pixels, preset, 0, 2, 1)).mean() > 5


@pytest.mark.slow
@pytest.mark.parametrize("preset", RANDOM)
def test_a_parallel_map_gives_the_same_pixels_every_time(preset):
    pixels = tf.constant(noise())

    def views(calls):
        return np.stack(
            list(
                tf.data.Dataset.range(64)
                .map(
                    lambda n: augment_and_resize(
                        pixels, AUGMENTATIONS[preset], PREPROCESSING, 3, n % 8, n // 8
                    ),
                    num_parallel_calls=calls,
                )
                .as_numpy_iterator()
            )
        )

    parallel = views(4)
    np.testing.assert_array_equal(parallel, views(4))
    np.testing.assert_array_equal(parallel, views(1))
    np.testing.assert_array_equal(parallel[13], view_of(pixels, preset, 3, 5, 1))


def test_none_gives_the_evaluation_view():
    pixels = noise()
    expected = resize_for_evaluation(pixels, PREPROCESSING)
    for arguments in ((0, 0, 0), (1, 2, 3)):
        np.testing.assert_array_equal(view_of(pixels, "none", *arguments), expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_photo_windows_fill_the_documented_ranges_and_stay_inside_the_image(shape, seed):
    found, _, _ = windows("photo", *shape, seed)
    assert_inside(found, shape)
    top, left, height, width = found.T
    assert_covers(width / height, 3 / 4, 4 / 3)
    area = height * width / (shape[0] * shape[1])
    assert_covers(area, 0.35, area.max())
    assert 0.9 < area.max() < 1 + TOLERANCE
    for start, room in ((top, shape[0] - height), (left, shape[1] - width)):
        free = room > 1
        assert_covers(start[free] / room[free], 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_half_of_the_views_are_mirrored_or_turned_upside_down_where_the_preset_says_so(seed):
    four_deviations = 4 * 0.5 / np.sqrt(VIEWS)
    for preset in ("photo", "surface"):
        _, mirrored, flipped = windows(preset, 15, 15, seed)
        assert abs(mirrored.mean() - 0.5) < four_deviations
        expected = 0.5 if preset == "surface" else 0.0
        assert abs(flipped.mean() - expected) < (four_deviations if expected else 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("preset", CENTRED)
def test_shifted_windows_fill_the_documented_ranges(preset, shape):
    augmentation = AUGMENTATIONS[preset]
    top, left, height, width = windows(preset, *shape, seed=0)[0].T
    side = min(shape)
    assert_covers(height * width / side**2, *augmentation.area)
    assert_covers(width / height, *augmentation.aspect_ratio)
    for start, length, whole in ((top, height, shape[0]), (left, width, shape[1])):
        shift = (start + length / 2 - whole / 2) / side
        assert_covers(shift, -augmentation.shift, augmentation.shift)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("preset", SIDED)
def test_pictures_whose_sides_have_a_meaning_are_never_mirrored(preset, seed):
    _, mirrored, flipped = windows(preset, 15, 15, seed)
    assert mirrored.sum() == flipped.sum() == 0
    assert "shift" in SIDED


@pytest.mark.parametrize("preset", RANDOM)
def test_the_parts_of_a_view_are_drawn_independently(preset):
    shape = (15, 15)
    found, mirrored, flipped = windows(preset, *shape, seed=0)
    top, left, height, width = found.T
    parts = [height * width, width / height, top + height / 2, left + width / 2]
    parts += [mirrored] if AUGMENTATIONS[preset].mirror else []
    parts += [flipped] if AUGMENTATIONS[preset].flip else []
    correlations = np.corrcoef(np.array(parts, float)) - np.eye(len(parts))
    four_deviations = 4 / np.sqrt(VIEWS)
    assert np.abs(correlations).max() < four_deviations


@pytest.mark.parametrize("shape", [(3, 30), (30, 3)], ids=["wide", "tall"])
def test_the_window_of_a_strip_stays_inside_it(shape):
    assert_inside(windows("photo", *shape, seed=0)[0], shape)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("preset", AUGMENTATIONS)
def test_pixels_stay_between_0_and_255(preset, interpolation):
    checkerboard = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((5, 5)))[..., None] * 255
    pixels = np.repeat(checkerboard, 3, axis=-1).astype(np.uint8)
    if interpolation == "bicubic":
        assert resample_window(pixels, (0.0, 0.0, 40.0, 40.0), 97, "bicubic").numpy().max() > 256
    preprocessing = Preprocessing(image_size=97, interpolation=interpolation)
    views = [view_of(pixels, preset, view=v, preprocessing=preprocessing) for v in range(10)]
    assert (np.min(views), np.max(views)) == (0, 255)


def test_an_unknown_preset_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match=r"Unknown augmentation 'photos'.*Did you mean 'photo'\?"):
        augmentation_named("photos")


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_preset_is_found_by_its_name(name):
    assert augmentation_named(name) is AUGMENTATIONS[name]


def test_a_poorer_view_is_the_same_window_with_less_detail():
    preset = AUGMENTATIONS["zoom"]
    sharp = dataclasses.replace(preset, resolution=1.0)
    pixels = noise(64, 64)
    arguments = (Preprocessing(image_size=64), 0, 0)
    detail = []
    for view in range(40):
        poorer = augment_and_resize(pixels, preset, *arguments, view).numpy()
        whole = augment_and_resize(pixels, sharp, *arguments, view).numpy()
        # Where the image continues, the local mean is the same and the variance is less.
        middle = slice(16, 48)
        assert abs(poorer[middle, middle].mean() - whole[middle, middle].mean()) < 6
        detail.append(poorer[middle, middle].std() / whole[middle, middle].std())
    assert max(detail) < 1.05
    assert min(detail) < 0.4
    assert np.std(detail) > 0.1
