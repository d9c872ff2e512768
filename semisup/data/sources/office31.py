"""Office-31: things in an office, 31 classes, in three domains; 96x96x3 as the authors had them."""

import functools
from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.image_io import find_images, read_images
from semisup.errors import InputError

CLASSES = 31
SIZE = 96

# The authors hold out this share; which images, they do not say in a way that can be repeated.
_TEST_SHARE = 0.3


def load_domain(domain: str, data_dir: Path, new_size: int = 0) -> Dataset:
    """One domain of Office-31; three tenths of each class are held out to test.

    Args:
        domain: amazon, dslr or webcam.
        data_dir: the folder that holds DOMAIN/images/CLASS/*.jpg.
        new_size: the height and width of the images; 0 for 96.

    Raises:
        InputError: a folder is missing, has other than 31 classes, or an image can't be read.
    """
    folder = data_dir / domain / "images"
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; wanted {domain}/images/CLASS/*.jpg")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    if len(names) != CLASSES:
        raise InputError(f"{folder} holds {len(names)} folders of classes, wanted {CLASSES}")
    of_classes = [find_images(folder / name).images for name in names]
    few = [name for name, paths in zip(names, of_classes, strict=True) if len(paths) < 2]
    if few:
        raise InputError(f"{folder / few[0]} has fewer than two images: one to train, one to test")
    paths = [path for of_class in of_classes for path in of_class]
    labels = np.repeat(np.arange(CLASSES), [len(of_class) for of_class in of_classes])

    images = np.stack(read_images(paths, new_size or SIZE))
    train, test = _split(labels)
    return Dataset(
        f"office_{domain}",
        images[train],
        labels[train],
        images[test],
        labels[test],
        tuple(names),
        train_files=np.array(paths, dtype=object)[train],
    )


load_amazon, load_dslr, load_webcam = (
    functools.partial(load_domain, domain) for domain in ("amazon", "dslr", "webcam")
)


def _split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images to train on and to test on, the same every time."""
    random = np.random.RandomState(0)
    train: list[np.ndarray] = []
    test: list[np.ndarray] = []
    for label in range(CLASSES):
        places = random.permutation(np.flatnonzero(labels == label))
        count = int((1 - _TEST_SHARE) * len(places))
        train.append(places[:count])
        test.append(places[count:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))
