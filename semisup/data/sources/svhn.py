"""SVHN: cropped house numbers, and synthetic digits in the same file format."""

from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.sources.mnist import DIGITS
from semisup.errors import InputError


def load_svhn(data_dir: Path) -> Dataset:
    """SVHN's cropped digits, 32x32x3, from train_32x32.mat and test_32x32.mat."""
    return _load_mat("svhn", data_dir, ("train_32x32.mat",), "test_32x32.mat")


def load_svhn_extra(data_dir: Path) -> Dataset:
    """SVHN with the easier digits of extra_32x32.mat added to the training images."""
    train = ("train_32x32.mat", "extra_32x32.mat")
    return _load_mat("svhn_extra", data_dir, train, "test_32x32.mat")


def load_synth(data_dir: Path) -> Dataset:
    """The synthetic digits of Ganin and Lempitsky, 32x32x3, from their .mat files.

    Their labels are 0 to 9 as published; files that write a zero as 10 are read, too.
    """
    files = (("synth_train_32x32.mat",), "synth_test_32x32.mat")
    return _load_mat("synth", data_dir, *files, zero_may_be_0=True)


def _load_mat(
    name: str, data_dir: Path, train: tuple[str, ...], test: str, zero_may_be_0: bool = False
) -> Dataset:
    parts = [read_mat_digits(data_dir / file, zero_may_be_0) for file in train]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    tests = read_mat_digits(data_dir / test, zero_may_be_0)
    return Dataset(name, images, labels, *tests, DIGITS)


def read_mat_digits(path: Path, zero_may_be_0: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Read a MATLAB file of digits in the format of SVHN's cropped digits.

    Args:
        path: a .mat file with X [H, W, C, N] uint8 and y [N, 1], in which a zero is
            written as 10.
        zero_may_be_0: whether it may be written as 0 instead, throughout the file.

    Returns:
        Images uint8 [N, H, W, C] and labels int64 [N] in 0 ... 9.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        content = loadmat(str(path), variable_names=["X", "y"])
    except Exception as error:  # SciPy's reader fails in many ways on damaged bytes
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) is not a MATLAB file, or is damaged "
            f"({type(error).__name__}: {error}); download it again"
        ) from None
    X, y = content.get("X"), content.get("y")
    whole = isinstance(y, np.ndarray) and y.dtype.kind in "iuf" and np.all(y == np.floor(y))
    if X is None or not whole or X.dtype != np.uint8 or X.ndim != 4 or y.size != X.shape[3]:
        found = {
            name: f"{array.dtype} {array.shape}"
            for name, array in (("X", X), ("y", y))
            if array is not None
        }
        raise InputError(
            f"{path} holds {found}; wanted X [H, W, C, N] of bytes and y [N, 1] of whole numbers"
        )
    labels = y.reshape(-1).astype(np.int64)
    lowest, highest = labels.min(initial=1), labels.max(initial=1)
    if lowest < (0 if zero_may_be_0 else 1) or highest > (9 if lowest == 0 else 10):
        wanted = "0 to 9, or 1 to 10" if zero_may_be_0 else "1 to 10"
        raise InputError(
            f"{path} has labels from {lowest} to {highest}; wanted {wanted} (zero is 10)"
        )
    return np.ascontiguousarray(X.transpose(3, 0, 1, 2)), labels % 10
