"""People's own images in folders, one for each class."""

import dataclasses
import functools
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from semisup.data import image_io, lazy_images
from semisup.data.dataset import Dataset, Images
from semisup.data.image_io import Reading, ValueRange
from semisup.data.lazy_images import ImageFiles, look_at_headers
from semisup.data.sources.copies import warn_of_copies
from semisup.data.sources.hold_out import hold_out_test_images
from semisup.errors import InputError, few

# Where the largest value but for a thousandth is below this share of white, little is seen.
_DARK = 1 / 16

Skipped = list[tuple[str, Path]]
Keep = Callable[[list[Path], Skipped], list[Path]]


def load_folder(
    data_dir: Path,
    new_size: int = 0,
    skip_unreadable: bool = False,
    max_megapixels: int = image_io.MAX_MEGAPIXELS,
) -> Dataset:
    """Images in folders: train/CLASS/**, and if there are, test/CLASS/** and unlabeled/**.

    The classes are the names of the folders in train/, in alphabetical order. Without
    test/, a fifth of the images of each class is held out, the same ones every time.
    Without unlabeled/, the training images serve as unlabelled ones. Links in it to images of
    train/ or test/ are left out. Capitals do not matter in
    these three names, nor whether unlabelled has one l or two. Links are followed. Names that a
    system makes for itself (`.ipynb_checkpoints`, `__MACOSX`, `Thumbs.db`) are passed over.
    What else is left out is logged as a warning, and copies of images that should not be.

    Images that would take more than `lazy_images.memory_for_images` stay in their files and are
    decoded batch by batch: the same batches, in bounded memory. Values with more than 8 bits
    become bytes by one range, which the whole set says: `Dataset.values_in`.

    Args:
        data_dir: the folder that holds train/.
        new_size: if above 0, every image is resized to this height and width.
        skip_unreadable: leave out files that can't be decoded, and count them. (It takes a
            pass over all files.)
        max_megapixels: larger images are refused, in millions of pixels.

    Raises:
        InputError: a folder is missing or empty, a class is only in test/, a file
            can't be read, or the images differ in size and there is no `new_size`.
    """
    how, skipped, unreadable = Reading(max_megapixels=max_megapixels), Skipped(), list[Path]()

    def keep(paths: list[Path], left_out: Skipped) -> list[Path]:
        if not skip_unreadable:
            return paths
        readable, damaged = _readable(paths, how)
        unreadable.extend(damaged)
        left_out += [("unreadable images", path) for path in damaged]
        return readable

    places = _find_places(data_dir)
    classes = _find_classes(places.train, keep, skipped, places.unlabeled)
    names = sorted(classes)
    if len(names) < 2:
        beside = f"; it also holds {image_io.describe_skipped(skipped)}" if skipped else ""
        raise InputError(
            f"{places.train} must hold a folder for each of at least two classes, but holds "
            f"{len(names)}{beside}"
        )
    train_paths, train_labels = _labeled(classes, names)
    if places.test:
        test_paths, test_labels = _find_test_images(places, names, keep, skipped)
    else:
        stay, hold_out = hold_out_test_images(train_labels)
        test_paths, test_labels = train_paths[hold_out], train_labels[hold_out]
        train_paths, train_labels = train_paths[stay], train_labels[stay]
    unlabeled_paths = _find_unlabeled(places.unlabeled, keep, skipped)
    unlabeled_paths = _without(unlabeled_paths, [*train_paths, *test_paths], skipped)
    if skipped:
        logging.warning(f"{data_dir}: left out: {image_io.describe_skipped(skipped)}")
    if unreadable:
        logging.warning(f"{len(unreadable)} of these images can't be read")
    (train_images, test_images, unlabeled_images), values_in = _images(
        (train_paths, test_paths, unlabeled_paths), new_size, f"the images in {data_dir}", how
    )
    data = Dataset(
        data_dir.resolve().name,
        train_images,
        train_labels,
        test_images,
        test_labels,
        tuple(names),
        unlabeled_images=unlabeled_images if len(unlabeled_paths) else None,
        train_files=train_paths,
        unlabeled_files=unlabeled_paths if len(unlabeled_paths) else None,
        values_in=values_in,
    )
    warn_of_copies(data_dir, data, train_paths.__getitem__, test_paths.__getitem__)
    return data


class _Places(NamedTuple):
    """The folders of a data set."""

    train: Path
    test: Path | None
    unlabeled: list[Path]


