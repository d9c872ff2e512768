"""Damaged files of every format: right data or the one-line error, never anything else.

A mutation flips, cuts, repeats, inserts or wipes bytes; where a format packs its content,
either that or the packed file is mutated. A packed file carries checksums, so that what is
read from a mutated one must be the very data, unless the content itself was mutated.
"""

import dataclasses
import gzip
import io
import json
import resource
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from semisup import experiment
from semisup.cli.flags import recipe_from_flags
from semisup.config import Recipe
from semisup.data import image_io as images_module
from semisup.data import lazy_images
from semisup.data.dataset import Dataset
from semisup.data.npz import NpzImages
from semisup.data.sources.folder import load_folder
from semisup.data.sources.mnist import load_mnist
from semisup.data.sources.mnistm import load_mnistm
from semisup.data.sources.npz import load_npz
from semisup.data.sources.stl10 import load_stl10
from semisup.data.sources.svhn import load_svhn
from semisup.data.sources.traffic_signs import load_gtsrb, load_synth_signs
from semisup.data.sources.usps import load_usps
from semisup.data.splits import Split, read_split
from semisup.errors import InputError
from semisup.models import weights
from semisup.runs.directory import RunDirectory
from tests.conftest import idx_bytes
from tests.runs.test_checkpoints import model

RANDOM = np.random.default_rng(0)
LABELS = np.arange(20) % 10


