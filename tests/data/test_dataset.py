"""What a `Dataset` takes, and how it refuses all else."""

import numpy as np
import pytest
import tensorflow as tf

from semisup.data.dataset import Dataset, evenly_spaced
from semisup.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 1), dtype=np.uint8)
GIVEN = {
    **{"name": "mine", "train_images": IMAGES, "train_labels": np.arange(6) % 2},
    **{"test_images": IMAGES[:2], "test_labels": [0, 1], "class_names": ("a", "b")},
}


@pytest.mark.parametrize("kind", [list, tf.constant])
def test_images_in_lists_and_tensors_become_arrays(kind):
    names = ("train_images", "test_images", "unlabeled_images")
    dataset = Dataset(
        **{**GIVEN, **{name: kind(IMAGES[:2]) for name in names}, "train_labels": [0, 1]}
    )
    for name in names:
        assert isinstance(getattr(dataset, name), np.ndarray)
        np.testing.assert_array_equal(getattr(dataset, name), IMAGES[:2])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("train_images", "data set mine: `train_images` is None; it is always needed"),
        ("train_labels", "data set mine: `train_labels` is None; it is always needed"),
        ("test_images", r"`test_images` is None; give `train_images\[:0\]` if there are no test"),
        ("test_labels", r"`test_labels` is None; give `train_labels\[:0\]` if there are no test"),
        ("class_names", "data set mine: `class_names` is None; it is always needed"),
        ("name", "`name` is None"),
    ],
)
def test_what_must_be_given_is_not_none(name, line):
    with pytest.raises(InputError, match=line):
        Dataset(**{**GIVEN, name: None})


def test_there_may_be_no_test_images():
    dataset = Dataset(
        **{**GIVEN, "test_images": IMAGES[:0], "test_labels": GIVEN["train_labels"][:0]}
    )
    assert dataset.classes_without_test_images == ["a", "b"]


def test_images_of_several_sizes_and_a_number_of_classes_are_refused():
    with pytest.raises(InputError, match="the images differ in size; bring them to one size"):
        Dataset(**{**GIVEN, "unlabeled_images": [IMAGES[0], IMAGES[1, 1:]]})
    with pytest.raises(InputError, match="`class_names` is 2; wanted one name for each class"):
        Dataset(**{**GIVEN, "class_names": 2})


@pytest.mark.parametrize(
    ("total", "most", "wanted"),
    [(9, 3, [0, 4, 8]), (10, 4, [0, 3, 6, 9]), (3, 5, [0, 1, 2]), (5, 1, [0]), (0, 4, [])],
)
def test_evenly_spaced(total, most, wanted):
    assert evenly_spaced(total, most).tolist() == wanted
