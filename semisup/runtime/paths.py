"""Paths as people give them, and as TensorFlow can take them."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# TensorFlow takes the name of a checkpoint for a pattern.
_PATTERN = re.compile(r"[][*?\\]")


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path, with ~ for the home folder of whoever runs this, or ~name for another's."""
    # Before it becomes a Path, to which ./~ is the same as ~.
    result = Path(os.path.expanduser(path))  # noqa: PTH111
    return result.absolute() if str(result).startswith("~") else result


def real(path: str | os.PathLike[str]) -> Path:
    """The absolute path without links, with ~ as `expanded` has it; of a loop, as far as it goes.

    `Path.resolve` raises a RuntimeError for a loop of links until Python 3.13.
    """
    return Path(os.path.realpath(expanded(path)))


def is_plain(path: Path) -> bool:
    """Whether TensorFlow takes the path, made absolute, as it is."""
    name = str(path.absolute())
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    return not _PATTERN.search(name)


@contextmanager
def plain(folder: Path) -> Iterator[Path]:
    """Context manager: yield a path to the folder that TensorFlow can use.

    TensorFlow globs the names of checkpoints, and finds nothing in a folder called lr[3e-3].
    """
    if is_plain(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="semisup-") as above:
        link = Path(above) / "folder"
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link