def _find_places(data_dir: Path) -> _Places:
    """Find train/, test/ and unlabeled/, and warn of what lies beside them."""
    found: dict[str, list[Path]] = {"train": [], "test": [], "unlabeled": []}
    others = []
    if data_dir.is_file():
        raise InputError(f"{data_dir} is a file, wanted the folder that holds train/; unpack it")
    for path, kind in image_io.children(data_dir):
        word = path.stem.casefold()
        word = "unlabeled" if image_io.is_unlabeled_folder(path.stem) else word
        if not image_io.is_visible(path.name):
            continue
        if kind == "nothing" and word in found:
            raise InputError(f"{path} is a broken link; repair or remove it")
        if kind == "folder" and word in found and not path.suffix:
            found[word].append(path)
        elif kind == "folder" or word in found:  # such as unlabeled.zip
            others.append(path.name)
    if not found["train"]:
        beside = f"; it holds {_quoted(others)}" if others else ""
        wanted = "wanted train/CLASS/*.png and the like"
        raise InputError(f"there is no folder {data_dir / 'train'}; {wanted}{beside}")
    for word in ("train", "test"):
        if len(found[word]) > 1:
            both = " and ".join(map(str, found[word]))
            raise InputError(f"{both} differ only in upper and lower case; keep one of them")
    if others:
        logging.warning(
            f"{data_dir}: not used: {_quoted(others)}; only train/, test/ and unlabeled/ are read"
        )
    return _Places(found["train"][0], next(iter(found["test"]), None), found["unlabeled"])


def _find_classes(
    folder: Path, keep: Keep, skipped: Skipped, unlabeled: list[Path], each: bool = True
) -> dict[str, list[Path]]:
    """Find the images in folder/CLASS/** of each class.

    Args:
        folder: train/ or test/.
        keep: which of the images to keep.
        skipped: what is left out is added to it.
        unlabeled: folders of unlabelled images are added to it.
        each: whether it is an error if a class has no image.
    """
    classes: dict[str, list[Path]] = {}
    reasons: dict[str, Skipped] = {}
    read: dict[Path, Path] = {}
    for path, kind in image_io.children(folder):
        # A Mac writes é as e with an accent, others as one letter: it is one class.
        name = unicodedata.normalize("NFC", path.name)
        if kind == "nothing" and image_io.is_visible(path.name) and not path.suffix:
            raise InputError(f"{path} is a broken link; repair or remove it")
        if kind == "folder" and image_io.is_unlabeled_folder(path.name):
            unlabeled.append(path)
        elif kind == "folder" and image_io.is_visible(path.name):
            if (other := read.setdefault(path.resolve(), path)) != path:
                raise InputError(f"{path} and {other} are one folder; keep one of the two classes")
            found = image_io.find_images(path)
            _refuse_unlabeled_inside(path, found.images)
            classes[name] = classes.get(name, []) + found.images
            reasons[name] = reasons.get(name, []) + found.skipped
        elif reason := image_io.skipped_reason(path, kind):
            skipped.append((reason, path))
        elif image_io.is_visible(path.name):
            skipped.append(("images outside the folders of the classes", path))
    if each:
        _warn_of_alike(folder, classes)
    for name, paths in classes.items():
        classes[name] = keep(sorted(paths), reasons[name])
        if each and not classes[name]:
            why = image_io.describe_skipped(reasons[name])
            raise InputError(f"there is no image in {folder / name}{': ' if why else ''}{why}")
        skipped += reasons[name]
    return classes


def _warn_of_alike(folder: Path, names: Iterable[str]) -> None:
    """Warn if names of classes differ in capitals or blanks only, as letters' a and A may."""
    known: dict[str, str] = {}
    for name in names:
        if (other := known.setdefault("".join(name.casefold().split()), name)) != name:
            logging.warning(
                f"{folder}: the names {other!r} and {name!r} differ in capitals or blanks only, "
                "but are two classes; if they are one, merge the folders"
            )


def _refuse_unlabeled_inside(folder: Path, images: Sequence[Path]) -> None:
    """Raise InputError if there are unlabelled images in the folder of a class."""
    for below in {image.parent for image in images}:
        for inside in below.relative_to(folder).parts:
            if image_io.is_unlabeled_folder(inside):
                raise InputError(
                    f"{below} is in the folder of a class, so it is not clear whether its images "
                    "have a label; move it out of train/ and test/"
                )


def _find_test_images(
    places: _Places, names: Sequence[str], keep: Keep, skipped: Skipped
) -> tuple[np.ndarray, np.ndarray]:
    """Find the test images and their labels; not every class needs some."""
    test = places.test or Path()
    unused: list[Path] = []
    classes = _find_classes(test, keep, skipped, unused, each=False)
    skipped += [("folders of unlabelled images in test/", path) for path in unused]
    if strange := sorted(classes.keys() - set(names)):
        raise InputError(f"{test} has classes that are not in {places.train}: {_quoted(strange)}")
    if not any(classes.values()):
        raise InputError(
            f"there is no image in {test}/CLASS; without the folder {test} a fifth of train/ is "
            "held out"
        )
    return _labeled(classes, names)


