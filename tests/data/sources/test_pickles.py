"""The pickles that people have of the authors' data sets, and pickles made to do harm."""

import gzip
import os
import pickle
import re
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from semisup.data.registry import load_dataset
from semisup.data.sources.pickles import labels_in, read_pickle
from semisup.errors import InputError
from tests.conftest import write_mnist

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def numbers_of_its_own():
    """Each test draws the same numbers, whichever ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(1)


def images(count, size, channels=3):
    return RANDOM.integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def python2_array(array):
    """The opcodes by which Python 2's cPickle writes an array of bytes."""
    shape = b"".join(b"M" + struct.pack("<H", size) for size in array.shape)
    content = array.tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01("
        + shape
        + b"tcnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        + b"K\x00tb\x89T"
        + struct.pack("<i", len(content))
        + content
        + b"tb"
    )


def write_signs(folder: Path, name: str, train: int, test: int) -> dict[str, np.ndarray]:
    """The two pickles of traffic signs as the authors' script writes them."""
    written = {}
    for split, count in (("train", train), ("test", test)):
        pixels = images(count, 40)
        labels = np.arange(count) % 43
        if name == "gtsrb":  # straight out of a table
            labels = labels.astype(str)
        content = {"images": pixels, "labels": labels}
        (folder / f"{name}_{split}.p").write_bytes(pickle.dumps(content, 2))
        written[split] = pixels
    return written


def write_mnistm(folder: Path, train: int, valid: int, test: int) -> dict[str, np.ndarray]:
    """mnistm_data.pkl as the authors' script writes it; the images, validation ones last."""
    content = {}
    for split, count in (("train", train), ("valid", valid), ("test", test)):
        content[f"{split}_images"] = images(count, 28)
        content[f"{split}_labels"] = np.arange(count) % 10
    (folder / "mnistm_data.pkl").write_bytes(pickle.dumps(content, 2))
    joined = [content["train_images"], content["valid_images"]]
    return {"train": np.concatenate(joined), "test": content["test_images"]}


@pytest.mark.parametrize("protocol", range(6))
def test_read_pickle_reads_arrays_of_every_protocol(tmp_path, protocol):
    content = {
        "images": images(3, 4),
        "labels": [1, 2.5, np.int64(3)],
        "names": ("a", b"b", None),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "texts": np.array(["one", "two"]),
        "big_endian": np.arange(5, dtype=">i4"),
        "truths": np.array([True, False]),
        "objects": np.array(["one", 2, None], dtype=object),
    }
    path = tmp_path / "arrays.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    loaded = read_pickle(path)
    assert loaded.keys() == content.keys()
    for key in ("images", "fortran", "texts", "objects", "big_endian", "truths"):
        np.testing.assert_array_equal(loaded[key], content[key])
    assert loaded["labels"] == content["labels"]
    assert loaded["names"] == content["names"]


def test_read_pickle_reads_what_python_2_and_older_numpy_wrote(tmp_path):
    pixels = images(5, 6)
    path = tmp_path / "arrays.p"
    path.write_bytes(b"\x80\x02}U\x06images" + python2_array(pixels) + b"s.")
    np.testing.assert_array_equal(read_pickle(path)["images"], pixels)
    renamed = pickle.dumps({"images": pixels}, 2).replace(b"numpy._core", b"numpy.core")
    zipped = tmp_path / "arrays.pkl.gz"
    zipped.write_bytes(gzip.compress(renamed))
    np.testing.assert_array_equal(read_pickle(zipped)["images"], pixels)


