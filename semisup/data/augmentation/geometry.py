"""Geometric transformations of images: affine warps, rotations and crops.

A transform maps a place in the result to the place in the image to read: [batch, 2, 3],
(x, y, 1) -> (x, y), in pixels, the centre of the first pixel at (0, 0).
"""

import math

import keras
import tensorflow as tf

_BRIGHT = 64.0  # of pixels in [0, 255], what lies above this


def warp(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Transform each image with bilinear interpolation; pixels beyond its border are 0.

    Args:
        images: [batch, H, W, C].
        transforms: float32 [batch, 2, 3].

    Returns:
        float32 [batch, H, W, C].
    """
    zeros = tf.zeros([tf.shape(transforms)[0], 2], tf.float32)
    return keras.ops.image.affine_transform(
        tf.cast(images, tf.float32),
        tf.concat([tf.reshape(transforms, [-1, 6]), zeros], axis=1),
        data_format="channels_last",
    )


def warp_over_border(images: tf.Tensor, transforms: tf.Tensor, wrap: tf.Tensor) -> tf.Tensor:
    """As `warp`, but the image goes on beyond its border: repeated, or mirrored.

    Args:
        images: [batch, H, W, C].
        transforms: float32 [batch, 2, 3].
        wrap: bool [batch]: True repeats (abc|abc), False mirrors (abc|cba).

    Returns:
        float32 [batch, H, W, C].
    """
    # TensorFlow's own WRAP and REFLECT don't blend across the border, so the
    # four neighbours of each place are gathered here.
    batch, height, width, channels = images.shape
    y, x = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    grid = tf.cast(tf.stack([x, y, tf.ones_like(x)], axis=-1), tf.float32)
    places = tf.einsum("bij,hwj->ibhw", transforms, grid)
    whole = tf.floor(places)
    along_x, along_y = tf.unstack(places - whole)
    left, top = tf.unstack(tf.cast(whole, tf.int32))
    columns = [_over_border(left + i, width, wrap) for i in (0, 1)]
    rows = [_over_border(top + i, height, wrap) * width for i in (0, 1)]
    # One flat index for the whole batch is faster than a gather for each image.
    first = tf.range(tf.shape(images)[0])[:, None, None] * (height * width)
    pixels = tf.reshape(tf.cast(images, tf.float32), [-1, channels])

    def read(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return tf.gather(pixels, first + row + column)

    along_x, along_y = along_x[..., None], along_y[..., None]
    upper, lower = (
        read(row, columns[0]) * (1.0 - along_x) + read(row, columns[1]) * along_x for row in rows
    )
    result = upper * (1.0 - along_y) + lower * along_y
    return tf.ensure_shape(result, [batch, height, width, channels])


def about_centre(matrices: tf.Tensor, shifts: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Transforms that apply `matrices` about the image's centre, then shift.

    Args:
        matrices: float32 [batch, 2, 2].
        shifts: float32 [batch, 2], (x, y) in pixels.
        height: of the image.
        width: of the image.

    Returns:
        float32 [batch, 2, 3], for `warp`.
    """
    centre = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    moved = centre + shifts - tf.linalg.matvec(matrices, centre)
    return tf.concat([matrices, moved[:, :, None]], axis=2)


def rotations(degrees: tf.Tensor) -> tf.Tensor:
    """Matrices [batch, 2, 2] that turn by so many degrees [batch]."""
    radians = degrees * (math.pi / 180.0)
    cos, sin = tf.cos(radians), tf.sin(radians)
    return tf.stack([tf.stack([cos, -sin], axis=1), tf.stack([sin, cos], axis=1)], axis=1)


def bounding_boxes(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Find the box around what is bright in one channel; the whole image if nothing is.

    Args:
        images: [batch, H, W, C].

    Returns:
        Centres (x, y) and longer sides in pixels, float32 [batch, 2] and [batch].
    """
    bright = tf.reduce_max(tf.cast(images, tf.float32), axis=3) > _BRIGHT
    bright |= ~tf.reduce_any(bright, axis=(1, 2), keepdims=True)
    ends = []
    for axis, size in ((1, images.shape[2]), (2, images.shape[1])):  # columns, then rows
        there = tf.cast(tf.reduce_any(bright, axis=axis), tf.int32)
        first = tf.argmax(there, axis=1, output_type=tf.int32)
        last = size - 1 - tf.argmax(there[:, ::-1], axis=1, output_type=tf.int32)
        ends.append(tf.cast(tf.stack([first, last], axis=1), tf.float32))
    first, last = tf.unstack(tf.stack(ends, axis=2), axis=1)
    return (first + last) / 2, tf.reduce_max(last - first, axis=1) + 1.0


def crop_with_reflection(images: tf.Tensor, corners: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Crop images, of their own size, out of ones that are mirrored at the border (cb|abc|ba).

    Args:
        images: any type [batch, H, W, C].
        corners: int32 [batch, 2], (x, y) of the crop's first pixel, above -W or -H and below
            W or H; (0, 0) changes nothing.
        flip: bool [batch]: whether the crop is mirrored from left to right.

    Returns:
        [batch, H, W, C] of the same type.
    """
    height, width, channels = images.shape[1:]
    along_x = tf.range(width)
    along_x = tf.where(flip[:, None], along_x[::-1], along_x)
    columns = _reflected(along_x + corners[:, :1], width)
    rows = _reflected(tf.range(height) + corners[:, 1:], height)
    # One flat index for the whole batch is faster than a gather for each image.
    rows += tf.range(tf.shape(images)[0])[:, None] * height
    pixels = tf.reshape(images, [-1, channels])
    result = tf.gather(pixels, rows[:, :, None] * width + columns[:, None, :])
    return tf.ensure_shape(result, images.shape)


def _over_border(index: tf.Tensor, size: int, wrap: tf.Tensor) -> tf.Tensor:
    """Indices of any size brought into [0, size), by repeating or mirroring."""
    mirrored = tf.math.floormod(index, 2 * size)
    mirrored = tf.minimum(mirrored, 2 * size - 1 - mirrored)
    return tf.where(wrap[:, None, None], tf.math.floormod(index, size), mirrored)


def _reflected(index: tf.Tensor, size: int) -> tf.Tensor:
    """Indices above -size and below 2 size - 1 brought into [0, size): cb|abc|ba."""
    last = size - 1
    return last - tf.abs(last - tf.abs(index))
