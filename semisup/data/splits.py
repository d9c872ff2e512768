"""Which training images are labelled, and which serve as unlabelled ones."""

import hashlib
from dataclasses import dataclass

import numpy as np

from semisup.data.dataset import Dataset
from semisup.errors import InputError

ALL = -1


@dataclass(frozen=True)
class Split:
    """The images chosen from a data set for one run.

    Attributes:
        labeled: indices into the training images, int64, ascending.
        unlabeled: indices into the data set's unlabelled pool, int64, ascending.
            They may name labelled images too, as in the paper (section 4.4).
    """

    labeled: np.ndarray
    unlabeled: np.ndarray

    @property
    def hash(self) -> str:
        """Names the split: equal for equal choices, and for those only."""
        digest = hashlib.sha256()
        for indices in (self.labeled, self.unlabeled):
            digest.update(np.int64(len(indices)).tobytes())
            digest.update(np.ascontiguousarray(indices, "<i8").tobytes())
        return digest.hexdigest()[:16]


def choose_split(dataset: Dataset, sup_per_class: int, unsup_samples: int, seed: int) -> Split:
    """Draw the labelled images, as many of each class, and the unlabelled ones.

    Args:
        dataset: where from.
        sup_per_class: labelled images per class; -1 for all there are.
        unsup_samples: unlabelled images; -1 for all there are.
        seed: names the choice. The labelled images of class c depend on nothing but
            the seed, c and the class's size; the unlabelled ones on nothing but the
            seed and the pool's size.

    Raises:
        InputError: more are asked for than there are, or none of a class.
    """
    classes = [np.flatnonzero(dataset.train_labels == c) for c in range(dataset.num_classes)]
    labeled = [
        _draw(
            members,
            sup_per_class,
            (seed, 0, c),
            f"labelled images of class {dataset.class_names[c]!r} in {dataset.name} "
            "(--sup_per_class)",
        )
        for c, members in enumerate(classes)
    ]
    unlabeled = _draw(
        np.arange(len(dataset.unlabeled_pool)),
        unsup_samples,
        (seed, 1),
        f"unlabelled images in {dataset.name} (--unsup_samples)",
    )
    return Split(np.sort(np.concatenate(labeled)), unlabeled)


def _draw(pool: np.ndarray, count: int, seed: tuple[int, ...], what: str) -> np.ndarray:
    if count == ALL:
        count = len(pool)
    if not 1 <= count <= len(pool):
        raise InputError(f"asked for {count} of the {len(pool)} {what}; -1 takes all")
    return np.sort(np.random.default_rng(seed).choice(pool, count, replace=False))
