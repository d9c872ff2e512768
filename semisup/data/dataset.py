"""`Dataset`: images, labels and the names of the classes."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from semisup.data.image_io import ValueRange
from semisup.data.lazy_images import LazyImages, as_images, concatenate
from semisup.errors import InputError
from semisup.runtime.arguments import class_numbers

Images = np.ndarray | LazyImages

_WITHOUT_LABEL = "images without labels are `unlabeled_images`"


@dataclass(frozen=True)
class Dataset:
    """A data set. Pixels stay as they are on disk: uint8 in [0, 255].

    Its images are arrays in memory (lists and tensors become so), or `LazyImages`, which a number,
    a slice or an array of numbers indexes alike, along the first axis. `association_batches` and
    `semisup.evaluation` read those in batches; Keras's `fit`, `evaluate` and `predict` would read
    them all into memory.

    Attributes:
        name: as in `registry.DATASETS`.
        train_images: uint8 [N, H, W, C].
        train_labels: int64 [N], in [0, number of classes); whole numbers of any type become so.
        test_images: uint8 [T, H, W, C]; T may be 0, and then no error is known: without any give
            `train_images[:0]`, and `train_labels[:0]` as their labels.
        test_labels: int64 [T].
        class_names: one for each class.
        unlabeled_images: uint8 [U, H, W, C] if the set brings images without labels,
            else None: the training images then serve as unlabelled ones.
        folds: labelled subsets that the set's owners prescribe, as indices into the
            training images, int64 each; None if they prescribe none.
        train_files: the file of each training image, an array of paths [N]; None where
            images have no files of their own. Where test images were held out of an array, names
            that say where in it each training image was.
        unlabeled_files: the same of `unlabeled_images`.
        train_in_pool: whether the training images are in the pool of unlabelled ones, before
            `unlabeled_images`. They are the pool if there are no others.
        values_in: of files with more than 8 bits a value, the values that became 0 and 255; None
            where there are none.

    Raises:
        InputError: one of the first six is None, images and labels do not fit each other, pixels
            are not uint8 with 1 or 3 channels, a label is no class, or there is no training image.
    """

    name: str
    train_images: Images
    train_labels: np.ndarray
    test_images: Images
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    unlabeled_images: Images | None = None
    folds: tuple[np.ndarray, ...] | None = None
    train_files: np.ndarray | None = None
    unlabeled_files: np.ndarray | None = None
    train_in_pool: bool = False
    values_in: ValueRange | None = None

    def __repr__(self) -> str:
        counts = f"{len(self.train_labels):,} training and {len(self.test_labels):,} test images"
        size = "x".join(map(str, self.image_shape))
        return f"<Dataset {self.name!r}: {counts} of {size}, {len(self.class_names)} classes>"

    def __post_init__(self) -> None:
        self._check_given()
        object.__setattr__(self, "class_names", tuple(self.class_names))  # of a frozen class
        for split in ("train", "test", "unlabeled"):
            if (images := getattr(self, f"{split}_images")) is not None:
                object.__setattr__(self, f"{split}_images", as_images(images))
        for split in ("train", "test"):
            labels = class_numbers(getattr(self, f"{split}_labels"), _WITHOUT_LABEL)
            object.__setattr__(self, f"{split}_labels", labels)  # of a frozen class
            self._check_labels(split)
        for split in ("train", "test", "unlabeled"):
            images = getattr(self, f"{split}_images")
            if images is not None:
                self._check_images(split, images)

    def _check_given(self) -> None:
        """Raise InputError if there is nothing where something must be."""
        for field in dataclasses.fields(self):
            if field.default is dataclasses.MISSING and getattr(self, field.name) is None:
                advice = f"give `train{field.name[4:]}[:0]` if there are no test images"
                raise InputError(
                    f"data set {self.name}: `{field.name}` is None; "
                    f"{advice if field.name.startswith('test') else 'it is always needed'}"
                )
        if not isinstance(self.class_names, Iterable):
            raise InputError(
                f"data set {self.name}: `class_names` is {self.class_names!r}; wanted one name for "
                "each class"
            )

    def _check_images(self, split: str, images: Images) -> None:
        if images.dtype != np.uint8:
            raise InputError(
                f"data set {self.name}: the {split} pixels are {images.dtype}, wanted bytes "
                "(uint8, 0 to 255)"
            )
        shape, wanted = ("x".join(map(str, s)) for s in (images.shape[1:], self.image_shape))
        if images.shape[1:] != self.image_shape:
            raise InputError(
                f"data set {self.name}: the {split} images are {shape}, the training images "
                f"{wanted}; both must have the same shape"
            )
        if images.shape[3] not in (1, 3):
            raise InputError(
                f"data set {self.name}: the {split} images are {shape}; wanted height x width x "
                "channels, with 1 or 3 channels"
            )
        if 0 in images.shape[1 if split == "test" else 0 :]:
            raise InputError(
                f"data set {self.name}: the {split} images have shape {images.shape}; there must "
                "be at least one image with at least one pixel"
            )

    def _check_labels(self, split: str) -> None:
        images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
        if images.ndim != 4 or len(images) != len(labels):
            raise InputError(
                f"data set {self.name}: the {split} images have shape {images.shape} and the "
                f"labels {labels.shape}; wanted [N, H, W, C] and [N]"
            )
        if len(labels) == 0 and split == "test":
            return
        if len(labels) == 0:
            raise InputError(f"data set {self.name}: there are no {split} images")
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise InputError(
                f"data set {self.name}: the {split} labels go from {labels.min()} to "
                f"{labels.max()}, but there are {self.num_classes} classes, counted from 0"
            )

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.train_images.shape[1:]

    @cached_property
    def unlabeled_pool(self) -> Images:
        """The images that unlabelled batches are drawn from, uint8 [U, H, W, C]."""
        if self.unlabeled_images is None:
            return self.train_images
        if self.train_in_pool:
            return concatenate(self.train_images, self.unlabeled_images)
        return self.unlabeled_images

    @property
    def pool_files(self) -> np.ndarray | None:
        """The files of `unlabeled_pool`, if each of its images has one."""
        if self.unlabeled_images is None:
            return self.train_files
        if not self.train_in_pool or self.unlabeled_files is None:
            return self.unlabeled_files
        if self.train_files is None:
            return None
        return np.concatenate([self.train_files, self.unlabeled_files])

    def without_labeled(self, pool: np.ndarray, labeled: np.ndarray) -> np.ndarray:
        """Drop the labelled training images from indices into the pool.

        Args:
            pool: indices into `unlabeled_pool`, int64 [n].
            labeled: indices into `train_images`; in a pool that has these, they are the same.
        """
        in_pool = self.unlabeled_images is None or self.train_in_pool
        return np.setdiff1d(pool, labeled) if in_pool else pool

    def train_names(self, indices: np.ndarray) -> list[str]:
        """What to call these training images: their files, or "mnist5k/train[17]"."""
        return [_name(self.train_files, f"{self.name}/train", i) for i in indices]

    @property
    def classes_without_test_images(self) -> list[str]:
        """Names of the classes of which there is no test image, so that their error is unknown."""
        tested = set(self.test_labels.tolist())
        return [name for c, name in enumerate(self.class_names) if c not in tested]

    def unlabeled_names(self, indices: np.ndarray) -> list[str]:
        """What to call these of `unlabeled_images`: their files, or "stl10/unlabeled[17]"."""
        return [_name(self.unlabeled_files, f"{self.name}/unlabeled", i) for i in indices]

    def pool_names(self, indices: np.ndarray) -> list[str]:
        """What to call these images of `unlabeled_pool`, likewise."""
        if self.unlabeled_images is None:
            return self.train_names(indices)
        first = len(self.train_labels) if self.train_in_pool else 0
        return [
            _name(self.train_files, f"{self.name}/train", i)
            if i < first
            else _name(self.unlabeled_files, f"{self.name}/unlabeled", i - first)
            for i in indices
        ]


def evenly_spaced(total: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `total` items, from the first to the last, int64 [n]."""
    return np.linspace(0, total - 1, min(total, most), dtype=np.int64)


def _name(files: np.ndarray | None, where: str, index: int) -> str:
    return f"{where}[{index}]" if files is None else str(files[index])
