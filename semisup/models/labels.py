"""The labels of a batch: a class in [0, num_classes), or -1 for an unlabelled row."""

import re
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from semisup.errors import InputError

Tensor = Any

# What to do with an image that has no label, in the words of a message.
NONE_IS_MINUS_ONE = "the label of an image without one is -1"

# By these the graph's error is known.
_OUTSIDE = "labels are outside the classes"
_FOUND = re.compile(rf"\[{_OUTSIDE}\] \[(\S+)\] \[(\S+)\]")


def check_labels(labels: Tensor) -> None:
    """Check that labels are numbers of classes.

    Raises:
        InputError: there are no labels, they are names, or one-hot.
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
    dtype = tf.as_dtype(labels.dtype)
    if not (dtype.is_integer or dtype.is_floating or dtype.is_bool):
        raise InputError(f"labels must be integers [batch], -1 for none, but are {dtype.name}")


def checked(labels: Tensor, num_classes: int) -> Tensor:
    """The labels as int64; the graph stops at one that is no class and not -1.

    `outside_classes` knows the error that it stops with.

    Raises:
        InputError: as `check_labels`.
    """
    check_labels(labels)
    with keras.name_scope("labels"):
        labels = tf.convert_to_tensor(labels)
        labels = tf.cast(labels, tf.int64) if labels.dtype.is_bool else labels
        whole = tf.cast(labels, tf.int64)
        if labels.dtype.is_floating:
            fits = tf.reduce_all(tf.cast(whole, labels.dtype) == labels)  # not so of NaN
        else:
            fits = tf.constant(True)
        # Of no labels, the least is the largest number, and the largest the least.
        least, largest = tf.reduce_min(whole), tf.reduce_max(whole)
        fits = fits & (least >= -1) & (largest < num_classes)
        values = [_OUTSIDE, tf.reduce_min(labels), tf.reduce_max(labels)]
        stop = tf.raw_ops.Assert(condition=fits, data=values)
        with tf.control_dependencies([stop] if stop is not None else []):
            return tf.identity(whole)


def outside_classes(error: Exception, num_classes: int) -> InputError | None:
    """The one line for the error of `checked`'s graph; None if it is another error."""
    found = isinstance(error, tf.errors.InvalidArgumentError) and _FOUND.search(error.message)
    return outside(found[1], found[2], num_classes) if found else None


def outside(least: object, largest: object, num_classes: int) -> InputError:
    """The error for labels that are no class and not -1."""
    return InputError(
        f"labels must be whole numbers in [0, {num_classes}), as `num_classes` says, or -1 for "
        f"none, but they go from {least} to {largest}; classes count from 0, and -1 needs a type "
        "with a sign"
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