def _find_unlabeled(folders: Sequence[Path], keep: Keep, skipped: Skipped) -> np.ndarray:
    """Find the unlabelled images; a folder for them that holds none is an error."""
    paths: list[Path] = []
    for folder in folders:
        found = image_io.find_images(folder)
        images = keep(found.images, found.skipped)
        if not images:
            why = image_io.describe_skipped(found.skipped) or "it is empty"
            raise InputError(
                f"there is no image in {folder}: {why}; put unlabelled images there, or remove the "
                "folder"
            )
        paths += images
        skipped += found.skipped
    return np.array(paths, object)


def _without(paths: np.ndarray, others: Sequence[Path], skipped: Skipped) -> np.ndarray:
    """Leave out the paths whose file is one of the others, by a link."""
    known = {_identity(path) for path in others} if len(paths) else set()
    linked = np.array([_identity(path) in known for path in paths], bool)
    skipped += [("links to labelled images", path) for path in paths[linked]]
    return paths[~linked]


def _identity(path: Path) -> Path | tuple[int, int]:
    """The same for all names of a file."""
    stat = path.stat()
    # On some network file systems numbers of files repeat, but their files have no second name.
    return (stat.st_dev, stat.st_ino) if stat.st_nlink > 1 else path.resolve()


def _labeled(classes: dict[str, list[Path]], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The files of all classes, in the order of the names, and their labels."""
    paths = [path for name in names for path in classes.get(name, [])]
    counts = [len(classes.get(name, [])) for name in names]
    return np.array(paths, object), np.repeat(np.arange(len(names), dtype=np.int64), counts)


def _images(
    parts: Sequence[np.ndarray], new_size: int, what: str, how: Reading
) -> tuple[list[Images], ValueRange | None]:
    """The images of some arrays of paths: in memory if all fit, else in their files.

    Args:
        parts: paths, arrays of objects.
        new_size: if above 0, every image is resized to this height and width.
        what: names the images in an error.
        how: to read them; but for the range of values, which the images say.

    Returns:
        The images, and the range of values by which those with more than 8 bits become bytes.
    """
    paths = [path for part in parts for path in part]

    def files_of(
        shape: tuple[int, int, int], values_in: ValueRange | None
    ) -> tuple[list[ImageFiles], bool]:
        of_set = dataclasses.replace(how, values_in=values_in)
        files = [ImageFiles(part, shape, new_size, of_set) for part in parts]
        return files, sum(part.nbytes for part in files) <= lazy_images.memory_for_images()

    # Most sets have one shape, that of the first image: one pass over the files is enough.
    shape, many_bits = look_at_headers(paths[:1], new_size, what, how)
    files, fit = files_of(shape, None)
    if fit and not many_bits:
        # Others have another shape, or more bits, or can't be read: the headers tell.
        with suppress(InputError):
            return [part.read_all() for part in files], None
    shape, many_bits = look_at_headers(paths, new_size, what, how)
    values_in = _range_of_values(many_bits, how) if many_bits else None
    files, fit = files_of(shape, values_in)
    return [part.read_all() for part in files] if fit else list(files), values_in


def _range_of_values(paths: Sequence[Path], how: Reading) -> ValueRange:
    """The range of values of all images with more than 8 bits, which is said where it matters."""
    read = functools.partial(image_io.read_values, how=how)
    doing = "finding the range of values"
    statistics = list(image_io.on_all_cores(read, paths, description=doing))
    values_in = image_io.range_of(statistics)
    if values_in != image_io.FULL:
        logging.warning(
            f"{paths[0]} and others have more than 8 bits per value: in all {len(paths)} such "
            f"images, the range from {values_in.black:g} to {values_in.white:g} is mapped to 0 to "
            "255"
        )
    usual = max(each.usual for each in statistics)
    if usual - values_in.black < _DARK * (values_in.white - values_in.black):
        logging.warning(
            f"nearly all values of these images are below {usual:g} and become nearly black, "
            "because a few pixels are far brighter; clip those pixels when saving the images"
        )
    return values_in


def _readable(paths: list[Path], how: Reading) -> tuple[list[Path], list[Path]]:
    """Those of the images that can be decoded, and the others."""
    can_read = functools.partial(
        _can_read, how=dataclasses.replace(how, values_in=ValueRange(0, 1))
    )
    readable = list(image_io.on_all_cores(can_read, paths, description="checking images"))
    damaged = [path for path, good in zip(paths, readable, strict=True) if not good]
    return [path for path, good in zip(paths, readable, strict=True) if good], damaged


def _can_read(path: Path, how: Reading) -> bool:
    try:
        image_io.read_image(path, how=how)
    except InputError:
        return False
    return True


def _quoted(names: Sequence[str]) -> str:
    return few([repr(name) for name in names])
