"""Each op against SciPy, Pillow or a plain loop; the random ones for their seeds."""

import collections
import colorsys
import functools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from semisup.data import augmentation
from semisup.data.augmentation import by_name, colour, geometry, rand_augment
from semisup.data.augmentation.draw import Draw
from semisup.data.pipeline import association_batches
from semisup.errors import InputError

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def numbers_of_its_own():
    """Each test draws the same numbers, whichever ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(1)


IMAGES = RANDOM.integers(0, 256, (5, 20, 14, 3), dtype=np.uint8)
MATRICES = np.eye(2) + RANDOM.normal(scale=0.3, size=(5, 2, 2))
SHIFTS = RANDOM.normal(scale=6, size=(5, 2))


def scipy_warp(image, matrix, shift, mode):
    """The same transform, in SciPy's order (row, column) and its own words for borders."""
    height, width, channels = image.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    result = np.empty(image.shape)
    places = np.empty((2, height, width))
    for y in range(height):
        for x in range(width):
            place = matrix @ (np.array([x, y]) - centre) + centre + shift
            places[:, y, x] = place[::-1]
    for c in range(channels):
        channel = image[..., c].astype(np.float64)
        result[..., c] = ndimage.map_coordinates(channel, places, order=1, mode=mode, cval=0)
    return result


def transforms():
    matrices, shifts = tf.constant(MATRICES, tf.float32), tf.constant(SHIFTS, tf.float32)
    return geometry.about_centre(matrices, shifts, 20, 14)


def test_warp_equals_scipy():
    got = geometry.warp(tf.constant(IMAGES), transforms())
    for n in range(5):
        wanted = scipy_warp(IMAGES[n], MATRICES[n], SHIFTS[n], "grid-constant")
        np.testing.assert_allclose(got[n], wanted, atol=0.02)


@pytest.mark.parametrize(("wrap", "mode"), [(True, "grid-wrap"), (False, "reflect")])
def test_warp_over_border_equals_scipy(wrap, mode):
    got = geometry.warp_over_border(tf.constant(IMAGES), transforms(), tf.fill([5], wrap))
    for n in range(5):
        wanted = scipy_warp(IMAGES[n], MATRICES[n], SHIFTS[n], mode)
        np.testing.assert_allclose(got[n], wanted, atol=0.02)


def test_warp_over_border_takes_a_border_for_each_image():
    chosen = tf.constant([True, False, True, False, True])
    got = geometry.warp_over_border(tf.constant(IMAGES), transforms(), chosen)
    for n, mode in enumerate(["grid-wrap", "reflect"] * 2 + ["grid-wrap"]):
        wanted = scipy_warp(IMAGES[n], MATRICES[n], SHIFTS[n], mode)
        np.testing.assert_allclose(got[n], wanted, atol=0.02)


def test_rotations_turn_about_the_centre():
    image = np.zeros((1, 9, 9, 1), np.uint8)
    image[0, 4, 7] = 200  # three to the right of the centre
    matrices = geometry.rotations(tf.constant([90.0]))
    places = geometry.about_centre(matrices, tf.zeros([1, 2]), 9, 9)
    turned = geometry.warp(tf.constant(image), places).numpy()
    assert np.unravel_index(turned[0, ..., 0].argmax(), (9, 9)) == (1, 4)
    np.testing.assert_allclose(turned.max(), 200, atol=0.01)


def test_gaussian_blur_equals_scipy():
    got = colour.gaussian_blur(tf.constant(IMAGES))
    # 7 pixels: three to each side. SciPy's "mirror" is cb|abc.
    blurred = ndimage.gaussian_filter(
        IMAGES.astype(np.float64), (0, 1.4, 1.4, 0), mode="mirror", radius=(0, 3, 3, 0)
    )
    np.testing.assert_allclose(got, blurred, atol=1e-3)


def test_adjust_colours_equals_a_loop():
    brightness, saturation, hue = [0.1, -0.2, 0.0], [0.5, 1.2, 1.0], [0.0, 0.1, -0.3]
    images = IMAGES[:3, :6, :5]
    got = colour.adjust_colours(
        tf.constant(images), tf.constant(brightness), tf.constant(saturation), tf.constant(hue)
    )
    for place in np.ndindex(3, 6, 5):
        n = place[0]
        rgb = np.clip(images[place] / 255 + brightness[n], 0, 1)
        h, s, v = colorsys.rgb_to_hsv(*rgb)
        wanted = colorsys.hsv_to_rgb((h + hue[n]) % 1, min(s * saturation[n], 1), v)
        np.testing.assert_allclose(got[place], np.array(wanted) * 255, atol=0.05)


