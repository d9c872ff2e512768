"""Images that stay in their files: the same data set and the same batches as in memory."""

import dataclasses
import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from semisup import experiment
from semisup.config import Recipe
from semisup.data import lazy_images
from semisup.data.image_io import Reading, ValueRange, find_images, parallel, read_image
from semisup.data.lazy_images import (
    FeaturedImages,
    ImageFiles,
    concatenate,
    in_memory,
    network_inputs,
    with_features,
)
from semisup.data.registry import load_dataset
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.runtime import progress
from semisup.visualization.walks import choose_walk_sample
from tests.conftest import assert_stored_alike, first_batches
from tests.processes import kilobytes_of_batches


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for part in ("train/cat", "train/dog", "test/cat", "test/dog", "unlabeled"):
        (tmp_path / part).mkdir(parents=True)
        for i, ending in enumerate(("png", "jpg", "webp", "bmp", "png")):
            pixels = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).convert("L" if i == 0 else "RGB")
            image.save(tmp_path / part / f"{i}.{ending}")
    return tmp_path


def load(folder, monkeypatch, memory):
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: memory)
    return load_dataset("folder", folder, new_size=28)


def test_image_files_hold_large_sets_on_disk(folder, monkeypatch):
    in_memory = load(folder, monkeypatch, memory=25 * 28 * 28 * 3)
    assert isinstance(in_memory.train_images, np.ndarray)
    in_files = load(folder, monkeypatch, memory=25 * 28 * 28 * 3 - 1)
    for split in ("train_images", "test_images", "unlabeled_images"):
        files, array = getattr(in_files, split), getattr(in_memory, split)
        assert isinstance(files, ImageFiles)
        assert_stored_alike(files, array)


@pytest.mark.parametrize("changes", [{}, {"augmentation": "digits"}, {"unsup_samples": 3}])
def test_image_files_give_the_same_batches(folder, monkeypatch, changes):
    recipe = Recipe(
        dataset="folder", data_dir=str(folder), new_size=28, sup_per_class=3, sup_per_batch=2,
        unsup_batch_size=4, **changes,
    )  # fmt: skip
    expected = first_batches(recipe)
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    assert isinstance(experiment.build(recipe).data.dataset.train_images, ImageFiles)
    for one, other in zip(expected, first_batches(recipe), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_image_files_of_a_target_join_a_source_in_memory(folder, monkeypatch, tmp_path):
    (folder / "grey").mkdir()
    arrays = {"train_images": np.arange(4 * 784).reshape(4, 28, 28) % 256}
    arrays["train_images"] = arrays["train_images"].astype(np.uint8)
    arrays |= {"train_labels": [0, 0, 1, 1], "test_labels": [0, 1]}
    np.savez(folder / "source.npz", test_images=arrays["train_images"][:2], **arrays)
    recipe = Recipe(
        dataset="npz", data_dir=str(folder / "source.npz"), target_dataset="folder",
        target_data_dir=str(folder), new_size=28, sup_per_class=2, sup_per_batch=2,
        unsup_batch_size=4,
    )  # fmt: skip
    expected = first_batches(recipe, 1)
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 6000)  # enough for the .npz
    np.testing.assert_array_equal(first_batches(recipe, 1)[0][0], expected[0][0])


def test_image_files_serve_evaluation_and_figures(folder, monkeypatch):
    recipe = Recipe(dataset="folder", data_dir=str(folder), new_size=28, sup_per_class=3)
    in_memory = experiment.build(recipe)
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    in_files = experiment.build(recipe)
    expected, got = (
        predict(setup.model, setup.data.dataset.test_images) for setup in (in_memory, in_files)
    )
    np.testing.assert_array_equal(got.logits, expected.logits)
    samples = [choose_walk_sample(setup.data) for setup in (in_memory, in_files)]
    for one, other in zip(*samples, strict=True):
        np.testing.assert_array_equal(one, other)


def test_image_files_damaged_after_the_start_end_the_run_with_one_line(folder, monkeypatch):
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    recipe = Recipe(
        dataset="folder", data_dir=str(folder), new_size=28, sup_per_class=3, sup_per_batch=2,
        unsup_batch_size=4,
    )  # fmt: skip
    setup = experiment.build(recipe)
    iterator = iter(setup.batches())
    next(iterator)
    for path in (folder / "unlabeled").glob("*.png"):
        path.write_bytes(path.read_bytes()[:-200])  # the header is whole
    line = r"^cannot read the image .*unlabeled/\d.png .*$"
    with pytest.raises(InputError, match=line), setup.model.errors_in_one_line():
        for _ in range(50):
            next(iterator)


