"""Checks of what the losses are given, as far as it is known before a graph runs."""

import numbers
from typing import Any

import keras
import numpy as np

from semisup.errors import InputError, check_known

Tensor = Any

# What a model divides each similarity by unless told otherwise: docs/studies has the comparison.
DEFAULT_TEMPERATURE = {"dot": 1.0, "cosine": 0.16, "euclidean": 1.0}

SIMILARITIES = tuple(DEFAULT_TEMPERATURE)


def check_similarity(similarity: str) -> None:
    """Raises InputError if there is no such similarity."""
    check_known("similarity", similarity, SIMILARITIES)


def check_temperature(temperature: float | Tensor) -> None:
    """Raises InputError if a temperature is no number above 0. Tensors pass."""
    if hasattr(temperature, "shape") and not is_number(temperature):
        return
    if not is_number(temperature) or not temperature > 0:
        raise InputError(f"`temperature` is {temperature!r}; it must be a number above 0")


def check_label_smoothing(share: float | Tensor) -> None:
    """Raises InputError if the share of a label is a number, but not in [0, 1). Tensors pass."""
    if is_number(share) and not 0 <= share < 1:
        raise InputError(f"`label_smoothing` is {share}; it must be in [0, 1)")


def check_embeddings(A: Tensor, B: Tensor) -> None:
    """Raises InputError if these are not embeddings [N, D] and [M, D], as far as is known."""
    shapes = known_shape(A), known_shape(B)
    known = [shape for shape in shapes if shape is not None]
    widths = {shape[1] for shape in known if len(shape) == 2} - {None}
    if any(len(shape) != 2 for shape in known) or len(widths) > 1:
        raise InputError(
            "`A` and `B` must be embeddings [N, D] and [M, D], but have the shapes "
            f"{shapes[0]} and {shapes[1]}"
        )


def check_matrix(
    x: Tensor, name: str, wanted: str, sizes: tuple[int | None, ...] | None = None
) -> None:
    """Check the shape of a matrix, as far as it is known.

    Args:
        x: what must be a matrix.
        name: of it, for the error.
        wanted: its shape in words.
        sizes: rows and columns that it must have, None where any number will do.

    Raises:
        InputError: it is no matrix, or of other sizes.
    """
    shape = known_shape(x)
    if shape is None:
        return
    pairs = zip(shape, sizes or (), strict=False)
    if len(shape) != 2 or any(None not in pair and pair[0] != pair[1] for pair in pairs):
        raise InputError(f"`{name}` must be {wanted}, but has the shape {shape}")


def check_labeled(labels: Tensor) -> None:
    """Raises InputError if a label is -1, where the labels are known: it would be a class here."""
    known = hasattr(labels, "numpy") or not keras.ops.is_tensor(labels)
    if known and np.any(np.asarray(labels) == -1):
        raise InputError(
            "a label is -1, which means none: `labels` are those of `A` alone; give the embeddings "
            "of images without a label as `B`"
        )


def check_labels_of(labels: Tensor, rows: Tensor, name: str) -> None:
    """Check that there is a label for each row, where the sizes are known.

    One label would be that of all rows, without a word.

    Args:
        labels: [N] or [N, 1].
        rows: [N, ...].
        name: of `rows`, for the error.

    Raises:
        InputError: there are more or fewer labels than rows.
    """
    found, wanted = known_shape(labels), known_shape(rows)
    if found is None or wanted is None:
        return
    one_each = len(found) == 1 or (len(found) == 2 and found[1] in (1, None))
    if not one_each or (None not in (found[0], wanted[0]) and found[0] != wanted[0]):
        raise InputError(
            f"there must be one label for each row of `{name}` {wanted}, but the labels have shape "
            f"{found}"
        )


def known_shape(x: Tensor) -> tuple[int | None, ...] | None:
    """The shape of a tensor, an array or a list; None if not even the rank is known."""
    shape = x.shape if hasattr(x, "shape") else np.shape(x)
    return None if getattr(shape, "rank", 0) is None else tuple(shape)


def is_number(value: float | Tensor) -> bool:
    """Whether this is a plain number, no tensor."""
    return isinstance(value, numbers.Real)
