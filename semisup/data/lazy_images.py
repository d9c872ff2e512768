"""Images that index like an array in memory, but stay on disk until they are asked for."""

import dataclasses
import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisup.data.image_io import AS_USUAL, Reading, as_rgb, on_all_cores, read_header, read_image
from semisup.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf  # else where it is used: processes that read images need not load it


# Where Linux has the memory that a container may use, in bytes: control groups, version 2 and 1.
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True)
class LazyImages(ABC):
    """Images of one shape, uint8 [N, H, W, C], that stay where they are stored.

    Taking some of them (`images[3:5]`, `images[indices]`) reads nothing; `images[3]`
    reads one, `numpy.asarray(images)` all of them, `gather` some within a graph.

    Attributes:
        places: where each image is, an array [N]; what of, the subclasses say.
        image_shape: (H, W, C). Where C is 3, grey images become RGB.
        new_size: if above 0, each image is resized to this height and width.
    """

    places: np.ndarray
    image_shape: tuple[int, int, int]
    new_size: int = 0

    dtype = np.dtype(np.uint8)
    ndim = 4
    # Whether other processes can read for this one.
    _picklable = False

    @abstractmethod
    def _read(self, place: Any) -> np.ndarray:
        """Read the image at `place`, uint8 [H, W, 1 or C]."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.places), *self.image_shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the images would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int | slice | np.ndarray) -> "np.ndarray | LazyImages":
        chosen = self.places[index]
        if isinstance(chosen, np.ndarray):
            return dataclasses.replace(self, places=chosen)
        image = self._read(chosen)
        return as_rgb(image) if self.image_shape[2] == 3 else image

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        pixels = self._pixels()
        return pixels if dtype is None else pixels.astype(dtype)

    def read_all(self) -> np.ndarray:
        """Read all images, uint8 [N, H, W, C], with a progress display."""
        return self._pixels("reading images")

    def _pixels(self, doing: str = "") -> np.ndarray:
        pixels = np.empty(self.shape, np.uint8)
        reader = dataclasses.replace(self, places=self.places[:0])
        places = list(self.places)
        for i, image in enumerate(on_all_cores(reader._read, places, self._picklable, doing)):
            pixels[i] = image  # a grey one gets its channel three times
        return pixels

    def identity(self, index: int) -> bytes:
        """Return bytes that are the same for the same image, and for that only."""
        return np.asarray(self[index]).tobytes()

    def gather(self, indices: "tf.Tensor") -> "tf.Tensor":
        """Read the images at `indices` [n], as uint8 [n, H, W, C], in a graph or out of it."""
        import tensorflow as tf

        # Outside TensorFlow here too, so that an image has the same pixels wherever it is read.
        pixels = tf.numpy_function(lambda chosen: np.asarray(self[chosen]), [indices], tf.uint8)
        return tf.ensure_shape(pixels, [None, *self.image_shape])


@dataclass(frozen=True)
class ImageFiles(LazyImages):
    """Images in files of their own. `places` are their paths, an array of objects [N].

    Attributes:
        how: the files are read, all alike.
    """

    how: Reading = AS_USUAL

    _picklable = True

    def _read(self, place: Path) -> np.ndarray:
        image = read_image(place, self.new_size, how=self.how)
        if image.shape[:2] != self.image_shape[:2] or image.shape[2] > self.image_shape[2]:
            raise InputError(f"{place} has changed its size or its colours since the run began")
        return image

    def identity(self, index: int) -> bytes:
        """Return the file's path, size and times of change, and how it is read."""
        path = Path(self.places[index]).resolve()
        stat = path.stat()
        # Programs that unpack files set the former time, to whole seconds; the latter none can set.
        unpacked = stat.st_mtime_ns % 1_000_000_000 == 0
        changed = (stat.st_mtime_ns, stat.st_ctime_ns if unpacked else 0)
        of_file = (str(path), stat.st_size, *changed)
        return repr((*of_file, self.image_shape, self.how.values_in)).encode()


@dataclass(frozen=True)
class ConcatenatedImages(LazyImages):
    """Images of two arrays or files, those of the second after those of the first.

    `places` are their numbers in this order, integers [N].
    """

    parts: "tuple[np.ndarray | LazyImages, ...]" = ()

    def _read(self, place: np.integer) -> np.ndarray:
        first, second = self.parts
        number = int(place)
        images, number = (first, number) if number < len(first) else (second, number - len(first))
        return np.asarray(images[number])


