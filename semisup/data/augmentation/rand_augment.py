"""RandAugment and cutout: strong augmentation of natural images.

Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space",
2019 (arXiv:1909.13719), with magnitudes drawn at random, as FixMatch does (arXiv:2001.07685).
DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017
(arXiv:1708.04552).

Keras has layers for both, but they keep a state for their random numbers, and `RandAugment` draws
one operation for the whole batch.
"""

from collections.abc import Callable

import tensorflow as tf

from semisup.data.augmentation import colour
from semisup.data.augmentation.draw import Draw
from semisup.data.augmentation.geometry import about_centre, rotations, warp

_DRAWN = 2  # operations for each image, which may be the same one twice

GREY = 128  # what lies beyond the border, and in a square that is cut out


def shear(images: tf.Tensor, x_by_y: tf.Tensor, y_by_x: tf.Tensor) -> tf.Tensor:
    """Shift each row by `x_by_y` [n] times its distance to the middle, each column by `y_by_x`."""
    ones = tf.ones_like(x_by_y)
    rows = tf.stack([ones, x_by_y], axis=1), tf.stack([y_by_x, ones], axis=1)
    return _transformed(images, tf.stack(rows, axis=1), tf.zeros_like(rows[0]))


def translate(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Shift by shares of the width and of the height, [n] each."""
    height, width = images.shape[1:3]
    shifts = tf.stack([x * width, y * height], axis=1)
    return _transformed(images, tf.eye(2, batch_shape=[tf.shape(x)[0]]), shifts)


def rotate(images: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Turn about the centre by `degrees` [n]."""
    return _transformed(images, rotations(degrees), tf.zeros([tf.shape(degrees)[0], 2]))


# What changes an image, given how much [n]; and the range of that. FixMatch's list without
# Equalize, and its numbers, but that colours, contrast and sharpness may also grow, as in
# RandAugment's own code.
_OPERATIONS: tuple[tuple[Callable[[tf.Tensor, tf.Tensor], tf.Tensor], float, float], ...] = (
    (lambda images, _: images, 0.0, 1.0),
    (lambda images, _: colour.stretch_contrast(images), 0.0, 1.0),
    (lambda images, x: shear(images, x, tf.zeros_like(x)), -0.3, 0.3),
    (lambda images, y: shear(images, tf.zeros_like(y), y), -0.3, 0.3),
    (lambda images, x: translate(images, x, tf.zeros_like(x)), -0.3, 0.3),
    (lambda images, y: translate(images, tf.zeros_like(y), y), -0.3, 0.3),
    (rotate, -30.0, 30.0),
    (colour.change_brightness, 0.1, 1.9),
    (colour.change_contrast, 0.1, 1.9),
    (colour.change_colour, 0.1, 1.9),
    (colour.change_sharpness, 0.1, 1.9),
    (lambda images, bits: colour.posterize(images, tf.floor(bits)), 4.0, 9.0),
    (colour.solarize, 0.0, 256.0),
)


def rand_augment(images: tf.Tensor, draw: Draw) -> tf.Tensor:
    """Change each image by two operations drawn for it, one after the other.

    Args:
        images: uint8 [batch, H, W, 1 or 3].
        draw: where the random numbers come from.

    Returns:
        uint8 [batch, H, W, C].
    """
    shape = images.shape
    for _ in range(_DRAWN):
        chosen, amounts = draw.integers(len(_OPERATIONS)), draw.uniform(0.0, 1.0)
        # Each operation gets the images that drew it: to change all by each would take
        # longer by the number of operations.
        places = [tf.cast(tf.where(chosen == i)[:, 0], tf.int32) for i in range(len(_OPERATIONS))]
        changed = []
        for of_operation, (change, low, high) in zip(places, _OPERATIONS, strict=True):
            amount = low + (high - low) * tf.gather(amounts, of_operation)
            changed.append(as_uint8(change(tf.gather(images, of_operation), amount)))
        images = tf.ensure_shape(tf.dynamic_stitch(places, changed), shape)
    return images


def cut_out(images: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
    """Grey squares of a quarter of the images' side.

    Args:
        images: uint8 [batch, H, W, C].
        centres: int32 [batch, 2], (x, y) of the pixel in the middle of the square, which may
            reach beyond the border.
    """
    inside = []
    for axis, side in enumerate(images.shape[2:0:-1]):
        size = side // 4
        places = tf.range(side) - centres[:, axis, None] + size // 2
        inside.append((places >= 0) & (places < size))
    square = inside[1][:, :, None, None] & inside[0][:, None, :, None]
    return tf.where(square, tf.cast(GREY, images.dtype), images)


def as_uint8(images: tf.Tensor) -> tf.Tensor:
    """Images of any type, rounded to whole numbers from 0 to 255."""
    return images if images.dtype == tf.uint8 else tf.saturate_cast(tf.round(images), tf.uint8)


def _transformed(images: tf.Tensor, matrices: tf.Tensor, shifts: tf.Tensor) -> tf.Tensor:
    height, width = images.shape[1:3]
    # `warp` reads 0 beyond the border.
    moved = tf.cast(images, tf.float32) - GREY
    return warp(moved, about_centre(matrices, shifts, height, width)) + GREY