class Runs:
    """Its pickle runs a command."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def harmful(mark):
    yield Runs(os.system, f"touch {mark}")
    yield Runs(eval, f"open({str(mark)!r}, 'w').close()")
    yield Runs(getattr, np.ndarray, "tofile")
    yield Runs(np.fromfile, str(mark))
    yield Runs(OrderedDict)
    yield Path(mark)


@pytest.mark.parametrize("number", range(6))
def test_read_pickle_runs_nothing(tmp_path, number):
    """Wherever in the file it stands, in an array of objects, too."""
    mark = tmp_path / "mark"
    bad = list(harmful(mark))[number]
    objects = np.empty(1, dtype=object)
    objects[0] = bad
    path = tmp_path / "bad.pkl"
    for content in (bad, {"images": bad}, {"images": objects}, [{"x": (bad,)}]):
        for protocol in (0, 2, 5):
            path.write_bytes(pickle.dumps(content, protocol))
            with pytest.raises(
                InputError, match=r"bad\.pkl asks for .* is refused, since a pickle"
            ):
                read_pickle(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # Codecs that unpack, an array that claims gigabytes, a scalar that is a pickle again.
        (b"c_codecs\nencode\n(Vabc\nVzip\ntR.", "a string encoded in 'zip', which is refused"),
        (b"cnumpy\nndarray\n((J\0\0\x10\0J\0\x04\0\0tVd\ntR.", "'str' object is not callable"),
        (
            b"cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(VO8\ntRVabc\ntR.",
            "a scalar that is a Python object, which is refused",
        ),
        (b"Pname\n.", "A load persistent id instruction was encountered"),
        # Objects whose pointers the file would say, by a type that denies that it has any.
        (b"cnumpy\ndtype\n(VO8\nI0\nI1\ntR(I3\nV|\nNNNI8\nI8\nI0\ntb.", "wanted a dictionary"),
        (
            b"}Vimages\ncnumpy._core.numeric\n_frombuffer\n(c_codecs\nencode\n(Vaaaaaaaa\nVlatin1\n"
            b"tRcnumpy\ndtype\n(VO8\ntR(I3\nV|\nNNNI8\nI8\nI0\ntb(I1\ntVC\ntRs.",
            "cannot create an OBJECT array from memory buffer",
        ),
        (pickle.dumps({"x": np.zeros(2, "i4,f8")}, 2), "'V12', which are not plain numbers"),
        (pickle.dumps({"x": np.zeros(2, "M8[s]")}, 2), "'M8', which are not plain numbers"),
        (b"cos\nsystem\n(S'true'\ntR.", "asks for os.system, which is not an array and is refused"),
        (b"(ios\nsystem\n.", "asks for os.system, which is not an array and is refused"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "(UnpicklingError: "),
        (b"", "(EOFError: "),
        (b"no pickle", "invalid load key, 'n'"),
        (pickle.dumps([1, 2]), "holds a list, wanted a dictionary"),
    ],
)
def test_read_pickle_names_what_is_no_dictionary_of_arrays(tmp_path, content, message):
    path = tmp_path / "bad.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\.pkl .*{re.escape(message)}") as refusal:
        read_pickle(path)
    assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="there is no file"):
        read_pickle(tmp_path / "missing.pkl")


def test_read_pickle_names_every_cut_off_file(tmp_path):
    path = tmp_path / "cut.pkl"
    whole = pickle.dumps({"images": images(1, 4), "labels": np.arange(3)})
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.pkl"):
            read_pickle(path)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (np.arange(3), [0, 1, 2]),
        (["0", "12"], [0, 12]),
        (np.array([b"7", b"1"]), [7, 1]),
        (np.eye(3)[[2, 0]], [2, 0]),
        ([1.0, 2.0], [1, 2]),
        ([1.5], None),
        (["one"], None),
        ([1 + 2j], None),
        (np.ones((2, 3)), None),
        (np.ones((2, 1)), None),  # a column of numbers, all 1
        ([[0.6, 0.4], [0.3, 0.7]], None),  # soft labels
        (np.zeros((2, 3, 4)), None),
    ],
)
def test_labels_in_numbers_texts_and_rows(labels, wanted):
    content = {"labels": labels}
    if wanted is None:
        with pytest.raises(InputError, match=r"x\.p: labels is .*wanted whole numbers"):
            labels_in(content, "labels", Path("x.p"))
    else:
        assert labels_in(content, "labels", Path("x.p")).tolist() == wanted


@pytest.mark.parametrize("name", ["gtsrb", "synth_signs"])
def test_load_dataset_reads_the_authors_pickles_of_signs(tmp_path, name):
    written = write_signs(tmp_path, name, 86, 43)
    dataset = load_dataset(name, tmp_path)
    np.testing.assert_array_equal(dataset.train_images, written["train"])
    np.testing.assert_array_equal(dataset.test_images, written["test"])
    np.testing.assert_array_equal(dataset.train_labels, np.arange(86) % 43)
    path = tmp_path / f"{name}_test.p"
    path.write_bytes(pickle.dumps({"images": written["test"]}))
    with pytest.raises(
        InputError, match=rf"{name}_test\.p must have images and labels, but has images"
    ):
        load_dataset(name, tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=rf"there is no file .*{name}_test\.p"):
        load_dataset(name, tmp_path)


def test_load_mnistm_reads_the_authors_pickle(tmp_path):
    written = write_mnistm(tmp_path, 30, 10, 20)
    dataset = load_dataset("mnistm", tmp_path)
    np.testing.assert_array_equal(dataset.train_images, written["train"])
    np.testing.assert_array_equal(dataset.test_images, written["test"])
    np.testing.assert_array_equal(dataset.train_labels, [*(np.arange(30) % 10), *range(10)])
    by_file = load_dataset("mnistm", tmp_path / "mnistm_data.pkl")
    np.testing.assert_array_equal(by_file.train_images, dataset.train_images)


@pytest.mark.parametrize("valid", [0, 100])
def test_load_mnistm_takes_the_labels_of_mnist_for_a_pickle_without_any(tmp_path, valid):
    write_mnist(tmp_path, 400, 100)
    content = {"train": images(400 - valid, 28), "test": images(100, 28)}
    if valid:
        content["valid"] = images(valid, 28)
    path = tmp_path / "keras_mnistm.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(content, 2)))
    dataset = load_dataset("mnistm", tmp_path)
    labels = load_dataset("mnist", tmp_path).train_labels
    np.testing.assert_array_equal(dataset.train_labels, np.roll(labels, -valid))
    joined = np.concatenate([content["train"], content.get("valid", content["train"][:0])])
    np.testing.assert_array_equal(dataset.train_images, joined)
    content["test"] = images(99, 28)
    path.write_bytes(gzip.compress(pickle.dumps(content, 2)))
    with pytest.raises(InputError, match=r"has 99 test images, but .* have 100 labels"):
        load_dataset("mnistm", tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"there is no t10k-labels-idx1-ubyte\.gz"):
        load_dataset("mnistm", tmp_path)


def test_load_mnistm_names_pickles_of_something_else(tmp_path):
    path = tmp_path / "mnistm_data.pkl"
    for content, message in (
        ({"train": images(2, 28)}, "has train; wanted train_images, train_labels"),
        ({"train_images": images(2, 28), "test_images": images(2, 28)}, "wanted train_images"),
        ({"train": [1, 2], "test": [3]}, r"train is int64 \(2,\), wanted bytes"),
    ):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=message):
            load_dataset("mnistm", tmp_path)


def test_labels_in_names_lists_of_different_sizes():
    with pytest.raises(InputError, match=r"x\.p: labels is a list of parts of different sizes"):
        labels_in({"labels": [[0], [1, 2]]}, "labels", Path("x.p"))
