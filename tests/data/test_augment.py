"""A view is a pure function of (seed, image, view), inside the ranges of its preset."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from families import long_after

from tl_toolkit.catalog import AUGMENTATIONS, Augmentation, Preprocessing, augmentation_named
from tl_toolkit.data.augment import augment_and_resize
from tl_toolkit.data.geometry import random_view_window, random_window, reversed_where
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
# The middle half of a view is linear in the place, whatever happens at the border.
NEAR, FAR, MIDDLE = LARGE.image_size // 4, 3 * LARGE.image_size // 4, LARGE.image_size // 2
VIEWS = 400
TOLERANCE = 1e-3


def view_of(pixels, preset, seed=0, image_id=0, view=0, preprocessing=PREPROCESSING):
    return augment_and_resize(
        pixels, AUGMENTATIONS[preset], preprocessing, seed, image_id, view
    ).numpy()


# Pixels of two views each as the presets' first code gave them: a recipe's views stay what they were.
FIRST_VIEWS = {
    "none": [[118.225, 139.125, 125.740, 62.645], [118.225, 139.125, 125.740, 62.645]],
    "photo": [[202.570, 77.797, 128.920, 59.499], [64.832, 133.456, 106.152, 64.450]],
    "shift": [[155.701, 97.187, 38.213, 97.510], [119.412, 166.234, 171.982, 66.825]],
    "surface": [[211.338, 159.180, 177.381, 80.996], [156.511, 109.024, 211.580, 141.825]],
    "zoom": [[128.275, 130.399, 111.969, 128.599], [147.389, 165.309, 131.363, 131.187]],
}


def noise(height=40, width=50):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def ramp(height, width):
    """Pixels that say where they are: red is the column, green the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return pixels


@functools.cache
def rows_and_columns_of(preset, seed):
    """Returns a function of pixels and an image's number, traced once: two places of a view in each direction."""
    # The window and its mirror images alone: a ramp that is turned or recoloured does not say where it is.
    augmentation = dataclasses.replace(
        AUGMENTATIONS[preset],
        quarter_turns=False,
        brightness=0.0,
        contrast=0.0,
        operations=0,
        erasing=0.0,
    )

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.uint8),
            tf.TensorSpec([], tf.int64),
        ],
        autograph=False,
    )
    def rows_and_columns(pixels, image_id):
        view = augment_and_resize(pixels, augmentation, LARGE, seed, image_id, 0)
        return view[NEAR :: FAR - NEAR, MIDDLE, 1], view[MIDDLE, NEAR :: FAR - NEAR, 0]

    return rows_and_columns


@functools.cache
def windows(preset, height, width, seed):
    """Read off a ramp's views: float[VIEWS, 4] (top, left, height, width), bool[VIEWS] mirrored, flipped."""
    pixels, rows_and_columns = tf.constant(ramp(height, width)), rows_and_columns_of(preset, seed)
    views = (
        tf.data.Dataset.range(VIEWS)
        .map(lambda image_id: rows_and_columns(pixels, image_id), tf.data.AUTOTUNE)
        .batch(VIEWS)
    )
    rows, columns = (values.astype(float) for values in next(views.as_numpy_iterator()))
    mirrored, flipped = columns[:, 0] > columns[:, 1], rows[:, 0] > rows[:, 1]
    columns, rows = np.sort(columns, axis=1), np.sort(rows, axis=1)
    scales = np.stack([rows[:, 1] - rows[:, 0], columns[:, 1] - columns[:, 0]], 1) / (FAR - NEAR)
    # A view's pixel k shows the place start + (k + 1/2) scale; a ramp's pixel i lies at i + 1/2.
    # In a mirror, pixel k is pixel size - 1 - k.
    first = np.where(np.stack([flipped, mirrored], 1), LARGE.image_size - 1 - FAR, NEAR)
    starts = np.stack([rows[:, 0], columns[:, 0]], 1) + 0.5 - (first + 0.5) * scales
    return np.concatenate([starts, scales * LARGE.image_size], 1), mirrored, flipped


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


@pytest.mark.parametrize("preset", FIRST_VIEWS)
def test_the_views_of_the_first_presets_stay_what_they_were(preset):
    views = [view_of(noise(), preset, 3, 5, view) for view in (0, 7)]
    found = [view[[4, 9, 20, 28], [7, 25, 16, 3], [0, 1, 2, 0]] for view in views]
    # Other processors round otherwise; another draw is off by tens.
    np.testing.assert_allclose(found, FIRST_VIEWS[preset], atol=0.01)


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
@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(preset, marks=[] if preset == "photo" else pytest.mark.long)
        for preset in RANDOM
    ],
)
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
@pytest.mark.parametrize("seed", long_after(1, [0, 1]))
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


@pytest.mark.parametrize("resize", ["squash", "letterbox"])
def test_windows_in_an_image_that_is_made_square_keep_their_shape_in_the_square(resize):
    augmentation, height, width = AUGMENTATIONS["photo"], 40.0, 100.0
    scales = (height, width) if resize == "squash" else (width, width)
    beside = (0.0, 0.0) if resize == "squash" else (-(width - height) / 2, 0.0)
    for seed in range(50):
        u = tf.unstack(tf.random.stateless_uniform([4], (seed, 0)))
        one = tf.constant(1.0)
        in_square = np.array(random_window(augmentation, one, one, u))
        found = np.array(
            random_view_window(augmentation, resize, tf.constant(height), tf.constant(width), u)
        )
        np.testing.assert_allclose(found[:2] - beside, in_square[:2] * scales, atol=1e-3)
        np.testing.assert_allclose(found[2:], in_square[2:] * scales, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("axis", "mirrored"), [(0, np.flipud), (1, np.fliplr)])
