""".npz files that are too large for the memory: their images stay in them."""

import zipfile

import numpy as np
import pytest

from semisup import experiment
from semisup.config import Recipe
from semisup.data import lazy_images
from semisup.data.npz import NpzImages, open_npz
from semisup.data.registry import load_dataset
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.inference import inputs
from tests.conftest import assert_stored_alike, first_batches
from tests.processes import kilobytes_of_batches

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def numbers_of_its_own():
    """Each test draws the same numbers, whichever ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(1)


SPLITS = ("train", "test", "unlabeled")
# More than the labels and names below take, and less than the images.
LITTLE = 2000


def pixels(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def arrays(**changes):
    content = {
        "train_images": pixels(30, 10, 8, 3),
        "train_labels": np.arange(30) % 3,
        "test_images": pixels(9, 10, 8, 3),
        "test_labels": np.arange(9) % 3,
        "unlabeled_images": pixels(20, 10, 8, 3),
        "class_names": np.array(["a", "b", "c"]),
        **changes,
    }
    return {key: array for key, array in content.items() if array is not None}


def small_memory(monkeypatch, size=LITTLE):
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: size)


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays())
    return tmp_path / "mine.npz"


def assert_alike(stored, dataset):
    for split in SPLITS:
        one, other = getattr(stored, f"{split}_images"), getattr(dataset, f"{split}_images")
        if other is None:
            assert one is None
            continue
        assert isinstance(one, NpzImages)
        assert_stored_alike(one, other)
    np.testing.assert_array_equal(stored.train_labels, dataset.train_labels)
    np.testing.assert_array_equal(stored.test_labels, dataset.test_labels)
    assert stored.class_names == dataset.class_names


NO_TEST = {"test_images": None, "test_labels": None}
GREY = {f"{split}_images": pixels(30, 8, 8) for split in ("train", "unlabeled")}


@pytest.mark.parametrize(
    "changes",
    [{}, NO_TEST, {**NO_TEST, **GREY}],
    ids=["as they are", "held out", "grey, held out"],
)
@pytest.mark.parametrize("new_size", [0, 6, 8])
def test_npz_images_hold_large_sets_on_disk(tmp_path, monkeypatch, changes, new_size):
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    dataset = load_dataset("npz", tmp_path / "mine.npz", new_size=new_size)
    assert isinstance(dataset.train_images, np.ndarray)
    small_memory(monkeypatch)
    assert_alike(load_dataset("npz", tmp_path / "mine.npz", new_size=new_size), dataset)


def test_npz_images_of_several_sizes_are_resized_in_memory_and_on_disk(tmp_path, monkeypatch):
    sizes = {"test_images": pixels(9, 12, 12, 3), "unlabeled_images": pixels(20, 6, 9, 3)}
    np.savez(tmp_path / "mine.npz", **arrays(**sizes))
    dataset = load_dataset("npz", tmp_path / "mine.npz", new_size=6)
    assert isinstance(dataset.train_images, np.ndarray)
    np.testing.assert_array_equal(dataset.test_images, lazy_images.resize(sizes["test_images"], 6))
    small_memory(monkeypatch)
    assert_alike(load_dataset("npz", tmp_path / "mine.npz", new_size=6), dataset)
    with pytest.raises(InputError, match="must have the same shape"):
        load_dataset("npz", tmp_path / "mine.npz")


def test_npz_images_that_are_held_out_keep_their_labels(tmp_path):
    """The pixel is the number of the image, and its tenth the label."""
    images = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    np.savez(tmp_path / "mine.npz", train_images=images, train_labels=np.arange(40) // 10)
    dataset = load_dataset("npz", tmp_path / "mine.npz")
    for split in ("train", "test"):
        numbers = np.asarray(getattr(dataset, f"{split}_images"))[:, 0, 0, 0]
        np.testing.assert_array_equal(numbers // 10, getattr(dataset, f"{split}_labels"))
    assert len(dataset.test_labels) > 0


def test_open_npz_holds_in_memory_what_is_small_once_resized(path, monkeypatch):
    expected = load_dataset("npz", path, new_size=3)
    small_memory(monkeypatch, 59 * 3 * 3 * 3)
    dataset = load_dataset("npz", path, new_size=3)
    assert isinstance(dataset.train_images, np.ndarray)
    np.testing.assert_array_equal(dataset.train_images, expected.train_images)


def test_open_npz_finds_each_array_where_it_lies(tmp_path, monkeypatch):
    """Behind headers of other lengths and versions than NumPy's own."""
    content = arrays()
    for version in ((1, 0), (2, 0)):
        file = tmp_path / "mine.npz"
        with zipfile.ZipFile(file, "w") as archive:
            for key, array in content.items():
                deflated = zipfile.ZIP_STORED if "images" in key else zipfile.ZIP_DEFLATED
                member = zipfile.ZipInfo(f"{key}.npy")
                member.extra = b"\x99\x99\x03\x00abc"
                member.compress_type = deflated
                with archive.open(member, "w", force_zip64=True) as out:
                    np.lib.format.write_array(out, array, version)
        small_memory(monkeypatch)
        dataset = load_dataset("npz", file)
        for split in SPLITS:
            images = getattr(dataset, f"{split}_images")
            assert isinstance(images, NpzImages)
            np.testing.assert_array_equal(np.asarray(images), content[f"{split}_images"])


