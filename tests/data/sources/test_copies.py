"""Test images that are among the training images are found, and a warning names them."""

import shutil

import numpy as np
import pytest
from PIL import Image

from semisup.data import lazy_images
from semisup.data.sources.copies import find_copies, find_two_classes
from semisup.data.sources.folder import load_folder
from semisup.data.sources.npz import load_npz


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, images):
    for i, image in enumerate(images):
        path = tmp_path / "data" / ("train" if i < 16 else "test") / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "data"


def test_find_copies(images):
    train, test = images[:16], np.stack([images[18], images[3], images[19], images[15]])
    assert find_copies(train, test).tolist() == [-1, 3, -1, 15]
    nearly = test.copy()
    nearly[1, 5, 4, 2] ^= 1
    assert find_copies(train, nearly).tolist() == [-1, -1, -1, 15]
    assert find_copies(np.stack([images[3], *train]), test).tolist() == [-1, 0, -1, 16]
    assert find_copies(train[:, ::-1], test[:, ::-1]).tolist() == [-1, 3, -1, 15]  # no copy needed
    assert find_copies(train, test[:0]).tolist() == []


def test_find_two_classes(images):
    labels = np.arange(20) % 4
    assert find_two_classes(images, labels) is None
    twice, of = np.concatenate([images, images[[5, 7]]]), np.append(labels, [labels[5], 0])
    assert find_two_classes(twice, of) == (7, 21)  # number 20 has the label of number 5
    assert find_two_classes(images[:0], labels[:0]) is None


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_in_two_classes_are_named(folder, caplog, monkeypatch, in_memory):
    if not in_memory:
        monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    shutil.copy(folder / "train" / "a" / "2.png", folder / "train" / "a" / "again.png")
    load_folder(folder)
    assert not caplog.text
    shutil.copy(folder / "train" / "a" / "2.png", folder / "train" / "b" / "x.png")
    load_folder(folder)
    (line,) = caplog.messages
    first, second = folder / "train" / "a" / "2.png", folder / "train" / "b" / "x.png"
    assert f"the first is {second} (b), the same as {first} (a)" in line


def test_test_images_that_are_unlabelled_images_are_counted(folder, caplog):
    (folder / "unlabeled").mkdir()
    shutil.copy(folder / "train" / "a" / "2.png", folder / "unlabeled")
    load_folder(folder)
    assert not caplog.text
    shutil.copy(folder / "test" / "a" / "16.png", folder / "unlabeled")
    load_folder(folder)
    (line,) = caplog.messages
    assert "1 of 4 test images are unlabelled images, too, the first is" in line
    assert str(folder / "test" / "a" / "16.png") in line


def test_a_copy_in_test_is_named(folder, caplog):
    load_folder(folder)
    assert not caplog.text
    Image.open(folder / "train" / "b" / "3.png").save(folder / "test" / "a" / "again.bmp")
    load_folder(folder)
    (line,) = caplog.messages
    assert "1 of 5 test images are copies of training images" in line
    assert f"the first is {folder / 'test' / 'a' / 'again.bmp'}, a copy of" in line
    assert str(folder / "train" / "b" / "3.png") in line


def test_images_that_stay_in_their_files_are_compared_by_these(folder, caplog, monkeypatch):
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    same_size = folder / "test" / "a" / "other.png"
    content = bytearray((folder / "train" / "b" / "3.png").read_bytes())
    content += b"\0"  # the same picture in another file: not seen
    same_size.write_bytes(content)
    load_folder(folder)
    assert not caplog.text
    shutil.copy(folder / "train" / "b" / "3.png", folder / "test" / "b" / "copy.png")
    load_folder(folder)
    (line,) = caplog.messages
    assert "1 of 6 test images" in line and "copy.png, a copy of" in line


def test_held_out_images_of_a_npz_file(tmp_path, images, caplog):
    path, labels = tmp_path / "data.npz", np.arange(20) % 2
    np.savez(path, train_images=images, train_labels=labels)
    held_out = load_npz(path).test_images
    assert len(held_out) == 4 and not caplog.text
    twice = np.concatenate([images, images])
    np.savez(path, train_images=twice, train_labels=np.tile(labels, 2))
    data = load_npz(path)
    (line,) = caplog.messages
    assert "test images are copies of training images, the first is train_images[" in line
    numbers = [int(part.split("]")[0]) for part in line.split("train_images[")[1:]]
    assert numbers[0] % 20 == numbers[1] % 20 and numbers[0] != numbers[1]
    assert (data.test_images == twice[numbers[0]]).all(axis=(1, 2, 3)).any()
    assert (data.train_images == twice[numbers[1]]).all(axis=(1, 2, 3)).any()


def test_test_images_of_a_npz_file(tmp_path, images, caplog):
    path, labels = tmp_path / "data.npz", np.arange(16) % 2
    test_images = np.concatenate([images[16:], images[5:6]])
    np.savez(
        path,
        train_images=images[:16],
        train_labels=labels,
        test_images=test_images,
        test_labels=[0, 1, 0, 1, 1],
    )
    load_npz(path)
    (line,) = caplog.messages
    assert "1 of 5 test images" in line
    assert "the first is test_images[4], a copy of train_images[5]" in line
