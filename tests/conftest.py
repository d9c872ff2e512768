"""What several test files share: small data that can be learned in a few steps."""

import gc
import gzip
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from semisup.config import Recipe

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# As in the binaries (`console.load_tensorflow`), so that runs here and there are the same.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# The user's own keras.json may have another type of floats, or channels first.
_keras_home = tempfile.TemporaryDirectory(prefix="keras")
os.environ["KERAS_HOME"] = _keras_home.name
os.environ["KERAS_BACKEND"] = "tensorflow"


# Graphs are many small objects, which Python would look through again and again: a fifth of the
# time of the tests of models.
gc.set_threshold(200_000, 50, 50)

# Begun first, so that no process works on one of them alone at the end.
_LONGEST = (
    "runtime/test_distribution.py",
    "models/test_associative_model.py",
    "training/test_loop.py",
    "inference/test_frozen_backbone.py",
    "programs/test_faults.py",
    "programs/test_train.py",
    "losses/test_blockwise.py",
    "models/test_batch_rows.py",
    "inference/test_exporter.py",
    "training/test_self_training.py",
    "programs/test_eval.py",
    "programs/test_predict.py",
    "tests/test_experiment.py",
    "training/test_collapse.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    places = {name: place for place, name in enumerate(_LONGEST)}

    def place(item: pytest.Item) -> int:
        return places.get("/".join(item.path.parts[-2:]), len(places))

    items.sort(key=place)


def idx_bytes(array: np.ndarray) -> bytes:
    """An array of unsigned bytes in the IDX format, written as its owner defines it."""
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(struct.pack(">I", size) for size in array.shape) + array.tobytes()


def easy_digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """28x28 images of ten classes: a bright block whose place is the class, and noise."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = random.integers(0, 60, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[row * 9 : row * 9 + 8, column * 7 : column * 7 + 7] += 180
    return images, labels


def write_mnist(folder: Path, train: int, test: int) -> None:
    """MNIST's four files, holding this many easy digits."""
    for stem, count, seed in (("train", train, 0), ("t10k", test, 1)):
        images, labels = easy_digits(count, seed)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{stem}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(idx_bytes(array)))


def assert_stored_alike(stored, array: np.ndarray) -> None:
    """Stored images have an array's shape and pixels, however they are taken."""
    assert stored.shape == array.shape
    np.testing.assert_array_equal(np.asarray(stored), array)
    np.testing.assert_array_equal(stored[1], array[1])
    np.testing.assert_array_equal(np.asarray(stored[1:3]), array[1:3])
    np.testing.assert_array_equal(stored.gather([4, 0, 4]), array[[4, 0, 4]])


def first_batches(recipe: Recipe, steps: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """Some batches of a recipe's run, from step 5 on."""
    from semisup import experiment

    batches = experiment.build(recipe).batches(5).take(steps)
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


@pytest.fixture(scope="session")
def mnist_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MNIST's four files, holding 400 + 100 easy digits."""
    folder = tmp_path_factory.mktemp("mnist")
    write_mnist(folder, 400, 100)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A run of a second or two, most of it graph building: 8x8 images of three classes."""
    import keras

    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 60), ("test", 9)):
        arrays[f"{split}_images"] = random.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(count) % 3
    folder = tmp_path_factory.mktemp("tiny")
    np.savez(folder / "tiny.npz", **arrays)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(8, 3, activation="relu")]
    layers += [keras.layers.Flatten(), keras.layers.Dense(16)]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(folder / "network.keras")
    return Recipe(
        dataset="npz", data_dir=str(folder / "tiny.npz"), sup_per_batch=2, unsup_batch_size=8,
        augmentation="digits", architecture=str(folder / "network.keras"), max_steps=30,
        temperature=0.03, eval_interval=20, log_interval=7,
    )  # fmt: skip


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of PNG files: 20 labelled easy digits of each class, and 100 unlabelled ones."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("digits")
    for count, seed, place in ((200, 2, "train/digit_{label}"), (100, 3, "unlabeled")):
        for i, (image, label) in enumerate(zip(*easy_digits(count, seed), strict=True)):
            path = folder / place.format(label=label) / f"{i:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return folder


@pytest.fixture(scope="session")
def finished_run(digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run on `digits_folder`, 5 labels a class; don't change it."""
    from semisup.training.loop import train

    logdir = tmp_path_factory.mktemp("runs") / "digits"
    sizes = {"sup_per_class": 5, "sup_per_batch": 2, "unsup_batch_size": 20}
    steps = {"max_steps": 40, "eval_interval": 40, "warmup_share": 0.0}
    # Exports are compared in float32. With averages, checkpoints have other weights than the model.
    kinds = {"precision": "float32", "ema": 0.5}
    train(Recipe("folder", str(digits_folder), **sizes, **steps, **kinds), logdir)
    return logdir


@pytest.fixture(scope="session", autouse=True)
def feature_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Features of frozen backbones are kept out of the user's own cache."""
    os.environ["SEMISUP_FEATURE_CACHE"] = str(tmp_path_factory.mktemp("features"))


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Runs draw nothing, which takes most of the time of a short one, unless `pictures` is asked.

    tests/visualization holds what they draw.
    """
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("semisup.training.evaluator._draw", lambda *arguments: None)


@pytest.fixture
def pictures() -> None:
    """Runs draw as ever; see `without_pictures`."""


@pytest.fixture
def training_flags() -> Iterator[None]:
    """The flags of semisup-train, as a program has them; gone afterwards, with their values."""
    from absl import flags
    from absl.testing import flagsaver

    from semisup.cli import authors
    from semisup.cli.flags import define_recipe_flags

    before = set(flags.FLAGS)
    if "recipe" not in before:
        define_recipe_flags()
    if "max_checkpoints" not in before:
        authors.define_flags(authors.ONLY_OF_TRAINING)
    with flagsaver.flagsaver():
        yield
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