def recipe_for(path, **changes):
    return Recipe(
        dataset="npz", data_dir=str(path), new_size=28, sup_per_class=3, sup_per_batch=2,
        unsup_batch_size=4, **changes,
    )  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"augmentation": "digits"}, {"unsup_samples": 7}])
def test_npz_images_give_the_same_batches_and_evaluations(path, monkeypatch, changes):
    recipe = recipe_for(path, **changes)
    in_memory, expected = experiment.build(recipe), first_batches(recipe)
    small_memory(monkeypatch)
    in_file = experiment.build(recipe)
    assert isinstance(in_file.data.dataset.train_images, NpzImages)
    for one, other in zip(expected, first_batches(recipe), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    wanted, got = (predict(s.model, s.data.dataset.test_images) for s in (in_memory, in_file))
    np.testing.assert_array_equal(got.logits, wanted.logits)


def test_npz_images_of_a_target_join_a_grey_source_in_memory(path, monkeypatch, tmp_path):
    grey = {f"{split}_images": pixels(9, 4, 4) for split in ("train", "test")}
    labels = {f"{split}_labels": np.arange(9) % 3 for split in ("train", "test")}
    np.savez(tmp_path / "source.npz", **grey, **labels)
    target = {"target_dataset": "npz", "target_data_dir": str(path)}
    recipe = recipe_for(tmp_path / "source.npz", **target)
    expected = first_batches(recipe, 1)
    small_memory(monkeypatch)
    setup = experiment.build(recipe)
    assert isinstance(setup.data.dataset.train_images, np.ndarray)
    assert isinstance(setup.data.dataset.unlabeled_images, NpzImages)
    np.testing.assert_array_equal(first_batches(recipe, 1)[0][0], expected[0][0])


def test_npz_images_serve_predictions(tmp_path, monkeypatch):
    images = pixels(30, 8, 8, 3)
    np.savez(tmp_path / "photos.npz", images=images)
    small_memory(monkeypatch)
    read = list(inputs.batches([tmp_path / "photos.npz"], (8, 8, 3), 20, pytest.fail))
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in read]), images)
    assert read[1][0][-1].endswith("photos.npz[29]")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": pixels(30, 10, 8, 3).astype(float)}, "train_images is float64 .30, 10"),
        ({"train_images": np.asfortranarray(pixels(30, 10, 8, 3))}, "numpy.ascontiguousarray"),
        ({"train_images": pixels(30, 80)}, r"train_images is uint8 \(30, 80\), wanted"),
        ({"train_images": pixels(0, 10, 8, 3)}, r"train_images is uint8 \(0, 10, 8, 3\), wanted"),
        ({"train_images": np.array([object()] * 30)}, "train_images is object"),
        ({"class_names": np.array([object()] * 3)}, "Object arrays cannot be loaded"),
        ({"notes": np.zeros(5000)}, "its arrays other than images unpack to"),
        ({"train_labels": None}, "has no train_labels"),
        ({"test_labels": None}, "has test_images, but no test_labels"),
        ({"test_images": None}, "has test_labels, but no test_images"),
        ({"test_labels": np.zeros(0, int)}, r"test_labels is int64 \(0,\), wanted"),
    ],
)
def test_open_npz_names_unfit_arrays(tmp_path, monkeypatch, changes, message):
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    small_memory(monkeypatch)
    with pytest.raises(InputError, match=rf"mine\.npz.*{message}") as refusal:
        load_dataset("npz", tmp_path / "mine.npz")
    assert "\n" not in str(refusal.value)


