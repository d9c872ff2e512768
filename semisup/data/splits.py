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


def choose_split(
    dataset: Dataset, sup_per_class: int, unsup_samples: int = ALL, seed: int = 0
) -> Split:
    """Draw the labelled images, as many of each class, and the unlabelled ones.

    Args:
        dataset: where from.
        sup_per_class: labelled images per class; -1 for all there are.
        unsup_samples: unlabelled images; -1 for all there are.
        seed: names the choice. It is the choice that the authors' code makes with this
            seed, draw by draw, so that a published --sup_seed names the same images.

    Raises:
        InputError: more are asked for than there are, or none of a class.
    """
    random = np.random.RandomState(seed)
    labeled = [
        _draw(
            np.flatnonzero(dataset.train_labels == c),
            sup_per_class,
            random,
            f"labelled images of class {class_name!r} in {dataset.name} (--sup_per_class)",
        )
        for c, class_name in enumerate(dataset.class_names)
    ]
    unlabeled = _draw(
        np.arange(len(dataset.unlabeled_pool)),
        unsup_samples,
        np.random.RandomState(seed),
        f"unlabelled images in {dataset.name} (--unsup_samples)",
    )
    return Split(np.sort(np.concatenate(labeled)), unlabeled)


def _draw(pool: np.ndarray, count: int, random: np.random.RandomState, what: str) -> np.ndarray:
    if count == ALL and len(pool) > 0:
        return pool
    if not 1 <= count <= len(pool):
        raise InputError(f"asked for {count} of the {len(pool)} {what}; -1 takes all")
    return np.sort(pool[random.choice(len(pool), count, replace=False)])
