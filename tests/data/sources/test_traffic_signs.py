"""GTSRB and synthetic signs, written as their owners lay them out."""

import numpy as np
import pytest
from PIL import Image

from semisup.data.registry import load_dataset
from semisup.errors import InputError

HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"


def write_table(folder, table, classes, size=None):
    folder.mkdir(parents=True)
    rows = [HEADER]
    for i, c in enumerate(classes):
        # A frame of another colour, which the region of interest leaves out.
        image = np.full((52, 50, 3), 255, np.uint8)
        image[6:46, 5:45] = (c, i, 7)
        written = Image.fromarray(image)
        if size:  # as in public copies, whose tables stay as they were
            written = written.resize(size, Image.Resampling.NEAREST)
        written.save(folder / f"{i:05d}.ppm")
        rows.append(f"{i:05d}.ppm;50;52;5;6;45;46;{c}")
    (folder / table).write_text("\n".join(rows) + "\n")


def write_gtsrb(folder, size=None, per_class=2):
    for c in range(43):
        images = folder / f"Final_Training/Images/{c:05d}"
        write_table(images, f"GT-{c:05d}.csv", [c] * per_class, size)
    write_table(folder / "Final_Test/Images", "GT-final_test.csv", [3, 42, 0], size)


def write_synth_signs(folder, count):
    rows = []
    for i in range(count):
        Image.new("RGB", (40, 40), (i % 256, i % 43, 0)).save(folder / f"{i}.png")
        rows.append(f"{i}.png {i % 43} extra columns")
    (folder / "train_labelling.txt").write_text("\n".join(rows))


@pytest.fixture
def gtsrb(tmp_path):
    write_gtsrb(tmp_path)
    return tmp_path


def test_load_gtsrb_cuts_and_reads_signs_exactly(gtsrb):
    dataset = load_dataset("gtsrb", gtsrb)
    assert dataset.train_images.shape == (86, 40, 40, 3)
    np.testing.assert_array_equal(dataset.train_labels, np.repeat(np.arange(43), 2))
    for image, label in zip(dataset.train_images, dataset.train_labels, strict=True):
        assert np.all(image[..., 0] == label)
        assert np.all(image[..., 2] == 7)
    np.testing.assert_array_equal(dataset.test_labels, [3, 42, 0])
    assert dataset.num_classes == 43


@pytest.mark.parametrize("size", [(32, 32), (200, 60)])
def test_load_gtsrb_scales_the_regions_of_resized_copies(tmp_path, size):
    write_gtsrb(tmp_path, size)
    dataset = load_dataset("gtsrb", tmp_path)
    for image, label in zip(dataset.train_images, dataset.train_labels, strict=True):
        # All of the sign, and no more of the frame than a pixel that it shares with the sign.
        assert np.all(image[4:-4, 4:-4, 0] == label)
        assert np.all(image[4:-4, 4:-4, 2] == 7)
        assert (image[..., 2] == 7).mean() > 0.8


def test_load_gtsrb_names_damaged_files(gtsrb):
    table = gtsrb / "Final_Test/Images/GT-final_test.csv"
    text = table.read_text()
    for damaged, message in (
        (text.replace(";45;46;", ";45;x;", 1), "has no region of interest"),
        (text.replace(";50;52;", ";50;;", 1), "has no region of interest"),
        (text.replace(";50;52;", ";40;52;", 1), "has a region outside the image"),
        (text.replace(";42", ";signal"), "is damaged: invalid literal"),
        (text.replace("00001.ppm", "nothing.ppm"), "there is no image .*nothing.ppm"),
        (text.replace(";", ","), "no rows of 8 columns"),
        (HEADER + "\n", "names no image"),
        (text.replace(";42", ";43"), "test labels go from 0 to 43, but there are 43 classes"),
    ):
        table.write_text(damaged)
        with pytest.raises(InputError, match=message):
            load_dataset("gtsrb", gtsrb)
    table.unlink()
    with pytest.raises(InputError, match=r"there is no file .*GT-final_test\.csv"):
        load_dataset("gtsrb", gtsrb)


def test_load_synth_signs_holds_out_a_tenth(tmp_path):
    write_synth_signs(tmp_path, 50)
    dataset = load_dataset("synth_signs", tmp_path)
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (45, 5)
    for split in ("train", "test"):
        images, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
        np.testing.assert_array_equal(images[:, 0, 0, 1], labels)
