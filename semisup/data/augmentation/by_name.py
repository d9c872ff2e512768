"""The augmentations by name, each with its distribution of random parameters.

An augmentation takes images, uint8 or float [batch, H, W, C] in [0, 255], and a seed, and gives
images of any type in the same range.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from semisup.data.augmentation.colour import (
    adjust_colours,
    colour_digits,
    gaussian_blur,
    invert,
    random_textures,
    to_grey,
)
from semisup.data.augmentation.draw import Draw, Seed
from semisup.data.augmentation.geometry import (
    about_centre,
    bounding_boxes,
    crop_with_reflection,
    rotations,
    warp,
    warp_over_border,
)
from semisup.data.augmentation.rand_augment import as_uint8, cut_out, rand_augment
from semisup.data.image_arrays import check_range
from semisup.errors import InputError, check_known

# Of the mean brightness of a coloured digit and its ground, of 255.
_SMALLEST_CONTRAST = 50.0

Augmentation = Callable[[tf.Tensor, Seed], tf.Tensor]


def augment_digits(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Affine: a matrix of identity + normal(0, 0.1), a shift of normal(0, 1.5 pixels)."""
    return _affine(images, seed, 0.1, 1.5)


def augment_digits_mild(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Half as strong: a matrix of identity + normal(0, 0.05), a shift of normal(0, 0.75 pixels)."""
    return _affine(images, seed, 0.05, 0.75)


def _affine(images: tf.Tensor, seed: Seed, bend: float, shift: float) -> tf.Tensor:
    draw = Draw(seed, tf.shape(images)[0])
    matrices = tf.eye(2) + draw.normal(bend, 2, 2)
    height, width = images.shape[1:3]
    return warp(images, about_centre(matrices, draw.normal(shift, 2), height, width))


def augment_svhn(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """The paper's for SVHN: affine, over a repeated or mirrored border, every second blurred.

    A matrix of identity + normal(0, 0.15), a shift of normal(0, 2 pixels).
    """
    draw = Draw(seed, tf.shape(images)[0])
    matrices = tf.eye(2) + draw.normal(0.15, 2, 2)
    height, width = images.shape[1:3]
    transforms = about_centre(matrices, draw.normal(2.0, 2), height, width)
    warped = warp_over_border(images, transforms, draw.coin())
    return tf.where(draw.coin()[:, None, None, None], gaussian_blur(warped), warped)


def augment_stl10(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """The paper's for STL-10: rotation, crop, flip, brightness, saturation, hue, grey.

    Turned by up to 10 degrees, cropped by up to 20 % at a random place, mirrored every
    second time (all in one reading of the image); saturation by 0.5 to 1.2, hue by up to
    0.1 of the circle, grey every second time: the numbers of the authors' code. Its
    brightness, up to 1.3, is of a scale that is not known any more; here up to 0.25 of
    the full range.
    """
    draw = Draw(seed, tf.shape(images)[0])
    height, width = images.shape[1:3]
    scale = 1.0 - draw.uniform(0.0, 0.2)
    flip = tf.where(draw.coin(), -1.0, 1.0)
    zoom = tf.linalg.diag(tf.stack([scale * flip, scale], axis=1))
    margin = (1.0 - scale)[:, None] * tf.constant([width / 2, height / 2], tf.float32)
    shifts = draw.uniform(-1.0, 1.0, 2) * margin
    matrices = rotations(draw.uniform(-10.0, 10.0)) @ zoom
    warped = warp(images, about_centre(matrices, shifts, height, width))
    brightness, saturation = draw.uniform(-0.25, 0.25), draw.uniform(0.5, 1.2)
    coloured = adjust_colours(warped, brightness, saturation, draw.uniform(-0.1, 0.1))
    return to_grey(coloured, draw.coin())


def augment_inversion(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """The follow-up's for MNIST to MNIST-M: every second image is inverted."""
    return invert(images, Draw(seed, tf.shape(images)[0]).coin())


def augment_colouring(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """For MNIST to SVHN: a random colour for the digit, and another for its ground.

    Where the two are nearly of one brightness, the ink is half the range away from the ground
    in each channel, so that the digit can be seen.
    """
    draw = Draw(seed, tf.shape(images)[0])
    ink, ground = draw.uniform(0.0, 255.0, 3), draw.uniform(0.0, 255.0, 3)
    difference = tf.abs(tf.reduce_mean(ink - ground, axis=1, keepdims=True))
    ink = tf.where(difference < _SMALLEST_CONTRAST, tf.math.floormod(ground + 128.0, 256.0), ink)
    return colour_digits(images, ink, ground)


def augment_framing(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Vary the size of digits, for data sets in which digits fill different parts of the image.

    The bounding box of a bright digit is moved to the image's centre, its longer side to 0.65 to 1
    of the image's; then as `augment_digits_mild`.
    """
    draw = Draw(seed, tf.shape(images)[0])
    height, width = images.shape[1:3]
    centres, sides = bounding_boxes(images)
    scale = sides / (max(height, width) * draw.uniform(0.65, 1.0))
    matrices = scale[:, None, None] * (tf.eye(2) + draw.normal(0.05, 2, 2))
    middle = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    shifts = centres - middle + draw.normal(0.75, 2)
    return warp(images, about_centre(matrices, shifts, height, width))


def augment_blending(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """For MNIST to MNIST-M: |texture - digit|, the texture a random one in colours."""
    draw = Draw(seed, tf.shape(images)[0])
    return tf.abs(random_textures(draw, images.shape[1:3]) - tf.cast(images, tf.float32))


def augment_photos(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """For photographs: shifted by up to an eighth of the side, mirrored every second time.

    Beyond the border the image is mirrored.
    """
    return _shifted_and_flipped(images, Draw(seed, tf.shape(images)[0]))


def augment_photos_strong(images: tf.Tensor, seed: Seed) -> tf.Tensor:
    """As `augment_photos`, then two operations of RandAugment, and a square cut out."""
    draw = Draw(seed, tf.shape(images)[0])
    changed = rand_augment(as_uint8(_shifted_and_flipped(images, draw)), draw)
    height, width = images.shape[1:3]
    return cut_out(changed, draw.integers([width, height], 2))


def _shifted_and_flipped(images: tf.Tensor, draw: Draw) -> tf.Tensor:
    furthest = tf.constant([images.shape[2] // 8, images.shape[1] // 8])
    corners = draw.integers(2 * furthest + 1, 2) - furthest
    return crop_with_reflection(images, corners, draw.coin())


AUGMENTATIONS: dict[str, Augmentation] = {
    "digits": augment_digits,
    "digits_mild": augment_digits_mild,
    "svhn": augment_svhn,
    "stl10": augment_stl10,
    "inversion": augment_inversion,
    "colouring": augment_colouring,
    "framing": augment_framing,
    "blending": augment_blending,
    "photos": augment_photos,
    "photos_strong": augment_photos_strong,
}


# How many channels images must have, where not any number will do.
_CHANNELS = {"stl10": (3,), "colouring": (3,), "blending": (3,), "photos_strong": (1, 3)}


# These are for labelled images only: they bring a source closer to its target.
LABELED_ONLY = frozenset(("inversion", "colouring", "framing", "blending"))


def get_augmentation(name: str) -> Augmentation | None:
    """The augmentation called `name`: from (images, seed integers [2]) to uint8 images.

    Images are [batch, H, W, C], uint8 or float in [0, 255]; in a graph all but `batch` must be
    known. "stl10", "colouring" and "blending" need RGB, "photos_strong" 1 or 3 channels. "none"
    gives None.

    Raises:
        InputError: there is no such augmentation. The function that is returned raises it of
            images and seeds of other shapes, and outside of graphs of pixels of another range.
    """
    if name == "none":
        return None
    check_known("augmentation", name, ("none", *AUGMENTATIONS))

    def augment(images: tf.Tensor, seed: Seed) -> tf.Tensor:
        images = _as_tensor(images)
        _check_shape(name, images.shape)
        _check_seed(name, seed)
        if hasattr(images, "numpy"):  # not so in a graph, where pixels are not known
            check_range(images.numpy())
        return as_uint8(AUGMENTATIONS[name](images, seed))

    augment.takes_bytes = True  # type: ignore[attr-defined]  # `association_batches` looks at it
    return augment


def _as_tensor(images: Any) -> tf.Tensor:
    try:
        return tf.convert_to_tensor(images)
    except (TypeError, ValueError):
        raise InputError(
            "these are no images of one size; give an array or a tensor [N, H, W, C]"
        ) from None


def _check_shape(name: str, shape: tf.TensorShape) -> None:
    """Raise InputError if the augmentation can't take images of this shape."""
    if shape.rank not in (None, 4):
        raise InputError(
            f"the augmentation {name} takes images [N, H, W, C], but these are {shape}; give "
            "images[None] if it is one, images[..., None] if they are grey"
        )
    if shape.rank is None or not shape[1:].is_fully_defined():
        raise InputError(
            f"the augmentation {name} must know the size of images when a graph is made, but these "
            f"are {shape}; give it by tf.ensure_shape(images, [None, H, W, C])"
        )
    check_channels(name, shape[3])


def _check_seed(name: str, seed: Any) -> None:
    """Raise InputError if it is no seed of two integers."""
    try:
        numbers = seed if tf.is_tensor(seed) else np.asarray(seed)
        right = tf.as_dtype(numbers.dtype).is_integer and tf.TensorShape(
            numbers.shape
        ).is_compatible_with([2])
    except (TypeError, ValueError):  # of words, or of lists of several lengths
        right = False
    if not right:
        raise InputError(
            f"the augmentation {name} takes a seed of two whole numbers, such as (0, 1), but it is "
            f"{seed!r}"
        )


def check_channels(name: str, channels: int) -> None:
    """Raise InputError if the augmentation does not support this number of channels."""
    wanted = _CHANNELS.get(name)
    if wanted and channels not in wanted:
        raise InputError(
            f"the augmentation {name} changes colours, but the images have {channels} "
            f"channel{'s' * (channels > 1)}, not {' or '.join(map(str, wanted))}; try "
            "`augmentation=photos`, digits or svhn"
        )
