"""IDX files written byte by byte, and damaged in every way."""

import gzip
import struct

import numpy as np
import pytest

from semisup.data.sources.formats import read_idx
from semisup.errors import InputError
from tests.conftest import idx_bytes

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("zipped", [True, False])
def test_images_and_labels_are_read_exactly(tmp_path, zipped):
    for array, dimensions in ((IMAGES, 3), (IMAGES[:, 0, 0], 1)):
        content = idx_bytes(array)
        path = tmp_path / f"file-{dimensions}{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(content) if zipped else content)
        got = read_idx(path, dimensions)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, array)


def test_magic_numbers_are_mnists(tmp_path):
    """2051 and 2049, as on the page of MNIST's owner."""
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">IIII", 2051, 1, 1, 2) + b"\x07\xff")
    np.testing.assert_array_equal(read_idx(path, 3), [[[7, 255]]])
    path.write_bytes(struct.pack(">II", 2049, 2) + b"\x07\x09")
    np.testing.assert_array_equal(read_idx(path, 1), [7, 9])


def test_wrong_magic_number_is_named(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(IMAGES))
    with pytest.raises(
        InputError, match=r"labels is not an IDX file of 1 dim.*is 2051, wanted 2049"
    ):
        read_idx(path, 1)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("size", [0, 3, 15, 16, 40, 75])
def test_truncated_files_are_named_with_their_bytes(tmp_path, size, zipped):
    path = tmp_path / f"cut{'.gz' if zipped else ''}"
    content = idx_bytes(IMAGES)[:size]
    path.write_bytes(gzip.compress(content) if zipped else content)
    wanted = f"76 bytes for shape .*, but it holds {size}" if size >= 16 else f"ends after {size}"
    with pytest.raises(InputError, match=wanted) as error:
        read_idx(path, 3)
    assert str(path) in str(error.value)


def test_every_cut_of_the_gzip_file_itself_is_refused(tmp_path):
    path = tmp_path / "cut.gz"
    content = gzip.compress(idx_bytes(IMAGES))
    for size in range(len(content) - 8):  # the last 8 bytes are gzip's checksum and length
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"cut\.gz"):
            read_idx(path, 3)


def test_too_long_and_not_gzip_and_missing_are_refused(tmp_path):
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


def test_absurd_header_needs_no_memory(tmp_path):
    path = tmp_path / "absurd"
    path.write_bytes(struct.pack(">IIII", 2051, *[2**32 - 1] * 3) + b"\x00" * 100)
    with pytest.raises(InputError, match="but it holds 116"):
        read_idx(path, 3)
