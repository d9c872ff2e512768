"""The labels of a batch: a class in [0, num_classes), or -1 for an unlabelled row."""

import re
from typing import Any

import keras
import tensorflow as tf

from semisup.errors import InputError

Tensor = Any

# What to do with an image that has no label, in the words of a message.
NONE_IS_MINUS_ONE = "the label of an image without one is -1"

# By these the graph's error is known.
_OUTSIDE = "labels are outside the classes"
_FOUND = re.compile(rf"\[{_OUTSIDE}\]" + r" \[(\S+)\]" * 4)


def check_labels(labels: Tensor) -> None:
    """Check that labels are numbers of classes.

    Raises:
        InputError: there are no labels, they are names, or one-hot.
    """
    if labels is None:
        raise InputError(
            "there are no labels: AssociativeModel takes pairs (images, labels), in which "
            "unlabelled images have the label -1"
        )
    if not hasattr(labels, "shape"):
        raise InputError(
            "labels must be an array [batch] of integers, -1 for none, but are a "
            f"{type(labels).__name__}"
        )
    shape = labels.shape
    rank = shape.rank if isinstance(shape, tf.TensorShape) else len(shape)
    if rank is None:
        raise InputError(
            "the shape of the labels is unknown: give it, by `output_signature` of a generator or "
            "by tf.ensure_shape(labels, [None])"
        )
    if rank == 0:
        raise InputError(
            "labels must be integers [batch], but are one number: batch the data set by .batch(n); "
            "the labels of n images without one are tf.fill([n], -1)"
        )
    if rank > 2:
        raise InputError(
            f"the labels have shape {tuple(shape)}, like images: a batch is a pair (images, "
            "labels), in which images without a label, too, have one, -1"
        )
    if rank == 2 and shape[1] != 1:
        raise InputError(
            f"labels must be integers [batch], -1 for none, but have shape {tuple(shape)}; "
            "turn one-hot labels into numbers with argmax"
        )
    dtype = tf.as_dtype(labels.dtype)
    if not (dtype.is_integer or dtype.is_floating or dtype.is_bool):
        raise InputError(f"labels must be integers [batch], -1 for none, but are {dtype.name}")


def checked_labels(labels: Tensor, num_classes: int, images: Tensor = None) -> Tensor:
    """The labels as int64; the graph stops at one that is no class and not -1.

    It also stops if there are more or fewer than `images`, where these are one tensor.

    `outside_classes` knows the error that it stops with. A graph compiled by XLA can't stop: there
    all labels become `num_classes`, which is no class, so that the losses are NaN.

    Raises:
        InputError: as `check_labels`.
    """
    if tf.is_tensor(images) and getattr(getattr(labels, "shape", ()), "rank", 0) is None:
        labels = tf.reshape(labels, [-1])  # of several shapes; below they are counted
    check_labels(labels)
    with keras.name_scope("labels"):
        labels = tf.convert_to_tensor(labels)
        labels = tf.cast(labels, tf.int64) if labels.dtype.is_bool else labels
        whole = tf.cast(labels, tf.int64)
        if labels.dtype.is_floating:
            fits = tf.reduce_all(tf.cast(whole, labels.dtype) == labels)  # not so of NaN
        else:
            fits = tf.constant(True)
        # Of no labels, the minimum is above the maximum.
        minimum, maximum = tf.reduce_min(whole), tf.reduce_max(whole)
        count = tf.shape(whole)[0]
        wanted = tf.shape(images)[0] if tf.is_tensor(images) else count
        fits = fits & (minimum >= -1) & (maximum < num_classes) & (count == wanted)
        values = [_OUTSIDE, tf.reduce_min(labels), tf.reduce_max(labels), count, wanted]
        stop = tf.raw_ops.Assert(condition=fits, data=values)
        with tf.control_dependencies([stop] if stop is not None else []):
            return tf.where(fits, whole, tf.cast(num_classes, tf.int64))


def outside_classes(error: Exception, num_classes: int) -> InputError | None:
    """The one line for the error of `checked_labels` in a graph; None if it is another error."""
    found = isinstance(error, tf.errors.InvalidArgumentError) and _FOUND.search(error.message)
    if not found:
        return None
    if found[3] != found[4]:
        return InputError(f"a batch has {found[3]} labels for {found[4]} images; give one for each")
    return out_of_range(found[1], found[2], num_classes)


def out_of_range(minimum: object, maximum: object, num_classes: int) -> InputError:
    """The error for labels that are no class and not -1."""
    return InputError(
        f"labels must be whole numbers in [0, {num_classes}), as `num_classes` says, or -1 for "
        f"none, but they go from {minimum} to {maximum}; classes count from 0, and -1 needs a "
        "signed type"
    )
