"""Image files as stored images: decoded when they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisup.data.image_io import read_header, read_image
from semisup.data.lazy_images import StoredImages
from semisup.errors import InputError


@dataclass(frozen=True)
class ImageFiles(StoredImages):
    """Images in files of their own. `places` are their paths, an array of objects [N]."""

    def _read(self, place: Path) -> np.ndarray:
        image = read_image(place, self.new_size)
        if image.shape[:2] != self.image_shape[:2]:
            raise InputError(f"{place} has changed its size since the run began")
        return image


def find_shape(paths: Sequence[Path], new_size: int, what: str) -> tuple[int, int, int]:
    """The shape that all these images have, from their headers; RGB if any is in colour.

    Args:
        paths: image files, at least one.
        new_size: if above 0, they will be resized to this height and width.
        what: names them in the error.

    Raises:
        InputError: a file is no image, or they differ in size and are not to be resized.
    """
    headers = {read_header(path) for path in paths}
    sizes = sorted({header[:2] for header in headers})
    channels = max(header[2] for header in headers)
    if new_size > 0:
        return (new_size, new_size, channels)
    if len(sizes) > 1:
        (h1, w1), (h2, w2) = sizes[0], sizes[-1]
        raise InputError(
            f"{what} differ in size, from {h1}x{w1} to {h2}x{w2} pixels; --new_size=N makes "
            "them all NxN"
        )
    return (*sizes[0], channels)
