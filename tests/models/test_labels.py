"""The labels of a batch, as the graph sees them."""

import numpy as np
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.models import labels


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.float32, np.float16])
def test_checked_takes_classes_and_none(dtype):
    checked = labels.checked_labels(tf.constant([0, 2, -1], dtype), 3)
    assert checked.dtype == tf.int64
    assert checked.numpy().tolist() == [0, 2, -1]


def test_checked_takes_booleans_columns_and_nothing():
    assert labels.checked_labels(tf.constant([True, False]), 2).numpy().tolist() == [1, 0]
    assert labels.checked_labels(tf.constant([[1], [0]]), 2).shape == (2, 1)
    assert labels.checked_labels(tf.zeros([0], tf.int32), 2).shape == (0,)


def test_there_is_a_label_for_each_image():
    images = tf.zeros([3, 8, 8, 1])
    assert labels.checked_labels(tf.constant([0, 1, 2]), 3, images).numpy().tolist() == [0, 1, 2]
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        labels.checked_labels(tf.constant([0, 1]), 3, images)
    named = labels.outside_classes(raised.value, 3)
    assert str(named) == "a batch has 2 labels for 3 images; give one for each"


def test_labels_of_unknown_rank_are_counted():
    """TensorFlow knows no rank once it has seen labels [N] and [N, 1]."""
    images = tf.zeros([3, 8, 8, 1])

    @tf.function(input_signature=[tf.TensorSpec(None, tf.int32)])
    def checked(of_some):
        return labels.checked_labels(of_some, 3, images)

    for good in ([0, 1, 2], [[0], [1], [2]]):
        assert checked(tf.constant(good)).numpy().tolist() == [0, 1, 2]
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        checked(tf.one_hot([0, 1, 2], 3, dtype=tf.int32))
    named = labels.outside_classes(raised.value, 3)
    assert str(named) == "a batch has 9 labels for 3 images; give one for each"


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (tf.TensorShape(None), r"shape of the labels is unknown: .* tf\.ensure_shape"),
        ((), r"are one number: batch the data set by \.batch\(n\)"),
        ((None, 8, 8, 1), "like images: a batch is a pair"),
        ((4, 3), "turn one-hot labels into numbers with argmax"),
    ],
)
def test_labels_of_other_shapes_are_refused(shape, words):
    with pytest.raises(InputError, match=words):
        labels.check_labels(tf.TensorSpec(shape, tf.int32))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([0, 3], "from 0 to 3"),
        ([0, -2], "from -2 to 0"),
        (np.array([0, 255], np.uint8), "from 0 to 255"),
        ([0.5, 1.0], "from 0.5 to 1"),
        ([np.nan, 1.0], "from nan to nan"),
    ],
)
def test_checked_stops_at_all_else(wrong, words):
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        labels.checked_labels(tf.constant(wrong), 3)
    named = labels.outside_classes(raised.value, 3)
    assert isinstance(named, InputError)
    assert words in str(named)
    assert "\n" not in str(named)
    other = tf.errors.InvalidArgumentError(None, None, "another error")
    assert labels.outside_classes(other, 3) is None


@pytest.mark.parametrize("wrong", [None, tf.constant(["cat"]), tf.eye(3)])
def test_checked_refuses_what_can_be_known_before(wrong):
    with pytest.raises(InputError, match="labels"):
        labels.checked_labels(wrong, 3)
