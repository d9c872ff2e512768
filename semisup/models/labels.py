"""The labels of a batch: a class in [0, num_classes), or -1 for an unlabelled row."""

from typing import Any

import keras
from keras import ops

from semisup.errors import InputError

Tensor = Any


def check_labels(labels: Tensor) -> None:
    """Check that labels are numbers of classes.

    Raises:
        InputError: there are no labels, or they are one-hot.
    """
    if labels is None:
        raise InputError(
            "there are no labels: AssociativeModel takes pairs (images, labels), in training with "
            "-1 for none"
        )
    if len(labels.shape) > 2 or (len(labels.shape) == 2 and labels.shape[1] != 1):
        raise InputError(
            f"labels must be integers [batch], -1 for none, but have shape {tuple(labels.shape)}; "
            "turn one-hot labels into numbers with argmax"
        )


def labeled_and_unlabeled(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the labelled rows, int [N], and of the unlabelled ones, int [M]."""
    with keras.name_scope("rows"):
        labels = ops.reshape(labels, [-1])
        return ops.nonzero(labels >= 0)[0], ops.nonzero(labels < 0)[0]


def has_both(labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """1.0 if there are both labelled and unlabelled rows, else 0.0."""
    with keras.name_scope("has_both"):
        return _any(labeled) * _any(unlabeled)


def _any(rows: Tensor) -> Tensor:
    return ops.cast(ops.shape(rows)[0] > 0, "float32")
