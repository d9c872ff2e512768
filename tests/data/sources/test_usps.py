import gzip

import numpy as np
import pytest

from semisup.data.registry import load_dataset
from semisup.errors import InputError

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def numbers_of_its_own():
    """Each test draws the same numbers, whichever ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(1)


def usps_text(values, labels):
    rows = (
        f"{label:.4f} " + " ".join(f"{value:.3f}" for value in row) + " "
        for label, row in zip(labels, values, strict=True)
    )
    return "\n".join(rows) + "\n"


def write_usps(path, count):
    pixels, labels = RANDOM.integers(0, 256, (count, 256)), np.arange(count) % 10
    path.write_bytes(gzip.compress(usps_text(pixels / 127.5 - 1, labels).encode()))
    return pixels, labels


def test_load_usps_reads_text_exactly(tmp_path):
    test_pixels, test_labels = write_usps(tmp_path / "zip.test.gz", 15)
    pixels, labels = write_usps(tmp_path / "zip.train.gz", 12)
    dataset = load_dataset("usps", tmp_path)
    assert dataset.image_shape == (16, 16, 1)
    np.testing.assert_array_equal(dataset.train_images.reshape(12, 256), pixels)
    np.testing.assert_array_equal(dataset.train_labels, labels)
    np.testing.assert_array_equal(dataset.test_images.reshape(15, 256), test_pixels)
    np.testing.assert_array_equal(dataset.test_labels, test_labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3.0 0.5 0.5\n", r"has 3 numbers per row; wanted a label and 16x16"),
        ("3.0 " + "0.5 " * 255 + "2.0\n", "values outside -1 ... 1"),
        ("3.0 " + "0.5 " * 255 + "nan\n", "values outside -1 ... 1"),
        ("11.0 " + "0.5 " * 256 + "\n", r"labels outside 0 \.\.\. 9"),
        ("3.0 " + "0.5 " * 256 + "\n3.0 0.5\n", "is damaged"),
        ("<html>\n", "is damaged"),
    ],
)
def test_load_usps_names_damaged_text(tmp_path, text, message):
    (tmp_path / "zip.train.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(InputError, match=message) as error:
        load_dataset("usps", tmp_path)
    assert "zip.train.gz" in str(error.value)


def test_load_usps_does_not_take_a_file_for_its_folder(tmp_path):
    write_usps(tmp_path / "zip.train.gz", 12)
    with pytest.raises(InputError, match=r"there is no file .*zip\.train\.gz/zip\.train\.gz"):
        load_dataset("usps", tmp_path / "zip.train.gz")


def test_load_usps_names_a_cut_file(tmp_path):
    content = gzip.compress(usps_text(np.zeros((50, 256)), np.zeros(50)).encode())
    for size in (0, 5, len(content) // 2):
        (tmp_path / "zip.train.gz").write_bytes(content[:size])
        with pytest.raises(InputError, match=r"zip\.train\.gz"):
            load_dataset("usps", tmp_path)
