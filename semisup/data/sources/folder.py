"""People's own images in folders, one for each class."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from absl import logging

from semisup.data import lazy_images
from semisup.data.dataset import Dataset, Images
from semisup.data.image_io import find_images, read_image
from semisup.data.lazy_images import ImageFiles, common_shape
from semisup.data.sources.hold_out import hold_out_test_images
from semisup.errors import InputError


def load_folder(data_dir: Path, new_size: int = 0, skip_unreadable: bool = False) -> Dataset:
    """Images in folders: train/CLASS/*, and if there are, test/CLASS/* and unlabeled/**.

    The classes are the names of the folders in train/, in alphabetical order. Without
    test/, a fifth of the images of each class is held out, the same ones every time.
    Without unlabeled/, the training images serve as unlabelled ones.

    Images that would take more than `lazy_images.memory_for_images` stay in their files and are
    decoded batch by batch: the same batches, in bounded memory.

    Args:
        data_dir: the folder that holds train/.
        new_size: if above 0, every image is resized to this height and width.
        skip_unreadable: leave out files that can't be decoded, and count them. (It takes a
            pass over all files.)

    Raises:
        InputError: a folder is missing or empty, a class is only in test/, a file
            can't be read, or the images differ in size and there is no `new_size`.
    """
    train = data_dir / "train"
    if not train.is_dir():
        raise InputError(f"there is no folder {train}; wanted train/CLASS/*.png and the like")
    names = sorted(path.name for path in train.iterdir() if path.is_dir())
    if len(names) < 2:
        raise InputError(f"{train} must hold a folder for each class, but holds {len(names)}")
    skipped: list[Path] = []

    def keep(paths: list[Path]) -> list[Path]:
        return _readable(paths, skipped) if skip_unreadable else paths

    train_paths, train_labels = _find_classes(train, names, keep)
    if (data_dir / "test").is_dir():
        test_paths, test_labels = _find_classes(data_dir / "test", names, keep)
    else:
        stay, hold_out = hold_out_test_images(train_labels, data_dir)
        test_paths, test_labels = train_paths[hold_out], train_labels[hold_out]
        train_paths, train_labels = train_paths[stay], train_labels[stay]
    unlabeled_paths = _as_objects(keep(find_images(data_dir / "unlabeled", deep=True)))
    if skipped:
        logging.warning("%d unreadable images left out, the first is %s", len(skipped), skipped[0])
    train_images, test_images, unlabeled_images = _images(
        (train_paths, test_paths, unlabeled_paths), new_size, f"the images in {data_dir}"
    )
    return Dataset(
        data_dir.resolve().name,
        train_images,
        train_labels,
        test_images,
        test_labels,
        tuple(names),
        unlabeled_images=unlabeled_images if len(unlabeled_paths) else None,
        train_files=train_paths,
        unlabeled_files=unlabeled_paths if len(unlabeled_paths) else None,
    )


def _images(parts: Sequence[np.ndarray], new_size: int, what: str) -> list[Images]:
    """The images of some arrays of paths: in memory if all fit, else in their files.

    Args:
        parts: paths, arrays of objects.
        new_size: if above 0, every image is resized to this height and width.
        what: names the images in an error.
    """
    paths = [path for part in parts for path in part]

    def files_of(some_paths: list[Path]) -> tuple[list[ImageFiles], bool]:
        shape = common_shape(some_paths, new_size, what)
        files = [ImageFiles(part, shape, new_size) for part in parts]
        return files, sum(part.nbytes for part in files) <= lazy_images.memory_for_images()

    # Most sets have one shape, that of the first image: one pass over the files is enough.
    files, fit = files_of(paths[:1])
    if fit:
        with suppress(InputError):  # others have another, or can't be read: the headers tell
            return [np.asarray(part) for part in files]
    files, fit = files_of(paths)
    return [np.asarray(part) for part in files] if fit else list(files)


def _readable(paths: list[Path], skipped: list[Path]) -> list[Path]:
    """Those of the images that can be decoded. The others are appended to `skipped`."""

    def can_read(i: int) -> bool:
        try:
            read_image(paths[i])
        except InputError:
            return False
        return True

    readable = lazy_images.in_threads(can_read, len(paths), "trying images")
    skipped += [path for path, good in zip(paths, readable, strict=True) if not good]
    return [path for path, good in zip(paths, readable, strict=True) if good]


def _find_classes(
    folder: Path, names: Sequence[str], keep: Callable[[list[Path]], list[Path]]
) -> tuple[np.ndarray, np.ndarray]:
    """The image files in folder/CLASS/ of each class, and their labels."""
    strange = {path.name for path in folder.iterdir() if path.is_dir()} - set(names)
    if strange:
        train = folder.with_name("train")
        raise InputError(f"{folder} has classes that {train} has not: {sorted(strange)}")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        of_class = keep(find_images(folder / name)) if (folder / name).is_dir() else []
        if not of_class:
            raise InputError(f"there is no image in {folder / name}")
        paths += of_class
        labels += [label] * len(of_class)
    return _as_objects(paths), np.array(labels, np.int64)


def _as_objects(paths: Sequence[Path]) -> np.ndarray:
    return np.array(paths, dtype=object)
