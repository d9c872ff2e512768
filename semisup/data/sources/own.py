"""People's own images: a folder of image files, or a .npz file."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from semisup.data import lazy_images
from semisup.data.dataset import Dataset, Images
from semisup.data.image_files import ImageFiles, find_shape
from semisup.data.image_io import find_images, read_image
from semisup.data.npz import open_npz
from semisup.errors import InputError

# Of a set without test images, this share of each class is held out to test on.
TEST_SHARE = 0.2

_NPZ_KEYS = ("train_images", "train_labels", "test_images", "test_labels")


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
    keep = _Readable() if skip_unreadable else list
    train_paths, train_labels = _find_classes(train, names, keep)
    if (data_dir / "test").is_dir():
        test_paths, test_labels = _find_classes(data_dir / "test", names, keep)
    else:
        stay, hold_out = _hold_out(train_labels, data_dir)
        test_paths, test_labels = train_paths[hold_out], train_labels[hold_out]
        train_paths, train_labels = train_paths[stay], train_labels[stay]
    unlabeled_paths = _as_objects(keep(find_images(data_dir / "unlabeled", deep=True)))
    if skip_unreadable:
        keep.report()
    everything = [*train_paths, *test_paths, *unlabeled_paths]
    shape = find_shape(everything, new_size, f"the images in {data_dir}")
    size = ImageFiles(_as_objects(everything), shape, new_size).nbytes
    stream = size > lazy_images.memory_for_images()

    def images(paths: np.ndarray) -> Images:
        files = ImageFiles(paths, shape, new_size)
        return files if stream else np.asarray(files)

    return Dataset(
        data_dir.resolve().name,
        images(train_paths),
        train_labels,
        images(test_paths),
        test_labels,
        tuple(names),
        unlabeled_images=images(unlabeled_paths) if len(unlabeled_paths) else None,
        train_files=train_paths,
        unlabeled_files=unlabeled_paths if len(unlabeled_paths) else None,
    )


class _Readable:
    """Keeps the images that can be decoded, and counts the others."""

    def __init__(self) -> None:
        self.skipped: list[Path] = []

    def __call__(self, paths: Iterable[Path]) -> list[Path]:
        return [path for path in paths if self._can_read(path)]

    def _can_read(self, path: Path) -> bool:
        try:
            read_image(path)
        except InputError:
            self.skipped.append(path)
            return False
        return True

    def report(self) -> None:
        if self.skipped:
            count = len(self.skipped)
            print(f"{count} unreadable images left out, the first is {self.skipped[0]}", flush=True)


def _find_classes(
    folder: Path, names: Sequence[str], keep: Callable[[list[Path]], list[Path]]
) -> tuple[np.ndarray, np.ndarray]:
    """The image files in folder/CLASS/ of each class, and their labels."""
    strange = {path.name for path in folder.iterdir() if path.is_dir()} - set(names)
    if strange:
        train = folder.with_name("train")
        raise InputError(f"{folder} has classes that {train} has not: {sorted(strange)}")
    paths, labels = [], []
    for label, name in enumerate(names):
        of_class = keep(find_images(folder / name)) if (folder / name).is_dir() else []
        if not of_class:
            raise InputError(f"there is no image in {folder / name}")
        paths += of_class
        labels += [label] * len(of_class)
    return _as_objects(paths), np.array(labels, np.int64)


def _as_objects(paths: Sequence[Path]) -> np.ndarray:
    return np.array(paths, dtype=object)


def load_npz(path: Path, new_size: int = 0) -> Dataset:
    """Arrays in a .npz file. Pickled objects in it are never loaded.

    Images that would take more than `lazy_images.memory_for_images` stay in the file and
    are read batch by batch: the same batches, in bounded memory.

    Args:
        path: the file. Its keys: train_images and train_labels; test_images and
            test_labels, else a fifth of each class is held out; unlabeled_images, else
            the training images serve; class_names, else the numbers of the classes.
            Images are uint8 [N, H, W] or [N, H, W, C], labels integers [N] from 0 on.
        new_size: if above 0, images that stay in the file are resized to this height and
            width as they are read. Others are left as they are.

    Raises:
        InputError: the file is missing or damaged, or an array is missing or unfit.
    """
    arrays = open_npz(path, new_size)
    for key in _NPZ_KEYS[:2]:
        if key not in arrays:
            raise InputError(
                f"{path} has no {key}; it has {', '.join(sorted(arrays)) or 'nothing'}"
            )
    for key, array in arrays.items():
        integers = array.ndim == 1 and array.dtype.kind in "iu" and len(array) > 0
        if key.endswith("_labels") and not integers:
            raise InputError(f"{path}: {key} is {array.dtype} {array.shape}, wanted integers [N]")
        if key.endswith("_images") and (array.ndim not in (3, 4) or len(array) == 0):
            raise InputError(f"{path}: {key} has shape {array.shape}, wanted [N, H, W, C]")
    images = {k: a if a.ndim == 4 else a[..., None] for k, a in arrays.items() if "_images" in k}
    labels = {k: a.astype(np.int64) for k, a in arrays.items() if k.endswith("_labels")}
    for key, other in (("test_images", "test_labels"), ("test_labels", "test_images")):
        if key in arrays and other not in arrays:
            raise InputError(f"{path} has {key}, but no {other}; give both, or neither")
    if "test_images" not in images:
        if len(images["train_images"]) != len(labels["train_labels"]):
            raise InputError(f"{path} has not as many train_labels as train_images")
        keep, hold_out = _hold_out(labels["train_labels"], path)
        for parts, kind in ((images, "images"), (labels, "labels")):
            train = parts[f"train_{kind}"]
            parts[f"test_{kind}"], parts[f"train_{kind}"] = train[hold_out], train[keep]
    return Dataset(
        path.stem,
        images["train_images"],
        labels["train_labels"],
        images["test_images"],
        labels["test_labels"],
        _class_names(path, arrays.get("class_names"), labels),
        unlabeled_images=images.get("unlabeled_images"),
    )


def _class_names(
    path: Path, names: np.ndarray | None, labels: Mapping[str, np.ndarray]
) -> tuple[str, ...]:
    if names is None:
        largest = int(max(labels["train_labels"].max(), labels["test_labels"].max()))
        if largest >= len(labels["train_labels"]):
            raise InputError(
                f"{path} has labels up to {largest}, but {len(labels['train_labels'])} training "
                "images; number the classes from 0 without gaps"
            )
        names = np.arange(largest + 1)
    if names.ndim != 1:
        raise InputError(f"{path}: class_names has shape {names.shape}, wanted [classes]")
    return tuple(map(str, names))


def _hold_out(labels: np.ndarray, where: Path) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images to train on and to test on, as many of each class as can be."""
    from sklearn.model_selection import train_test_split

    try:
        keep, hold_out = train_test_split(
            np.arange(len(labels)), test_size=TEST_SHARE, random_state=0, stratify=labels
        )
    except ValueError as error:
        raise InputError(
            f"{where} has no test images, and too few to hold out a fifth of each class: {error}"
        ) from None
    return np.sort(keep), np.sort(hold_out)
