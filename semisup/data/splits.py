"""Which training images are labelled, and which serve as unlabelled ones."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semisup.data.dataset import Dataset
from semisup.errors import InputError
from semisup.runtime.arguments import whole_number
from semisup.runtime.paths import expanded

ALL = -1


@dataclass(frozen=True)
class Split:
    """The images chosen from a data set for one run.

    Attributes:
        labeled: indices into the training images, int64, ascending.
        unlabeled: indices into the data set's unlabelled pool, int64, ascending.
            They may name labelled images too, as in the paper (section 4.4).
        classes, labels: of a split on record, the names of all classes and the class of each
            labelled image, int64; by these, other data with images at the same places is not
            taken for the same. Else empty.
    """

    labeled: np.ndarray
    unlabeled: np.ndarray
    classes: tuple[str, ...] = ()
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def hash(self) -> str:
        """Names the split: equal for equal choices, and for those only."""
        digest = hashlib.sha256()
        for indices in (self.labeled, self.unlabeled):
            digest.update(np.int64(len(indices)).tobytes())
            digest.update(np.ascontiguousarray(indices, "<i8").tobytes())
        if self.classes:
            digest.update(json.dumps(self.classes).encode())
            digest.update(np.ascontiguousarray(self.labels, "<i8").tobytes())
        return digest.hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """What `read_split` reads back."""
        indices = {"labeled": self.labeled.tolist(), "unlabeled": self.unlabeled.tolist()}
        of_labels = {"classes": list(self.classes), "labels": self.labels.tolist()}
        return {"hash": self.hash, **indices, **(of_labels if self.classes else {})}


def read_split(path: str | Path, dataset: Dataset) -> Split:
    """The split that a run has written to its split.json.

    Raises:
        InputError: the file is missing or damaged, or is of another data set.
    """
    try:
        content = json.loads(expanded(path).read_text(encoding="utf-8"))
        split = Split(
            np.array(content["labeled"], np.int64),
            np.array(content["unlabeled"], np.int64),
            tuple(content.get("classes", ())),
            np.array(content.get("labels", ()), np.int64),
        )
        name = split.hash
    except FileNotFoundError:
        raise InputError(f"there is no split file {path}") from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} is not a split file, or is damaged: {error!r}") from None
    if content.get("hash") != name:
        raise InputError(f"{path} is damaged: its hash is not that of its content")
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
    if split.classes and name != recorded(split, dataset).hash:
        raise InputError(
            f"{path} is of other data than {dataset.name}, or its classes have other names or "
            "another order now"
        )
    return Split(split.labeled, split.unlabeled)


def recorded(split: Split, dataset: Dataset) -> Split:
    """The split as it is put on record, with the classes and labels that it has in a data set."""
    labels = dataset.train_labels[split.labeled]
    return dataclasses.replace(split, classes=dataset.class_names, labels=labels)


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
        seed: names the choice. It is the choice that the authors' code makes with this
            seed, draw by draw, so that a published `sup_seed` names the same images of the
            original files (tensorflow-datasets has them in another order).
        fold: draw the labelled images from this fold of the data set; -1 for no fold.
        exclude_labeled: keep labelled images out of the unlabelled ones. Without effect
            where the data set brings unlabelled images of its own.
        remove_classes: this many classes, the highest ones, get no labelled images.

    Raises:
        InputError: more are asked for than there are, or none of a class, or there is no
            such fold.

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
    seed, fold = whole_number("seed", seed, minimum=0), whole_number("fold", fold)
    if seed >= 2**32:
        raise InputError(f"`seed` is {seed}; it must be below {2**32}")
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
    if exclude_labeled:
        pool = dataset.without_labeled(pool, labeled)
    unlabeled = _draw(
        pool,
        unsup_samples,
        np.random.RandomState(seed),
        "unsup_samples",
        f"unlabelled images in {dataset.name}",
    )
    return Split(labeled, unlabeled)


def _fold(dataset: Dataset, fold: int) -> np.ndarray:
    """The training images that may be labelled, as ascending indices."""
    if fold < 0:
        return np.arange(len(dataset.train_labels))
    if not dataset.folds or fold >= len(dataset.folds):
        count = len(dataset.folds or ())
        raise InputError(f"{dataset.name} has {count} folds, counted from 0; `fold` is {fold}")
    return np.unique(dataset.folds[fold])


def _draw(
    pool: np.ndarray, count: int, random: np.random.RandomState, argument: str, what: str
) -> np.ndarray:
    """Draw `count` of the indices in `pool`, ascending; the last two arguments name them."""
    if count == ALL and len(pool) > 0:
        return pool
    if not 1 <= count <= len(pool):
        raise InputError(
            f"asked for {count} of the {len(pool)} {what} (`{argument}`); `{argument}=-1` takes all"
        )
    return np.sort(pool[random.choice(len(pool), count, replace=False)])