def test_to_grey_and_invert_change_the_chosen_only():
    chosen = np.array([True, False, True, False, False])
    grey = colour.to_grey(tf.constant(IMAGES), tf.constant(chosen)).numpy()
    np.testing.assert_array_equal(grey[~chosen], IMAGES[~chosen])
    weights = np.array([0.299, 0.587, 0.114])
    for c in range(3):
        np.testing.assert_allclose(grey[chosen][..., c], IMAGES[chosen] @ weights, atol=1e-3)
    inverted = colour.invert(tf.constant(IMAGES), tf.constant(chosen)).numpy()
    np.testing.assert_array_equal(inverted[~chosen], IMAGES[~chosen])
    np.testing.assert_array_equal(inverted[chosen], 255 - IMAGES[chosen])


def test_crop_with_reflection_equals_numpy():
    corners = np.array([[0, 0], [3, -2], [-13, 19], [13, -19], [-1, 1]])
    flip = np.array([False, True, False, True, True])
    images = tf.constant(IMAGES)
    got = geometry.crop_with_reflection(images, tf.constant(corners, tf.int32), tf.constant(flip))
    assert got.dtype == tf.uint8
    padded = np.pad(IMAGES, ((0, 0), (19, 19), (13, 13), (0, 0)), mode="reflect")
    for n, (x, y) in enumerate(corners):
        wanted = padded[n, 19 + y : 39 + y, 13 + x : 27 + x]
        np.testing.assert_array_equal(got[n], wanted[:, ::-1] if flip[n] else wanted)


def in_pillow(change, images=IMAGES):
    """Each image changed by `change(number, Pillow's image)`."""
    pictures = [change(n, Image.fromarray(image.squeeze())) for n, image in enumerate(images)]
    return np.stack([np.asarray(picture) for picture in pictures]).reshape(images.shape)


FACTORS = [0.0, 0.4, 1.0, 1.3, 1.9]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("change", "enhancer"),
    [
        (colour.change_brightness, ImageEnhance.Brightness),
        (colour.change_contrast, ImageEnhance.Contrast),
        (colour.change_colour, ImageEnhance.Color),
        (colour.change_sharpness, ImageEnhance.Sharpness),
    ],
)
def test_change_of_colours_equals_pillow(change, enhancer, channels):
    images = np.ascontiguousarray(IMAGES[..., :channels])
    got = change(tf.constant(images), tf.constant(FACTORS)).numpy()
    wanted = in_pillow(lambda n, image: enhancer(image).enhance(FACTORS[n]), images)
    # Pillow rounds the image that it starts from, and cuts the fractions off.
    np.testing.assert_allclose(got, wanted, atol=1.51)
    np.testing.assert_allclose(change(tf.constant(images), tf.ones(5)), images, atol=1e-4)


def test_posterize_and_solarize_equal_pillow():
    bits, thresholds = [1, 4, 5, 7, 8], [0, 1, 100, 255, 256]
    got = colour.posterize(tf.constant(IMAGES), tf.constant(bits, tf.float32))
    wanted = in_pillow(lambda n, image: ImageOps.posterize(image, bits[n]))
    np.testing.assert_array_equal(got, wanted)
    got = colour.solarize(tf.constant(IMAGES), tf.constant(thresholds, tf.float32))
    wanted = in_pillow(lambda n, image: ImageOps.solarize(image, thresholds[n]))
    np.testing.assert_array_equal(got, wanted)


