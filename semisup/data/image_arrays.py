"""Check arrays of images that a person passes."""

from typing import Any

import numpy as np

from semisup.data.dataset import Images
from semisup.errors import InputError


def check_finite_pixels(images: Any) -> None:
    """Check that no pixel of an array is NaN or infinite.

    One such image makes all weights NaN; the losses may stay finite, since a ReLU of NaN can be 0.

    Args:
        images: [N, ...]. What is no array in memory of floats passes.

    Raises:
        InputError: an image has such a pixel.
    """
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f" or images.size == 0:
        return
    if np.isfinite(images.min()) and np.isfinite(images.max()):  # without a mask of all pixels
        return
    place = next(i for i, image in enumerate(images) if not np.isfinite(image).all())
    raise InputError(
        f"images[{place}] of the array {images.shape} has a pixel that is NaN or infinite; replace "
        "it, or leave the image out"
    )


def check_range(images: Images) -> None:
    """Check that images have pixels in [0, 255], which our augmentations round.

    Raises:
        InputError: they are not [N, H, W, C], or have pixels of another range.
    """
    if images.ndim != 4:
        raise InputError(
            f"this augmentation takes images [N, H, W, C], but these are {images.shape}; give "
            "images[..., None] if they are grey"
        )
    if images.dtype == np.uint8 or len(images) == 0:
        return
    some = images[:: max(1, len(images) // 100)]
    smallest, largest = float(np.min(some)), float(np.max(some))
    if smallest < 0:
        raise InputError(
            f"this augmentation takes pixels in [0, 255], but the images have values down to "
            f"{smallest:g}; give them as they were before they were standardised"
        )
    if largest > 255:
        raise InputError(
            f"this augmentation takes pixels in [0, 255], but the images have values up to "
            f"{largest:g}; divide those of 16 bits by 257"
        )
    if images.dtype.kind == "f" and 0 < largest <= 1:
        raise InputError(
            f"this augmentation takes pixels in [0, 255], but those of the images are at most "
            f"{largest:g}; give the images as they were before they were divided by 255"
        )