def test_open_npz_wants_large_images_uncompressed(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "mine.npz", **arrays())
    small_memory(monkeypatch)
    with pytest.raises(InputError, match=r"train_images unpacks to 7328 bytes.*numpy\.savez inst"):
        load_dataset("npz", tmp_path / "mine.npz")


@pytest.mark.parametrize("shape", [(30, 10, 8, 30), (30, -10, -8, 3), (2**62, 4, 4, 3)])
def test_open_npz_refuses_lying_headers(path, monkeypatch, tmp_path, shape):
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "lies.npz", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "train_images.npy":
                content = content.replace(b"(30, 10, 8, 3), }", str(shape).encode() + b", }")
            new.writestr(name, content)
    small_memory(monkeypatch)
    with pytest.raises(InputError, match=r"lies\.npz"):
        load_dataset("npz", tmp_path / "lies.npz")


def test_open_npz_finds_damaged_pixels_before_the_start(path, monkeypatch):
    content = bytearray(path.read_bytes())
    content[content.index(b"unlabeled_images") + 1000] ^= 1
    path.write_bytes(content)
    small_memory(monkeypatch)
    with pytest.raises(InputError, match=r"checksum of unlabeled_images\.npy"):
        load_dataset("npz", path)


@pytest.mark.parametrize("gone", [False, True])
def test_npz_images_cut_short_after_the_start_end_the_run_with_one_line(path, monkeypatch, gone):
    """It was mapped into memory once: that is the end of the process, without a word."""
    small_memory(monkeypatch)
    setup = experiment.build(recipe_for(path))
    iterator = iter(setup.batches())
    next(iterator)
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"mine\.npz"), setup.model.errors_in_one_line():
        for _ in range(50):
            next(iterator)


def test_npz_images_refuse_a_file_that_was_replaced(path, monkeypatch):
    small_memory(monkeypatch)
    images = open_npz(path)["train_images"]
    np.asarray(images[:1])
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    with pytest.raises(InputError, match=r"mine\.npz has changed since it was opened"):
        np.asarray(images[:1])


@pytest.mark.slow
def test_npz_images_keep_memory_bounded(tmp_path):
    """590 MB of images pass through in a fraction of that."""
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        for key, count in (("train", 5), ("test", 5), ("unlabeled", 2000)):
            with archive.open(f"{key}_images.npy", "w", force_zip64=True) as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, 384, 256, 3)}
                np.lib.format.write_array_header_1_0(file, header)
                for i in range(count):
                    file.write(bytes([i % 256]) * (384 * 256 * 3))
            if key != "unlabeled":
                with archive.open(f"{key}_labels.npy", "w") as file:
                    np.lib.format.write_array(file, np.arange(count) % 2)
    place = tmp_path / "mine.npz"
    assert kilobytes_of_batches("semisup.data.sources.npz", "load_npz", place) < 200_000
