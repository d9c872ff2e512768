"""Convert and check arguments: whole numbers of any type, and labels in many forms."""

import operator
from typing import Any

import numpy as np

from semisup.errors import InputError, check_bounds

_LARGEST = 2**31 - 1  # classes are 32-bit integers in the losses


def whole_number(
    name: str, value: Any, minimum: int | None = None, maximum: int | None = None
) -> int:
    """The argument `name` as a plain integer.

    Args:
        name: of the argument, for the message.
        value: an integer of Python's or NumPy's, or a float without a fraction.
        minimum: the smallest that is allowed.
        maximum: the largest that is allowed.

    Raises:
        InputError: it is none of these, too small or too large.

    Examples:
        >>> whole_number("sup_per_batch", np.int64(10))
        10
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        whole = isinstance(value, float | np.floating) and float(value).is_integer()
        number = operator.index(int(value) if whole else value)
    except TypeError:
        raise InputError(f"`{name}` is {value!r}; it must be a whole number") from None
    check_bounds(name, number, minimum=minimum, maximum=maximum)
    return number


def class_numbers(labels: Any, without: str) -> np.ndarray:
    """Labels as classes, whatever they come in.

    Args:
        labels: integers, booleans or floats without a fraction, [N] or [N, 1]: a list, an array,
            a tensor, or a column of a table. They may be -1.
        without: what to do with images that have no label; it ends the message.

    Returns:
        int64 [N].

    Raises:
        InputError: they are names, one-hot, missing, no whole numbers, or -1 in a type that can't
            hold it.
    """
    if np.ma.is_masked(labels):
        raise InputError(f"labels must be whole numbers, but some are masked; {without}")
    try:
        array = np.asarray(labels)
        if array.dtype == object:
            array = np.asarray(array.tolist())
    except Exception as error:  # of the many types that people have
        raise InputError(f"cannot convert the labels to whole numbers [N]: {error}") from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = "; turn one-hot labels into numbers with argmax" if array.ndim == 2 else ""
        raise InputError(f"labels must be whole numbers [N], but have shape {array.shape}{hint}")
    _refuse_others(array, without)
    return array.astype(np.int64)


def _refuse_others(array: np.ndarray, without: str) -> None:
    """Raise InputError if these labels [N] are no whole numbers."""
    kind, dtype = array.dtype.kind, array.dtype
    if len(array) == 0 or kind == "b":
        return
    if kind in "US":
        some = ", ".join(repr(name.item()) for name in np.unique(array)[:3])
        raise InputError(
            f"labels must be whole numbers, but are names ({some}); number them: names, labels = "
            "numpy.unique(labels, return_inverse=True)"
        )
    if kind == "O":
        for place, label in enumerate(array):
            if label is None or not isinstance(label, int | float | np.number):
                what = "None" if label is None else f"a {type(label).__name__}"
                raise InputError(
                    f"labels must be whole numbers, but labels[{place}] is {what}; {without}"
                )
    if kind not in "iuf":
        try:  # bfloat16 and its like are kinds of their own
            if kind not in "VO":
                raise TypeError
            array = array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"labels must be whole numbers, but are {dtype}") from None
    if array.dtype.kind == "f":
        array = array.astype(np.float64)  # float16 ends at 65,504
        whole = np.isfinite(array) & (array == array.round())
        if not whole.all():
            place = int(np.argmin(whole))
            raise InputError(
                f"labels must be whole numbers, but labels[{place}] is {array[place]}; {without}"
            )
    if kind == "u" and array.max() == np.iinfo(dtype).max and array.max() - 1 not in array:
        raise InputError(
            f"a label is {array.max()}, which is -1 stored as {dtype}; use a signed type, and "
            f"{without}"
        )
    if array.max() > _LARGEST or array.min() < -_LARGEST:
        raise InputError(f"a label is {array[np.argmax(np.abs(array))]}, too large for a class")
