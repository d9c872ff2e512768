"""The entries of the data sets, and what follows from them."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from semisup import data
from semisup.data import registry
from semisup.data.augmentation import AUGMENTATIONS
from semisup.data.registry import DATASETS, load_dataset
from semisup.errors import InputError


def run(program):
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@pytest.mark.parametrize("info", DATASETS.values(), ids=DATASETS)
def test_datasets_name_what_there_is(info):
    module, function = info.loader.split(":")
    assert callable(getattr(importlib.import_module(f"semisup.data.sources.{module}"), function))
    assert info.augmentation is None or info.augmentation in AUGMENTATIONS
    assert info.description
    assert set(info.options) <= {"new_size", "skip_unreadable", "max_megapixels"}


def test_registry_and_namespace_load_nothing_heavy():
    heavy = "{'tensorflow', 'keras', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules)"
    program = f"import sys, semisup.data.registry as r; r.dataset_help(); print({heavy})"
    assert run(program) == "set()"


@pytest.mark.parametrize("name", data.__all__)
def test_namespace_gives_every_name(name):
    assert getattr(data, name) is not None


def test_namespace_has_no_other_names():
    with pytest.raises(AttributeError, match=r"module 'semisup\.data' has no attribute 'nothing'"):
        data.nothing  # noqa: B018


def test_load_dataset_names_unknown_sets_and_folders(tmp_path):
    with pytest.raises(InputError, match="unknown data set 'cifar'; known: mnist5k, mnist"):
        load_dataset("cifar")
    with pytest.raises(
        InputError, match=r"there is no file or folder .*nowhere, which `data_dir` names"
    ):
        load_dataset("mnist", tmp_path / "nowhere")


def test_a_path_in_place_of_a_name_is_told(tmp_path):
    for path in (tmp_path, str(tmp_path)):
        with pytest.raises(InputError, match="is a path, not the name of a data set"):
            load_dataset(path)


@pytest.mark.parametrize("name", ["mnist5k", "synth_digits"])
def test_a_place_for_a_data_set_without_files_is_refused(name, tmp_path):
    # Somebody's photographs, say, beside which the digits would be trained on without a word.
    with pytest.raises(InputError, match=f"{name} reads no files.*the data set is called folder"):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize("name", [info.name for info in DATASETS.values() if info.needs_files])
def test_load_dataset_says_that_files_are_needed(name):
    with pytest.raises(InputError, match=f"data set {name} needs `data_dir`"):
        load_dataset(name)


def test_load_dataset_takes_mnist_as_rgb(mnist_dir):
    grey, rgb = load_dataset("mnist", mnist_dir), load_dataset("mnist3", mnist_dir)
    np.testing.assert_array_equal(rgb.train_images, np.repeat(grey.train_images, 3, axis=3))


def test_load_dataset_goes_to_tensorflow_datasets_without_files(monkeypatch):
    from semisup.data.sources import tfds

    asked = []

    def load_tfds(name, data_dir):
        asked.append((name, data_dir))
        return load_dataset("mnist5k")

    monkeypatch.setattr(tfds, "load_tfds", load_tfds)
    for name in ("mnist", "mnist3", "svhn", "stl10", "tfds:cifar10"):
        loaded = load_dataset(name, new_size=8)
        assert loaded.image_shape == (8, 8, 3 if name == "mnist3" else 1)
    assert asked == [(n, None) for n in ("mnist", "mnist", "svhn_cropped", "stl10", "cifar10")]


def test_augmentation_of_a_data_set():
    assert registry.augmentation_of("mnist5k") == "digits"
    assert registry.augmentation_of("synth") == "svhn"
    assert registry.augmentation_of("folder") == "photos"
    assert registry.augmentation_of("npz") is None
    assert registry.augmentation_of("tfds:mnist") is None


def test_place_of_finds_a_data_set_in_a_folder_of_many(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "stl10_binary.tar.gz").touch()
    assert registry.place_of("mnist3", str(tmp_path)) == str(tmp_path / "mnist")
    assert registry.place_of("mnistm_local", str(tmp_path)) == str(tmp_path / "mnist")
    assert registry.place_of("stl10", str(tmp_path)) == str(tmp_path / "stl10_binary.tar.gz")
    assert registry.place_of("svhn", str(tmp_path)) == str(tmp_path)
    assert registry.place_of("tfds:cifar10", str(tmp_path)) == str(tmp_path)
    for name in ("mnist5k", "synth_digits", None):
        assert registry.place_of(name, str(tmp_path)) is None
    (tmp_path / "svhn").mkdir()
    assert registry.place_of("svhn_extra", str(tmp_path)) == str(tmp_path / "svhn")
    assert registry.place_of("mnist", None) is None


def test_dataset_help_lists_every_data_set():
    assert all(f"{name} (" in registry.dataset_help() for name in DATASETS)
    assert "tfds:NAME" in registry.dataset_help()


def test_data_dir_help_says_who_needs_no_files():
    text = registry.data_dir_help()
    assert "not needed for mnist5k, mnistm_local and synth_digits;" in text
    through = "without it, mnist, mnist3, svhn and stl10 are loaded through tensorflow-datasets"
    assert through in text


@pytest.mark.parametrize(
    ("name", "package", "wanted"),
    [
        ("mnistm_local", "skimage", "mnistm_local needs more packages: pip install scikit-image$"),
        ("svhn", "tensorflow_datasets", r"pip install tensorflow-datasets importlib_.*`data_dir`"),
    ],
)
def test_load_dataset_says_which_package_is_missing(name, package, wanted, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=wanted):
        registry.load_dataset(name)
