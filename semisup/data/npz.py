"""Arrays in .npz files. Pickled objects in them are never loaded."""

import math
import os
import struct
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from semisup.data import lazy_images
from semisup.data.lazy_images import LazyImages
from semisup.errors import InputError

# Arrays whose names end so may stay in the file.
_IMAGES = "images"

# A member of a zip archive begins with a header of its own, as long as the two numbers at its
# end say: of its name, and of a field that the archive's table need not repeat.
_LOCAL_HEADER = struct.Struct("<26x2H")

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class NpzImages(LazyImages):
    """Images in an array of a .npz file. `places` are their numbers in it, integers [N].

    They are read, not mapped into memory: a file that is cut short while it is mapped ends the
    process without a word, and mapped pages count as the process's memory.

    Attributes:
        path: the file.
        offset: of the first image in it, in bytes.
        stored_shape: (H, W, C) of each image in it.
        version: of the file, which must not be replaced meanwhile; see `_version`.
    """

    path: Path = Path()
    offset: int = 0
    stored_shape: tuple[int, int, int] = (0, 0, 0)
    version: tuple[int, ...] = ()

    def _read(self, place: np.integer) -> np.ndarray:
        size = math.prod(self.stored_shape)
        try:
            with self.path.open("rb") as file:
                if _version(file) != self.version:
                    raise InputError(f"{self.path} has changed since it was opened; start again")
                file.seek(self.offset + int(place) * size)
                content = file.read(size)
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error}") from None
        if len(content) != size:
            raise InputError(f"{self.path} has become shorter since it was opened")
        image = np.frombuffer(content, np.uint8).reshape(self.stored_shape)
        if self.image_shape[:2] == self.stored_shape[:2]:
            return image
        return lazy_images.resize(image[None], self.new_size)[0]


def read_npz(path: Path, only: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The arrays in a .npz file, by their names.

    Args:
        path: the file.
        only: the names of those to read, as far as there are such; by default all.

    Raises:
        InputError: the file is missing or damaged, or too large for the memory.
    """
    with _refused_in_a_line(path):
        with zipfile.ZipFile(path) as archive:
            size = _unpacked(archive.infolist())
        if size > lazy_images.memory_for_images():
            raise InputError(f"{path} unpacks to {size} bytes, too many for this machine's memory")
        with np.load(path, allow_pickle=False) as file:
            # What is no array comes as bytes.
            keys = [key for key in file.files if not only or key in only]
            return {key: a for key in keys if isinstance(a := file[key], np.ndarray)}


def open_npz(path: Path, new_size: int = 0) -> dict[str, np.ndarray | NpzImages]:
    """The arrays in a .npz file; images that are too many for the memory stay in it.

    These are resized when they are read. Where they are not too many then, they are read
    at once.

    Args:
        path: the file.
        new_size: if above 0, the height and width of images that stay in the file. Others
            are left as they are.

    Raises:
        InputError: as `read_npz`, or the images are compressed, or no bytes in NumPy's
            usual order, and too many to be read at once.
    """
    with _refused_in_a_line(path), zipfile.ZipFile(path) as archive:
        if _unpacked(archive.infolist()) <= lazy_images.memory_for_images():
            return dict(read_npz(path))
        return _open_large(path, archive, new_size)


def _open_large(
    path: Path, archive: zipfile.ZipFile, new_size: int
) -> dict[str, np.ndarray | NpzImages]:
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    images = {key: member for key, member in members.items() if key.endswith(_IMAGES)}
    for key, member in images.items():
        if member.compress_type != zipfile.ZIP_STORED:
            raise InputError(
                f"{path}: {key} unpacks to {member.file_size} bytes, too many for this machine's "
                "memory; save the file with numpy.savez instead of numpy.savez_compressed, and "
                "images can stay in it"
            )
    size = _unpacked(member for key, member in members.items() if key not in images)
    if size > lazy_images.memory_for_images():
        raise InputError(
            f"{path}: its arrays other than images unpack to {size} bytes, too many for this "
            "machine's memory"
        )
    if damaged := archive.testzip():  # reads all of it once, piece by piece
        raise InputError(f"{path} is damaged: the checksum of {damaged} is wrong")
    opened: dict[str, np.ndarray | NpzImages] = {
        key: _in_file(path, archive, key, member, new_size) for key, member in images.items()
    }
    if sum(each.nbytes for each in opened.values()) <= lazy_images.memory_for_images():
        opened = {
            key: each.read_all() if isinstance(each, NpzImages) else each
            for key, each in opened.items()
        }
    with np.load(path, allow_pickle=False) as file:
        others = {key: file[key] for key in file.files if key not in images}
    return {key: a for key, a in others.items() if isinstance(a, np.ndarray)} | opened


def _in_file(
    path: Path, archive: zipfile.ZipFile, key: str, member: zipfile.ZipInfo, new_size: int
) -> NpzImages:
    """The images of a member that is not compressed, where they lie in the file."""
    with archive.open(member) as file:
        read_header = _HEADER_READERS[np.lib.format.read_magic(file)]
        shape, by_columns, dtype = read_header(file)
        header = file.tell()
    if dtype != np.uint8 or len(shape) not in (3, 4) or min(shape) < 1:
        raise InputError(f"{path}: {key} is {dtype} {shape}, wanted uint8 [N, H, W, C]")
    if by_columns:
        raise InputError(
            f"{path}: {key} is too large for this machine's memory, and its images are not stored "
            "one after the other; save numpy.ascontiguousarray of it"
        )
    if header + math.prod(shape) != member.file_size or member.file_size != member.compress_size:
        raise InputError(f"{path} is damaged: {key} does not have the size that its header states")
    opened = archive.fp
    assert opened is not None
    opened.seek(member.header_offset)
    lengths = _LOCAL_HEADER.unpack(opened.read(_LOCAL_HEADER.size))
    begin = member.header_offset + _LOCAL_HEADER.size + sum(lengths) + header
    height, width, channels = shape[1:] if len(shape) == 4 else (*shape[1:], 1)
    size = (new_size, new_size) if new_size > 0 else (height, width)
    stored = (height, width, channels)
    return NpzImages(
        np.arange(shape[0]), (*size, channels), new_size, path, begin, stored, _version(opened)
    )


def _version(file: IO[bytes]) -> tuple[int, ...]:
    """Size and time of change of an opened file."""
    stat = os.fstat(file.fileno())  # not its number, which some network file systems change
    return stat.st_size, stat.st_mtime_ns


def _unpacked(members: Iterable[zipfile.ZipInfo]) -> int:
    """Bytes of all these members."""
    return sum(member.file_size for member in members)


@contextmanager
def _refused_in_a_line(path: Path) -> Iterator[None]:
    """Context manager: turn any error about the file into an InputError."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except Exception as error:  # NumPy's reader and zipfile fail in many ways on damaged bytes
        raise InputError(
            f"{path} is not a .npz file of plain arrays, or is damaged: {error}"
        ) from None
