"""STL-10: natural images of ten classes, 96x96x3, and many more without labels."""

from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.sources.compressed import read_members
from semisup.errors import InputError

CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")

_IMAGES = ("train_X.bin", "test_X.bin", "unlabeled_X.bin")
_LABELS = ("train_y.bin", "test_y.bin")
_FOLDS = "fold_indices.txt"


def load_stl10(data_dir: Path) -> Dataset:
    """STL-10 from its owners' binary files.

    Args:
        data_dir: `stl10_binary.tar.gz` itself, or the folder with its files, or the
            folder around that.

    Raises:
        InputError: a file is missing or damaged.
    """
    if (data_dir / "stl10_binary").is_dir():
        data_dir = data_dir / "stl10_binary"
    content = read_members(data_dir, {*_IMAGES, *_LABELS, _FOLDS})
    missing = {*_IMAGES, *_LABELS} - content.keys()
    if missing:
        raise InputError(
            f"there is no {', '.join(sorted(missing))} in {data_dir}; `data_dir` must name "
            "stl10_binary.tar.gz or the folder with its files"
        )
    images = {name: _read_images(content[name], f"{data_dir}: {name}") for name in _IMAGES}
    labels = {name: np.frombuffer(content[name], np.uint8).astype(np.int64) - 1 for name in _LABELS}
    folds = None
    if _FOLDS in content:
        folds = _read_folds(content[_FOLDS], len(labels["train_y.bin"]), f"{data_dir}: {_FOLDS}")
    return Dataset(
        "stl10",
        images["train_X.bin"],
        labels["train_y.bin"],
        images["test_X.bin"],
        labels["test_y.bin"],
        CLASSES,
        unlabeled_images=images["unlabeled_X.bin"],
        folds=folds,
    )


def _read_images(content: bytes, name: str) -> np.ndarray:
    """The images of an STL-10 file: each channel by channel, each of those by columns.

    Args:
        content: the bytes of train_X.bin, test_X.bin or unlabeled_X.bin.
        name: of the file, for the error.

    Returns:
        uint8 [N, 96, 96, 3].

    Raises:
        InputError: there is not a whole number of images.
    """
    size = 3 * 96 * 96
    if len(content) == 0 or len(content) % size:
        raise InputError(
            f"{name} is damaged: its {len(content)} bytes are not a multiple of the {size} bytes "
            "of an image"
        )
    planes = np.frombuffer(content, np.uint8).reshape(-1, 3, 96, 96)
    return np.ascontiguousarray(planes.transpose(0, 3, 2, 1))


def _read_folds(content: bytes, images: int, name: str) -> tuple[np.ndarray, ...]:
    """A fold a line, its indices into the training images apart by spaces."""
    try:
        folds = tuple(
            np.array([int(word) for word in line.split()], np.int64)
            for line in content.decode("ascii").splitlines()
            if line.strip()
        )
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name} is damaged: {error}") from None
    if not all(np.all((fold >= 0) & (fold < images)) for fold in folds):
        raise InputError(f"{name} names images that are not among the {images} training images")
    return folds
