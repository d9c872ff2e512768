"""Image files that index like an array in memory, but are decoded when they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from semisup.data.images import as_rgb, read_header, read_image
from semisup.errors import InputError


@dataclass(frozen=True)
class ImageFiles:
    """Images of one shape, uint8 [N, H, W, C], that stay in their files.

    Taking some of them (`images[3:5]`, `images[indices]`) decodes nothing; `images[3]`
    decodes one, `numpy.asarray(images)` all of them, `gather` some within a graph.

    Attributes:
        paths: the files [N], an array of objects.
        image_shape: (H, W, C).
        new_size: if above 0, each image is resized to this height and width.
    """

    paths: np.ndarray
    image_shape: tuple[int, int, int]
    new_size: int = 0

    dtype = np.dtype(np.uint8)
    ndim = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.paths), *self.image_shape)

    @property
    def nbytes(self) -> int:
        """What the decoded images would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice | np.ndarray) -> "np.ndarray | ImageFiles":
        chosen = self.paths[index]
        if isinstance(chosen, np.ndarray):
            return ImageFiles(chosen, self.image_shape, self.new_size)
        image = read_image(chosen, self.new_size)
        if image.shape[:2] != self.image_shape[:2]:
            raise InputError(f"{chosen} has changed its size since the run began")
        return as_rgb(image) if self.image_shape[2] == 3 else image

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        pixels = np.empty(self.shape, np.uint8)
        for i in range(len(self)):
            pixels[i] = self[i]
        return pixels if dtype is None else pixels.astype(dtype)

    def gather(self, indices: tf.Tensor) -> tf.Tensor:
        """Decode the images at `indices` [n], as uint8 [n, H, W, C], in a graph or out of it."""
        # Pillow here as everywhere, so that an image has the same pixels wherever it is read.
        pixels = tf.numpy_function(lambda chosen: np.asarray(self[chosen]), [indices], tf.uint8)
        return tf.ensure_shape(pixels, [None, *self.image_shape])


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
