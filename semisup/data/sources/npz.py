"""People's own images as arrays in a .npz file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import logging

from semisup.data import lazy_images
from semisup.data.dataset import Dataset, Images
from semisup.data.npz import open_npz
from semisup.data.sources.copies import warn_of_copies
from semisup.data.sources.hold_out import hold_out_test_images
from semisup.errors import InputError, few

_REQUIRED = ("train_images", "train_labels")
_KNOWN = (*_REQUIRED, "test_images", "test_labels", "unlabeled_images", "class_names")


def load_npz(path: Path, new_size: int = 0) -> Dataset:
    """Arrays in a .npz file. Pickled objects in it are never loaded.

    Images that would take more than `lazy_images.memory_for_images` stay in the file and
    are read batch by batch: the same batches, in bounded memory.

    Args:
        path: the file. Its keys: train_images and train_labels; test_images and
            test_labels, else a fifth of each class is held out; unlabeled_images, else
            the training images serve; class_names, else the numbers of the classes. Of others
            it warns, and of test images that are copies of training images.
            Images are uint8 [N, H, W] or [N, H, W, C], labels integers [N] from 0 on.
        new_size: if above 0, images that stay in the file are resized to this height and
            width as they are read. Others are resized only where those of one array have another
            size than those of another.

    Raises:
        InputError: the file is missing or damaged, or an array is missing or unfit.
    """
    arrays = open_npz(path, new_size)
    if "unlabelled_images" in arrays and "unlabeled_images" not in arrays:
        arrays["unlabeled_images"] = arrays.pop("unlabelled_images")
    there = ", ".join(sorted(arrays)) or "nothing"
    if others := sorted(arrays.keys() - set(_KNOWN)):
        logging.warning(f"{path}: not used: {', '.join(others)}; only {', '.join(_KNOWN)} are read")
        arrays = {key: array for key, array in arrays.items() if key in _KNOWN}
    _check(path, arrays, there)
    images: dict[str, Images] = {
        key: array if array.ndim == 4 else np.asarray(array)[..., None]
        for key, array in arrays.items()
        if key.endswith("_images")
    }
    if new_size > 0 and len({each.shape[1:3] for each in images.values()}) > 1:
        images = {key: _resized(path, each, new_size) for key, each in images.items()}
    labels = {
        key: np.asarray(array).astype(np.int64)
        for key, array in arrays.items()
        if key.endswith("_labels")
    }
    _check_numbers(path, labels)
    names = None
    if "test_images" not in images:
        if len(images["train_images"]) != len(labels["train_labels"]):
            raise InputError(f"{path} must have as many train_labels as train_images")
        keep, hold_out = hold_out_test_images(labels["train_labels"])
        train, train_labels = images["train_images"], labels["train_labels"]
        images |= {"train_images": train[keep], "test_images": train[hold_out]}
        labels |= {"train_labels": train_labels[keep], "test_labels": train_labels[hold_out]}
        test_key, train_at, test_at = "train_images", keep, hold_out
        names = np.array([f"{path.stem}/train[{i}]" for i in keep], object)
    else:
        test_key = "test_images"
        train_at, test_at = (np.arange(len(images[key])) for key in ("train_images", test_key))
    data = Dataset(
        path.stem,
        images["train_images"],
        labels["train_labels"],
        images["test_images"],
        labels["test_labels"],
        _class_names(path, arrays.get("class_names"), labels),
        unlabeled_images=images.get("unlabeled_images"),
        train_files=names,
    )
    warn_of_copies(
        *(path, data),
        lambda i: f"train_images[{train_at[i]}]",
        lambda i: f"{test_key}[{test_at[i]}]",
    )
    return data


def _resized(path: Path, images: Images, size: int) -> Images:
    """The images of `size` x `size` pixels, in memory; those that `Dataset` refuses as they are."""
    from semisup.data.adaptation import resized_in_parts  # imports TensorFlow

    if images.dtype != np.uint8 or 0 in images.shape or not isinstance(images, np.ndarray):
        return images
    if len(images) * size**2 * images.shape[3] > lazy_images.memory_for_images():
        raise InputError(
            f"{path} has images of several sizes, which are too many to be resized in memory; save "
            "them in one size"
        )
    return resized_in_parts(images, size)


def _check(path: Path, arrays: Mapping[str, Images], there: str) -> None:
    """Raise InputError if an array is missing, or has an unfit shape or dtype.

    Args:
        there: names all arrays in the file.
    """
    for key in _REQUIRED:
        if key not in arrays:
            raise InputError(f"{path} has no {key}; it has {there}")
    for key, array in arrays.items():
        integers = array.ndim == 1 and array.dtype.kind in "iu" and len(array) > 0
        if key.endswith("_labels") and not integers:
            raise InputError(f"{path}: {key} is {array.dtype} {array.shape}, wanted integers [N]")
        if key.endswith("_images") and (array.ndim not in (3, 4) or len(array) == 0):
            raise InputError(f"{path}: {key} has shape {array.shape}, wanted [N, H, W, C]")
    for key, other in (("test_images", "test_labels"), ("test_labels", "test_images")):
        if key in arrays and other not in arrays:
            raise InputError(f"{path} has {key}, but no {other}; give both, or neither")


def _check_numbers(path: Path, labels: Mapping[str, np.ndarray]) -> None:
    """Raise InputError if the classes are not numbered from 0 without gaps."""
    train = labels["train_labels"]
    if train.min() < 0:
        raise InputError(
            f"{path}: train_labels go from {train.min()} to {train.max()}; classes are counted "
            "from 0, and images without a label belong in unlabeled_images"
        )
    everything = np.unique(np.concatenate(list(labels.values())))
    if len(np.unique(train)) < 2:
        raise InputError(
            f"{path}: all train_labels are {train[0]}; at least two classes are needed"
        )
    if untrained := sorted(set(everything.tolist()) - set(train.tolist())):
        has = few(untrained, most=5)
        raise InputError(f"{path}: test_labels has {has}, but train_labels does not")
    numbers = everything.tolist()
    if numbers == list(range(1, len(numbers) + 1)):
        raise InputError(
            f"{path}: train_labels go from 1 to {len(numbers)}, but classes are counted from 0; "
            "save train_labels - 1, and test_labels - 1 if there are any"
        )
    if missing := sorted(set(range(len(numbers))) - set(numbers)):
        raise InputError(
            f"{path}: train_labels go from {numbers[0]} to {numbers[-1]}, but none is "
            f"{few(missing, most=5)}; number the classes from 0 without gaps: "
            "numpy.unique(train_labels, return_inverse=True)[1] does that"
        )


def _class_names(
    path: Path, names: Images | None, labels: Mapping[str, np.ndarray]
) -> tuple[str, ...]:
    """The names given, else the numbers of the classes."""
    if names is None:
        names = np.arange(labels["train_labels"].max() + 1)
    if names.ndim != 1:
        raise InputError(f"{path}: class_names has shape {names.shape}, wanted [classes]")
    if names.dtype.kind == "S":
        try:
            names = np.char.decode(np.asarray(names), "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}: class_names are not UTF-8") from None
    found = tuple(map(str, np.asarray(names)))
    if twice := [name for name in found if found.count(name) > 1]:
        raise InputError(f"{path}: class_names has {twice[0]!r} twice; give each class its own")
    return found
