"""STL-10's binary files, in a folder and in the archive."""

import io
import tarfile

import numpy as np
import pytest

from semisup.data.registry import load_dataset
from semisup.data.splits import choose_split
from semisup.errors import InputError

RANDOM = np.random.default_rng(0)
COUNTS = {"train": 20, "test": 10, "unlabeled": 6}
IMAGES = {
    split: RANDOM.integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)
    for split, count in COUNTS.items()
}
LABELS = {split: np.arange(COUNTS[split]) % 10 for split in ("train", "test")}
FOLDS = [list(range(10)), list(range(5, 15))]  # an image of each class


def files(folds=True):
    """Byte by byte as the owners define it: a channel after the other, each by columns."""
    content = {}
    for split, images in IMAGES.items():
        planes = b""
        for image in images:
            for channel in range(3):
                for column in range(96):
                    planes += image[:, column, channel].tobytes()
        content[f"{split}_X.bin"] = planes
    for split, labels in LABELS.items():
        content[f"{split}_y.bin"] = bytes(int(label) + 1 for label in labels)
    if folds:
        text = "\n".join(" ".join(map(str, fold)) + " " for fold in FOLDS)
        content["fold_indices.txt"] = text.encode()
    return content


CONTENT = files()


def write_folder(folder, content):
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)


def write_archive(path, content, prefix="stl10_binary/"):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("form", ["folder", "folder around it", "archive"])
def test_load_stl10_reads_images_exactly(tmp_path, form):
    if form == "archive":
        place = tmp_path / "stl10_binary.tar.gz"
        write_archive(place, CONTENT)
    else:
        place = tmp_path / "stl10_binary"
        write_folder(place, CONTENT)
    dataset = load_dataset("stl10", tmp_path if form == "folder around it" else place)
    np.testing.assert_array_equal(dataset.train_images, IMAGES["train"])
    np.testing.assert_array_equal(dataset.test_images, IMAGES["test"])
    np.testing.assert_array_equal(dataset.unlabeled_pool, IMAGES["unlabeled"])
    np.testing.assert_array_equal(dataset.train_labels, LABELS["train"])
    np.testing.assert_array_equal(dataset.test_labels, LABELS["test"])
    assert dataset.class_names[0] == "airplane"
    assert [fold.tolist() for fold in dataset.folds] == FOLDS


def test_load_stl10_reads_folds_that_choose_split_takes(tmp_path):
    write_folder(tmp_path / "stl10_binary", CONTENT)
    dataset = load_dataset("stl10", tmp_path)
    split = choose_split(dataset, -1, fold=1)
    assert split.labeled.tolist() == FOLDS[1]
    with pytest.raises(InputError, match="stl10 has 2 folds, counted from 0; `fold` is 2"):
        choose_split(dataset, 1, fold=2)


def test_load_stl10_does_without_folds(tmp_path):
    write_archive(tmp_path / "stl10.tar.gz", files(folds=False))
    dataset = load_dataset("stl10", tmp_path / "stl10.tar.gz")
    assert dataset.folds is None
    with pytest.raises(InputError, match="stl10 has no folds"):
        choose_split(dataset, 1, fold=0)


def test_load_stl10_names_damaged_files(tmp_path):
    path = tmp_path / "stl10.tar.gz"
    write_archive(path, {**CONTENT, "test_X.bin": CONTENT["test_X.bin"][:-1]})
    with pytest.raises(
        InputError, match=r"test_X\.bin is damaged: its 276479 bytes are not a multiple"
    ):
        load_dataset("stl10", path)
    write_archive(path, {k: v for k, v in CONTENT.items() if k != "train_y.bin"})
    with pytest.raises(InputError, match=r"there is no train_y\.bin in .*stl10\.tar\.gz"):
        load_dataset("stl10", path)
    write_archive(path, {**CONTENT, "fold_indices.txt": b"1 2 20"})
    with pytest.raises(InputError, match="not among the 20 training images"):
        load_dataset("stl10", path)
    write_archive(path, {**CONTENT, "train_y.bin": bytes(20)})
    with pytest.raises(InputError, match="train labels go from -1 to -1"):
        load_dataset("stl10", path)


def test_read_members_names_a_cut_archive(tmp_path):
    path = tmp_path / "stl10.tar.gz"
    write_archive(path, CONTENT)
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"stl10\.tar\.gz is not an archive, or is damaged"):
            load_dataset("stl10", path)


@pytest.mark.parametrize("prefix", ["../", "/etc/", "stl10_binary/../../"])
def test_read_members_refuses_an_entry_outside_its_folder(tmp_path, prefix):
    path = tmp_path / "stl10.tar.gz"
    write_archive(path, CONTENT, prefix)
    with pytest.raises(InputError, match="has an entry outside its folder"):
        load_dataset("stl10", path)