def test_a_mirror_moves_pixels_and_changes_none(axis, mirrored):
    pixels = noise().astype(np.float32)
    np.testing.assert_array_equal(reversed_where(tf.constant(True), pixels, axis), mirrored(pixels))
    np.testing.assert_array_equal(reversed_where(tf.constant(False), pixels, axis), pixels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", long_after(1, [0, 1, 2]))
def test_half_of_the_views_are_mirrored_or_turned_upside_down_where_the_preset_says_so(seed):
    four_deviations = 4 * 0.5 / np.sqrt(VIEWS)
    for preset in ("photo", "surface"):
        _, mirrored, flipped = windows(preset, 15, 15, seed)
        assert abs(mirrored.mean() - 0.5) < four_deviations
        expected = 0.5 if preset == "surface" else 0.0
        assert abs(flipped.mean() - expected) < (four_deviations if expected else 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("preset", long_after(2, CENTRED))
def test_shifted_windows_fill_the_documented_ranges(preset, shape):
    augmentation = AUGMENTATIONS[preset]
    top, left, height, width = windows(preset, *shape, seed=0)[0].T
    side = min(shape)
    assert_covers(height * width / side**2, *augmentation.area)
    assert_covers(width / height, *augmentation.aspect_ratio)
    for start, length, whole in ((top, height, shape[0]), (left, width, shape[1])):
        shift = (start + length / 2 - whole / 2) / side
        assert_covers(shift, -augmentation.shift, augmentation.shift)


@pytest.mark.parametrize("seed", long_after(1, [0, 1]))
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


WINDOW_FIELDS = ("area", "aspect_ratio", "shift", "mirror", "resolution", "flip")
STILL = Augmentation(area=(1.0, 1.0), aspect_ratio=(1.0, 1.0), shift=None, mirror=False)


def views_of(augmentation, pixels, count):
    preprocessing = Preprocessing(image_size=len(pixels))
    views = (
        tf.data.Dataset.range(count)
        .map(lambda view: augment_and_resize(pixels, augmentation, preprocessing, 3, 5, view), 2)
        .batch(count)
    )
    return next(views.as_numpy_iterator())


def symmetries(pixels):
    """The eight ways in which a square lies on itself, each exact."""
    return [np.rot90(p, turns) for p in (pixels, pixels[:, ::-1]) for turns in range(4)]


def which(views, candidates):
    """The number of the candidate that each view is, to the last bit."""
    found = [[n for n, c in enumerate(candidates) if (view == c).all()] for view in views]
    assert all(len(matches) == 1 for matches in found)
    return np.array([matches[0] for matches in found])


def test_quarter_turns_alone_are_the_four_rotations_and_exact():
    pixels = noise(16, 16)
    turned = which(
        views_of(dataclasses.replace(STILL, quarter_turns=True), pixels, 200),
        symmetries(pixels.astype(np.float32)),
    )
    assert set(turned) == {0, 1, 2, 3}
    assert np.bincount(turned).min() > 200 / 4 - 4 * np.sqrt(200 * 3 / 16)


def test_with_flips_every_symmetry_of_the_square_is_as_frequent():
    pixels = noise(16, 16)
    augmentation = dataclasses.replace(STILL, quarter_turns=True, mirror=True, flip=True)
    found = which(views_of(augmentation, pixels, 400), symmetries(pixels.astype(np.float32)))
    deviation = np.sqrt(400 * 7 / 64)
    assert np.abs(np.bincount(found, minlength=8) - 50).max() < 4 * deviation


def test_quarter_turns_change_nothing_else_of_a_view():
    pixels = noise()
    plain = AUGMENTATIONS["surface"]
    turned = dataclasses.replace(plain, quarter_turns=True)
    for view in range(8):
        expected = augment_and_resize(pixels, plain, PREPROCESSING, 0, 0, view).numpy()
        found = augment_and_resize(pixels, turned, PREPROCESSING, 0, 0, view).numpy()
        assert any((found == np.rot90(expected, turns)).all() for turns in range(4))


def test_brightness_is_a_factor_within_its_range():
    pixels = np.full((16, 16, 3), 100, np.uint8)
    views = views_of(dataclasses.replace(STILL, brightness=0.2), pixels, 200)
    assert np.ptp(views, axis=(1, 2, 3)).max() < TOLERANCE
    assert_covers(views[:, 0, 0, 0], 80, 120)


def test_contrast_is_a_factor_about_the_mean_within_its_range():
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8], pixels[8:] = 100, 140
    views = views_of(dataclasses.replace(STILL, contrast=0.5), pixels, 200)
    np.testing.assert_allclose(views.mean((1, 2, 3)), 120, atol=1e-3)
    assert_covers(views[:, 12, 0, 0] - views[:, 4, 0, 0], 20, 60)


def test_mixing_leaves_the_views_of_single_images_alone():
    pixels = noise()
    strong = AUGMENTATIONS["strong"]
    assert strong.mixes
    assert not strong.without_mixing().mixes
    for augmentation in (strong, strong.without_mixing()):
        found = augment_and_resize(pixels, augmentation, PREPROCESSING, 0, 1, 2)
        np.testing.assert_array_equal(found, view_of(pixels, "strong", 0, 1, 2))


def test_no_data_set_is_mixed_or_recoloured_unless_asked():
    first = {"none", "photo", "shift", "surface", "zoom"}
    assert set(AUGMENTATIONS) - first == {"light", "strong", "overhead"}
    for name in first - {"none"}:
        preset = AUGMENTATIONS[name]
        plain = dataclasses.replace(STILL, **{f: getattr(preset, f) for f in WINDOW_FIELDS})
        assert preset == plain
