"""tensorflow-datasets, offline: a set prepared on disk, read by TFDS's own readers."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from semisup.data.registry import load_dataset
from semisup.errors import InputError
from tests.conftest import easy_digits

SIZES = {"train": 60, "test": 30}
POOL = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)


def prepare(folder, name, version, features, splits):
    """Write a TFDS set to disk as TFDS does after a download."""

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(version)

        def _info(self):
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(examples) for split, examples in splits.items()}

        def _generate_examples(self, examples):
            yield from enumerate(examples)

    Builder.name = name
    Builder(data_dir=folder).download_and_prepare()


def digit_examples(split):
    images, labels = easy_digits(SIZES[split], seed=len(split))
    pairs = zip(images, labels, strict=True)
    return [{"image": image[..., None], "label": int(label)} for image, label in pairs]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    features = {
        "image": tfds.features.Image(shape=(28, 28, 1)),
        "label": tfds.features.ClassLabel(names=[f"digit {n}" for n in range(10)]),
    }
    splits = {split: digit_examples(split) for split in ("train", "test")}
    prepare(folder, "mnist", "3.0.1", features, splits)
    wide = {**features, "image": tfds.features.Image(shape=(96, 96, 3))}
    examples = [{"image": image, "label": 0} for image in POOL]
    stl10 = {"train": examples[:1], "test": examples[1:2], "unlabelled": examples}
    prepare(folder, "stl10", "1.0.0", wide, stl10)
    prepare(folder, "trainonly", "1.0.0", features, {"train": splits["train"]})
    numbers = {"value": tfds.features.Scalar(np.int64)}
    prepare(folder, "numbers", "1.0.0", numbers, {"train": [{"value": 1}]})
    return folder


def as_set(images, labels):
    return sorted(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


def test_load_tfds_reads_a_prepared_set_exactly(prepared):
    dataset = load_dataset("tfds:mnist", prepared)
    for split in ("train", "test"):
        images, labels = easy_digits(SIZES[split], seed=len(split))
        got = as_set(getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels"))
        assert got == as_set(images, labels)  # TFDS stores examples in an order of its own
    assert dataset.class_names == tuple(f"digit {n}" for n in range(10))
    assert dataset.image_shape == (28, 28, 1)
    again = load_dataset("tfds:mnist", prepared)
    np.testing.assert_array_equal(again.train_images, dataset.train_images)


def test_load_tfds_brings_images_without_labels(prepared):
    dataset = load_dataset("tfds:stl10", prepared)
    got = {image.tobytes() for image in dataset.unlabeled_pool}
    assert got == {image.tobytes() for image in POOL}


def test_load_tfds_refuses_sets_that_do_not_fit(prepared):
    with pytest.raises(InputError, match="'trainonly' has no split 'test'; it has train"):
        load_dataset("tfds:trainonly", prepared)
    with pytest.raises(InputError, match=r"'numbers' is not an image classification set.*value"):
        load_dataset("tfds:numbers", prepared)
    with pytest.raises(InputError, match="no set called 'nonsense_set'"):
        load_dataset("tfds:nonsense_set", prepared)


def test_load_tfds_names_a_set_whose_files_are_damaged(prepared, tmp_path):
    shutil.copytree(prepared / "mnist", tmp_path / "mnist")
    [shard] = (tmp_path / "mnist").rglob("*train.tfrecord*")
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"files of 'mnist' are damaged or missing .*; remove"):
        load_dataset("tfds:mnist", tmp_path)


def test_load_tfds_says_what_to_do_when_a_download_fails(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise ConnectionError("no route to host\nmore")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", no_network)
    with pytest.raises(InputError, match=r"could not prepare 'mnist' .*no route to host.*data_dir"):
        load_dataset("tfds:mnist", tmp_path)