def test_stretch_contrast_equals_pillow():
    faint = (40 + IMAGES // np.array([2, 3, 5])).astype(np.uint8)
    faint[1, ..., 2] = 7  # a single value
    got = colour.stretch_contrast(tf.constant(faint))
    wanted = in_pillow(lambda n, image: ImageOps.autocontrast(image), faint)
    np.testing.assert_allclose(got, wanted, atol=1.01)  # Pillow cuts the fractions off
    np.testing.assert_array_equal(got[1, ..., 2], faint[1, ..., 2])


def test_shear_translate_and_rotate_equal_scipy_on_grey_ground():
    x, y = np.array([0.3, -0.3, 0, 0.2, 0]), np.array([0, 0.1, -0.3, 0.2, 0])
    images, x_, y_ = tf.constant(IMAGES), tf.constant(x, tf.float32), tf.constant(y, tf.float32)
    sheared = rand_augment.shear(images, x_, y_)
    moved = rand_augment.translate(images, x_, y_)
    turned = rand_augment.rotate(images, 100 * x_)
    for n in range(5):
        cos, sin = np.cos(np.deg2rad(100 * x[n])), np.sin(np.deg2rad(100 * x[n]))
        for got, matrix, shift in (
            (sheared, np.array([[1, x[n]], [y[n], 1]]), np.zeros(2)),
            (moved, np.eye(2), np.array([14 * x[n], 20 * y[n]])),
            (turned, np.array([[cos, -sin], [sin, cos]]), np.zeros(2)),
        ):
            on_grey = IMAGES[n].astype(float) - 128
            wanted = 128 + scipy_warp(on_grey, matrix, shift, "grid-constant")
            np.testing.assert_allclose(got[n], wanted, atol=0.02)


def test_cut_out_covers_a_quarter_of_the_side():
    centres = np.array([[7, 10], [0, 0], [13, 19], [3, 1], [6, 18]])
    got = rand_augment.cut_out(tf.constant(IMAGES), tf.constant(centres, tf.int32))
    assert got.dtype == tf.uint8
    for n, (x, y) in enumerate(centres):
        wanted = IMAGES[n].copy()
        # 20 // 4 = 5 rows, 14 // 4 = 3 columns, about the centre
        wanted[max(y - 2, 0) : y + 3, max(x - 1, 0) : x + 2] = 128
        np.testing.assert_array_equal(got[n], wanted)


def test_rand_augment_changes_each_image_by_what_was_drawn_for_it(monkeypatch):
    """Operations that add their number tell which image got which."""

    def add(images, amounts):
        return tf.cast(images, tf.float32) + amounts[:, None, None, None]

    numbers = [1.0, 10.0, 60.0]
    monkeypatch.setattr(rand_augment, "_OPERATIONS", [(add, n, n) for n in numbers])
    seed, images = tf.constant([3, 4], tf.int64), RANDOM.integers(0, 100, (400, 2, 2, 1), np.uint8)
    got = rand_augment.rand_augment(tf.constant(images), Draw(seed, 400)).numpy()
    draw, added = Draw(seed, 400), np.zeros(400)
    for _ in range(2):
        added += np.take(numbers, draw.integers(3))
        draw.uniform(0.0, 1.0)  # the amounts
    assert set(added) == {2, 11, 20, 61, 70, 120}
    np.testing.assert_array_equal(got, images + added[:, None, None, None])


def test_rand_augment_draws_every_operation_within_its_range(monkeypatch):
    drawn = {}

    def note(number, images, amounts):
        drawn[number] = amounts.numpy()
        return images

    ranges = [(low, high) for _, low, high in rand_augment._OPERATIONS]
    operations = [(functools.partial(note, i), *ranges[i]) for i in range(len(ranges))]
    monkeypatch.setattr(rand_augment, "_OPERATIONS", operations)
    monkeypatch.setattr(rand_augment, "_DRAWN", 1)
    images = np.zeros((26000, 1, 1, 1), np.uint8)
    rand_augment.rand_augment(tf.constant(images), Draw(tf.constant([0, 0]), 26000))
    for number, (low, high) in enumerate(ranges):
        assert 1800 < len(drawn[number]) < 2200
        assert low <= drawn[number].min() < drawn[number].max() < high
        np.testing.assert_allclose(np.mean(drawn[number]), (low + high) / 2, atol=(high - low) / 40)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_augmentations_are_functions_of_the_seed(name, channels):
    if name in ("stl10", "colouring", "blending") and channels == 1:
        pytest.skip("of colours")
    images = IMAGES[..., :channels]
    augment = augmentation.get_augmentation(name)
    in_graph = tf.function(augment)
    one = augment(images, tf.constant([1, 2], tf.int64))
    assert one.dtype == tf.uint8
    assert one.shape == images.shape
    np.testing.assert_array_equal(one, in_graph(images, tf.constant([1, 2], tf.int64)))
    assert not np.array_equal(one, augment(images, tf.constant([1, 3], tf.int64)))
    ops = in_graph.get_concrete_function(
        tf.TensorSpec(images.shape, tf.uint8), tf.TensorSpec([2], tf.int64)
    ).graph.get_operations()
    assert not any("PyFunc" in op.type for op in ops)


@pytest.mark.parametrize("name", ["digits", "digits_mild", "svhn", "stl10", "photos_strong"])
def test_augmentations_are_small_on_average_and_differ_by_image(name):
    smooth = ndimage.gaussian_filter(RANDOM.random((1, 32, 32, 3)), (0, 4, 4, 0))
    smooth = 60 + 130 * (smooth - smooth.min()) / np.ptp(smooth)
    smooth = np.repeat(smooth, 200, axis=0).astype(np.uint8)
    got = augmentation.get_augmentation(name)(smooth, tf.constant([0, 0], tf.int64)).numpy()
    assert len(np.unique(got.reshape(200, -1), axis=0)) == 200
    assert 1 < np.mean(np.abs(got.astype(float) - smooth)) < 60


@pytest.fixture
def arguments(monkeypatch):
    """Of an augmentation of 4,000 black images: what it called functions with, by their names."""

    def noted(augmentation, *names):
        given = {}

        def note(name, function):
            def noting(*arguments):
                given[name] = [np.asarray(argument) for argument in arguments]
                return function(*arguments)

            monkeypatch.setattr(by_name, name, noting)

        for name in names:
            note(name, getattr(by_name, name))
        images = tf.zeros([4000, 4, 6, 3], tf.uint8)
        by_name.AUGMENTATIONS[augmentation](images, tf.constant([0, 0], tf.int64))
        return given

    return noted


@pytest.mark.parametrize(
    ("name", "bend", "shift"),
    [("digits", 0.1, 1.5), ("digits_mild", 0.05, 0.75), ("svhn", 0.15, 2.0)],
)
def test_affine_augmentations_bend_and_shift_by_what_they_say(name, bend, shift, arguments):
    matrices, shifts, height, width = arguments(name, "about_centre")["about_centre"]
    assert (height, width) == (4, 6)
    np.testing.assert_allclose(np.mean(matrices, axis=0), np.eye(2), atol=bend / 15)
    np.testing.assert_allclose(np.std(matrices, axis=0), np.full((2, 2), bend), rtol=0.05)
    np.testing.assert_allclose(np.std(shifts, axis=0), [shift, shift], rtol=0.05)


def test_augment_svhn_repeats_half_of_the_borders_and_blurs_half_of_the_images(monkeypatch):
    shares = {}

    def warp(images, transforms, wrap):
        shares["repeated"] = np.mean(wrap)
        return tf.cast(images, tf.float32)

    monkeypatch.setattr(by_name, "warp_over_border", warp)
    monkeypatch.setattr(by_name, "gaussian_blur", lambda images: images + 1)
    images = np.zeros((4000, 2, 2, 1), np.uint8)
    got = by_name.augment_svhn(images, tf.constant([0, 0], tf.int64)).numpy()
    shares["blurred"] = np.mean(got)
    assert set(np.unique(got)) == {0, 1}
    assert shares == pytest.approx({"repeated": 0.5, "blurred": 0.5}, abs=0.03)


def test_augment_stl10_draws_what_the_authors_drew(arguments):
    given = arguments("stl10", "rotations", "about_centre", "adjust_colours", "to_grey")
    sides = np.linalg.det(given["about_centre"][0])  # below 0 where mirrored
    _, brightness, saturation, hue = given["adjust_colours"]
    for drawn, low, high in (
        (given["rotations"][0], -10, 10),
        (np.sqrt(np.abs(sides)), 0.8, 1),
        (brightness, -0.25, 0.25),
        (saturation, 0.5, 1.2),
        (hue, -0.1, 0.1),
    ):
        ends = np.min(drawn), np.max(drawn)
        np.testing.assert_allclose(ends, (low, high), atol=0.01 * (high - low))
        np.testing.assert_allclose(np.mean(drawn), (low + high) / 2, atol=0.02 * (high - low))
    assert [np.mean(sides < 0), np.mean(given["to_grey"][1])] == pytest.approx([0.5] * 2, abs=0.03)
    # Cropped at any place where the part lies within the image, of 4 x 6 pixels.
    margins = (1 - np.sqrt(np.abs(sides)))[:, None] * [3, 2]
    places = given["about_centre"][1] / margins
    np.testing.assert_allclose(np.min(places, axis=0), [-1, -1], atol=0.02)
    np.testing.assert_allclose(np.max(places, axis=0), [1, 1], atol=0.02)


def test_augment_inversion_hits_every_second_image():
    images = np.zeros((2000, 2, 2, 1), np.uint8)
    got = augmentation.get_augmentation("inversion")(images, tf.constant([0, 0], tf.int64)).numpy()
    assert set(np.unique(got)) == {0, 255}
    assert abs(np.mean(got == 255) - 0.5) < 0.05


@pytest.mark.parametrize("name", ["photos", "photos_strong"])
def test_augment_photos_is_the_same_in_a_graph_of_many_images(name):
    images = RANDOM.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    augment = augmentation.get_augmentation(name)
    for step in range(3):
        seed = tf.constant([7, step], tf.int64)
        both = (f(images, seed) for f in (augment, tf.function(augment)))
        eager, graph = (changed.numpy().astype(int) for changed in both)
        # A graph joins operations, so a value may be rounded the other way.
        assert np.abs(eager - graph).max() <= 1
        assert np.mean(eager != graph) < 1e-4


def test_augment_photos_crops_and_flips():
    """Every shift of up to an eighth of each side, and both orientations, and nothing else."""
    image = RANDOM.integers(0, 256, (1, 16, 24, 1), dtype=np.uint8)
    images = np.repeat(image, 3000, axis=0)
    got = augmentation.get_augmentation("photos")(images, tf.constant([0, 0], tf.int64)).numpy()
    padded = np.pad(image[0], ((2, 2), (3, 3), (0, 0)), mode="reflect")
    crops = [padded[y : y + 16, x : x + 24] for y in range(5) for x in range(7)]
    wanted = {crop[:, ::turn].tobytes() for crop in crops for turn in (1, -1)}
    count = collections.Counter(changed.tobytes() for changed in got)
    assert set(count) == wanted
    assert max(count.values()) < 2 * 3000 / len(wanted)


def test_augment_photos_strong_cuts_a_square_out():
    black = np.zeros((2000, 32, 32, 1), np.uint8)
    got = augmentation.get_augmentation("photos_strong")(black, tf.constant([0, 0], tf.int64))
    grey = np.sum(got.numpy() == rand_augment.GREY, axis=(1, 2, 3))
    assert grey.min() >= 4 * 4  # in a corner
    assert np.mean(grey == 8 * 8) > 0.3  # within the image, and nothing moved


def test_augment_colouring_gives_ink_and_ground_that_differ():
    digits = np.zeros((300, 3, 2, 3), np.uint8)
    digits[:, 0], digits[:, 1] = 255, 51  # white, and a fifth of it; the rest is black
    coloured = augmentation.AUGMENTATIONS["colouring"](tf.constant(digits), tf.constant([3, 4]))
    ink, edge, ground = np.moveaxis(coloured.numpy(), 1, 0)
    np.testing.assert_allclose(edge, ground + (ink - ground) / 5, atol=1e-3)
    contrast = np.abs((ink - ground).mean(axis=2))
    per_channel = np.abs(ink - ground)
    assert np.all((contrast >= 50) | np.all(np.isclose(per_channel, 128, atol=0.1), axis=2))
    assert min(ink.std(axis=0).min(), ground.std(axis=0).min()) > 50  # all kinds of colours
    assert 0 <= coloured.numpy().min() <= coloured.numpy().max() <= 256


def test_bounding_boxes_are_those_of_what_is_bright():
    images = np.zeros((3, 20, 28, 2), np.uint8)
    images[0, 4:10, 3:6, 1] = 65  # 6 rows from 4 on, 3 columns from 3 on
    images[1, 19, 27, 0] = 255
    images[2] = 64  # not bright
    centres, sides = geometry.bounding_boxes(tf.constant(images))
    np.testing.assert_array_equal(centres, [[4, 6.5], [27, 19], [13.5, 9.5]])
    np.testing.assert_array_equal(sides, [6, 1, 28])


def test_augment_framing_gives_digits_of_every_size_the_same_sizes(monkeypatch):
    images = np.zeros((600, 28, 28, 1), np.uint8)
    images[:300, 2:26, 4:20] = images[300:, 20:26, 2:6] = 255  # large; small in a corner
    framed = augmentation.AUGMENTATIONS["framing"](tf.constant(images), tf.constant([3, 4]))
    monkeypatch.setattr(geometry, "_BRIGHT", 128.0)
    centres, sides = (found.numpy() for found in geometry.bounding_boxes(framed))
    assert np.abs(centres - 13.5).mean() < 1.5
    for part in (sides[:300], sides[300:]):
        assert 0.75 * 28 < np.median(part) < 0.9 * 28
        assert np.quantile(part, 0.05) > 0.58 * 28
        assert part.std() > 1.5


def test_augment_blending_is_a_difference_from_a_texture():
    digits = np.zeros((200, 24, 32, 3), np.uint8)
    black, white = (
        augmentation.AUGMENTATIONS["blending"](tf.constant(x), tf.constant([3, 4])).numpy()
        for x in (digits, digits + np.uint8(255))
    )
    np.testing.assert_allclose(black + white, 255, atol=1e-3)
    assert black.mean(axis=(1, 2, 3)).std() > 25  # dark and light ones
    busy = black.std(axis=(1, 2)).mean(axis=1)
    assert busy.min() < 12
    assert busy.max() > 45


def test_get_augmentation_refuses_an_unknown_name():
    with pytest.raises(
        InputError, match="unknown augmentation 'mixup'; known: none, digits, digits_mild"
    ):
        augmentation.get_augmentation("mixup")


SEED = (0, 1)


@pytest.mark.parametrize("name", ["stl10", "colouring", "blending"])
def test_augmentation_of_colours_refuses_grey_images(name):
    augment = augmentation.get_augmentation(name)
    grey, labels = IMAGES[..., :1], np.arange(5) % 2
    wanted = f"{name} changes colours, but the images have 1 channel, not 3; try `augmentation="
    with pytest.raises(InputError, match=wanted):
        augment(grey, SEED)
    with pytest.raises(InputError, match=wanted):
        association_batches(grey, labels, grey, augment=augment, augment_unlabeled=augment)


@pytest.mark.parametrize("name", sorted(augmentation.AUGMENTATIONS))
@pytest.mark.parametrize(
    ("images", "line"),
    [
        (
            IMAGES[0],
            r"takes images \[N, H, W, C\], but these are \(20, 14, 3\); give images\[None\] if",
        ),
        (
            IMAGES[..., 0],
            r"but these are \(5, 20, 14\); .* images\[\.\.\., None\] if they are grey",
        ),
        ([IMAGES[0], IMAGES[0, 1:]], "these are no images of one size; give an array or a tensor"),
    ],
)
def test_augmentation_refuses_what_is_no_batch_of_images(name, images, line):
    with pytest.raises(InputError, match=line):
        augmentation.get_augmentation(name)(images, SEED)


@pytest.mark.parametrize("shape", [(None, None, None, 3), (None, 8, 8, None), None])
def test_augmentation_refuses_sizes_that_a_graph_does_not_know(shape):
    augment = tf.function(augmentation.get_augmentation("svhn"), autograph=False)
    with pytest.raises(
        InputError, match=r"svhn must know the size .* by tf.ensure_shape\(images, "
    ):
        augment.get_concrete_function(tf.TensorSpec(shape), tf.TensorSpec([2], tf.int64))


@pytest.mark.parametrize("seed", [3, (1, 2, 3), (1.0, 2.0), "ab", ([1], [1, 2])])
def test_augmentation_refuses_a_seed_that_is_not_two_numbers(seed):
    with pytest.raises(InputError, match="photos takes a seed of two whole numbers, such as"):
        augmentation.get_augmentation("photos")(IMAGES, seed)


def test_augmentation_takes_lists_and_seeds_of_any_kind():
    augment = augmentation.get_augmentation("photos")
    wanted = augment(IMAGES, tf.constant(SEED, tf.int64))
    for seed in (SEED, list(SEED), np.array(SEED)):
        np.testing.assert_array_equal(augment(IMAGES, seed), wanted)
    listed = augment(IMAGES.tolist(), SEED)
    np.testing.assert_array_equal(listed, wanted)
    assert listed.dtype == tf.uint8


def test_photos_strong_refuses_two_channels():
    with pytest.raises(InputError, match="the images have 2 channels, not 1 or 3; try"):
        augmentation.get_augmentation("photos_strong")(IMAGES[..., :2], SEED)


@pytest.mark.parametrize("largest", [1.0, 5000.0])
def test_augmentation_of_floats_of_another_range_is_refused(largest):
    images = np.linspace(0, largest, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3).astype(np.float32)
    photos = augmentation.get_augmentation("photos")
    with pytest.raises(InputError, match=r"this augmentation takes pixels in \[0, 255\]"):
        photos(images, (0, 1))
    assert photos(images[:0], (0, 1)).shape == (0, 8, 8, 3)
    photos(images * 255 / largest, (0, 1))
