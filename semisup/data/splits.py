"""Which training images are labelled, and which serve as unlabelled ones."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.fingerprint import fingerprint, pixels_fingerprint
from semisup.errors import InputError, check_bounds
from semisup.runtime.arguments import whole_number
from semisup.runtime.paths import expanded

ALL = -1

# What a split on record knows of its data set, and how an error names it.
_OF_DATA = {
    "classes": "the names or the order of the classes",
    "labels": "the classes of the labelled images",
    "pool": "the images that may be unlabelled (`train_in_pool`, `target_dataset`)",
    "files": "the names of the files",
    "values_in": "the range of values of images with more than 8 bits",
}

# In the data of a split on record, but not compared where it is read: with another `new_size` the
# same images are as bright, but for rounding.
PIXELS = "pixels"


@dataclass(frozen=True)
class Split:
    """The images chosen from a data set for one run.

    Attributes:
        labeled: indices into the training images, int64, ascending.
        unlabeled: indices into the data set's unlabelled pool, int64, ascending.
            They may name labelled images too, as in the paper (section 4.4).
        data: of a split on record, what is known of the data set, so that other data with images
            at the same places is not taken for the same; see `with_fingerprint`. Else empty.
    """

    labeled: np.ndarray
    unlabeled: np.ndarray
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Digest of the split: equal for equal choices, of a split on record also of equal data.

        That of `read_split`'s result is of the choice alone, unlike the one in the file.
        """
        digest = hashlib.sha256()
        for indices in (self.labeled, self.unlabeled):
            digest.update(np.int64(len(indices)).tobytes())
            digest.update(np.ascontiguousarray(indices, "<i8").tobytes())
        if self.data:
            digest.update(json.dumps(self.data, sort_keys=True).encode())
        return digest.hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """What `read_split` reads back."""
        indices = {"labeled": self.labeled.tolist(), "unlabeled": self.unlabeled.tolist()}
        return {"hash": self.hash, **indices, **({"data": self.data} if self.data else {})}


def read_split(path: str | Path, dataset: Dataset) -> Split:
    """The split that a run has written to its split.json.

    Raises:
        InputError: the file is missing or damaged, or is of another data set or version.
    """
    split = _read(path)
    for indices, images in (
        (split.labeled, dataset.train_images),
        (split.unlabeled, dataset.unlabeled_pool),
    ):
        if (
            indices.ndim != 1
            or len(indices) == 0
            or not 0 <= indices.min() <= indices.max() < len(images)
        ):
            raise InputError(f"{path} names images that {dataset.name} does not have")
    if differing := _differing(split, dataset):
        raise InputError(
            f"{path} is of other data than {dataset.name} as it is now: these have changed: "
            f"{', '.join(_OF_DATA[name] for name in differing)}"
        )
    return Split(split.labeled, split.unlabeled)


def read_labeled(path: str | Path, dataset: Dataset) -> np.ndarray:
    """Which training images the split in a file labels, int64, whatever its unlabelled ones.

    Raises:
        InputError: as `read_split`, but that the pool may be another.
    """
    split = _read(path)
    if set(_differing(split, dataset)) - {"pool"}:
        raise InputError(f"{path} is of other data than {dataset.name} as it is now")
    return split.labeled


def _differing(split: Split, dataset: Dataset) -> list[str]:
    """In what a split on record differs from a data set, of the names in `_OF_DATA`."""
    if not split.data:
        return []
    if split.labeled.max(initial=0) >= len(dataset.train_labels):
        return ["labels"]
    now = with_fingerprint(split, dataset).data
    return [name for name in _OF_DATA if split.data.get(name) != now[name]]


def _read(path: str | Path) -> Split:
    try:
        content = json.loads(expanded(path).read_text(encoding="utf-8"))
        split = Split(
            np.array(content["labeled"], np.int64),
            np.array(content["unlabeled"], np.int64),
            dict(content.get("data", {})),
        )
        digest = split.hash
    except FileNotFoundError:
        raise InputError(f"there is no split file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read the split file {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} is not a split file, or is damaged: {error!r}") from None
    if content.get("hash") != digest:
        raise InputError(f"{path} is damaged: its hash is not that of its content")
    return split


