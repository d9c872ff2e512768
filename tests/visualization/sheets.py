"""Finds images in the pictures that are drawn of them."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def places(axes, images):
    """Where in the one picture on the axes each of the images is, if it is there.

    Args:
        axes: with a montage of some of the images, in pixels.
        images: grey, uint8 [N, H, W, 1], all different.

    Returns:
        A dict from (row, column) of an upper left corner, in reading order, to an index.
    """
    if not axes.images:
        return {}
    [picture] = axes.images
    sheet = np.asarray(picture.get_array())
    windows = sliding_window_view(sheet, images.shape[1:3])
    found = {}
    for i, image in enumerate(images):
        for row, column in zip(*np.nonzero(windows[..., 0, 0] == image[0, 0, 0]), strict=True):
            if np.array_equal(windows[row, column], image[..., 0]):
                found[row, column] = i
    return dict(sorted(found.items()))


def shown(axes, images):
    """The indices of the images that are on the axes, in reading order."""
    return list(places(axes, images).values())
