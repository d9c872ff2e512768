import hashlib
import shutil

import numpy as np
import pytest

from semisup.data.registry import load_dataset
from semisup.errors import InputError
from tests.conftest import easy_digits, idx_bytes


def test_original_files_are_read_exactly(mnist_dir):
    dataset = load_dataset("mnist", mnist_dir)
    images, labels = easy_digits(400, seed=0)
    np.testing.assert_array_equal(dataset.train_images[..., 0], images)
    np.testing.assert_array_equal(dataset.train_labels, labels)
    images, labels = easy_digits(100, seed=1)
    np.testing.assert_array_equal(dataset.test_images[..., 0], images)
    np.testing.assert_array_equal(dataset.test_labels, labels)
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.class_names == tuple("0123456789")
    assert dataset.unlabeled_pool is dataset.train_images


@pytest.mark.parametrize("ending", ["-idx{}-ubyte", ".idx{}-ubyte"])
def test_unzipped_files_and_both_spellings_are_found(tmp_path, ending):
    for stem, count, seed in (("train", 30, 0), ("t10k", 20, 1)):
        images, labels = easy_digits(count, seed)
        (tmp_path / f"{stem}-images{ending.format(3)}").write_bytes(idx_bytes(images))
        (tmp_path / f"{stem}-labels{ending.format(1)}").write_bytes(idx_bytes(labels))
    assert len(load_dataset("mnist", tmp_path).train_labels) == 30


def test_missing_file_is_named(mnist_dir, tmp_path):
    folder = shutil.copytree(mnist_dir, tmp_path / "mnist")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"no t10k-labels-idx1-ubyte\.gz .* in .*mnist"):
        load_dataset("mnist", folder)


def test_labels_that_do_not_fit_are_refused(mnist_dir, tmp_path):
    folder = shutil.copytree(mnist_dir, tmp_path / "mnist")
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    path = folder / "train-labels-idx1-ubyte"
    path.write_bytes(idx_bytes(np.zeros(399, np.uint8)))
    with pytest.raises(InputError, match=r"train images have shape \(400, 28, 28, 1\)"):
        load_dataset("mnist", folder)
    path.write_bytes(idx_bytes(np.full(400, 10, np.uint8)))
    with pytest.raises(InputError, match="train labels go from 10 to 10, but there are 10 classes"):
        load_dataset("mnist", folder)


def test_mnist5k_is_the_same_balanced_digits_every_time():
    dataset = load_dataset("mnist5k")
    assert dataset.train_images.shape == (4000, 28, 28, 1)
    assert dataset.test_images.shape == (1000, 28, 28, 1)
    assert dataset.train_images.dtype == np.uint8
    assert dataset.train_images.max() == 255
    np.testing.assert_array_equal(np.bincount(dataset.train_labels), [400] * 10)
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), [100] * 10)
    both = np.concatenate([dataset.train_images, dataset.test_images]).reshape(5000, -1)
    assert len(np.unique(both, axis=0)) > 4990  # held out, not copied: hardly a digit stands twice
    digest = hashlib.sha256(dataset.test_images.tobytes()).hexdigest()
    assert digest[:16] == "c819306fbc200c97"


def test_unknown_names_and_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="unknown data set 'cifar'; known: mnist5k, mnist"):
        load_dataset("cifar")
    with pytest.raises(
        InputError, match=r"there is no file or folder .*nowhere, which --data_dir names"
    ):
        load_dataset("mnist", tmp_path / "nowhere")
