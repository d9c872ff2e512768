"""What `fit`, `evaluate` and `predict` of an `AssociativeModel` are given, checked beforehand."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from semisup.errors import InputError
from semisup.models import labels
from semisup.runtime.arguments import class_numbers


def fit_arguments(method: Callable[..., Any], num_classes: int, *args: Any, **kwargs: Any) -> Any:
    """The arguments of Keras's `fit`, with labels as int64.

    Args:
        method: Keras's `fit`, of a model.
        num_classes: that of the model.
        args: what was given.
        kwargs: likewise.

    Raises:
        InputError: labels are no classes, none of them is one, those that `validation_split`
            takes are all -1, or there is no end: endless batches without a number of steps.
    """
    call = inspect.signature(method).bind(*args, **kwargs)
    given = call.arguments
    _check_end(given.get("x"), given.get("steps_per_epoch"), "fit", "steps_per_epoch")
    if (y := _classes(given.get("y"), num_classes)) is not None:
        given["y"] = y
        share = given.get("validation_split") or 0.0
        trained = math.floor(len(y) * (1.0 - share)) if 0 < share < 1 else len(y)
        if len(y) and not np.any(y[:trained] >= 0):
            raise InputError("no image to train on has a label: all are -1")
        if trained < len(y) and not np.any(y[trained:] >= 0):
            raise InputError(
                f"`validation_split={share}` takes the last {len(y) - trained} images, of which "
                "none has a label; give images with labels as `validation_data`, or shuffle first"
            )
    validation = given.get("validation_data")
    if isinstance(validation, tuple | list) and len(validation) >= 2:
        images, y, *weights = validation
        if (y := _classes(y, num_classes)) is not None:
            _check_any(y, "`validation_data`")
            given["validation_data"] = (images, y, *weights)
    else:
        steps = given.get("validation_steps")
        _check_end(validation, steps, "fit", "validation_steps", "`validation_data` is")
    return call


def evaluate_arguments(
    method: Callable[..., Any], num_classes: int, *args: Any, **kwargs: Any
) -> Any:
    """The arguments of Keras's `evaluate`, likewise.

    Raises:
        InputError: labels are no classes, none of them is one, or there is no end.
    """
    call = inspect.signature(method).bind(*args, **kwargs)
    given = call.arguments
    _check_end(given.get("x"), given.get("steps"), "evaluate", "steps")
    if (y := _classes(given.get("y"), num_classes)) is not None:
        _check_any(y, "evaluate")
        given["y"] = y
    return call


def predict_arguments(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The arguments of Keras's `predict`.

    Raises:
        InputError: there is no end.
    """
    call = inspect.signature(method).bind(*args, **kwargs)
    _check_end(call.arguments.get("x"), call.arguments.get("steps"), "predict", "steps")
    return call


def _classes(y: Any, num_classes: int) -> np.ndarray | None:
    """Labels as int64 [N]; None if there are none, or if they are symbolic."""
    if y is None or (tf.is_tensor(y) and not hasattr(y, "numpy")):
        return None
    numbers = class_numbers(y, labels.NONE_IS_MINUS_ONE)
    if len(numbers) and not -1 <= numbers.min() <= numbers.max() < num_classes:
        raise labels.outside(numbers.min(), numbers.max(), num_classes)
    return numbers


def _check_any(y: np.ndarray, what: str) -> None:
    if not np.any(y >= 0):
        raise InputError(f"{what} needs images with labels, but all {len(y)} are -1")


def _check_end(
    batches: Any, steps: int | None, method: str, argument: str, what: str = "these batches are"
) -> None:
    """Raise InputError if batches have no end and no number of steps ends them."""
    if (
        steps is None
        and isinstance(batches, tf.data.Dataset)
        and int(batches.cardinality()) == tf.data.INFINITE_CARDINALITY
    ):
        raise InputError(
            f"{what} without end, so {method} needs `{argument}`, such as {argument}=100"
        )
