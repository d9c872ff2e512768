"""Readers for the original file formats. Each checks what it reads, byte by byte."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from semisup.errors import InputError

# IDX: two zero bytes, the element type (8 = unsigned byte), the number of dimensions,
# then each dimension as a big-endian 32-bit integer, then the elements.
_IDX_UNSIGNED_BYTE = 8


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


def _read(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file, unzipped, or all that can be had of them."""
    opener = gzip.open if path.suffix == ".gz" else open
    content = bytearray()
    try:
        with opener(path, "rb") as file:
            while chunk := file.read(min(limit - len(content), 1 << 20)):
                content += chunk
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (EOFError, zlib.error):
        pass  # cut off or damaged: the caller counts the bytes and says so
    except OSError as error:  # gzip.BadGzipFile is one
        raise InputError(f"cannot read {path}: {error}") from None
    return bytes(content)