def test_image_files_that_are_unreadable_are_left_out_before_the_start(folder, monkeypatch, caplog):
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    damaged = folder / "unlabeled" / "4.png"
    damaged.write_bytes(damaged.read_bytes()[:-200])
    dataset = load_dataset("folder", folder, new_size=28, skip_unreadable=True)
    assert len(dataset.unlabeled_images) == 4
    assert "1 unreadable images (such as" in caplog.text


@pytest.mark.slow
def test_image_files_keep_memory_bounded(tmp_path):
    """Two thousand files, 590 MB decoded, pass through in a fraction of that."""
    for part, count in (("train/cat", 5), ("train/dog", 5), ("unlabeled", 2000)):
        (tmp_path / part).mkdir(parents=True)
        first = tmp_path / part / "0.png"
        Image.new("RGB", (256, 384), "white").save(first)
        for i in range(1, count):
            (tmp_path / part / f"{i}.png").hardlink_to(first)
    assert kilobytes_of_batches("semisup.data.sources.folder", "load_folder", tmp_path) < 200_000


@pytest.mark.parametrize("how", ["in a thread", "in threads", "in processes"])
def test_image_files_read_many_as_one_by_one(how, tmp_path, monkeypatch):
    seconds = 0.0 if how == "in threads" else np.inf
    monkeypatch.setattr(parallel, "_SECONDS_OF_SMALL_IMAGE", seconds)
    monkeypatch.setattr(parallel, "_MANY_IMAGES", 100 if how == "in processes" else np.inf)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2 if how == "in processes" else 3)
    random = np.random.default_rng(0)
    for i in range(210):
        pixels = random.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).convert("L" if i % 3 == 0 else "RGB")
        image.save(tmp_path / f"{i:03d}.{('png', 'jpg')[i % 2]}")
    paths = find_images(tmp_path).images
    files = ImageFiles(np.array(paths, dtype=object), (6, 5, 3))
    one_by_one = [np.broadcast_to(read_image(path), (6, 5, 3)) for path in paths]
    np.testing.assert_array_equal(files, one_by_one)
    if how == "in processes":
        return  # each call starts processes, and a batch is too small for them
    chosen = random.permutation(210)
    np.testing.assert_array_equal(files.gather(tf.constant(chosen)), np.stack(one_by_one)[chosen])
    in_graph = tf.function(files.gather)
    np.testing.assert_array_equal(in_graph(tf.constant(chosen)), np.stack(one_by_one)[chosen])


