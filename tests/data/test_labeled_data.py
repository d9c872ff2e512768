import dataclasses

import numpy as np
import pytest

from semisup.data import lazy_images
from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData, PseudoLabels
from semisup.data.npz import NpzImages
from semisup.data.registry import load_dataset
from semisup.data.splits import Split

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 20, 16, 1), dtype=np.uint8)
LABELS = np.array([0, 0, 1, 1, 2, 2])
POOL = IMAGES[::-1].copy()
SPLIT = Split(np.array([0, 3]), np.array([1, 2, 4]))


@pytest.fixture
def dataset():
    return Dataset("tiny", IMAGES, LABELS, IMAGES, LABELS, ("a", "b", "c"), unlabeled_images=POOL)


def test_labeled_data_takes_the_images_of_the_split(dataset):
    data = LabeledData(dataset, SPLIT)
    np.testing.assert_array_equal(data.labeled_images, IMAGES[[0, 3]])
    np.testing.assert_array_equal(data.labeled_labels, [0, 1])
    np.testing.assert_array_equal(data.unlabeled_images, POOL[[1, 2, 4]])
    assert data.classes_without_labels == ["c"]
    images, labels = data.training_images_and_labels()
    np.testing.assert_array_equal(images, data.labeled_images)
    np.testing.assert_array_equal(labels, data.labeled_labels)


def test_labeled_data_does_not_copy_a_pool_that_is_used_whole(dataset):
    data = LabeledData(dataset, Split(np.array([0]), np.arange(len(POOL))))
    assert data.unlabeled_images is POOL


def test_pool_may_begin_with_the_training_images(dataset):
    files = {part: np.array([f"{part}{i}.png" for i in range(6)], object) for part in ("own", "u")}
    of_files = {"train_files": files["own"], "unlabeled_files": files["u"]}
    pool = dataclasses.replace(dataset, train_in_pool=True, **of_files)
    np.testing.assert_array_equal(pool.unlabeled_pool, np.concatenate([IMAGES, POOL]))
    names = [*files["own"], *files["u"]]
    np.testing.assert_array_equal(pool.pool_files, names)
    assert pool.pool_names(np.arange(12)) == names
    assert pool.pool_names(np.array([6, 5, 11])) == ["u0.png", "own5.png", "u5.png"]
    # Labelled images have the same numbers in both.
    left = pool.without_labeled(np.array([0, 3, 5, 7]), SPLIT.labeled)
    np.testing.assert_array_equal(left, [5, 7])
    apart = dataclasses.replace(pool, train_in_pool=False)
    np.testing.assert_array_equal(apart.without_labeled(np.array([0, 3]), SPLIT.labeled), [0, 3])
    assert apart.pool_names(np.array([0, 5])) == ["u0.png", "u5.png"]
    assert dataclasses.replace(pool, train_files=None).pool_files is None


def test_labeled_data_trains_on_pseudo_labels_behind_the_labelled_images(dataset):
    pseudo_labels = PseudoLabels(np.array([2, 4]), np.array([2, 2]))
    data = LabeledData(dataset, SPLIT, pseudo_labels)
    images, labels = data.training_images_and_labels()
    np.testing.assert_array_equal(images, np.concatenate([IMAGES[[0, 3]], POOL[[2, 4]]]))
    np.testing.assert_array_equal(labels, [0, 1, 2, 2])
    assert labels.dtype == np.int64
    assert len(data.labeled_images) == 2
    assert data.classes_without_labels == ["c"]  # no image of it is labelled by a person


def test_labeled_data_leaves_images_on_disk_there(tmp_path, monkeypatch):
    arrays = {"train_images": IMAGES, "train_labels": LABELS, "unlabeled_images": POOL}
    np.savez(tmp_path / "tiny.npz", test_images=IMAGES, test_labels=LABELS, **arrays)
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 1000)
    stored = load_dataset("npz", tmp_path / "tiny.npz")
    data = LabeledData(stored, SPLIT, PseudoLabels(np.array([2]), np.array([2])))
    assert isinstance(data.unlabeled_images, NpzImages)
    images, _ = data.training_images_and_labels()
    assert not isinstance(images, np.ndarray)
    np.testing.assert_array_equal(images, np.concatenate([IMAGES[[0, 3]], POOL[[2]]]))
