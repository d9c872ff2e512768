"""Small data under the names that the pages of docs/ say, in the original formats.

`DIR` is all of them at once: MNIST's files, labelled and unlabelled PNG files, and a folder for
each data set, as `scripts/reproduce.py` wants it.
"""

from pathlib import Path

import keras
import numpy as np

from tests.conftest import easy_digits, write_mnist
from tests.data.sources import (
    test_mnistm,
    test_office31,
    test_stl10,
    test_svhn,
    test_tfds,
    test_usps,
)
from tests.data.sources import test_traffic_signs as test_signs

# The paper's tables label up to 200 images of a class, beside 20,000 unlabelled ones of SVHN.
_MNIST, _SVHN, _STL10, _TEST = 1000, 20_000, 1000, 20


def write_all(folder: Path, photos: Path) -> None:
    """Every stand-in, in `folder`; `photos` holds train/CLASS/*.png and unlabeled/*.png."""
    for name in ("MNIST", "SVHN", "SYNTH", "USPS", "MNISTM", "SIGNS", "GTSRB", "OFFICE", "DIR"):
        (folder / name).mkdir()
    write_mnist(folder / "MNIST", _MNIST, 100)
    test_svhn.write_mat(folder / "SVHN" / "train_32x32.mat", _SVHN, seed=0)
    test_svhn.write_mat(folder / "SVHN" / "test_32x32.mat", _TEST, seed=1)
    for split, count in (("train", 40), ("test", _TEST)):
        test_svhn.write_mat(folder / "SYNTH" / f"synth_{split}_32x32.mat", count, seed=2)
        test_usps.write_usps(folder / "USPS" / f"zip.{split}.gz", count)
        test_mnistm.write_split(folder / "MNISTM", split, count)
    test_signs.write_synth_signs(folder / "SIGNS", 430)
    test_signs.write_gtsrb(folder / "GTSRB", per_class=11)
    for domain in ("amazon", "webcam"):
        test_office31.write_domain(folder / "OFFICE", domain, per_class=3)
    times = _STL10 // len(test_stl10.IMAGES["train"])
    repeated = ("train_X.bin", "train_y.bin", "unlabeled_X.bin")
    more = {name: test_stl10.CONTENT[name] * times for name in repeated}
    archive = folder / "stl10_binary.tar.gz"
    test_stl10.write_archive(archive, {**test_stl10.CONTENT, **more})
    features = [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)]
    features += [keras.layers.GlobalAveragePooling2D()]
    keras.Sequential(features).save(folder / "PATH.keras")
    for name in ("photos", "PHOTOS"):
        (folder / name).symlink_to(photos)
    (folder / "new_photos").symlink_to(photos / "unlabeled")
    digits = [path for name in ("MNIST", "SVHN", "USPS") for path in (folder / name).iterdir()]
    for path in [*digits, *photos.iterdir(), archive]:
        (folder / "DIR" / path.name).symlink_to(path)
    for name in ("mnist", "svhn", "usps", "mnistm", "gtsrb"):
        (folder / "DIR" / name).symlink_to(folder / name.upper())


def prepare_tfds(home: Path) -> None:
    """What tensorflow-datasets would have downloaded to its folder in `home`."""
    import tensorflow_datasets as tfds

    random = np.random.default_rng(0)
    for name, version, shape in (
        ("mnist", "3.0.1", (28, 28, 1)),
        ("svhn_cropped", "3.1.0", (32, 32, 3)),
        ("stl10", "1.0.0", (96, 96, 3)),
    ):
        features = {
            "image": tfds.features.Image(shape=shape),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        images = random.integers(0, 256, (60, *shape), dtype=np.uint8)
        if name == "mnist":
            images = easy_digits(60, seed=0)[0][..., None]
        examples = [{"image": image, "label": i % 10} for i, image in enumerate(images)]
        if name == "svhn_cropped":
            features["id"] = tfds.features.Text()
            examples = [{**example, "id": f"{i}"} for i, example in enumerate(examples)]
        splits = {"train": examples[:40], "test": examples[40:]}
        if name == "stl10":
            splits["unlabelled"] = examples
        test_tfds.prepare(home / "tensorflow_datasets", name, version, features, splits)
