"""Random changes to whole batches of images, as TensorFlow graph ops without a state.

The ops take the parameters of the change, one for each image; `AUGMENTATIONS` draws them
from a seed. The same seed gives the same bytes, in any process and at any parallelism.
Images are uint8 or float [batch, H, W, C] in [0, 255]; the ops compute in float32.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import keras
import tensorflow as tf

from semisup.errors import InputError

Seed: TypeAlias = tf.Tensor  # integers [2]
Augmentation = Callable[[tf.Tensor, Seed], tf.Tensor]


# Geometry. A transform maps a place in the result to the place in the image to read:
# [batch, 2, 3], (x, y, 1) -> (x, y), in pixels, the centre of the first pixel at (0, 0).


def warp(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Read each image at transformed places, bilinearly; beyond its border is 0.

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


# Colour and sharpness.


def gaussian_blur(images: tf.Tensor, size: int = 7, sigma: float = 1.4) -> tf.Tensor:
    """Blur with a Gaussian of `size` x `size` pixels; the border is mirrored (cb|abc).

    The defaults are SVHN's: OpenCV derives sigma = 0.3 ((size - 1) / 2 - 1) + 0.8 = 1.4.
    """
    offsets = tf.range(size, dtype=tf.float32) - (size - 1) / 2
    kernel = tf.exp(-tf.square(offsets) / (2.0 * sigma**2))
    kernel /= tf.reduce_sum(kernel)
    half = size // 2
    padded = tf.pad(
        tf.cast(images, tf.float32), [[0, 0], [half, half], [half, half], [0, 0]], "REFLECT"
    )
    # Separable: a column and a row of weights, by shifted sums, which on a CPU are
    # faster than a depthwise convolution of so few channels.
    height, width = images.shape[1:3]
    rows = tf.add_n([kernel[i] * padded[:, i : i + height] for i in range(size)])
    return tf.add_n([kernel[i] * rows[:, :, i : i + width] for i in range(size)])


def adjust_colours(
    images: tf.Tensor, brightness: tf.Tensor, saturation: tf.Tensor, hue: tf.Tensor
) -> tf.Tensor:
    """Change RGB images, each by numbers of its own, [batch] each.

    Args:
        images: [batch, H, W, 3] in [0, 255].
        brightness: is added, as a share of 255.
        saturation: is multiplied with the saturation.
        hue: is added to the hue, as a share of the full circle.
    """
    per_image = [value[:, None, None] for value in (brightness, saturation, hue)]
    bright = tf.clip_by_value(tf.cast(images, tf.float32) / 255.0 + per_image[0][..., None], 0, 1)
    h, s, v = tf.unstack(tf.image.rgb_to_hsv(bright), axis=-1)
    h += per_image[2]
    h -= tf.floor(h)  # h modulo 1; on a CPU floormod takes four times as long
    s = tf.clip_by_value(s * per_image[1], 0.0, 1.0)
    return 255.0 * tf.image.hsv_to_rgb(tf.stack([h, s, v], axis=-1))


def to_grey(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """The chosen [batch] of RGB images as grey ones, still with three channels."""
    images = tf.cast(images, tf.float32)
    # Not a sum over the last axis, which is slow over so few channels.
    red, green, blue = tf.split(images, 3, axis=-1)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    return tf.where(chosen[:, None, None, None], grey, images)


def invert(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """255 - x for the chosen [batch] of images."""
    images = tf.cast(images, tf.float32)
    return tf.where(chosen[:, None, None, None], 255.0 - images, images)


# What each experiment does to its images, with random parameters.


class _Draw:
    """Random numbers for a batch of images: a new stream at each call, all from one seed."""

    def __init__(self, seed: Seed, batch: tf.Tensor):
        self.seed, self.batch, self.streams = seed, batch, 0

    def _next(self) -> Seed:
        self.streams += 1
        return tf.random.experimental.stateless_fold_in(self.seed, self.streams)

    def uniform(self, low: float, high: float, *shape: int) -> tf.Tensor:
        return tf.random.stateless_uniform([self.batch, *shape], self._next(), low, high)

    def normal(self, deviation: float, *shape: int) -> tf.Tensor:
        return tf.random.stateless_normal([self.batch, *shape], self._next(), stddev=deviation)

    def chance(self, probability: float) -> tf.Tensor:
        return self.uniform(0.0, 1.0) < probability


def augment_digits(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Affine: a matrix of identity + normal(0, 0.1), a shift of normal(0, 1.5 pixels)."""
    return _affine(images, seed, 0.1, 1.5)


