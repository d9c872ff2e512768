"""Readers for the original file formats. Each checks what it reads, byte by byte."""

import gzip
import math
import struct
import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from semisup.errors import InputError

# IDX: two zero bytes, the element type (8 = unsigned byte), the number of dimensions,
# then each dimension as a big-endian 32-bit integer, then the elements.
_IDX_UNSIGNED_BYTE = 8

# Bytes that a packed file may unpack to: a few bytes can claim any number. The largest real
# ones are USPS's training digits, 15 MB, and STL-10's unlabelled images, 2.8 GB.
_LARGEST_TEXT = 1 << 28
_LARGEST_MEMBER = 1 << 32


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
    header = _read(path, header_size)
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
    size = header_size + math.prod(shape)
    content = _read(path, size + 1)
    if len(content) != size:
        found = "more" if len(content) > size else str(len(content))
        raise InputError(
            f"{path} is damaged: its header states {size} bytes for shape "
            f"{tuple(shape)}, but it holds {found}; download it again"
        )
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


def read_mat_digits(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a MATLAB file of digits in the format of SVHN's cropped digits.

    Args:
        path: a .mat file with X [H, W, C, N] uint8 and y [N, 1], in which a zero is
            written as 10.

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
            f"{path} ({path.stat().st_size} bytes) is no MATLAB file or is damaged "
            f"({type(error).__name__}: {error}); download it again"
        ) from None
    X, y = content.get("X"), content.get("y")
    if X is None or y is None or X.dtype != np.uint8 or X.ndim != 4 or y.size != X.shape[3]:
        found = {name: array.shape for name, array in (("X", X), ("y", y)) if array is not None}
        raise InputError(f"{path} holds {found}; wanted X [H, W, C, N] of bytes and y [N, 1]")
    labels = y.reshape(-1).astype(np.int64)
    if labels.min(initial=1) < 1 or labels.max(initial=10) > 10:
        raise InputError(
            f"{path} has labels from {labels.min()} to {labels.max()}; wanted 1 to 10 (zero is 10)"
        )
    return np.ascontiguousarray(X.transpose(3, 0, 1, 2)), labels % 10


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
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {error}; download it again") from None
    if rows.shape[1] != 257 or len(rows) == 0:
        raise InputError(f"{path} has {rows.shape[1]} numbers a row; wanted a label and 16x16")
    labels, values = rows[:, 0], rows[:, 1:]
    # "not <=" is true of NaN too.
    if not (np.all(np.abs(values) <= 1) and np.all(np.isin(labels, np.arange(10)))):
        raise InputError(f"{path} has labels outside 0 ... 9 or values outside -1 ... 1")
    pixels = np.round((values + 1.0) * 127.5).astype(np.uint8)
    return pixels.reshape(-1, 16, 16, 1), labels.astype(np.int64)


def stl10_images(content: bytes, name: str) -> np.ndarray:
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
            f"{name} is damaged: {len(content)} bytes are no whole number of images of {size} bytes"
        )
    planes = np.frombuffer(content, np.uint8).reshape(-1, 3, 96, 96)
    return np.ascontiguousarray(planes.transpose(0, 3, 2, 1))


def read_members(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """Read files out of a folder, or out of a .tar.gz archive without unpacking it.

    Args:
        path: a folder, or an archive whose name ends in .tar.gz, .tgz or .tar.
        wanted: names of files, wherever in the archive they lie.

    Returns:
        The contents of those that are there, by name.

    Raises:
        InputError: the archive is damaged, or an entry points outside of it.
    """
    if path.is_dir():
        return {name: _read(path / name) for name in wanted if (path / name).is_file()}
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                if place.is_absolute() or ".." in place.parts:
                    raise InputError(f"{path} has an entry outside its folder: {member.name}")
                if member.isfile() and place.name in wanted:
                    if member.issparse() or member.size > _LARGEST_MEMBER:
                        raise InputError(f"{path}: {member.name} claims {member.size} bytes")
                    found[place.name] = archive.extractfile(member).read()
    except FileNotFoundError:
        raise InputError(f"there is no file or folder {path}") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{path} is no archive or is damaged: {error}; download it again"
        ) from None
    return found


def _read(path: Path, limit: int | None = None) -> bytes:
    """The first `limit` bytes of a file, unzipped, or all that can be had of them."""
    opener = gzip.open if path.suffix == ".gz" else open
    content = bytearray()
    chunk = 1 << 20
    try:
        with opener(path, "rb") as file:
            while more := file.read(chunk if limit is None else min(limit - len(content), chunk)):
                content += more
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (EOFError, zlib.error):
        pass  # cut off or damaged: the caller counts the bytes and says so
    except OSError as error:  # gzip.BadGzipFile is one
        raise InputError(f"cannot read {path}: {error}") from None
    return bytes(content)
