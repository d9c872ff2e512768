"""SVHN's .mat files, and synthetic digits in the same format."""

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from semisup.data.registry import load_dataset
from semisup.errors import InputError


def write_mat(path, count, seed):
    """As SVHN's owners define it: X [32, 32, 3, N], y [N, 1], a zero written as 10."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % 10
    y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": y}, do_compression=True)
    return images, labels


@pytest.mark.parametrize(("name", "prefix"), [("svhn", ""), ("synth", "synth_")])
def test_read_mat_digits_reads_pixels_and_labels_exactly(tmp_path, name, prefix):
    train = write_mat(tmp_path / f"{prefix}train_32x32.mat", 30, seed=0)
    test = write_mat(tmp_path / f"{prefix}test_32x32.mat", 20, seed=1)
    dataset = load_dataset(name, tmp_path)
    np.testing.assert_array_equal(dataset.train_images, train[0])
    np.testing.assert_array_equal(dataset.train_labels, train[1])
    np.testing.assert_array_equal(dataset.test_images, test[0])
    np.testing.assert_array_equal(dataset.test_labels, test[1])
    assert dataset.class_names == tuple("0123456789")


def test_load_synth_reads_zeros_as_0_and_as_10(tmp_path):
    images = np.zeros((32, 32, 3, 20), np.uint8)
    for zero in (0, 10):
        y = np.where(np.arange(20) % 10 == 0, zero, np.arange(20) % 10)[:, None]
        for split in ("train", "test"):
            savemat(tmp_path / f"synth_{split}_32x32.mat", {"X": images, "y": y})
        labels = load_dataset("synth", tmp_path).train_labels
        np.testing.assert_array_equal(labels, np.arange(20) % 10)
    y[0] = 0  # both in one file
    for bad, found in ((y, "0 to 10"), (y + 1, "1 to 11"), (y - 1, "-1 to 9")):
        savemat(tmp_path / "synth_train_32x32.mat", {"X": images, "y": bad.astype(np.int16)})
        with pytest.raises(InputError, match=f"labels from {found}; wanted 0 to 9, or 1 to 10"):
            load_dataset("synth", tmp_path)


def test_load_svhn_extra_joins_the_training_images(tmp_path):
    train = write_mat(tmp_path / "train_32x32.mat", 30, seed=0)
    extra = write_mat(tmp_path / "extra_32x32.mat", 40, seed=2)
    test = write_mat(tmp_path / "test_32x32.mat", 20, seed=1)
    dataset = load_dataset("svhn_extra", tmp_path)
    np.testing.assert_array_equal(dataset.train_images, np.concatenate([train[0], extra[0]]))
    np.testing.assert_array_equal(dataset.train_labels, np.concatenate([train[1], extra[1]]))
    np.testing.assert_array_equal(dataset.test_images, test[0])
    np.testing.assert_array_equal(dataset.test_labels, test[1])


def test_read_mat_digits_names_damaged_files(tmp_path):
    write_mat(tmp_path / "test_32x32.mat", 20, seed=1)
    with pytest.raises(InputError, match=r"there is no file .*train_32x32\.mat"):
        load_dataset("svhn", tmp_path)
    path = tmp_path / "train_32x32.mat"
    write_mat(path, 30, seed=0)
    content = path.read_bytes()
    for size in (0, 100, 128, 200, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"train_32x32\.mat"):
            load_dataset("svhn", tmp_path)
    savemat(path, {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.array([[0], [1], [2], [3]])})
    with pytest.raises(InputError, match="labels from 0 to 3; wanted 1 to 10"):
        load_dataset("svhn", tmp_path)
    savemat(path, {"X": np.zeros((32, 32, 3, 4)), "y": np.ones((4, 1))})
    with pytest.raises(InputError, match=r"wanted X \[H, W, C, N\] of bytes"):
        load_dataset("svhn", tmp_path)
    for y in (["1", "2", "3", "4"], {"a": 1}, np.array([[1.5]] * 4), csc_array(np.eye(4)[:, :1])):
        savemat(path, {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": y})
        with pytest.raises(InputError, match=r"wanted X .* and y \[N, 1\] of whole numbers"):
            load_dataset("svhn", tmp_path)
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(InputError, match=r"holds \{\}; wanted X"):
        load_dataset("svhn", tmp_path)
