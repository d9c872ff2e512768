"""Bytes out of gzipped files and tar archives, which may be damaged or made to do harm."""

import gzip
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from semisup.errors import InputError

# Bytes that a member of an archive may unpack to: a few bytes can claim any number. The largest
# real one, STL-10's unlabelled images, has 2.8 GB.
_LARGEST_MEMBER = 1 << 32


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Read a file, unzipped if its name ends in .gz.

    Args:
        path: the file.
        limit: read at most so many bytes; None reads all.

    Returns:
        The bytes up to `limit` or up to where the file is cut off or damaged: the caller has to
        count them.

    Raises:
        InputError: the file is missing or cannot be read at all.
    """
    content = bytearray()
    chunk = 1 << 20
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while more := file.read(chunk if limit is None else min(limit - len(content), chunk)):
                content += more
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (EOFError, zlib.error):
        pass  # cut off or damaged
    except OSError as error:  # gzip.BadGzipFile is one
        raise InputError(f"cannot read {path}: {error}") from None
    return bytes(content)


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
        return {name: read_bytes(path / name) for name in wanted if (path / name).is_file()}
    return _members(path, lambda place: place.name if place.name in wanted else None)


def read_members_below(path: Path, folder: str, ending: str) -> dict[str, bytes]:
    """Read the files of a folder in an archive whose names end so; by their names in the archive.

    Raises:
        InputError: as `read_members`.
    """

    def name(place: PurePosixPath) -> str | None:
        inside = place.parent.as_posix() == folder and place.suffix == ending
        return str(place) if inside else None

    return _members(path, name)


def _members(path: Path, name: Callable[[PurePosixPath], str | None]) -> dict[str, bytes]:
    """The files in an archive that `name` has a name for."""
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                if place.is_absolute() or ".." in place.parts:
                    raise InputError(f"{path} has an entry outside its folder: {member.name}")
                if member.isfile() and (key := name(place)) is not None:
                    if member.issparse() or member.size > _LARGEST_MEMBER:
                        raise InputError(
                            f"{path}: {member.name} claims {member.size} bytes, more than any file "
                            "of the data set has"
                        )
                    if file := archive.extractfile(member):
                        found[key] = file.read()
    except FileNotFoundError:
        raise InputError(f"there is no file or folder {path}") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{path} is not an archive, or is damaged: {error}; download it again"
        ) from None
    return found