def test_modules_that_processes_read_images_with_load_no_tensorflow():
    program = (
        "import semisup.data.lazy_images, semisup.data.sources.folder\n"
        "import semisup.data.sources.traffic_signs, semisup.inference.inputs\n"
        "import sys; print('tensorflow' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr


def test_image_files_refuse_a_file_of_another_shape(tmp_path):
    path = tmp_path / "image.png"
    grey = ImageFiles(np.array([path], dtype=object), (4, 4, 1))
    for size, mode in (((5, 4), "L"), ((4, 4), "RGB")):
        Image.new(mode, size).save(path)
        with pytest.raises(InputError, match=r"image\.png has changed its size or its colours"):
            np.asarray(grey)
    Image.new("L", (4, 4)).save(path)
    assert np.asarray(grey).shape == (1, 4, 4, 1)


def test_identity_of_image_files_changes_with_the_file(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        Image.new("L", (4, 4)).save(path)
    files = ImageFiles(np.array(paths, dtype=object), (4, 4, 1))
    before = files.identity(0)
    assert files.identity(0) == before == files[::-1].identity(1)
    assert files.identity(1) != before
    assert ImageFiles(files.places, (8, 8, 1), 8).identity(0) != before
    other_range = dataclasses.replace(files, how=Reading(ValueRange(0, 4095)))
    assert other_range.identity(0) != before
    changed = paths[0].stat().st_mtime_ns
    with paths[0].open("ab") as file:
        file.write(b"more")
    os.utime(paths[0], ns=(changed, changed))
    longer = files.identity(0)
    assert longer != before
    os.utime(paths[0], (1, 1))
    assert files.identity(0) != longer
    longer = files.identity(0)
    paths[0].write_bytes(paths[0].read_bytes()[::-1])
    os.utime(paths[0], (1, 1))  # as programs do that unpack files
    assert files.identity(0) != longer
    os.utime(paths[0], ns=(1, 1))
    longer = files.identity(0)
    paths[0].chmod(0o600)
    assert files.identity(0) == longer


def test_identity_of_other_images_is_their_pixels():
    images = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2, 1)
    joined = with_features(np.concatenate([images, images]), np.zeros((6, 2), np.float32))
    assert joined.identity(1) == joined.identity(4) == images[1].tobytes()
    assert joined.identity(1) != joined.identity(2)


@pytest.fixture
def featured():
    """Five images, each with features of its own number; the images as they are beside them."""
    images = np.random.default_rng(1).integers(0, 256, (5, 4, 3, 1), dtype=np.uint8)
    return with_features(images, np.repeat(np.arange(5, dtype=np.float32), 2).reshape(5, 2)), images


def test_featured_images_keep_features_beside_their_images(featured):
    joined, images = featured
    assert joined.shape == (5, 4, 3, 1)
    np.testing.assert_array_equal(joined, images)
    np.testing.assert_array_equal(joined[3], images[3])
    for chosen in (np.array([4, 1, 1]), slice(1, 4), np.array([True, False, True, False, False])):
        some = joined[chosen]
        assert isinstance(some, FeaturedImages)
        np.testing.assert_array_equal(some, images[chosen])
        np.testing.assert_array_equal(some.features[:, 0], np.arange(5)[chosen])
    again = joined[1:][np.array([0, 2])]
    np.testing.assert_array_equal(again, images[[1, 3]])
    np.testing.assert_array_equal(again.features, [[1, 1], [3, 3]])
    np.testing.assert_array_equal(joined.gather(tf.constant([2, 0])), images[[2, 0]])


def test_with_features_leaves_files_where_they_are(folder):
    paths = find_images(folder / "unlabeled").images
    files = ImageFiles(np.array(paths, dtype=object), (20, 24, 3))
    joined = with_features(files, np.arange(5, dtype=np.float32)[:, None])
    assert joined.images is files
    np.testing.assert_array_equal(joined[[3, 1]], np.asarray(files)[[3, 1]])


def test_network_inputs_are_features_if_there_are_any(featured):
    joined, images = featured
    np.testing.assert_array_equal(network_inputs(joined[2:]), joined.features[2:])
    assert network_inputs(images) is images


def test_in_memory_leaves_images_with_features(featured, folder):
    joined, images = featured
    assert in_memory(joined) is joined
    assert in_memory(images) is images
    files = ImageFiles(
        np.array(find_images(folder / "unlabeled").images, dtype=object), (20, 24, 3)
    )
    assert isinstance(in_memory(files), np.ndarray)
    np.testing.assert_array_equal(in_memory(files), files)


def test_concatenate_joins_images_and_their_features(featured):
    joined, images = featured
    both = concatenate(joined[np.array([3, 0])], joined[4:])
    assert isinstance(both, FeaturedImages)
    np.testing.assert_array_equal(both, images[[3, 0, 4]])
    np.testing.assert_array_equal(both.features[:, 0], [3, 0, 4])
    without = concatenate(joined, images)  # one part has no features
    assert not isinstance(without, FeaturedImages)
    np.testing.assert_array_equal(without, np.concatenate([images, images]))


def test_image_files_show_progress_only_where_all_are_read(tmp_path, monkeypatch, capsys):
    """A batch that is read beside training must not take the place of the steps' lines."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)
    for i in range(3):
        Image.fromarray(np.full((6, 5, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    paths = np.array(find_images(tmp_path).images, dtype=object)
    files = ImageFiles(paths, (6, 5, 3))
    np.testing.assert_array_equal(files.gather(tf.constant([2, 0]))[:, 0, 0, 0], [2, 0])
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(files.read_all()[:, 0, 0, 0], [0, 1, 2])
    assert "reading images: 2 of 3 images" in capsys.readouterr().out


def test_images_may_take_a_quarter_of_what_a_container_has(tmp_path, monkeypatch):
    limits = (tmp_path / "memory.max", tmp_path / "missing")
    monkeypatch.setattr(lazy_images, "CONTAINER_LIMITS", limits)
    for text, wanted in (("max\n", None), ("4000000\n", 1_000_000), (f"{2**62}\n", None)):
        limits[0].write_text(text)
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        assert lazy_images.memory_for_images() == (wanted or physical)