def with_fingerprint(split: Split, dataset: Dataset) -> Split:
    """The split as it is put on record, with what is known of the data set."""
    labels = dataset.train_labels[split.labeled].tolist()
    data = {**fingerprint(dataset), "labels": labels, PIXELS: pixels_fingerprint(dataset)}
    return dataclasses.replace(split, data=data)


def choose_split(
    dataset: Dataset,
    sup_per_class: int,
    unsup_samples: int = ALL,
    seed: int = 0,
    *,
    fold: int = -1,
    exclude_labeled: bool = False,
    remove_classes: int = 0,
) -> Split:
    """Draw the labelled images, as many of each class, and the unlabelled ones.

    Args:
        dataset: where from.
        sup_per_class: labelled images per class; -1 for all there are.
        unsup_samples: unlabelled images; -1 for all there are.
        seed: names the choice, in [0, 2^32). It is the choice that the authors' code makes with
            this seed, draw by draw, so that a published `sup_seed` names the same images of the
            original files (tensorflow-datasets has them in another order).
        fold: draw the labelled images from this fold of the data set; -1 for no fold.
        exclude_labeled: keep labelled images out of the unlabelled ones. Without effect
            where the training images are not in the data set's pool.
        remove_classes: this many classes, the highest ones, get no labelled images.

    Raises:
        InputError: more are asked for than there are, or none of a class; there is no such fold; no
            class is left; or a number is no whole number or out of its range.

    Examples:
        >>> digits = semisup.load_dataset("mnist5k")
        >>> split = semisup.choose_split(digits, sup_per_class=10, seed=0)
        >>> len(split.labeled), len(split.unlabeled)
        (100, 4000)
        >>> np.bincount(digits.train_labels[split.labeled]).tolist()
        [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """
    sup_per_class = whole_number("sup_per_class", sup_per_class)
    unsup_samples = whole_number("unsup_samples", unsup_samples)
    seed, fold = whole_number("seed", seed, minimum=0), whole_number("fold", fold, minimum=-1)
    check_bounds("seed", seed, below=2**32)
    remove_classes = whole_number("remove_classes", remove_classes, minimum=0)
    candidates = _fold(dataset, fold)
    labels = dataset.train_labels[candidates]
    if remove_classes >= dataset.num_classes:
        raise InputError(
            f"`remove_classes={remove_classes}` leaves none of the {dataset.num_classes} classes"
        )
    random = np.random.RandomState(seed)
    of_classes = [
        _draw(
            candidates[labels == c],
            sup_per_class,
            random,
            "sup_per_class",
            f"labelled images of class {class_name!r} in {dataset.name}",
        )
        for c, class_name in enumerate(dataset.class_names[: dataset.num_classes - remove_classes])
    ]
    labeled = np.sort(np.concatenate(of_classes))
    pool = np.arange(len(dataset.unlabeled_pool))
    remedy = ": every image is labelled; leave out `exclude_labeled`" if len(pool) else ""
    if exclude_labeled:
        pool = dataset.without_labeled(pool, labeled)
    unlabeled = _draw(
        pool,
        unsup_samples,
        np.random.RandomState(seed),
        "unsup_samples",
        f"unlabelled images in {dataset.name}",
        remedy,
    )
    return Split(labeled, unlabeled)


def _fold(dataset: Dataset, fold: int) -> np.ndarray:
    """The training images that may be labelled, as ascending indices."""
    if fold < 0:
        return np.arange(len(dataset.train_labels))
    if not dataset.folds:
        raise InputError(f"{dataset.name} has no folds; leave out `fold`")
    if fold >= len(dataset.folds):
        count = len(dataset.folds)
        raise InputError(f"{dataset.name} has {count} folds, counted from 0; `fold` is {fold}")
    return np.unique(dataset.folds[fold])


def _draw(
    pool: np.ndarray,
    count: int,
    random: np.random.RandomState,
    argument: str,
    what: str,
    remedy: str = "",
) -> np.ndarray:
    """Draw `count` of the indices in `pool`, ascending; the other arguments are for an error."""
    if count == ALL and len(pool) > 0:
        return pool
    if len(pool) == 0:
        raise InputError(f"there are no {what} to draw from (`{argument}`){remedy}")
    if not 1 <= count <= len(pool):
        raise InputError(
            f"asked for {count} of the {len(pool)} {what} (`{argument}`); `{argument}=-1` takes all"
        )
    return np.sort(pool[random.choice(len(pool), count, replace=False)])
