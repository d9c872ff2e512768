"""The training data of a run: a data set, its labelled subset, and pseudo-labels."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from semisup.data.dataset import Dataset, Images
from semisup.data.lazy_images import concatenate
from semisup.data.splits import Split, with_fingerprint


@dataclass(frozen=True)
class PseudoLabels:
    """Labels that a trained model gave to images of the unlabelled pool.

    Attributes:
        indices: into the data set's `unlabeled_pool`, int64 [n], ascending.
        labels: the predicted classes, int64 [n].
    """

    indices: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class LabeledData:
    """A data set with the split that says which of its images are labelled.

    Attributes:
        dataset: all images, and the labels of all training and test images.
        split: which training images are labelled, and which of the pool are unlabelled.
        pseudo_labels: labels for some of the unlabelled images; None without self-training.

    Examples:
        >>> digits = semisup.load_dataset("mnist5k")
        >>> data = LabeledData(digits, semisup.choose_split(digits, sup_per_class=10))
        >>> data.labeled_images.shape, data.unlabeled_images.shape
        ((100, 28, 28, 1), (4000, 28, 28, 1))
    """

    dataset: Dataset
    split: Split
    pseudo_labels: PseudoLabels | None = None

    @property
    def split_on_record(self) -> Split:
        """The split with what is known of the data set, for a run's record."""
        return with_fingerprint(self.split, self.dataset)

    @property
    def labeled_images(self) -> Images:
        """The images that the split labels, uint8 [L, H, W, C]. Without pseudo-labels."""
        return self.dataset.train_images[self.split.labeled]

    @property
    def labeled_labels(self) -> np.ndarray:
        """The classes of `labeled_images`, int64 [L]."""
        return self.dataset.train_labels[self.split.labeled]

    @property
    def unlabeled_images(self) -> Images:
        """The unlabelled images of the split, uint8 [U, H, W, C]; not copied if it names all."""
        pool, chosen = self.dataset.unlabeled_pool, self.split.unlabeled
        return pool if len(chosen) == len(pool) else pool[chosen]

    @property
    def candidates(self) -> np.ndarray:
        """The unlabelled images that the split does not label too: indices into the pool."""
        return self.dataset.without_labeled(self.split.unlabeled, self.split.labeled)

    def first_of_each_class(
        self, per_class: int, classes: Iterable[int] | None = None
    ) -> np.ndarray:
        """Some labelled images, by class: the first ones of each, as indices, int64 [n].

        Args:
            per_class: of each class at most.
            classes: in this order; by default all that have labels.
        """
        labels = self.labeled_labels
        classes = np.unique(labels).tolist() if classes is None else classes
        return np.concatenate([self.split.labeled[labels == c][:per_class] for c in classes])

    @property
    def classes_without_labels(self) -> list[str]:
        """Names of the classes of which no image is labelled."""
        labeled = set(self.labeled_labels.tolist())
        return [name for c, name in enumerate(self.dataset.class_names) if c not in labeled]

    def training_images_and_labels(self) -> tuple[Images, np.ndarray]:
        """All images to train the classifier on, with their classes.

        Returns:
            The labelled images, then those with pseudo-labels, uint8 [L + n, H, W, C], and
            their classes, int64 [L + n].
        """
        if self.pseudo_labels is None:
            return self.labeled_images, self.labeled_labels
        added = self.dataset.unlabeled_pool[self.pseudo_labels.indices]
        labels = np.concatenate([self.labeled_labels, self.pseudo_labels.labels])
        return concatenate(self.labeled_images, added), labels
