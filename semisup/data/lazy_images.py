"""Images that index like an array in memory, but stay on disk until they are asked for."""

import dataclasses
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from semisup.data.image_io import as_rgb


@dataclass(frozen=True)
class StoredImages(ABC):
    """Images of one shape, uint8 [N, H, W, C], that stay where they are stored.

    Taking some of them (`images[3:5]`, `images[indices]`) reads nothing; `images[3]`
    reads one, `numpy.asarray(images)` all of them, `gather` some within a graph.

    Attributes:
        places: where each image is, an array [N]: see the kinds of stored images.
        image_shape: (H, W, C). Where C is 3, grey images become RGB.
        new_size: if above 0, each image is resized to this height and width.
    """

    places: np.ndarray
    image_shape: tuple[int, int, int]
    new_size: int = 0

    dtype = np.dtype(np.uint8)
    ndim = 4

    @abstractmethod
    def _read(self, place: Any) -> np.ndarray:
        """The image there, uint8 [H, W, 1 or C]."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.places), *self.image_shape)

    @property
    def nbytes(self) -> int:
        """What the images would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int | slice | np.ndarray) -> "np.ndarray | StoredImages":
        chosen = self.places[index]
        if isinstance(chosen, np.ndarray):
            return dataclasses.replace(self, places=chosen)
        image = self._read(chosen)
        return as_rgb(image) if self.image_shape[2] == 3 else image

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        pixels = np.empty(self.shape, np.uint8)
        for i in range(len(self)):
            pixels[i] = self[i]
        return pixels if dtype is None else pixels.astype(dtype)

    def gather(self, indices: tf.Tensor) -> tf.Tensor:
        """Read the images at `indices` [n], as uint8 [n, H, W, C], in a graph or out of it."""
        # Outside TensorFlow here too, so that an image has the same pixels wherever it is read.
        pixels = tf.numpy_function(lambda chosen: np.asarray(self[chosen]), [indices], tf.uint8)
        return tf.ensure_shape(pixels, [None, *self.image_shape])


@dataclass(frozen=True)
class _Both(StoredImages):
    """Images of two arrays or stores, those of the second after those of the first.

    `places` are their numbers in this order, integers [N].
    """

    both: "tuple[np.ndarray | StoredImages, ...]" = ()

    def _read(self, place: np.integer) -> np.ndarray:
        first, second = self.both
        number = int(place)
        images, number = (first, number) if number < len(first) else (second, number - len(first))
        return np.asarray(images[number])


def together(
    first: "np.ndarray | StoredImages", second: "np.ndarray | StoredImages"
) -> "np.ndarray | StoredImages":
    """The images of both, [N, H, W, C] and [M, H, W, C], in this order, [N + M, H, W, C].

    In memory if both are, else they stay where they are.
    """
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate([first, second])
    numbers = np.arange(len(first) + len(second))
    return _Both(numbers, first.shape[1:], both=(first, second))


def memory_for_images() -> int:
    """Bytes that people's own images may take in memory; larger sets stay on disk."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Images [N, H, W, C] with `size` x `size` pixels: bilinear, smoothed when smaller."""
    floats = tf.image.resize(images, (size, size), antialias=True).numpy()
    return np.round(floats).clip(0, 255).astype(np.uint8)
