"""Images of one shape: grey to RGB, one size to another, a source and its target.

The rule where labelled and unlabelled images come from different sets: if either is in
colour, the grey ones become RGB by repeating their channel; sizes are only changed by
`new_size`, never silently, and never by a crop.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from semisup.data import image_io
from semisup.data.dataset import Dataset, Images
from semisup.data.lazy_images import LazyImages, resize
from semisup.data.sources.copies import warn_of_test_copies
from semisup.errors import InputError

_IMAGES = ("train_images", "test_images", "unlabeled_images")


def as_rgb(dataset: Dataset) -> Dataset:
    """The data set with three equal channels where it had one."""

    def to_rgb(images: Images) -> Images:
        if isinstance(images, LazyImages):
            return dataclasses.replace(images, image_shape=(*images.image_shape[:2], 3))
        return image_io.as_rgb(images)

    return _changed(dataset, to_rgb)


@dataclass(frozen=True)
class ResizedImages(LazyImages):
    """Images in memory that are resized when they are read. `places` are their numbers [N].

    Attributes:
        images: uint8 [M, H, W, C].
    """

    images: np.ndarray = field(default_factory=lambda: np.empty(0))

    def _read(self, place: np.integer) -> np.ndarray:
        return resize(self.images[place][None], self.new_size)[0]

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        pixels = resize(self.images[self.places], self.new_size)
        if self.image_shape[2] == 3:  # see `as_rgb`
            pixels = image_io.as_rgb(pixels)
        return pixels if dtype is None else pixels.astype(dtype)

    def identity(self, index: int) -> bytes:
        """Return the bytes of the image before it is resized, and its size after that."""
        return repr(self.image_shape).encode() + self.images[self.places[index]].tobytes()


def resized(dataset: Dataset, size: int, lazily: bool = False) -> Dataset:
    """The data set with images of `size` x `size` pixels: bilinear, smoothed when smaller.

    Args:
        dataset: the data set.
        size: the height and width, at least 1.
        lazily: keep images in memory as they are and resize them each time they are read. Images on
            disk are read into memory in any case; `load_dataset` resizes them as they are read.
    """

    def resize_all(images: Images) -> Images:
        if not lazily or not isinstance(images, np.ndarray) or images.shape[1:3] == (size, size):
            return resized_in_parts(images, size)
        shape = (size, size, images.shape[3])
        return ResizedImages(np.arange(len(images)), shape, size, images)

    return _changed(dataset, resize_all)


def resized_as_tensorflow_1(dataset: Dataset, size: int) -> Dataset:
    """The data set with images of `size` x `size` pixels, as TensorFlow 1 resized by default.

    Bilinear, but from the corners, not the centres of the pixels, and without smoothing: row i
    of the result is read at i * height / size. Rounded to whole numbers, which TensorFlow 1 did
    not.
    """

    def from_corners(images: np.ndarray) -> np.ndarray:
        floats = tf.compat.v1.image.resize_bilinear(images, (size, size))
        return tf.cast(tf.round(floats), tf.uint8).numpy()

    return _changed(dataset, lambda images: resized_in_parts(images, size, from_corners))


def resized_in_parts(
    images: Images, size: int, change: Callable[[np.ndarray], np.ndarray] | None = None
) -> Images:
    """The images of `size` x `size` pixels, in parts that fit into the memory.

    Args:
        images: uint8 [N, H, W, C].
        size: the height and width.
        change: resizes some of them; by default `lazy_images.resize`.
    """
    if images.shape[1:3] == (size, size):
        return images
    change = change or functools.partial(resize, size=size)
    parts = [change(np.asarray(images[i : i + 1000])) for i in range(0, len(images), 1000)]
    # There may be no test images.
    return np.concatenate(parts or [np.empty((0, size, size, images.shape[3]), np.uint8)])


def adapted(source: Dataset, target: Dataset) -> Dataset:
    """Labelled images of the source; unlabelled and test images of the target.

    Classes are matched by their numbers, as in MNIST and SVHN; names that differ are logged as a
    warning, as are test images that are copies of the source's.

    Raises:
        InputError: they differ in classes or their order, or in size.
    """
    if source.num_classes != target.num_classes:
        raise InputError(
            f"{source.name} has {source.num_classes} classes and {target.name} "
            f"{target.num_classes}; both must have the same classes"
        )
    _check_names(source, target)
    if source.image_shape[2] != target.image_shape[2]:
        source, target = as_rgb(source), as_rgb(target)
    if source.image_shape != target.image_shape:
        sizes = ("x".join(map(str, each.image_shape[:2])) for each in (source, target))
        raise InputError(
            f"{source.name} and {target.name} differ in size, {' and '.join(sizes)} pixels; "
            "`new_size=N` makes both NxN"
        )
    both = dataclasses.replace(
        source,
        name=f"{source.name} to {target.name}",
        test_images=target.test_images,
        test_labels=target.test_labels,
        unlabeled_images=target.unlabeled_pool,
        unlabeled_files=target.pool_files,
        values_in=target.values_in or source.values_in,
    )
    warn_of_test_copies(
        *(both.name, both),
        lambda i: source.train_names(np.array([i]))[0],
        lambda i: f"test image {i} of {target.name}, counted from 0",
    )
    return both


class OtherNames(NamedTuple):
    """How the names of as many classes differ.

    Attributes:
        reordered: whether they are the same names in another order.
        first: the first class with another name.
    """

    reordered: bool
    first: int


def compare_class_names(names: Sequence[str], others: Sequence[str]) -> OtherNames | None:
    """How the names of as many classes differ, capitals apart; None if they do not."""
    names, others = ([name.casefold() for name in each] for each in (names, others))
    differing = [i for i, pair in enumerate(zip(names, others, strict=True)) if len({*pair}) > 1]
    return OtherNames(sorted(names) == sorted(others), differing[0]) if differing else None


def _check_names(source: Dataset, target: Dataset) -> None:
    """Refuse the same classes in another order; warn of classes with other names."""
    found = compare_class_names(source.class_names, target.class_names)
    if found is None:
        return
    if found.reordered:
        raise InputError(
            f"{source.name} and {target.name} have the same classes in another order "
            f"({', '.join(source.class_names[:3])}, ... and {', '.join(target.class_names[:3])}, "
            "...); rename those of one so that both come in one order"
        )
    first = found.first
    logging.warning(
        f"the classes of {source.name} and {target.name} are matched by their numbers, but have "
        f"other names: class {first} is {source.class_names[first]!r} and "
        f"{target.class_names[first]!r}"
    )


def _changed(dataset: Dataset, change: Callable[[Images], Images]) -> Dataset:
    """The data set with `change` applied to all its images."""
    arrays = {name: getattr(dataset, name) for name in _IMAGES}
    changed: dict[str, Any] = {
        name: change(array) for name, array in arrays.items() if array is not None
    }
    # All at once, since a data set checks that its images are alike.
    return dataclasses.replace(dataset, **changed)
