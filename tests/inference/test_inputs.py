import numpy as np
import pytest
from PIL import Image

from semisup.data.sources.folder import load_folder
from semisup.errors import InputError
from semisup.inference import inputs
from semisup.runs import labeled_embeddings
from semisup.runs.labeled_embeddings import LabeledEmbeddings

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def numbers_of_its_own():
    """Each test draws the same numbers, whichever ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(1)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def read_all(files, shape, size=3):
    skipped = []
    parts = list(inputs.batches(files, shape, size, skipped.append))
    names = [name for part, _ in parts for name in part]
    return names, np.concatenate([images for _, images in parts]), skipped, parts


def test_files_folders_and_globs_are_found_once(tmp_path):
    grey = RANDOM.integers(0, 256, (4, 4), dtype=np.uint8)
    for name in ("a.png", "deep/er/b.jpg", "deep/c.bmp", "odd[1].png"):
        save(tmp_path / name, grey)
    (tmp_path / "notes.txt").write_text("no image")
    everything = inputs.find([str(tmp_path)], [])
    assert [path.name for path in everything] == ["a.png", "c.bmp", "b.jpg", "odd[1].png"]
    words = [f"{tmp_path}/**/*.bmp", f"{tmp_path}/odd[1].png", f"{tmp_path}/deep"]
    assert [path.name for path in inputs.find(words, [])] == ["c.bmp", "odd[1].png", "b.jpg"]
    with pytest.raises(InputError, match="an image is named by an empty word"):
        inputs.find([""], [])
    for nothing in ("missing.png", "*.gif"):
        with pytest.raises(InputError, match="there is no image"):
            inputs.find([str(tmp_path / nothing)], [])


def test_a_glob_leaves_out_what_is_no_image(tmp_path):
    grey = RANDOM.integers(0, 256, (4, 4), dtype=np.uint8)
    save(tmp_path / "a.png", grey)
    (tmp_path / "notes.txt").write_text("no image")
    np.savez(tmp_path / "b.npz", images=grey[None])
    skipped = []
    found = inputs.find([f"{tmp_path}/*"], skipped)
    assert [path.name for path in found] == ["a.png", "b.npz"]
    assert [path.name for _, path in skipped] == ["notes.txt"]
    assert inputs.find([f"{tmp_path}/notes.txt"], []) == [tmp_path / "notes.txt"]  # by its name
    save(tmp_path / "IMG_1.png", grey)
    (tmp_path / "IMG_1.png").rename(tmp_path / "IMG_1")
    assert inputs.find([f"{tmp_path}/IMG_*"], []) == [tmp_path / "IMG_1"]  # what it holds tells


def test_a_folder_that_is_named_twice_is_read_once(tmp_path, monkeypatch):
    for name in ("a.png", "deep/b.png"):
        save(tmp_path / "photos" / name, np.zeros((4, 4), np.uint8))
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    words = ["photos", str(tmp_path / "photos"), "photos/../photos", "link", "photos/*.png"]
    assert list(map(str, inputs.find(words, []))) == ["photos/a.png", "photos/deep/b.png"]


@pytest.mark.parametrize("shape", [(9, 7, 3), (9, 7, 1)])
def test_an_array_of_one_image_is_not_taken_for_many(tmp_path, shape):
    np.savez(tmp_path / "one.npz", images=np.zeros(shape, np.uint8))
    errors = []
    assert list(inputs.batches([tmp_path / "one.npz"], (9, 7, 3), 8, errors.append)) == []
    [error] = errors
    assert "as if it were one image; save images[None]" in str(error)


def test_images_come_in_bounded_batches_in_one_shape(tmp_path):
    grey = RANDOM.integers(0, 256, (6, 5), dtype=np.uint8)
    colour = RANDOM.integers(0, 256, (12, 10, 3), dtype=np.uint8)
    save(tmp_path / "0.png", grey)
    save(tmp_path / "1.png", colour)
    (tmp_path / "2.png").write_bytes(b"no image")
    with (tmp_path / "3.NPZ").open("wb") as file:
        np.savez(file, images=np.stack([grey] * 4))
    files = [*inputs.find([str(tmp_path)], []), tmp_path / "3.NPZ"]
    for channels in (1, 3):
        names, images, skipped, parts = read_all(files, (6, 5, channels))
        assert [len(part) for part, _ in parts] == [3, 3]
        assert images.shape == (6, 6, 5, channels)
        assert names[-1] == f"{tmp_path}/3.NPZ[3]"
        np.testing.assert_array_equal(images[0], np.repeat(grey[..., None], channels, axis=2))
        np.testing.assert_array_equal(images[5], images[0])
        assert len(skipped) == 1
        assert "2.png (8 bytes)" in str(skipped[0])
    wanted = Image.fromarray(colour).resize((5, 6), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[1], np.asarray(wanted))


def test_files_have_the_pixels_they_were_trained_with(tmp_path):
    from semisup.data.registry import load_dataset

    for i in range(10):
        for name in ("ant", "bee"):
            save(tmp_path / "train" / name / f"{i}.png", RANDOM.integers(0, 256, (9, 7), np.uint8))
    save(tmp_path / "train" / "ant" / "x.png", RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    dataset = load_dataset("folder", tmp_path, new_size=5)
    names, images, _, _ = read_all(dataset.train_files, dataset.image_shape)
    np.testing.assert_array_equal(images, dataset.train_images)
    assert names == dataset.train_names(np.arange(len(images)))
    assert dataset.pool_names(np.array([1]))[0] == names[1]


def test_find_takes_a_folder_by_its_name_before_it_takes_it_for_a_pattern(tmp_path, monkeypatch):
    grey = np.zeros((4, 4), np.uint8)
    for name in ("photos[1]/a.png", "photos1/b.png"):
        save(tmp_path / name, grey)
    monkeypatch.chdir(tmp_path)
    for pattern in ("photos[1]/*.png", str(tmp_path / "photos[1]" / "**" / "*.png")):
        assert [path.name for path in inputs.find([pattern], [])] == ["a.png"]
    assert [path.name for path in inputs.find(["photos[0-9]/*.png"], [])] == ["b.png"]
    assert [str(path) for path in inputs.find(["photos1/*.png"], [])] == ["photos1/b.png"]


def test_find_follows_the_rules_of_training_folders(tmp_path):
    grey = RANDOM.integers(0, 256, (4, 4), dtype=np.uint8)
    for name in ("photos/a.png", "photos/.hidden/b.png", "photos/__MACOSX/c.png", "disk/d.jfif"):
        save(tmp_path / name, grey)
    save(tmp_path / "photos" / "._a.png", grey)
    (tmp_path / "photos" / "e.heic").touch()
    (tmp_path / "photos" / "linked").symlink_to("../disk")
    (tmp_path / "photos" / "up").symlink_to("..")
    skipped = []
    words = [f"{tmp_path}/photos", f"{tmp_path}/disk/../photos"]  # what is named twice counts once
    found = inputs.find(words, skipped)
    assert len(skipped) == len({path for _, path in skipped})
    names = [str(path.relative_to(tmp_path / "photos")) for path in found]
    assert names == ["a.png", "linked/d.jfif"]
    assert {path.name for _, path in skipped} == {".hidden", "__MACOSX", "._a.png", "e.heic", "up"}
    globbed = inputs.find([f"{tmp_path}/photos/**/*.png"], [])
    assert tmp_path / "photos" / "a.png" in globbed
    assert not [path for path in globbed if "__MACOSX" in path.parts]
    # What is named is taken, whatever its name.
    hidden = tmp_path / "photos" / "._a.png"
    assert inputs.find([str(hidden)], []) == [hidden]
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "e.heic").touch()
    with pytest.raises(InputError, match=r"only: 1 \.heic files, which need `pip install"):
        inputs.find([str(tmp_path / "only")], [])


def test_files_with_many_bits_are_read_as_the_run_read_its_own(tmp_path):
    """The run keeps the range of values of its training images."""
    for i in range(4):
        pixels = RANDOM.integers(0, 180, (3, 4), dtype=np.uint16)
        save(tmp_path / "train" / "ab"[i % 2] / f"{i}.png", pixels)
    dataset = load_folder(tmp_path)
    record = LabeledEmbeddings(
        *(np.zeros((4, 2), np.float32), np.arange(4), np.array(["x"] * 4), np.array(["a", "b"])),
        np.asarray(dataset.train_images),
        np.array(dataset.values_in, np.float64),
    )
    record.save(tmp_path / "labeled.npz")
    how = labeled_embeddings.load(tmp_path / "labeled.npz").reading(178)
    path = dataset.train_files[0]
    [(_, images)] = inputs.batches([path], dataset.image_shape, 9, pytest.fail, how)
    np.testing.assert_array_equal(images[0], dataset.train_images[0])
    assert images.max() > 100


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((1, 2, 2), np.uint8)}, "no array called 'images'"),
        ({"images": np.zeros((1, 2, 2))}, "float64"),
        ({"images": np.zeros((1, 2, 2, 4), np.uint8)}, r"\(1, 2, 2, 4\)"),
        ({"images": np.zeros((1, 0, 2, 1), np.uint8)}, r"\(1, 0, 2, 1\)"),
        ({"images": np.array([object()])}, "not a .npz file of plain arrays"),
    ],
)
def test_bad_npz_is_reported(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    skipped = []
    list(inputs.batches([tmp_path / "x.npz"], (2, 2, 1), 3, skipped.append))
    with pytest.raises(InputError, match=message):
        raise skipped[0]
