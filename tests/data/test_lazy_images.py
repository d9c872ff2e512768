"""Images that stay in their files: the same data set and the same batches as in memory."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from semisup import experiment
from semisup.config import Recipe
from semisup.data import lazy_images
from semisup.data.lazy_images import ImageFiles
from semisup.data.registry import load_dataset
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.training import loop
from semisup.visualization.walks import choose_walk_sample
from tests.conftest import assert_stored_alike


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


def batches(recipe, steps=3):
    return [
        (images.numpy(), labels.numpy())
        for images, labels in experiment.build(recipe).batches(5).take(steps)
    ]


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
    expected = batches(recipe)
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    assert isinstance(experiment.build(recipe).data.dataset.train_images, ImageFiles)
    for one, other in zip(expected, batches(recipe), strict=True):
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
    expected = batches(recipe, 1)
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 6000)  # enough for the .npz
    np.testing.assert_array_equal(batches(recipe, 1)[0][0], expected[0][0])


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
    iterator = iter(experiment.build(recipe).batches())
    loop._next(iterator)
    for path in (folder / "unlabeled").glob("*.png"):
        path.write_bytes(path.read_bytes()[:-200])  # the header is whole
    with pytest.raises(InputError, match=r"^cannot read the image .*unlabeled/\d.png .*$"):
        for _ in range(50):
            loop._next(iterator)


def test_image_files_that_are_unreadable_are_left_out_before_the_start(folder, monkeypatch, caplog):
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    damaged = folder / "unlabeled" / "4.png"
    damaged.write_bytes(damaged.read_bytes()[:-200])
    dataset = load_dataset("folder", folder, new_size=28, skip_unreadable=True)
    assert len(dataset.unlabeled_images) == 4
    assert "1 unreadable images left out" in caplog.text


def test_image_files_keep_memory_bounded(tmp_path):
    """Two thousand files, 590 MB decoded, pass through in a fraction of that."""
    for part, count in (("train/cat", 5), ("train/dog", 5), ("unlabeled", 2000)):
        (tmp_path / part).mkdir(parents=True)
        first = tmp_path / part / "0.png"
        Image.new("RGB", (256, 384), "red").save(first)
        for i in range(1, count):
            (tmp_path / part / f"{i}.png").hardlink_to(first)
    script = f"""
import resource
from pathlib import Path
from semisup.data import lazy_images
from semisup.data.pipeline import association_batches
from semisup.data.sources.folder import load_folder
lazy_images.memory_for_images = lambda: 0
dataset = load_folder(Path({str(tmp_path)!r}))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
for images, _ in association_batches(
    dataset.train_images, dataset.train_labels, dataset.unlabeled_images, sup_per_batch=1,
    unsup_batch_size=20,
).take(100):
    assert images.shape == (22, 384, 256, 3)
print(peak() - before)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 200_000, "kilobytes"
