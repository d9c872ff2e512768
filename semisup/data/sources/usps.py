"""USPS: digits from envelopes, 16x16x1."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.sources.mnist import DIGITS
from semisup.errors import InputError

# Bytes that a file may unpack to: a few bytes can claim any number. The real ones have 15 MB.
_LARGEST_TEXT = 1 << 28


def load_usps(data_dir: Path) -> Dataset:
    """USPS, 16x16x1: 7,291 digits to train on and 2,007 to test on."""
    train_images, train_labels = read_usps(data_dir / "zip.train.gz")
    test_images, test_labels = read_usps(data_dir / "zip.test.gz")
    return Dataset("usps", train_images, train_labels, test_images, test_labels, DIGITS)


def read_usps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read USPS digits: gzipped text, a row each: the label, then 256 values in [-1, 1].

    Returns:
        Images uint8 [N, 16, 16, 1], -1 as 0 and 1 as 255, and labels int64 [N].

    Raises:
        InputError: the file is missing or damaged, or a row is not of this form.
    """
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            text = file.read(_LARGEST_TEXT + 1)
        if len(text) > _LARGEST_TEXT:
            raise InputError(f"{path} unpacks to more than {_LARGEST_TEXT} bytes; it is not USPS")
        lines = text.splitlines()
        rows = np.loadtxt(lines, dtype=np.float64, ndmin=2) if lines else np.zeros((0, 0))
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no file {path}") from None
    except PermissionError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {error}; download it again") from None
    if rows.shape[1] != 257 or len(rows) == 0:
        raise InputError(
            f"{path} has {rows.shape[1]} numbers per row; wanted a label and 16x16 pixels"
        )
    labels, values = rows[:, 0], rows[:, 1:]
    # "not <=" is true of NaN too.
    if not (np.all(np.abs(values) <= 1) and np.all(np.isin(labels, np.arange(10)))):
        raise InputError(f"{path} has labels outside 0 ... 9 or values outside -1 ... 1")
    pixels = np.round((values + 1.0) * 127.5).astype(np.uint8)
    return pixels.reshape(-1, 16, 16, 1), labels.astype(np.int64)