def concatenate(
    first: "np.ndarray | LazyImages", second: "np.ndarray | LazyImages"
) -> "np.ndarray | LazyImages":
    """Join images [N, H, W, C] and [M, H, W, C] to [N + M, H, W, C].

    In memory if both are, else they stay where they are.
    """
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate([first, second])
    if isinstance(first, FeaturedImages) and isinstance(second, FeaturedImages):
        features = np.concatenate([first.features, second.features])
        images = ConcatenatedImages(
            np.arange(len(features)), first.image_shape, parts=(first, second)
        )
        return with_features(images, features)
    numbers = np.arange(len(first) + len(second))
    return ConcatenatedImages(numbers, first.shape[1:], parts=(first, second))


@dataclass(frozen=True)
class FeaturedImages(LazyImages):
    """Images with features of them, which a network on top of a frozen backbone takes instead.

    `places` are their numbers in `images` and `all_features`, integers [N].

    Attributes:
        images: in memory or in files, uint8 [M, H, W, C].
        all_features: of each of `images`, float32 [M, F].
    """

    images: "np.ndarray | LazyImages" = dataclasses.field(default_factory=lambda: np.empty(0))
    all_features: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))

    @property
    def features(self) -> np.ndarray:
        """The features of the images, float32 [N, F]."""
        return self.all_features[self.places]

    def _read(self, place: np.integer) -> np.ndarray:
        return np.asarray(self.images[int(place)])

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.images[self.places], dtype)  # all at once


def with_features(images: "np.ndarray | LazyImages", features: np.ndarray) -> FeaturedImages:
    """Join images [N, H, W, C] and their features, float32 [N, F]."""
    places = np.arange(len(images))
    return FeaturedImages(places, images.shape[1:], images=images, all_features=features)


def as_images(images: Any) -> "np.ndarray | LazyImages":
    """Images as an array [N, ...], whatever holds them, unless they are read when asked for.

    Args:
        images: an array, a tensor or a list of images of one size; `LazyImages` stay as they are.

    Raises:
        InputError: they differ in size, or are none.
    """
    if isinstance(images, LazyImages):
        return images
    try:
        array = np.asarray(images)
    except ValueError:  # of a list of images
        raise InputError("the images differ in size; bring them to one size first") from None
    if array.ndim == 0 or array.dtype == object:
        raise InputError(
            f"the images must be an array [N, ...], but are a {type(images).__name__}; for a "
            "folder of images see `load_dataset`"
        )
    return array


def in_memory(images: "np.ndarray | LazyImages") -> "np.ndarray | LazyImages":
    """Images in memory; those with features stay, since a network takes these instead."""
    return images if isinstance(images, FeaturedImages) else np.asarray(images)


def network_inputs(images: "np.ndarray | LazyImages") -> np.ndarray:
    """What a network takes of images: their features if they have any, else their pixels."""
    return images.features if isinstance(images, FeaturedImages) else np.asarray(images)


def look_at_headers(
    paths: Sequence[Path], new_size: int, what: str, how: Reading = AS_USUAL
) -> tuple[tuple[int, int, int], list[Path]]:
    """Find the shape that all these images have, from their headers; RGB if any is in colour.

    Args:
        paths: image files, at least one.
        new_size: if above 0, they will be resized to this height and width.
        what: names them in the error.
        how: they are read.

    Returns:
        (height, width, channels), and those of the files whose values have more than 8 bits.

    Raises:
        InputError: a file is no image, or they differ in size and are not to be resized.
    """
    read = functools.partial(read_header, how=how)
    headers = list(on_all_cores(read, paths, description="reading image headers"))
    many = [path for path, header in zip(paths, headers, strict=True) if header[3]]
    sizes = sorted({header[:2] for header in headers})
    channels = max(header[2] for header in headers)
    if new_size > 0:
        return (new_size, new_size, channels), many
    if len(sizes) > 1:
        (h1, w1), (h2, w2) = sizes[0], sizes[-1]
        raise InputError(
            f"{what} differ in size, from {h1}x{w1} to {h2}x{w2} pixels; `new_size=N` makes "
            "them all NxN"
        )
    return (*sizes[0], channels), many


def memory_for_images() -> int:
    """Bytes that people's own images may take in memory; larger sets stay on disk."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # the word "max" is no limit
            limits.append(int(file.read_text()))
    return min(limits) // 4


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Resize images [N, H, W, C] to `size` x `size` pixels: bilinear, smoothed when smaller."""
    import tensorflow as tf

    floats = tf.image.resize(images, (size, size), antialias=True)
    return tf.saturate_cast(tf.round(floats), tf.uint8).numpy()
