"""People's own images: folders and .npz files, good and bad."""

import numpy as np
import pytest
from PIL import Image

from semisup.data import image_io as images_module
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
def test_folder_is_read_exactly(tmp_path, channels):
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


def test_without_test_images_a_fifth_of_each_class_is_held_out(tmp_path):
    written = make(tmp_path, test=False, unlabeled=0)
    dataset = load_dataset("folder", tmp_path)
    np.testing.assert_array_equal(np.bincount(dataset.train_labels), [8, 8])
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), [2, 2])
    everything = np.concatenate([dataset.train_images, dataset.test_images])
    assert {image.tobytes() for image in everything} == {a.tobytes() for a in written.values()}
    assert dataset.unlabeled_pool is dataset.train_images
    again = load_dataset("folder", tmp_path)
    np.testing.assert_array_equal(again.test_images, dataset.test_images)


def test_grey_among_colour_becomes_rgb(tmp_path):
    make(tmp_path)
    grey = pixels(channels=1)
    save(tmp_path / "train" / "cat" / "00.png", grey)
    dataset = load_dataset("folder", tmp_path)
    np.testing.assert_array_equal(dataset.train_images[0], np.repeat(grey, 3, axis=2))


def test_other_formats_palettes_and_alpha_are_decoded(tmp_path):
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


def test_mixed_sizes_need_a_new_size(tmp_path):
    make(tmp_path)
    save(tmp_path / "unlabeled" / "wide.png", pixels(9, 20))
    with pytest.raises(InputError, match="differ in size, from 9x7 to 9x20 pixels; --new_size=N"):
        load_dataset("folder", tmp_path)
    dataset = load_dataset("folder", tmp_path, new_size=12)
    assert dataset.image_shape == (12, 12, 3)


def test_unreadable_images_are_named_or_left_out(tmp_path, capsys):
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
    assert "3 unreadable images left out" in capsys.readouterr().out


def test_absurd_sizes_are_refused_before_decoding(tmp_path, monkeypatch):
    make(tmp_path)
    monkeypatch.setattr(images_module, "LARGEST", 50)
    with pytest.raises(InputError, match="claims 7x9 pixels; more than 50"):
        load_dataset("folder", tmp_path)


def test_wrong_folders_are_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*train; wanted train/CLASS"):
        load_dataset("folder", tmp_path)
    make(tmp_path)
    (tmp_path / "train" / "emu").mkdir()
    with pytest.raises(InputError, match=r"there is no image in .*emu"):
        load_dataset("folder", tmp_path)
    (tmp_path / "train" / "emu").rmdir()
    (tmp_path / "test" / "fox").mkdir()
    with pytest.raises(InputError, match=r"has classes that .*train has not: \['fox'\]"):
        load_dataset("folder", tmp_path)
    with pytest.raises(InputError, match="data set folder needs --data_dir"):
        load_dataset("folder")


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


def test_npz_is_read_exactly(tmp_path):
    content = arrays(class_names=np.array(["a", "b", "c", "d"]))
    np.savez_compressed(tmp_path / "mine.npz", **content)
    dataset = load_dataset("npz", tmp_path / "mine.npz")
    for key in content.keys() - {"class_names"}:
        np.testing.assert_array_equal(getattr(dataset, key), content[key])
    assert dataset.class_names == ("a", "b", "c", "d")
    assert dataset.name == "mine"


def test_npz_without_test_and_unlabelled_images(tmp_path):
    grey = RANDOM.integers(0, 256, (20, 6, 5), dtype=np.uint8)
    nothing = {"test_images": None, "test_labels": None, "unlabeled_images": None}
    np.savez(tmp_path / "mine.npz", **arrays(train_images=grey, **nothing))
    dataset = load_dataset("npz", tmp_path / "mine.npz")
    assert dataset.image_shape == (6, 5, 1)
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), [1, 1, 1, 1])
    assert len(dataset.train_labels) == 16
    assert dataset.class_names == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": None}, "has no train_images; it has test_images"),
        ({"train_labels": np.arange(19)}, "train images have shape"),
        ({"train_labels": np.arange(20.0)}, r"train_labels is float64 \(20,\), wanted integers"),
        ({"train_labels": np.arange(20) - 1}, "train labels go from -1 to 18"),
        ({"train_images": np.zeros((20, 6, 5, 3))}, "train pixels are float64, wanted bytes"),
        ({"test_images": np.zeros((8, 5, 5, 3), np.uint8)}, "test images are 5x5x3"),
        ({"train_images": np.zeros((20, 30), np.uint8)}, "has shape"),
        ({"unlabeled_images": np.zeros((9, 6, 5, 1), np.uint8)}, "unlabeled images are 6x5x1"),
        ({"train_labels": np.array([object()] * 20)}, "no .npz file of plain arrays"),
    ],
)
def test_bad_npz_is_refused(tmp_path, changes, message):
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    with pytest.raises(InputError, match=message):
        load_dataset("npz", tmp_path / "mine.npz")


def test_damaged_npz_is_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays())
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"mine\.npz is no \.npz file"):
            load_dataset("npz", path)