def augment_digits_mild(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Half as much: a matrix of identity + normal(0, 0.05), a shift of normal(0, 0.75 pixels)."""
    return _affine(images, seed, 0.05, 0.75)


def _affine(images: tf.Tensor, seed: Seed, bend: float, shift: float) -> tf.Tensor:
    draw = _Draw(seed, tf.shape(images)[0])
    matrices = tf.eye(2) + draw.normal(bend, 2, 2)
    height, width = images.shape[1:3]
    return warp(images, about_centre(matrices, draw.normal(shift, 2), height, width))


def augment_svhn(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """The paper's for SVHN: affine, over a repeated or mirrored border, every second blurred.

    A matrix of identity + normal(0, 0.15), a shift of normal(0, 2 pixels).
    """
    draw = _Draw(seed, tf.shape(images)[0])
    matrices = tf.eye(2) + draw.normal(0.15, 2, 2)
    height, width = images.shape[1:3]
    transforms = about_centre(matrices, draw.normal(2.0, 2), height, width)
    warped = warp_over_border(images, transforms, draw.chance(0.5))
    return tf.where(draw.chance(0.5)[:, None, None, None], gaussian_blur(warped), warped)


def augment_stl10(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """The paper's for STL-10: rotation, crop, flip, brightness, saturation, hue, grey.

    Turned by up to 10 degrees, cropped by up to 20 % at a random place, mirrored every
    second time (all in one reading of the image); saturation by 0.5 to 1.2, hue by up to
    0.1 of the circle, grey every second time: the numbers of the authors' code. Its
    brightness, up to 1.3, is of a scale that is not known any more; here up to 0.25 of
    the full range.
    """
    draw = _Draw(seed, tf.shape(images)[0])
    height, width = images.shape[1:3]
    scale = 1.0 - draw.uniform(0.0, 0.2)
    flip = tf.where(draw.chance(0.5), -1.0, 1.0)
    zoom = tf.linalg.diag(tf.stack([scale * flip, scale], axis=1))
    margin = (1.0 - scale)[:, None] * tf.constant([width / 2, height / 2], tf.float32)
    shifts = draw.uniform(-1.0, 1.0, 2) * margin
    matrices = rotations(draw.uniform(-10.0, 10.0)) @ zoom
    warped = warp(images, about_centre(matrices, shifts, height, width))
    brightness, saturation = draw.uniform(-0.25, 0.25), draw.uniform(0.5, 1.2)
    coloured = adjust_colours(warped, brightness, saturation, draw.uniform(-0.1, 0.1))
    return to_grey(coloured, draw.chance(0.5))


def augment_inversion(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """The follow-up's for MNIST to MNIST-M: every second image is inverted."""
    return invert(images, _Draw(seed, tf.shape(images)[0]).chance(0.5))


AUGMENTATIONS: dict[str, Augmentation] = {
    "digits": augment_digits,
    "digits_mild": augment_digits_mild,
    "svhn": augment_svhn,
    "stl10": augment_stl10,
    "inversion": augment_inversion,
}


# These are for labelled images only: they bring a source closer to its target.
LABELED_ONLY = frozenset(("inversion",))


def get_augmentation(name: str) -> Augmentation | None:
    """The augmentation called `name`: from (uint8 images, seed integers [2]) to uint8 images.

    "none" gives None.

    Raises:
        InputError: there is no such augmentation.
    """
    if name == "none":
        return None
    if name not in AUGMENTATIONS:
        known = ", ".join(AUGMENTATIONS)
        raise InputError(f"unknown augmentation {name!r}; known: none, {known}")

    def augment(images: tf.Tensor, seed: Seed) -> tf.Tensor:
        changed = AUGMENTATIONS[name](images, seed)
        return tf.saturate_cast(tf.round(changed), tf.uint8)

    return augment


def check_images(name: str, channels: int) -> None:
    """Raises InputError if images of so many channels can't be augmented so."""
    if name == "stl10" and channels != 3:
        raise InputError(
            f"the augmentation stl10 changes colours, but the images have {channels} channel; "
            "try `augmentation=digits` or svhn"
        )


def _over_border(index: tf.Tensor, size: int, wrap: tf.Tensor) -> tf.Tensor:
    """Indices of any size brought into [0, size), by repeating or mirroring."""
    mirrored = tf.math.floormod(index, 2 * size)
    mirrored = tf.minimum(mirrored, 2 * size - 1 - mirrored)
    return tf.where(wrap[:, None, None], tf.math.floormod(index, size), mirrored)
