"""Images that a person names on a command line: files, folders, globs and .npz files."""

import functools
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semisup.data.image_io import (
    AS_USUAL,
    Reading,
    describe_skipped,
    find_images,
    formats,
    is_visible,
    on_all_cores,
    path_kind,
    read_image_as,
    shaped,
    skipped_reason,
)
from semisup.errors import InputError
from semisup.runs.directory import RunDirectory
from semisup.runtime.paths import expanded

if TYPE_CHECKING:
    from semisup.data.dataset import Images  # which loads TensorFlow

_NPZ = ".npz"

_KEY = "images"

# Patterns that name no files of their own.
_EVERYTHING = ("*", "**", "*.*")


def file_to_write(out: Path, inputs: Sequence[Path]) -> Path:
    """The path of a new CSV about `inputs`.

    Raises:
        InputError: it is a folder, or would replace images, as with `--out *.png`, where the
            name was forgotten, or a file of a run.
    """
    if not out.name or out.is_dir():
        raise InputError(f"{out} is a folder; `out` names the file to write")
    if out.is_file():
        of_images = out.suffix.lower() in formats.endings() or is_npz(out)
        of_images |= formats.missing_plugin(out.suffix) is not None
        if of_images or os.path.realpath(out) in map(os.path.realpath, inputs):
            raise InputError(f"`out` would replace {out}, which holds images; give another name")
        if out.suffix.lower() != ".csv" and RunDirectory(out.parent).recipe.exists():
            raise InputError(f"`out` would replace {out}, a file of a run; give another name")
    return out


def can_not_be_read(path: Path) -> bool:
    """Whether it may be an image, or hold some: HEIC, a broken link, a folder of someone else's."""
    return formats.missing_plugin(path.suffix) is not None or not os.access(path, os.R_OK)


def find(words: Iterable[str], skipped: list[tuple[str, Path]]) -> list[Path]:
    """The image and .npz files that `words` stand for, each once, in their order.

    Args:
        words: paths of files, of folders (all images in them, at any depth), or globs
            such as "photos/**/*.jpg".
        skipped: what is left out of folders and globs is added to it, with the reason.

    Raises:
        InputError: a word stands for nothing.
    """
    found: dict[str, Path] = {}
    passed_over: dict[str, tuple[str, Path]] = {}
    real = functools.cache(os.path.realpath)  # a folder may be named in several ways

    def name(path: Path) -> str:
        return f"{real(str(path.parent))}/{path.name}"

    for word in words:
        if not word:  # as of a variable that is not set; it would be the current folder
            raise InputError("an image is named by an empty word; give files, folders or globs")
        path, left_out = expanded(word), list[tuple[str, Path]]()
        files = []
        matches = [path] if path.exists() else _globbed(path)
        for match in matches:
            # `photos/*` stands for the images there; `scans/IMG_*` names files, whatever they are.
            everything = path.name in _EVERYTHING and matches != [path] and not is_npz(match)
            reason = skipped_reason(match, path_kind(match)) if everything else None
            if match.is_dir():
                here = find_images(match)
                files += here.images
                left_out += here.skipped
            elif reason:
                left_out.append((reason, match))
            else:
                files.append(match)
        if not files:
            why = f": {describe_skipped(left_out)}" if left_out else ""
            raise InputError(f"there is no image {word}{why}; wanted files, folders, globs or .npz")
        for file in files:
            found.setdefault(name(file), file)
        for each in left_out:
            passed_over.setdefault(name(each[1]), each)
    skipped += passed_over.values()
    return list(found.values())


def is_npz(file: Path) -> bool:
    """Whether a file is one of arrays, by its name."""
    return file.suffix.lower() == _NPZ


def _globbed(pattern: Path) -> list[Path]:
    """What a glob matches, but for names that a system makes for itself."""
    # A folder that is there as it is written is meant, though its name be `photos[1]`.
    there = next((parent for parent in pattern.parents if parent.exists()), Path())
    wanted = Path(glob.escape(str(there))) / pattern.relative_to(there)
    # Not Path.glob, which refuses absolute patterns.
    matches = sorted(glob.glob(str(wanted), recursive=True))  # noqa: PTH207
    given = set(pattern.parts)
    return [
        path
        for path in map(Path, matches)
        if all(is_visible(part) or part in given for part in path.parts)
    ]


def batches(
    files: Iterable[Path],
    image_shape: tuple[int, int, int],
    size: int,
    unreadable: Callable[[InputError], None],
    how: Reading = AS_USUAL,
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Read the images in batches, brought to one shape.

    Args:
        files: from `find`. A .npz file holds "images", uint8 [N, H, W] or [N, H, W, C];
            its images are called "FILE[0]" and so on.
        image_shape: (H, W, C) wanted.
        size: images in a batch, which bounds the memory.
        unreadable: told of each file that can't be read, which is then passed over.
        how: as the images of the run were read.

    Yields:
        Names, and images uint8 [at most size, H, W, C].
    """
    images = _read(files, image_shape, unreadable, how)
    while batch := list(islice(images, size)):
        names, pixels = zip(*batch, strict=True)
        yield list(names), np.stack(pixels)


def _read(
    files: Iterable[Path],
    image_shape: tuple[int, int, int],
    unreadable: Callable[[InputError], None],
    how: Reading,
) -> Iterator[tuple[str, np.ndarray]]:
    read = functools.partial(_try_to_read, image_shape=image_shape, how=how)
    for in_arrays, group in groupby(files, is_npz):
        some = list(group)
        named = (
            _read_npz(some, image_shape)
            if in_arrays
            else zip(some, on_all_cores(read, some), strict=True)
        )
        for name, image in named:
            if isinstance(image, InputError):
                unreadable(image)
            else:
                yield str(name), image


def _try_to_read(
    file: Path, image_shape: tuple[int, int, int], how: Reading
) -> np.ndarray | InputError:
    try:
        return read_image_as(file, image_shape, how)
    except InputError as error:
        return error


def _read_npz(
    files: Iterable[Path], image_shape: tuple[int, int, int]
) -> Iterator[tuple[str, np.ndarray | InputError]]:
    for file in files:
        try:
            images = _open_npz(file)
            for i in range(len(images)):
                yield f"{file}[{i}]", shaped(np.asarray(images[i]), image_shape)
        except InputError as error:
            yield str(file), error


def _open_npz(path: Path) -> "Images":
    """The images of a .npz file, uint8 [N, H, W, 1 or 3]. Pickles in it are never loaded."""
    from semisup.data.npz import open_npz  # which loads TensorFlow: only once it is needed

    arrays = open_npz(path)
    if _KEY not in arrays:
        raise InputError(f"{path} holds no array called {_KEY!r}")
    images = arrays[_KEY]
    if images.ndim == 3 and images.shape[2] in (1, 3):
        raise InputError(
            f"{path}: {_KEY!r} is {images.shape}, as if it were one image; save images[None]"
        )
    if images.ndim == 3:
        images = np.asarray(images)[..., None]
    wanted = images.ndim == 4 and images.shape[3] in (1, 3) and images.dtype == np.uint8
    if not wanted or 0 in images.shape[1:]:
        raise InputError(
            f"{path}: the images are {images.dtype} {images.shape}, wanted uint8 [N, H, W] or "
            "[N, H, W, 1 or 3]"
        )
    return images
