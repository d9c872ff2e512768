"""Copies: test images that are trained on, too, and training images that are in two classes."""

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from semisup.data.dataset import Dataset, Images
from semisup.data.image_io import on_all_cores
from semisup.data.lazy_images import ImageFiles

# What tells one file from another: its size, then digests of its end and of all of it.
Key = tuple[int | bytes, ...]

_END = 4096  # bytes that are read first: compressed images have the same headers

_VALUES = 64  # of an image in memory that are compared first


def warn_of_copies(
    where: str | Path,
    data: Dataset,
    train_name: Callable[[int], object],
    test_name: Callable[[int], object],
) -> None:
    """Warn of copies among people's own images.

    Of test images that are also training or unlabelled images, since their error is not that of
    new ones; and of training images that are in two classes.

    Args:
        where: what `data` was loaded from, or its name.
        data: its images are compared.
        train_name: names a training image, given its index.
        test_name: likewise a test image.
    """
    warn_of_test_copies(where, data, train_name, test_name)
    if data.unlabeled_images is not None:
        found = np.flatnonzero(find_copies(data.unlabeled_images, data.test_images) >= 0)
        if len(found):
            logging.warning(
                f"{where}: {len(found)} of {len(data.test_images)} test images are unlabelled "
                f"images, too, the first is {test_name(found[0])}; their error is not that of new "
                "images, so keep each in one place only"
            )
    if pair := find_two_classes(data.train_images, data.train_labels):
        of = [data.class_names[data.train_labels[i]] for i in pair]
        logging.warning(
            f"{where}: training images are in more than one class, the first is "
            f"{train_name(pair[1])} ({of[1]}), the same as {train_name(pair[0])} ({of[0]}); keep "
            "each in one class only"
        )


def warn_of_test_copies(
    where: str | Path,
    data: Dataset,
    train_name: Callable[[int], object],
    test_name: Callable[[int], object],
) -> None:
    """Warn of test images that are also training images; the arguments are as above."""
    copies = find_copies(data.train_images, data.test_images)
    found = np.flatnonzero(copies >= 0)
    if len(found):
        logging.warning(
            f"{where}: {len(found)} of {len(copies)} test images are copies of training images, "
            f"the first is {test_name(found[0])}, a copy of {train_name(copies[found[0]])}; their "
            "error is not that of new images, so keep each in one place only"
        )


def find_copies(train: Images, test: Images) -> np.ndarray:
    """Find the test images whose pixels a training image has too.

    Of images that stay in their files, those whose files have the same bytes; of a .npz file
    larger than memory, none.

    Args:
        train: uint8 [N, H, W, C].
        test: uint8 [M, H, W, C].

    Returns:
        For each test image the index of the first such training image, or -1; int64 [M].
    """
    groups = np.repeat([0, 1], (len(train), len(test)))
    keys = _keys((train, test), groups)
    if keys is None:
        return np.full(len(test), -1)
    first: dict[Key, int] = {}
    for i, key in enumerate(keys[: len(train)]):
        first.setdefault(key, i)
    return np.array([first.get(key, -1) for key in keys[len(train) :]], np.int64)


def find_two_classes(images: Images, labels: np.ndarray) -> tuple[int, int] | None:
    """Find two images with the same pixels and different labels, as `find_copies` compares them.

    Args:
        images: uint8 [N, H, W, C].
        labels: int64 [N].

    Returns:
        The indices of the first such image and of the first that is the same; None if there is
        none.
    """
    first: dict[Key, int] = {}
    for i, key in enumerate(_keys((images,), labels) or ()):
        if labels[before := first.setdefault(key, i)] != labels[i]:
            return before, i
    return None


def _keys(parts: Sequence[Images], groups: np.ndarray) -> list[Key] | None:
    """What is the same of two images of different groups only if the images are.

    Args:
        parts: the images, one part after the other.
        groups: integers, one for each image.

    Returns:
        None where they are not compared.
    """
    files = [part for part in parts if isinstance(part, ImageFiles)]
    arrays = [part for part in parts if isinstance(part, np.ndarray) and len(part)]
    if len(files) == len(parts):
        return _keys_of_files([path for part in files for path in part.places], groups)
    if len(arrays) == len(parts):
        return _keys_of_pixels([row.ravel() for part in arrays for row in part], groups)
    return None


def _keys_of_pixels(rows: Sequence[np.ndarray], groups: np.ndarray) -> list[Key]:
    step = rows[0].size // _VALUES + 1
    keys: list[Key] = [(row[::step].tobytes(),) for row in rows]
    for i in _shared(keys, groups):  # a few values tell most images apart
        keys[i] += (_digest(rows[i].tobytes()),)
    return keys


def _keys_of_files(paths: Sequence[Path], groups: np.ndarray) -> list[Key]:
    """Files are read only as far as they are like others: uncompressed images have one size."""
    keys: list[Key] = [(path.stat().st_size,) for path in paths]
    for length in (_END, 0):
        places = _shared(keys, groups)
        digest = functools.partial(_digest_of_file, length=length)
        alike = [paths[i] for i in places]
        digests = on_all_cores(digest, alike, description="looking for copies")
        for i, found in zip(places, digests, strict=True):
            keys[i] += (found,)
    return keys


def _shared(keys: Sequence[Key], groups: np.ndarray) -> list[int]:
    """Where the keys are that occur in more than one group."""
    group_of: dict[Key, int] = {}
    several = {
        key
        for key, group in zip(keys, groups, strict=True)
        if group_of.setdefault(key, group) != group
    }
    return [i for i, key in enumerate(keys) if key in several]


def _digest_of_file(path: Path, length: int) -> bytes:
    """Digest of the last bytes of a file, or of all with a length of 0."""
    with path.open("rb") as file:
        if length:
            file.seek(-min(length, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return _digest(file.read())


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