def pixels(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


# The mutations.


@st.composite
def mutations(draw, content: bytes):
    """The content with one to three changes."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        size = len(changed)
        # The first bytes, which are headers, as often as all others.
        place = draw(st.one_of(st.integers(0, min(size, 64)), st.integers(0, size)))
        length = draw(st.sampled_from((1, 1, 2, 4, 16, 300)))
        kind = draw(st.sampled_from(("flip", "set", "cut", "delete", "insert", "repeat", "wipe")))
        if kind == "flip" and place < size:
            changed[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            new = draw(st.sampled_from((b"\xff", b"\x7f", b"\0", b"9", b"-", b"[", b'"', b"\n")))
            changed[place : place + length] = new * len(changed[place : place + length])
        elif kind == "cut":
            del changed[place:]
        elif kind == "delete":
            del changed[place : place + length]
        elif kind == "insert":
            changed[place:place] = draw(st.binary(min_size=1, max_size=length))
        elif kind == "repeat":
            changed[place:place] = changed[place : place + length]
        else:
            changed[place : place + length] = bytes(len(changed[place : place + length]))
    return bytes(changed)


def set_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# The formats. Each is a folder of good files, some to be mutated, and a loader.


@dataclass(frozen=True)
class Format:
    """A loader, and a folder of good files of which one is to be mutated.

    Attributes:
        files: their content by path.
        name: of the one to be mutated.
        load: loads the folder.
        pack: for a packed file, the functions that pack its content and unpack it.
        exact: whether its checksums cover all that is read.
    """

    files: dict[str, bytes]
    name: str
    load: Callable[[Path], Dataset | None]
    pack: tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]] | None = None
    exact: bool = False


def encoded(array, kind, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


GZIP = (gzip.compress, gzip.decompress)


def mnist(name, zipped=True):
    contents = {
        "train-images-idx3-ubyte": idx_bytes(pixels(20, 5, 4)),
        "train-labels-idx1-ubyte": idx_bytes(LABELS.astype(np.uint8)),
        "t10k-images-idx3-ubyte": idx_bytes(pixels(20, 5, 4)),
        "t10k-labels-idx1-ubyte": idx_bytes(LABELS.astype(np.uint8)),
    }
    if not zipped:
        return Format(contents, name, load_mnist)
    files = {f"{key}.gz": gzip.compress(content) for key, content in contents.items()}
    return Format(files, f"{name}.gz", load_mnist, GZIP, exact=True)


def mat(compressed):
    from scipy.io import savemat

    file = io.BytesIO()
    content = {"X": pixels(6, 6, 3, 20), "y": (LABELS + 1).astype(np.uint8)[:, None]}
    savemat(file, content, do_compression=compressed)
    files = dict.fromkeys(("train_32x32.mat", "test_32x32.mat"), file.getvalue())
    return Format(files, "train_32x32.mat", load_svhn)


def usps():
    rows = "".join(
        f"{label}.0000 " + " ".join(f"{value / 127.5 - 1:.4f}" for value in pixels(256)) + " \n"
        for label in range(10)
    )
    packed = gzip.compress(rows.encode())
    files = {"zip.train.gz": packed, "zip.test.gz": packed}
    return Format(files, "zip.train.gz", load_usps, GZIP, exact=True)


def stl10(name):
    contents = {
        "train_X.bin": pixels(10 * 27648).tobytes(),
        "test_X.bin": pixels(10 * 27648).tobytes(),
        "unlabeled_X.bin": pixels(2 * 27648).tobytes(),
        "train_y.bin": bytes(range(1, 11)),
        "test_y.bin": bytes(range(1, 11)),
        "fold_indices.txt": b"0 1 2 \n3 4 9 \n",
    }
    if name:
        return Format(contents, name, load_stl10)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for key, content in contents.items():
            member = tarfile.TarInfo(f"stl10_binary/{key}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    files = {"stl10.tar.gz": gzip.compress(file.getvalue(), 1)}
    return Format(files, "stl10.tar.gz", lambda folder: load_stl10(folder / "stl10.tar.gz"), GZIP)


def npz(stays):
    """A file whose images fit into the memory, or one whose images stay in it."""
    arrays = {
        "train_images": pixels(20, 5, 4, 3),
        "train_labels": LABELS,
        "test_images": pixels(20, 5, 4, 3),
        "test_labels": LABELS,
        "class_names": np.array(list("abcdefghij")),
    }
    file = io.BytesIO()
    (np.savez if stays else np.savez_compressed)(file, **arrays)
    mutable = "train_images" if stays else "train_labels"

    def unpack(packed):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            return archive.read(f"{mutable}.npy")

    def pack(content):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(file.getvalue())) as old, zipfile.ZipFile(out, "w") as new:
            for member in old.namelist():
                new.writestr(member, content if mutable in member else old.read(member))
        return out.getvalue()

    def load(folder):
        # Between what the images take, and all else.
        with mock.patch.object(lazy_images, "memory_for_images", lambda: 2300 if stays else 1e9):
            dataset = load_npz(folder / "mine.npz")
        assert isinstance(dataset.train_images, NpzImages if stays else np.ndarray)
        return dataset

    return Format({"mine.npz": file.getvalue()}, "mine.npz", load, (pack, unpack), exact=True)


def folder(kind, **options):
    ending = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    files = {
        f"{split}/{name}/{i}.{ending}": encoded(pixels(9, 7, 3), kind, **options)
        for split in ("train", "test")
        for name in ("cat", "dog")
        for i in range(2)
    }
    exact = kind == "PNG"
    # With a size of its own, so that a damaged header can't make them differ.
    return Format(files, f"train/cat/0.{ending}", lambda f: load_folder(f, 8), exact=exact)


def mnistm():
    files = {}
    for split in ("train", "test"):
        names = [f"{i:08d}.png" for i in range(10)]
        files |= {f"mnist_m_{split}/{name}": encoded(pixels(28, 28, 3), "PNG") for name in names}
        rows = "".join(f"{name} {i}\n" for i, name in enumerate(names))
        files[f"mnist_m_{split}_labels.txt"] = rows.encode()
    return Format(files, "mnist_m_train_labels.txt", load_mnistm)


def gtsrb():
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    files = {}
    for c in range(43):
        place = f"Final_Training/Images/{c:05d}"
        files[f"{place}/0.ppm"] = encoded(pixels(9, 9, 3), "PPM")
        files[f"{place}/GT-{c:05d}.csv"] = f"{header}0.ppm;9;9;1;1;8;8;{c}\n".encode()
    files["Final_Test/Images/0.ppm"] = files["Final_Training/Images/00000/0.ppm"]
    table = header + "0.ppm;9;9;1;1;8;8;3\n" * 3
    files["Final_Test/Images/GT-final_test.csv"] = table.encode()
    return Format(files, "Final_Test/Images/GT-final_test.csv", load_gtsrb)


def synth_signs():
    files = {f"{i}.png": encoded(pixels(9, 9, 3), "PNG") for i in range(10)}
    files["train_labelling.txt"] = "".join(f"{i}.png {i} x\n" for i in range(10)).encode()
    return Format(files, "train_labelling.txt", load_synth_signs)


def split_file():
    images = np.zeros((20, 2, 2, 1), np.uint8)
    dataset = Dataset("toy", images, LABELS, images, LABELS, tuple("abcdefghij"))
    split = Split(np.arange(10), np.arange(20))
    files = {"split.json": json.dumps(split.as_json()).encode()}

    def load(folder):
        # The hash covers the indices, and nothing else is read.
        assert read_split(folder / "split.json", dataset).hash == split.hash

    return Format(files, "split.json", load)


def recipe_file():
    with tempfile.TemporaryDirectory() as place:
        RunDirectory(Path(place)).claim(Recipe(), {"hash": "0"}, ["semisup-train"])
        files = {"recipe.json": (Path(place) / "recipe.json").read_bytes()}

    def load(folder):
        assert isinstance(RunDirectory(folder).read_recipe(), Recipe)

    return Format(files, "recipe.json", load)


def metrics_file():
    lines = [{"step": step, "test_error": 9.5, "loss": 1e-3} for step in range(0, 500, 50)]
    files = {"metrics.jsonl": "".join(json.dumps(line) + "\n" for line in lines).encode()}

    def load(folder):
        for record in RunDirectory(folder).read_evaluations():
            assert record["step"] >= 0
            assert record["test_error"] >= 0

    return Format(files, "metrics.jsonl", load)


def model_file():
    """The content that is mutated is that of the HDF5 file in it, with the weights."""
    made = model()
    with tempfile.TemporaryDirectory() as place:
        made.save(Path(place) / "model.keras")
        content = (Path(place) / "model.keras").read_bytes()

    def unpack(packed):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            return archive.read("model.weights.h5")

    def pack(weights):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
            for member in old.namelist():
                new.writestr(member, weights if "weights" in member else old.read(member))
        return out.getvalue()

    def load(folder):
        weights.load(made, folder / "model.keras")

    return Format({"model.keras": content}, "model.keras", load, (pack, unpack))


FORMATS = {
    "idx images": mnist("train-images-idx3-ubyte", zipped=False),
    "idx labels": mnist("train-labels-idx1-ubyte", zipped=False),
    "idx images, gzip": mnist("train-images-idx3-ubyte"),
    "mat": mat(compressed=False),
    "mat, compressed": mat(compressed=True),
    "usps": usps(),
    "stl10 images": stl10("test_X.bin"),
    "stl10 labels": stl10("train_y.bin"),
    "stl10 folds": stl10("fold_indices.txt"),
    "stl10 archive": stl10(None),
    "npz": npz(stays=False),
    "npz, not in memory": npz(stays=True),
    "png": folder("PNG"),
    "jpeg": folder("JPEG"),
    "gif": folder("GIF"),
    "bmp": folder("BMP"),
    "ppm": folder("PPM"),
    "tiff": folder("TIFF", compression="tiff_lzw"),
    "webp": folder("WEBP", lossless=True),
    "mnistm labels": mnistm(),
    "gtsrb table": gtsrb(),
    "synth_signs table": synth_signs(),
    "split.json": split_file(),
    "recipe.json": recipe_file(),
    "metrics.jsonl": metrics_file(),
    "model.keras": model_file(),
}


def arrays_of(dataset):
    names = ("train_images", "train_labels", "test_images", "test_labels", "unlabeled_images")
    return [np.asarray(a) for name in names if (a := getattr(dataset, name)) is not None]


def check(form: Format, folder: Path, wanted, packed_was_mutated: bool) -> None:
    try:
        dataset = form.load(folder)
    except InputError as error:
        assert 0 < len(str(error)) < 2000
        return
    if dataset is None:
        return  # the loader has checked it
    # A data set checks its shapes and labels itself, but not these.
    for array in arrays_of(dataset):
        assert array.dtype in (np.uint8, np.int64)
        assert array.nbytes < 50_000_000
    if form.exact and packed_was_mutated:
        for array, other in zip(arrays_of(dataset), wanted, strict=True):
            np.testing.assert_array_equal(array, other)


def fuzz(name: str, folder: Path, examples: int) -> None:
    """Load `examples` mutated files of a format."""
    form = FORMATS[name]
    for path, content in form.files.items():
        set_file(folder / path, content)
    good = form.load(folder)
    wanted = None if good is None else arrays_of(good)
    original = form.files[form.name]

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def run(data):
        packed_is_mutated = form.pack is None or data.draw(st.booleans())
        if packed_is_mutated:
            mutated = data.draw(mutations(original))
        else:
            mutated = form.pack[0](data.draw(mutations(form.pack[1](original))))
        set_file(folder / form.name, mutated)
        check(form, folder, wanted, packed_is_mutated)

    run()


@pytest.fixture
def bounded_memory():
    """At most 4 GB more than now: a file of a few kilobytes that wants more fails here."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (now + (4 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_right_or_refused(name, tmp_path, bounded_memory):
    fuzz(name, tmp_path, examples=25)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_ten_thousand_mutated_files_are_right_or_refused(name, tmp_path, bounded_memory):
    """10,000 / 25 of each format, rounded up."""
    fuzz(name, tmp_path, examples=1 + 10_000 // len(FORMATS))


# What mutations find seldom.


def test_image_that_only_another_program_can_read_is_refused(tmp_path):
    """Pillow would start Ghostscript on it, whatever the name says."""
    path = tmp_path / "harmless.png"
    Image.new("RGB", (5, 5)).save(path, "EPS")
    with pytest.raises(InputError, match=r"cannot read the image .*harmless\.png"):
        images_module.read_image(path)


def test_archive_member_that_claims_too_much_is_refused(tmp_path):
    path = tmp_path / "stl10.tar"
    member = tarfile.TarInfo("train_X.bin")
    member.size = 1 << 40
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(InputError, match=r"train_X.bin claims 1099511627776 bytes"):
        load_stl10(path)


def test_zip_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 1_000_000)
    np.savez_compressed(tmp_path / "bomb.npz", train_images=np.zeros(1_000_000, np.uint8))
    with pytest.raises(InputError, match="unpacks to 1000128 bytes"):
        load_npz(tmp_path / "bomb.npz")


def test_npy_header_that_claims_too_much_is_refused(tmp_path, bounded_memory):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999,), }"
    header = header.ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "claims.npz", "w") as archive:
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
        archive.writestr("train_images.npy", content)
    with pytest.raises(InputError, match=r"is not a \.npz file of plain arrays, or is damaged"):
        load_npz(tmp_path / "claims.npz")


