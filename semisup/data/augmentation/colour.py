"""Colours, contrast and sharpness of images in [0, 255].

What is changed by a number takes one for each image, [batch].
"""

import tensorflow as tf

from semisup.data.augmentation.draw import Draw


def gaussian_blur(images: tf.Tensor) -> tf.Tensor:
    """Blur with SVHN's Gaussian of 7 x 7 pixels; the border is mirrored (cb|abc).

    OpenCV, which the authors' code calls, derives sigma = 0.3 ((size - 1) / 2 - 1) + 0.8 = 1.4.
    """
    size, sigma = 7, 1.4
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
    """Change brightness, saturation and hue of RGB images, by one number [batch] per image.

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
    return tf.where(chosen[:, None, None, None], _luminance(images), images)


def invert(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """255 - x for the chosen [batch] of images."""
    images = tf.cast(images, tf.float32)
    return tf.where(chosen[:, None, None, None], 255.0 - images, images)


def colour_digits(images: tf.Tensor, ink: tf.Tensor, ground: tf.Tensor) -> tf.Tensor:
    """Give white digits on black, three equal channels, a colour of ink and one of ground.

    Args:
        images: [batch, H, W, 3] in [0, 255].
        ink: what white becomes, [batch, 3] in [0, 255].
        ground: what black becomes, likewise.
    """
    share = tf.cast(images, tf.float32) / 255.0
    ink, ground = ink[:, None, None], ground[:, None, None]
    return ground + (ink - ground) * share


def random_textures(draw: Draw, size: tuple[int, int]) -> tf.Tensor:
    """Random textures in colours, float32 [batch, H, W, 3] in [0, 255].

    A colour each, and on it random fields of 2 x 2 to 16 x 16 values, each of a strength of its
    own, smoothly enlarged: from even grounds to busy ones.
    """
    texture = draw.uniform(0.0, 255.0, 1, 1, 3)
    for cells in (2, 4, 8, 16):
        field = draw.uniform(-1.0, 1.0, cells, cells, 3)
        grey = draw.uniform(-1.0, 1.0, cells, cells, 1)
        strength = draw.uniform(0.0, 80.0, 1, 1, 1)
        texture += strength * tf.image.resize(grey + 0.5 * field, size)
    return tf.clip_by_value(texture, 0.0, 255.0)


def change_brightness(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Multiply images by `factors`: 0 is black, 1 the image."""
    return _extrapolated(tf.zeros([], tf.float32), images, factors)


def change_contrast(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Multiply the distance to the image's mean grey by `factors`: 0 is that grey, 1 the image."""
    # Whole numbers, whose sum is the same in any order.
    grey = tf.cast(tf.round(_luminance(images)), tf.int32)
    total = tf.cast(tf.reduce_sum(grey, axis=(1, 2, 3), keepdims=True), tf.float32)
    mean = total / float(images.shape[1] * images.shape[2])
    return _extrapolated(tf.round(mean), images, factors)


def change_colour(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Multiply the distance to grey by `factors`: 0 is grey, 1 the image."""
    return _extrapolated(_luminance(images), images, factors)


def change_sharpness(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Multiply the distance to a smoothed image by `factors`: 0 is smooth, 1 the image.

    Smoothed is the mean over 3 x 3 pixels in which the one in the middle counts five times; the
    pixels at the border stay as they are, as in Pillow.
    """
    images = tf.cast(images, tf.float32)
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    square = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    # (square + 4 x) / 13, as a change of x.
    change = (square - 9.0 * images[:, 1:-1, 1:-1]) / 13.0
    smooth = images + tf.pad(change, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return _extrapolated(smooth, images, factors)


def posterize(images: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keep the highest `bits`, float32 whole numbers from 1 to 8, of each value."""
    steps = tf.pow(2.0, 8.0 - bits)[:, None, None, None]
    return tf.floor(tf.cast(images, tf.float32) / steps) * steps


def solarize(images: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """Invert the values from `thresholds` on, float32: 256 inverts none."""
    images = tf.cast(images, tf.float32)
    return tf.where(images < thresholds[:, None, None, None], images, 255.0 - images)


def stretch_contrast(images: tf.Tensor) -> tf.Tensor:
    """Stretch each channel of each image to [0, 255]; one of a single value stays as it is."""
    images = tf.cast(images, tf.float32)
    low = tf.reduce_min(images, axis=(1, 2), keepdims=True)
    span = tf.reduce_max(images, axis=(1, 2), keepdims=True) - low
    return tf.where(span > 0, (images - low) * tf.math.divide_no_nan(255.0, span), images)


def _luminance(images: tf.Tensor) -> tf.Tensor:
    """RGB or grey images [batch, H, W, C] as float32 grey ones [batch, H, W, 1]."""
    images = tf.cast(images, tf.float32)
    if images.shape[-1] == 1:
        return images
    # Not a sum over the last axis, which is slow over so few channels.
    red, green, blue = tf.split(images, 3, axis=-1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _extrapolated(start: tf.Tensor, images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """From `start` (at factor 0) to the images (at 1) and beyond, within [0, 255]."""
    moved = start + factors[:, None, None, None] * (tf.cast(images, tf.float32) - start)
    return tf.clip_by_value(moved, 0.0, 255.0)
