"""Test images that a person's own data set, or the source of a target, trains on too."""

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
    """Warn if test images are copies of training images, since their error is not that of new ones.

    Args:
        where: what `data` was loaded from, or its name.
        data: its training and test images are compared.
        train_name: names a training image, given its index.
        test_name: likewise a test image.
    """
    copies = find_copies(data.train_images, data.test_images)
    found = np.flatnonzero(copies >= 0)
    if len(found):
        logging.warning(
            "%s: %d of %d test images are copies of training images, the first is %s, a copy of "
            "%s; their error is not that of new images, so keep each in one place only",
            *(where, len(found), len(copies), test_name(found[0]), train_name(copies[found[0]])),
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
    if isinstance(train, ImageFiles) and isinstance(test, ImageFiles):
        return _same(*_keys_of_files(list(train.places), list(test.places)))
    if isinstance(train, np.ndarray) and isinstance(test, np.ndarray) and len(test):
        return _same(*_keys_of_pixels(train, test))
    return np.full(len(test), -1)


def _same(train: Sequence[Key | bytes], test: Sequence[Key | bytes]) -> np.ndarray:
    """For each key in `test` the index of the first one in `train` that is the same, or -1."""
    first: dict[Key | bytes, int] = {}
    for i, key in enumerate(train):
        first.setdefault(key, i)
    return np.array([first.get(key, -1) for key in test], np.int64)


def _keys_of_pixels(train: np.ndarray, test: np.ndarray) -> list[list[bytes]]:
    """What is the same of an image in `train` and one in `test` only if their pixels are."""
    rows = [images.reshape(len(images), -1) for images in (train, test)]
    step = train[0].size // _VALUES + 1
    few = [[row[::step].tobytes() for row in part] for part in rows]
    shared = set(few[0]) & set(few[1])  # a few values tell most images apart
    return [
        [
            key + _digest(row.tobytes()) if key in shared else key
            for key, row in zip(*both, strict=True)
        ]
        for both in zip(few, rows, strict=True)
    ]


def _keys_of_files(train: Sequence[Path], test: Sequence[Path]) -> tuple[list[Key], list[Key]]:
    """What is the same of a file in `train` and one in `test` only if their bytes are.

    Files are read only as far as they are like one of the other part: of uncompressed images all
    have one size.
    """
    paths = [*train, *test]
    keys: list[Key] = [(path.stat().st_size,) for path in paths]
    for length in (_END, 0):
        shared = set(keys[: len(train)]) & set(keys[len(train) :])
        places = [i for i, key in enumerate(keys) if key in shared]
        digest = functools.partial(_digest_of_file, length=length)
        alike = [paths[i] for i in places]
        digests = on_all_cores(digest, alike, description="looking for copies")
        for i, found in zip(places, digests, strict=True):
            keys[i] += (found,)
    return keys[: len(train)], keys[len(train) :]


def _digest_of_file(path: Path, length: int) -> bytes:
    """Digest of the last bytes of a file, or of all with a length of 0."""
    with path.open("rb") as file:
        if length:
            file.seek(-min(length, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return _digest(file.read())


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