# Flags.

VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.sampled_from(("", "nan", "1e999", "-0", "none", "true", "0x10", "1_0", "\u0663")),
    # A command line can hold neither NUL nor lone surrogates.
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)


def fuzz_flags(examples: int) -> None:
    """Up to three settings at a time, with values of every kind."""
    names = sorted(Recipe.__dataclass_fields__)

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @given(st.dictionaries(st.sampled_from(names), VALUES, min_size=1, max_size=3))
    def run(values):
        with flagsaver.flagsaver():
            try:
                flags.FLAGS(["semisup-train", *(f"--{k}={v}" for k, v in values.items())])
                recipe = recipe_from_flags()
            except (flags.Error, InputError) as error:
                assert str(error)
            else:
                assert json.loads(json.dumps(vars(recipe))).keys() == set(names)

    run()


def test_flags_are_settings_or_refused(training_flags):
    fuzz_flags(300)


@pytest.mark.slow
def test_ten_thousand_flags_are_settings_or_refused(training_flags):
    fuzz_flags(10_000)


def test_sizes_beyond_what_a_picture_has_are_refused():
    with pytest.raises(InputError, match=rf"`new_size` is {2**31}; it must be at most 100000"):
        Recipe(new_size=2**31)


@pytest.mark.parametrize("name", ["max_steps", "emb_size", "sup_per_class"])
def test_numbers_beyond_what_tensorflow_counts_are_refused(name):
    with pytest.raises(InputError, match=rf"`{name}` is {2**31}; it must be below {2**31}"):
        Recipe(**{name: 2**31})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["emb_size", "virtual_embeddings"])
def test_models_larger_than_the_memory_are_refused(tiny, bounded_memory, name):
    with pytest.raises(InputError, match=r"does not fit into the memory: OOM .*; try a smaller"):
        experiment.build(dataclasses.replace(tiny, **{name: 10**8}))
