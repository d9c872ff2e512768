"""People's own images in folders, good and bad."""

import numpy as np
import pytest
from PIL import Image

from semisup.data import lazy_images
from semisup.data.registry import load_dataset
from semisup.errors import InputError

RANDOM = np.random.default_rng(0)


def pixels(height=9, width=7, channels=3):
    return RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)


def make(folder, test=True, unlabeled=3, channels=3, count=10):
    """A folder of PNG files; returns the pixels by path."""
    written = {}
    for split in ("train", "test") if test else ("train",):
        for name in ("cat", "dog"):
            for i in range(count):
                written[f"{split}/{name}/{i:02d}.png"] = pixels(channels=channels)
    for i in range(unlabeled):
        written[f"unlabeled/deep/er/{i}.png"] = pixels(channels=channels)
    for path, array in written.items():
        save(folder / path, array)
    return written


@pytest.mark.parametrize("channels", [1, 3])
def test_load_folder_reads_pixels_exactly(tmp_path, channels):
    written = make(tmp_path, channels=channels)
    dataset = load_dataset("folder", tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_shape == (9, 7, channels)
    for split in ("train", "test"):
        wanted = [array for path, array in sorted(written.items()) if path.startswith(split)]
        np.testing.assert_array_equal(getattr(dataset, f"{split}_images"), wanted)
        labels = getattr(dataset, f"{split}_labels")
        np.testing.assert_array_equal(labels, [0] * 10 + [1] * 10)
    wanted = [array for path, array in sorted(written.items()) if path.startswith("unlab")]
    np.testing.assert_array_equal(dataset.unlabeled_pool, wanted)


def test_hold_out_takes_a_fifth_of_each_class(tmp_path):
    written = make(tmp_path, test=False, unlabeled=0)
    dataset = load_dataset("folder", tmp_path)
    np.testing.assert_array_equal(np.bincount(dataset.train_labels), [8, 8])
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), [2, 2])
    everything = np.concatenate([dataset.train_images, dataset.test_images])
    assert {image.tobytes() for image in everything} == {a.tobytes() for a in written.values()}
    assert dataset.unlabeled_pool is dataset.train_images
    again = load_dataset("folder", tmp_path)
    np.testing.assert_array_equal(again.test_images, dataset.test_images)


def test_load_folder_makes_grey_among_colour_rgb(tmp_path):
    make(tmp_path)
    grey = pixels(channels=1)
    save(tmp_path / "train" / "cat" / "00.png", grey)
    dataset = load_dataset("folder", tmp_path)
    np.testing.assert_array_equal(dataset.train_images[0], np.repeat(grey, 3, axis=2))


def test_load_folder_reads_headers_only_where_images_differ(tmp_path, monkeypatch):
    make(tmp_path)
    read, read_header = [], lazy_images.read_header
    monkeypatch.setattr(
        lazy_images, "read_header", lambda path, how: read.append(path) or read_header(path, how)
    )
    load_dataset("folder", tmp_path)
    assert read == [tmp_path / "train" / "cat" / "00.png"]
    save(tmp_path / "train" / "cat" / "00.png", pixels(channels=1))
    assert load_dataset("folder", tmp_path).image_shape == (9, 7, 3)
    assert len(read) == 1 + 1 + 43


def test_load_folder_decodes_other_formats_palettes_and_alpha(tmp_path):
    make(tmp_path)
    image = Image.fromarray(np.full((9, 7, 3), 100, np.uint8))
    for i, ending in enumerate(("jpg", "bmp", "gif", "ppm", "webp", "tif")):
        image.save(tmp_path / "train" / "cat" / f"x{i}.{ending.upper()}")
    image.convert("RGBA").save(tmp_path / "train" / "cat" / "x8.png")
    image.convert("P").save(tmp_path / "train" / "cat" / "x9.png")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    cats = load_dataset("folder", tmp_path).train_images[10:18]
    assert cats.shape == (8, 9, 7, 3)
    assert np.abs(cats.astype(int) - 100).max() <= 3


def test_load_folder_needs_a_new_size_for_mixed_sizes(tmp_path):
    make(tmp_path)
    save(tmp_path / "unlabeled" / "wide.png", pixels(9, 20))
    with pytest.raises(InputError, match="differ in size, from 9x7 to 9x20 pixels; `new_size=N`"):
        load_dataset("folder", tmp_path)
    dataset = load_dataset("folder", tmp_path, new_size=12)
    assert dataset.image_shape == (12, 12, 3)


def test_load_folder_names_unreadable_images_or_leaves_them_out(tmp_path, caplog):
    make(tmp_path)
    empty, text = tmp_path / "train/cat/05.png", tmp_path / "unlabeled/deep/er/1.png"
    empty.write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot read the image .*cat/05\.png \(0 bytes\)"):
        load_dataset("folder", tmp_path)
    text.write_bytes(b"<html>Not found</html>")
    cut = tmp_path / "train/dog/03.png"
    cut.write_bytes(cut.read_bytes()[:60])
    dataset = load_dataset("folder", tmp_path, skip_unreadable=True)
    np.testing.assert_array_equal(np.bincount(dataset.train_labels), [9, 9])
    assert len(dataset.unlabeled_pool) == 2
    assert "3 unreadable images left out" in caplog.text


def test_load_folder_refuses_absurd_sizes_before_decoding(tmp_path):
    make(tmp_path)
    Image.new("1", (2000, 1001)).save(tmp_path / "train" / "cat" / "00.png")
    with pytest.raises(
        InputError, match=r"claims 2000x1001 pixels, more than 2 million; .*`max_megapixels=N`"
    ):
        load_dataset("folder", tmp_path, new_size=8, max_megapixels=2)
    assert load_dataset("folder", tmp_path, new_size=8, max_megapixels=3).num_classes == 2


def test_load_folder_names_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*train; wanted train/CLASS"):
        load_dataset("folder", tmp_path)
    make(tmp_path)
    (tmp_path / "train" / "emu").mkdir()
    with pytest.raises(InputError, match=r"there is no image in .*emu"):
        load_dataset("folder", tmp_path)
    (tmp_path / "train" / "emu").rmdir()
    (tmp_path / "test" / "fox").mkdir()
    with pytest.raises(InputError, match=r"has classes that .*train has not: 'fox'"):
        load_dataset("folder", tmp_path)
    with pytest.raises(InputError, match="data set folder needs `data_dir`"):
        load_dataset("folder")
