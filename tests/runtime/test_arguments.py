"""Numbers and labels in the forms that people have them in."""

import numpy as np
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.runtime.arguments import class_numbers, whole_number


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.uint8(3), np.float32(3), np.array(3)])
def test_whole_number_takes_all_that_are_one(value):
    number = whole_number("size", value)
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize("value", ["3", None, 3.5, float("nan"), True, np.True_, [3], 3j, b"3"])
def test_whole_number_refuses_all_else(value):
    with pytest.raises(InputError, match=r"`size` is .*; it must be a whole number"):
        whole_number("size", value)


def test_whole_number_has_a_least_value():
    with pytest.raises(InputError, match="`size` is 0; it must be at least 1"):
        whole_number("size", 0, minimum=1)


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0, 2],
        np.array([1, 0, 2], np.uint8),
        np.array([1.0, 0.0, 2.0], np.float16),
        np.array([1, 0, 2], object),
        [[1], [0], [2]],
        tf.constant([1, 0, 2]),
        tf.constant([1, 0, 2], tf.bfloat16),
        range(1, 4),
    ],
)
def test_class_numbers_takes_all_that_are_plain(labels):
    numbers = class_numbers(labels, "")
    assert numbers.dtype == np.int64
    assert numbers.shape == (3,)
    assert numbers[0] == 1


def test_class_numbers_takes_booleans_and_no_label_at_all():
    assert class_numbers([True, False], "").tolist() == [1, 0]
    assert class_numbers([], "").tolist() == []
    assert class_numbers(np.arange(256).astype(np.uint8), "").max() == 255  # 256 classes


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["cat", "dog"], r"are names \('cat', 'dog'\); number them"),
        ([b"cat", b"dog"], "are names .b'cat'"),
        ([0, None, 1], r"labels\[1\] is None; say none"),
        ([0, "cat", None], r"labels\[1\] is a str; say none"),
        ([0.0, np.nan], r"labels\[1\] is nan; say none"),
        ([0, 0.5], r"labels\[1\] is 0.5; say none"),
        (np.array([0, 1, 255], np.uint8), "a label is 255, which is -1 stored as uint8"),
        (np.array([0, 2**64 - 1], np.uint64), "which is -1 stored as uint64"),
        (np.ma.masked_array([0, 1], [False, True]), "some are masked; say none"),
        (np.eye(3), "have shape .3, 3.; turn one-hot labels"),
        ([[0], [1, 2]], "cannot convert the labels to whole numbers"),
        (np.array([0j, 1j]), "are complex128"),
        (np.array(["2020-01-01"], "datetime64[D]"), "are datetime64"),
        ([1e30], "too large for a class"),
        ([object()], r"labels\[0\] is a object"),
        (7, "have shape"),
    ],
)
def test_class_numbers_refuses_all_else_in_a_line(labels, words):
    with pytest.raises(InputError, match=words) as raised:
        class_numbers(labels, "say none")
    assert "\n" not in str(raised.value)
