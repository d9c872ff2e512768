"""People's own images in .npz files, good and bad. Large ones: tests/data/test_npz.py."""

import re

import numpy as np
import pytest

from semisup.data.adaptation import adapted
from semisup.data.registry import load_dataset
from semisup.errors import InputError

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def numbers_of_its_own():
    """Each test draws the same numbers, whichever ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(1)


def arrays(**changes):
    content = {
        "train_images": RANDOM.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8),
        "train_labels": np.arange(20) % 4,
        "test_images": RANDOM.integers(0, 256, (8, 6, 5, 3), dtype=np.uint8),
        "test_labels": np.arange(8) % 4,
        "unlabeled_images": RANDOM.integers(0, 256, (9, 6, 5, 3), dtype=np.uint8),
        **changes,
    }
    return {key: array for key, array in content.items() if array is not None}


def test_load_npz_reads_arrays_exactly(tmp_path):
    content = arrays(class_names=np.array(["a", "b", "c", "d"]))
    np.savez_compressed(tmp_path / "mine.npz", **content)
    dataset = load_dataset("npz", tmp_path / "mine.npz")
    for key in content.keys() - {"class_names"}:
        np.testing.assert_array_equal(getattr(dataset, key), content[key])
    assert dataset.class_names == ("a", "b", "c", "d")
    assert dataset.name == "mine"


def test_load_npz_holds_out_test_images(tmp_path):
    grey = RANDOM.integers(0, 256, (20, 6, 5), dtype=np.uint8)
    nothing = {"test_images": None, "test_labels": None, "unlabeled_images": None}
    np.savez(tmp_path / "mine.npz", **arrays(train_images=grey, **nothing))
    dataset = load_dataset("npz", tmp_path / "mine.npz")
    assert dataset.image_shape == (6, 5, 1)
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), [1, 1, 1, 1])
    assert len(dataset.train_labels) == 16
    assert dataset.class_names == ("0", "1", "2", "3")
    # Named by their places in the file, also as the target of another set.
    for name, image in zip(dataset.train_names(np.arange(16)), dataset.train_images, strict=True):
        place = int(re.fullmatch(r"mine/train\[(\d+)\]", name)[1])
        np.testing.assert_array_equal(image[..., 0], grey[place])
    both = adapted(dataset, dataset)
    assert both.unlabeled_names(np.arange(16)) == dataset.train_names(np.arange(16))


def test_load_npz_reads_either_spelling_and_names_what_it_does_not_read(tmp_path, caplog):
    content = arrays(
        unlabeled_images=None, class_names=np.array([b"a", b"b", "\u00e9".encode(), b"d"])
    )
    unlabelled = arrays()["unlabeled_images"]
    np.savez(tmp_path / "mine.npz", unlabelled_images=unlabelled, val_images=unlabelled, **content)
    dataset = load_dataset("npz", tmp_path / "mine.npz")
    np.testing.assert_array_equal(dataset.unlabeled_images, unlabelled)
    assert dataset.class_names == ("a", "b", "\u00e9", "d")
    assert "mine.npz: not used: val_images; only train_images" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": np.array(list("abca"))}, "class_names has 'a' twice"),
        (
            {"train_images": None},
            "has no train_images; it has test_images, test_labels, train_labels",
        ),
        (
            {
                f"{s}_images": np.zeros((n, 4, 5, 4), np.uint8)
                for s, n in (("train", 20), ("test", 8))
            },
            r"train images are 4x5x4; wanted height x width x channels, with 1 or 3 channels",
        ),
        ({"train_labels": np.arange(19)}, "train images have shape"),
        ({"train_labels": np.arange(20.0)}, r"train_labels is float64 \(20,\), wanted integers"),
        (
            {"train_labels": np.arange(20) - 1},
            r"from -1 to 18; .* belong in unlabeled_images",
        ),
        (
            {"train_labels": np.arange(20) % 4 + 1, "test_labels": np.arange(8) % 4 + 1},
            r"go from 1 to 4, but classes are counted from 0; save train_labels - 1",
        ),
        (
            {"train_labels": 2 * (np.arange(20) % 4), "test_labels": np.zeros(8, int)},
            r"go from 0 to 6, but none is 1, 3; .*numpy.unique\(train_labels, return_inv",
        ),
        (
            {"train_labels": 10**9 * (np.arange(20) % 2) + 5, "test_labels": np.full(8, 5)},
            r"go from 5 to 1000000005, but none is 0, 1; number the classes",
        ),
        (
            {"train_labels": np.zeros(20, int), "test_labels": np.zeros(8, int)},
            "all train_labels are 0; at least two classes are needed",
        ),
        ({"train_labels": np.arange(20) % 3}, "test_labels has 3, but train_labels does not"),
        ({"train_images": np.zeros((20, 6, 5, 3))}, "train pixels are float64, wanted bytes"),
        ({"test_images": np.zeros((8, 5, 5, 3), np.uint8)}, "test images are 5x5x3"),
        ({"train_images": np.zeros((20, 30), np.uint8)}, "has shape"),
        ({"unlabeled_images": np.zeros((9, 6, 5, 1), np.uint8)}, "unlabeled images are 6x5x1"),
        ({"train_labels": np.array([object()] * 20)}, "not a .npz file of plain arrays"),
    ],
)
def test_load_npz_refuses_unfit_arrays(tmp_path, changes, message):
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    with pytest.raises(InputError, match=message):
        load_dataset("npz", tmp_path / "mine.npz")


def test_load_npz_refuses_a_damaged_file(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays())
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"mine\.npz is not a \.npz file"):
            load_dataset("npz", path)
