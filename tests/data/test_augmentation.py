"""Each op against SciPy or a plain loop on fixed parameters; the random ones for their seeds."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from semisup.data import augmentation
from semisup.errors import InputError

RANDOM = np.random.default_rng(0)
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
    return augmentation.about_centre(matrices, shifts, 20, 14)


def test_warp_equals_scipy():
    got = augmentation.warp(tf.constant(IMAGES), transforms())
    for n in range(5):
        wanted = scipy_warp(IMAGES[n], MATRICES[n], SHIFTS[n], "grid-constant")
        np.testing.assert_allclose(got[n], wanted, atol=0.02)


@pytest.mark.parametrize(("wrap", "mode"), [(True, "grid-wrap"), (False, "reflect")])
def test_warp_over_border_equals_scipy(wrap, mode):
    got = augmentation.warp_over_border(tf.constant(IMAGES), transforms(), tf.fill([5], wrap))
    for n in range(5):
        wanted = scipy_warp(IMAGES[n], MATRICES[n], SHIFTS[n], mode)
        np.testing.assert_allclose(got[n], wanted, atol=0.02)


def test_warp_over_border_takes_a_border_for_each_image():
    chosen = tf.constant([True, False, True, False, True])
    got = augmentation.warp_over_border(tf.constant(IMAGES), transforms(), chosen)
    for n, mode in enumerate(["grid-wrap", "reflect"] * 2 + ["grid-wrap"]):
        wanted = scipy_warp(IMAGES[n], MATRICES[n], SHIFTS[n], mode)
        np.testing.assert_allclose(got[n], wanted, atol=0.02)


def test_rotations_turn_about_the_centre():
    image = np.zeros((1, 9, 9, 1), np.uint8)
    image[0, 4, 7] = 200  # three to the right of the centre
    matrices = augmentation.rotations(tf.constant([90.0]))
    places = augmentation.about_centre(matrices, tf.zeros([1, 2]), 9, 9)
    turned = augmentation.warp(tf.constant(image), places).numpy()
    assert np.unravel_index(turned[0, ..., 0].argmax(), (9, 9)) == (1, 4)
    np.testing.assert_allclose(turned.max(), 200, atol=0.01)


def test_gaussian_blur_equals_scipy():
    got = augmentation.gaussian_blur(tf.constant(IMAGES))
    # 7 pixels: three to each side. SciPy's "mirror" is cb|abc.
    blurred = ndimage.gaussian_filter(
        IMAGES.astype(np.float64), (0, 1.4, 1.4, 0), mode="mirror", radius=(0, 3, 3, 0)
    )
    np.testing.assert_allclose(got, blurred, atol=1e-3)


def test_adjust_colours_equals_a_loop():
    brightness, saturation, hue = [0.1, -0.2, 0.0], [0.5, 1.2, 1.0], [0.0, 0.1, -0.3]
    images = IMAGES[:3, :6, :5]
    got = augmentation.adjust_colours(
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
    grey = augmentation.to_grey(tf.constant(IMAGES), tf.constant(chosen)).numpy()
    np.testing.assert_array_equal(grey[~chosen], IMAGES[~chosen])
    weights = np.array([0.299, 0.587, 0.114])
    for c in range(3):
        np.testing.assert_allclose(grey[chosen][..., c], IMAGES[chosen] @ weights, atol=1e-3)
    inverted = augmentation.invert(tf.constant(IMAGES), tf.constant(chosen)).numpy()
    np.testing.assert_array_equal(inverted[~chosen], IMAGES[~chosen])
    np.testing.assert_array_equal(inverted[chosen], 255 - IMAGES[chosen])


@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_augmentations_are_functions_of_the_seed(name):
    augment = augmentation.get_augmentation(name)
    in_graph = tf.function(augment)
    one = augment(IMAGES, tf.constant([1, 2], tf.int64))
    assert one.dtype == tf.uint8
    assert one.shape == IMAGES.shape
    np.testing.assert_array_equal(one, in_graph(IMAGES, tf.constant([1, 2], tf.int64)))
    assert not np.array_equal(one, augment(IMAGES, tf.constant([1, 3], tf.int64)))
    ops = in_graph.get_concrete_function(
        tf.TensorSpec(IMAGES.shape, tf.uint8), tf.TensorSpec([2], tf.int64)
    ).graph.get_operations()
    assert not any("PyFunc" in op.type for op in ops)


@pytest.mark.parametrize("name", ["digits", "digits_mild", "svhn", "stl10"])
def test_augmentations_are_small_on_average_and_differ_by_image(name):
    smooth = ndimage.gaussian_filter(RANDOM.random((1, 32, 32, 3)), (0, 4, 4, 0))
    smooth = 60 + 130 * (smooth - smooth.min()) / np.ptp(smooth)
    smooth = np.repeat(smooth, 200, axis=0).astype(np.uint8)
    got = augmentation.get_augmentation(name)(smooth, tf.constant([0, 0], tf.int64)).numpy()
    assert len(np.unique(got.reshape(200, -1), axis=0)) == 200
    assert 1 < np.mean(np.abs(got.astype(float) - smooth)) < 60


def test_augment_digits_mild_changes_half_as_much():
    """The centre of mass of one bright pixel moves by half the shift."""
    point = np.zeros((3000, 29, 29, 1), np.uint8)
    point[:, 14, 14] = 255
    spread = {}
    for name in ("digits", "digits_mild"):
        got = augmentation.AUGMENTATIONS[name](point, tf.constant([0, 0], tf.int64)).numpy()[..., 0]
        centres = [ndimage.center_of_mass(image) for image in got if image.any()]
        spread[name] = np.std(centres, axis=0)
    np.testing.assert_allclose(spread["digits"], 1.5, rtol=0.1)
    np.testing.assert_allclose(spread["digits_mild"], 0.75, rtol=0.1)


def test_augment_inversion_hits_every_second_image():
    images = np.zeros((2000, 2, 2, 1), np.uint8)
    got = augmentation.get_augmentation("inversion")(images, tf.constant([0, 0], tf.int64)).numpy()
    assert set(np.unique(got)) == {0, 255}
    assert abs(np.mean(got == 255) - 0.5) < 0.05


def test_get_augmentation_refuses_an_unknown_name():
    with pytest.raises(
        InputError, match="unknown augmentation 'mixup'; known: none, digits, digits_mild"
    ):
        augmentation.get_augmentation("mixup")
