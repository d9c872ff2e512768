"""Test images that a person's own data set has among its training images too."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from semisup.data.dataset import Dataset, Images
from semisup.data.lazy_images import ImageFiles


def warn_of_copies(
    where: Path,
    data: Dataset,
    train_name: Callable[[int], object],
    test_name: Callable[[int], object],
) -> None:
    """Warn if test images are copies of training images, since their error is not that of new ones.

    Args:
        where: `data` was loaded from.
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
        return _same(*_digests_of_files(train.places, test.places))
    if isinstance(train, np.ndarray) and isinstance(test, np.ndarray):
        digests = [[_digest(image.tobytes()) for image in part] for part in (train, test)]
        return _same(*digests)
    return np.full(len(test), -1)


def _same(train: Sequence[bytes], test: Sequence[bytes]) -> np.ndarray:
    """For each digest of `test` the index of the first one in `train` that is the same, or -1."""
    first: dict[bytes, int] = {}
    for i, digest in enumerate(train):
        first.setdefault(digest, i)
    return np.array([first.get(digest, -1) for digest in test], np.int64)


def _digests_of_files(
    train: Iterable[Path], test: Iterable[Path]
) -> tuple[list[bytes], list[bytes]]:
    """Digests of files; of one whose size no file of the other part has, its path."""
    sizes = [[path.stat().st_size for path in part] for part in (train, test)]
    shared = set(sizes[0]) & set(sizes[1])

    def digest(path: Path, size: int) -> bytes:
        return _digest(path.read_bytes()) if size in shared else bytes(path)

    digests = [
        [digest(path, size) for path, size in zip(part, of_part, strict=True)]
        for part, of_part in zip((train, test), sizes, strict=True)
    ]
    return digests[0], digests[1]


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
