"""People's own images in folders, good and bad."""

import os

import numpy as np
import pytest
from PIL import Image

from semisup.data import lazy_images
from semisup.data.registry import load_dataset
from semisup.data.sources.hold_out import hold_out_test_images
from semisup.errors import InputError

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def numbers_of_its_own():
    """Each test draws the same numbers, whichever ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(1)


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
    assert "3 unreadable images (such as" in caplog.text
    for path in (tmp_path / "unlabeled").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"there is no image in .*unlabeled: 3 unreadable images"):
        load_dataset("folder", tmp_path, skip_unreadable=True)
    for path in (tmp_path / "train" / "cat").glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"there is no image in .*cat: 10 unreadable images"):
        load_dataset("folder", tmp_path, skip_unreadable=True)


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
    with pytest.raises(InputError, match=r"has classes that are not in .*train: 'fox'"):
        load_dataset("folder", tmp_path)
    with pytest.raises(InputError, match="data set folder needs `data_dir`"):
        load_dataset("folder")
    (tmp_path / "photos.zip").touch()
    with pytest.raises(InputError, match=r"photos\.zip is a file, wanted the folder .*; unpack it"):
        load_dataset("folder", tmp_path / "photos.zip")


def make_small(folder, *names):
    """An image of one pixel under each name, all different."""
    for i, name in enumerate(names):
        save(folder / name, np.full((1, 1, 3), i, np.uint8))


def test_load_folder_says_what_lies_in_train_instead_of_classes(tmp_path):
    make_small(tmp_path, "train/0.png", "train/1.png", "train/a/2.png")
    wanted = (
        r"each of at least two classes, but holds 1; it also holds 2 images outside the folders"
    )
    with pytest.raises(InputError, match=wanted):
        load_dataset("folder", tmp_path)


SMALL = ("train/a/0.png", "train/a/1.png", "train/b/2.png", "train/b/3.png")


@pytest.mark.parametrize(
    "name",
    [
        *("unlabeled", "unlabelled", "Unlabeled", "UNLABELLED", "un-labeled", "train/unlabeled"),
        *("train/Unlabelled", "unlabeled/deep/er"),
    ],
)
def test_load_folder_takes_unlabelled_images_however_their_folder_is_spelt(tmp_path, name):
    make_small(tmp_path, *SMALL, f"{name}/0.png", f"{name}/1.png")
    dataset = load_dataset("folder", tmp_path)
    assert dataset.class_names == ("a", "b")
    assert [path.parent for path in dataset.unlabeled_files] == [tmp_path / name] * 2
    assert len(dataset.train_labels) + len(dataset.test_labels) == 4


def test_load_folder_follows_links(tmp_path):
    make_small(tmp_path / "disk", *SMALL, "pool/4.png", "more/5.png")
    data = tmp_path / "data"
    (data / "train").mkdir(parents=True)
    for name in "ab":
        (data / "train" / name).symlink_to(tmp_path / "disk" / "train" / name)
    (data / "unlabeled").symlink_to(tmp_path / "disk" / "pool")
    (tmp_path / "disk" / "pool" / "more").symlink_to("../more")
    (tmp_path / "disk" / "pool" / "up").symlink_to("..")
    dataset = load_dataset("folder", data)
    assert len(dataset.train_labels) == len(dataset.test_labels) == 2
    names = [str(path.relative_to(data)) for path in dataset.unlabeled_files]
    assert names[:2] == ["unlabeled/4.png", "unlabeled/more/5.png"]


@pytest.mark.parametrize("link", ["train", "test", "unlabeled", "train/b", "test/b"])
def test_load_folder_names_links_to_nothing(tmp_path, link):
    make_small(tmp_path, "train/a/0.png", "train/a/1.png", "train/c/2.png", "test/a/3.png")
    place = tmp_path / link
    if place.is_dir():
        place.rename(tmp_path / "away")
    place.symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=rf"{link} is a broken link"):
        load_dataset("folder", tmp_path)


def test_load_folder_says_what_is_left_out_and_what_is_not_used(tmp_path, caplog):
    make_small(tmp_path, *SMALL, "train/stray.png", "train/a/deep/4.png", "val/a/5.png", "x/y.png")
    make_small(tmp_path, "train/.ipynb_checkpoints/0.png", "train/a/._0.png", "__MACOSX/a/0.png")
    (tmp_path / "train" / "a" / "labels.txt").touch()
    (tmp_path / "train" / "b" / "6.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "unlabelled.zip").touch()
    dataset = load_dataset("folder", tmp_path)
    assert dataset.class_names == ("a", "b")
    assert len(dataset.train_labels) + len(dataset.test_labels) == 5
    not_used, left_out = (record.getMessage() for record in caplog.records[:2])
    assert (
        "not used: 'unlabelled.zip', 'val', 'x'; only train/, test/ and unlabeled/ are read"
        in not_used
    )
    for part in (
        "1 images outside the folders of the classes (such as",
        "1 .txt files, which are not images",
        "1 broken links",
        "2 hidden or system files",
    ):
        assert part in left_out, left_out


@pytest.mark.parametrize("content", ["", "0.heic", "notes.txt", ".0.png", "deep/0.cr2"])
def test_load_folder_refuses_a_folder_of_unlabelled_images_that_gives_none(tmp_path, content):
    make_small(tmp_path, *SMALL)
    path = tmp_path / "unlabeled" / content
    path.parent.mkdir(parents=True, exist_ok=True)
    if content:
        path.touch()
    else:
        path.mkdir()
    with pytest.raises(InputError, match=r"there is no image in .*unlabeled: .*; put unlabelled"):
        load_dataset("folder", tmp_path)


def test_load_folder_takes_names_in_any_unicode_form_for_one_class(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    make_small(tmp_path, f"train/{decomposed}/0.png", "train/b/1.png", f"test/{composed}/2.png")
    make_small(tmp_path, f"train/{composed}/3.png", "test/b/4.png", f"test/{decomposed}/5.png")
    dataset = load_dataset("folder", tmp_path)
    assert dataset.class_names == ("b", composed)
    assert dataset.train_labels.tolist() == [0, 1, 1]
    assert dataset.test_labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", ["Train", "TRAIN"])
def test_load_folder_takes_capitals(tmp_path, name):
    make_small(tmp_path, *(path.replace("train", name) for path in SMALL), "TEST/a/5.png")
    dataset = load_dataset("folder", tmp_path)
    assert (len(dataset.train_labels), dataset.test_labels.tolist()) == (4, [0])
    assert dataset.classes_without_test_images == ["b"]
    (tmp_path / "test").mkdir()
    with pytest.raises(InputError, match="differ only in upper and lower case"):
        load_dataset("folder", tmp_path)


def test_load_folder_names_what_it_found_instead_of_train(tmp_path):
    make_small(tmp_path, "cat/0.png", "dog/1.png")
    with pytest.raises(InputError, match=r"there is no folder .*train; .* it holds 'cat', 'dog'"):
        load_dataset("folder", tmp_path)


@pytest.mark.parametrize(
    ("counts", "held_out"),
    [((1, 1), (0, 0)), ((2, 1), (1, 0)), ((2, 2), (1, 1)), ((4, 3, 3), (1, 1, 1)),
     ((40, 2), (8, 1)), ((5, 1), (1, 0)), ((10, 10), (2, 2))],
)  # fmt: skip
def test_hold_out_leaves_each_class_one_image_and_takes_one_where_there_are_two(counts, held_out):
    labels = np.repeat(np.arange(len(counts)), counts)
    keep, test = hold_out_test_images(labels)
    assert sorted([*keep, *test]) == list(range(len(labels)))
    assert np.bincount(labels[test], minlength=len(counts)).tolist() == list(held_out)
    np.testing.assert_array_equal(test, hold_out_test_images(labels)[1])


@pytest.mark.parametrize("lazily", [False, True])
def test_load_dataset_warns_of_images_of_one_colour(tmp_path, caplog, monkeypatch, lazily):
    make(tmp_path)
    assert load_dataset("folder", tmp_path).num_classes == 2
    assert not caplog.text
    if lazily:
        monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    save(tmp_path / "train/cat/03.png", np.full((9, 7, 3), (9, 0, 0), np.uint8))
    save(tmp_path / "test/cat/03.png", np.full((9, 7, 3), 0, np.uint8))
    load_dataset("folder", tmp_path)
    assert "1 of 20 training images have a single colour (such as " in caplog.text
    assert "03.png); check that they are read correctly" in caplog.text
    assert "1 of 20 test images have" in caplog.text


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_load_folder_leaves_out_links_to_labelled_images(tmp_path, caplog, link):
    """As where a table has the labels: all images in one folder, links to those with labels."""
    for number in range(8):
        save(tmp_path / "archive" / f"{number}.png", pixels(4, 4))
    for name, numbers in {"train/a": (0, 1), "train/b": (2, 3), "test/a": (4,)}.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in numbers:
            link(tmp_path / "archive" / f"{number}.png", tmp_path / "set" / name / f"{number}.png")
    (tmp_path / "set" / "unlabeled").symlink_to(tmp_path / "archive")
    dataset = load_dataset("folder", tmp_path / "set")
    assert [path.name for path in dataset.unlabeled_files] == ["5.png", "6.png", "7.png"]
    assert "5 links to labelled images" in caplog.text


def test_load_folder_refuses_a_folder_that_is_two_classes(tmp_path):
    make(tmp_path)
    (tmp_path / "train" / "wolf").symlink_to(tmp_path / "train" / "dog")
    with pytest.raises(InputError, match=r"wolf and .*dog are one folder; keep one"):
        load_dataset("folder", tmp_path)


def test_load_folder_refuses_unlabelled_images_in_a_class(tmp_path):
    make(tmp_path)
    save(tmp_path / "train/dog/Unlabelled/more/0.png", pixels())
    with pytest.raises(InputError, match=r"more is in the folder of a class"):
        load_dataset("folder", tmp_path)


def test_load_folder_warns_of_classes_that_differ_in_capitals_or_blanks(tmp_path, caplog):
    make(tmp_path)
    load_dataset("folder", tmp_path)
    assert "differ in capitals" not in caplog.text
    for i in range(3):
        save(tmp_path / "train" / "Cat " / f"{i}.png", pixels())
    assert load_dataset("folder", tmp_path).class_names == ("Cat ", "cat", "dog")
    assert "'Cat ' and 'cat' differ in capitals or blanks only" in caplog.text
