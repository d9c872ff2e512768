import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from semisup.data.registry import load_dataset
from semisup.data.sources import mnistm
from semisup.errors import InputError
from tests.conftest import write_mnist


def write_split(folder, split, count, side=28):
    """As MNIST-M's owners lay it out; returns the images."""
    (folder / f"mnist_m_{split}").mkdir()
    images = np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    names = [f"{i:08d}.png" for i in range(count)]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / f"mnist_m_{split}" / name)
    rows = "".join(f"{name} {i % 10}\n" for i, name in enumerate(names))
    (folder / f"mnist_m_{split}_labels.txt").write_text(rows)
    return images


def test_load_mnistm_reads_the_original_exactly(tmp_path):
    wanted = {split: write_split(tmp_path, split, n) for split, n in (("train", 12), ("test", 10))}
    dataset = load_dataset("mnistm", tmp_path)
    for split, images in wanted.items():
        np.testing.assert_array_equal(getattr(dataset, f"{split}_images"), images)
        labels = getattr(dataset, f"{split}_labels")
        np.testing.assert_array_equal(labels, np.arange(len(images)) % 10)
    (tmp_path / "mnist_m_test_labels.txt").write_text("00000000.png seven\n")
    with pytest.raises(InputError, match=r"mnist_m_test_labels\.txt is damaged"):
        load_dataset("mnistm", tmp_path)
    with pytest.raises(InputError, match=r"there is no file .*mnist_m_train_labels\.txt"):
        load_dataset("mnistm", tmp_path / "mnist_m_train")


def test_load_mnistm_leaves_the_files_as_large_as_they_are(tmp_path):
    """Those of its owners have 32x32 pixels; 28x28, and back to 32, would blur them."""
    wanted = write_split(tmp_path, "train", 12, side=32)
    write_split(tmp_path, "test", 10, side=32)
    for new_size in (0, 32):
        dataset = load_dataset("mnistm", tmp_path, new_size=new_size)
        np.testing.assert_array_equal(dataset.train_images, wanted)
    Image.new("RGB", (28, 28)).save(tmp_path / "mnist_m_test" / "00000003.png")
    with pytest.raises(InputError, match="mnist_m_test has images of several sizes"):
        load_dataset("mnistm", tmp_path)


def test_blend_is_the_published_recipe():
    """|patch - digit|: where the digit is black the photograph shows, elsewhere its difference."""
    random = np.random.default_rng(0)
    photos = [random.integers(0, 256, (30 + i, 33, 3), dtype=np.uint8) for i in range(3)]
    digits = random.integers(0, 256, (40, 28, 28, 1), dtype=np.uint8)
    digits[:, :14] = 0
    blended = mnistm.blend(digits, photos, seed=0)
    found = set()
    for image, digit in zip(blended, digits, strict=True):
        places = [
            (p, top, left)
            for p, photo in enumerate(photos)
            for top in range(photo.shape[0] - 27)
            for left in range(photo.shape[1] - 27)
            if np.array_equal(photo[top : top + 14, left : left + 28], image[:14])
        ]
        [(p, top, left)] = places
        found.add(p)
        patch = photos[p][top : top + 28, left : left + 28].astype(int)
        np.testing.assert_array_equal(image, np.abs(patch - digit))
    assert found == {0, 1, 2}


def write_bsds500(folder, count=2):
    """The archive of BSDS500 with these many training photographs, and others."""
    photos = np.random.default_rng(1).integers(0, 256, (count, 40, 50, 3), dtype=np.uint8)
    with tarfile.open(folder / "BSR_bsds500.tgz", "w:gz") as archive:
        for place, array in (
            *((f"train/{i}.jpg", photo) for i, photo in enumerate(photos)),
            ("test/0.jpg", np.zeros((28, 28, 3), np.uint8)),
        ):
            file = io.BytesIO()
            Image.fromarray(array).save(file, "PNG")  # exact, whatever its name says
            member = tarfile.TarInfo(f"BSR/BSDS500/data/images/{place}")
            member.size = file.tell()
            file.seek(0)
            archive.addfile(member, file)
    return photos


def test_make_mnistm_bsds500_is_the_authors_script(tmp_path):
    write_mnist(tmp_path, 20, 10)
    with pytest.raises(InputError, match=r"there is no file or folder .*BSR_bsds500\.tgz"):
        load_dataset("mnistm_bsds500", tmp_path)
    photos = write_bsds500(tmp_path)
    dataset = load_dataset("mnistm_bsds500", tmp_path)
    digits = load_dataset("mnist", tmp_path)
    binary = np.where(digits.train_images > 0, 255, 0).astype(np.uint8)
    wanted = mnistm.blend(binary, list(photos), seed=0)
    np.testing.assert_array_equal(dataset.train_images, wanted)
    np.testing.assert_array_equal(dataset.train_labels, digits.train_labels)
    binary = np.where(digits.test_images > 0, 255, 0).astype(np.uint8)
    wanted = mnistm.blend(binary, list(photos), seed=1)
    np.testing.assert_array_equal(dataset.test_images, wanted)
    np.testing.assert_array_equal(dataset.test_labels, digits.test_labels)
    with tarfile.open(tmp_path / "BSR_bsds500.tgz") as archive:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path, **safe)
    (tmp_path / "BSR_bsds500.tgz").unlink()
    unpacked = load_dataset("mnistm_bsds500", tmp_path)
    np.testing.assert_array_equal(unpacked.train_images, dataset.train_images)


def test_make_mnistm_local_gives_the_same_images_every_time():
    one, again = load_dataset("mnistm_local"), load_dataset("mnistm_local")
    assert one.train_images.shape == (4000, 28, 28, 3)
    np.testing.assert_array_equal(one.train_images, again.train_images)
    assert not np.array_equal(one.train_images[..., 0], one.train_images[..., 1])


def test_make_mnistm_local_blends_the_digits_of_each_part(tmp_path):
    write_mnist(tmp_path, 20, 10)
    dataset, digits = load_dataset("mnistm_local", tmp_path), load_dataset("mnist", tmp_path)
    for seed, part in enumerate(("train", "test")):  # the patches of test images are others
        images, labels = (getattr(digits, f"{part}_{kind}") for kind in ("images", "labels"))
        wanted = mnistm.blend(images, mnistm._photos(), seed)
        np.testing.assert_array_equal(getattr(dataset, f"{part}_images"), wanted)
        np.testing.assert_array_equal(getattr(dataset, f"{part}_labels"), labels)
