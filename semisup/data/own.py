"""People's own images: a folder of image files, or a .npz file."""

import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.images import find_images, read_image, stack
from semisup.errors import InputError

# Of a set without test images, this share of each class is held out to test on.
TEST_SHARE = 0.2

_NPZ_KEYS = ("train_images", "train_labels", "test_images", "test_labels")


def load_folder(data_dir: Path, new_size: int = 0, skip_unreadable: bool = False) -> Dataset:
    """Images in folders: train/CLASS/*, and if there are, test/CLASS/* and unlabeled/**.

    The classes are the names of the folders in train/, in alphabetical order. Without
    test/, a fifth of the images of each class is held out, the same ones every time.
    Without unlabeled/, the training images serve as unlabelled ones.

    Args:
        data_dir: the folder that holds train/.
        new_size: if above 0, every image is resized to this height and width.
        skip_unreadable: leave out files that can't be read, and count them.

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

    def read(paths: Iterable[Path]) -> list[np.ndarray]:
        images = []
        for path in paths:
            try:
                images.append(read_image(path, new_size))
            except InputError:
                if not skip_unreadable:
                    raise
                skipped.append(path)
        return images

    def read_classes(folder: Path) -> tuple[list[np.ndarray], np.ndarray]:
        strange = {path.name for path in folder.iterdir() if path.is_dir()} - set(names)
        if strange:
            raise InputError(f"{folder} has classes that {train} has not: {sorted(strange)}")
        images, labels = [], []
        for label, name in enumerate(names):
            of_class = read(find_images(folder / name)) if (folder / name).is_dir() else []
            if not of_class:
                raise InputError(f"there is no image in {folder / name}")
            images += of_class
            labels += [label] * len(of_class)
        return images, np.array(labels, np.int64)

    train_images, train_labels = read_classes(train)
    if (data_dir / "test").is_dir():
        test_images, test_labels = read_classes(data_dir / "test")
    else:
        keep, hold_out = _hold_out(train_labels, data_dir)
        test_images, test_labels = [train_images[i] for i in hold_out], train_labels[hold_out]
        train_images, train_labels = [train_images[i] for i in keep], train_labels[keep]
    unlabeled = read(find_images(data_dir / "unlabeled", deep=True))
    if skipped:
        print(f"{len(skipped)} unreadable images left out, the first is {skipped[0]}")
        sys.stdout.flush()
    together = stack([*train_images, *test_images, *unlabeled], f"the images in {data_dir}")
    ends = np.cumsum([len(train_images), len(test_images)])
    train_stack, test_stack, unlabeled_stack = np.split(together, ends)
    return Dataset(
        data_dir.resolve().name,
        train_stack,
        train_labels,
        test_stack,
        test_labels,
        tuple(names),
        unlabeled_images=unlabeled_stack if len(unlabeled) else None,
    )


def load_npz(path: Path) -> Dataset:
    """Arrays in a .npz file. Pickled objects in it are never loaded.

    Args:
        path: the file. Its keys: train_images and train_labels; test_images and
            test_labels, else a fifth of each class is held out; unlabeled_images, else
            the training images serve; class_names, else the numbers of the classes.
            Images are uint8 [N, H, W] or [N, H, W, C], labels integers [N] from 0 on.

    Raises:
        InputError: the file is missing or damaged, or an array is missing or unfit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(
            f"{path} is no .npz file of plain arrays, or is damaged: {error}"
        ) from None
    for key in _NPZ_KEYS[:2]:
        if key not in arrays:
            raise InputError(
                f"{path} has no {key}; it has {', '.join(sorted(arrays)) or 'nothing'}"
            )
    for key, array in arrays.items():
        if key.endswith("_labels") and (array.ndim != 1 or array.dtype.kind not in "iu"):
            raise InputError(f"{path}: {key} is {array.dtype} {array.shape}, wanted integers [N]")
        if key.endswith("_images") and array.ndim not in (3, 4):
            raise InputError(f"{path}: {key} has shape {array.shape}, wanted [N, H, W, C]")
    images = {k: a if a.ndim == 4 else a[..., None] for k, a in arrays.items() if "_images" in k}
    labels = {k: a.astype(np.int64) for k, a in arrays.items() if k.endswith("_labels")}
    if "test_images" not in images or "test_labels" not in labels:
        keep, hold_out = _hold_out(labels["train_labels"], path)
        for parts in (images, labels):
            key = next(k for k in parts if k.startswith("train_"))
            parts[key.replace("train", "test")] = parts[key][hold_out]
            parts[key] = parts[key][keep]
    count = int(max(labels["train_labels"].max(), labels["test_labels"].max())) + 1
    names = arrays.get("class_names", np.arange(count))
    return Dataset(
        path.stem,
        images["train_images"],
        labels["train_labels"],
        images["test_images"],
        labels["test_labels"],
        tuple(map(str, names)),
        unlabeled_images=images.get("unlabeled_images"),
    )


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
