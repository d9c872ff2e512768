"""The data sets by name. To add one, write its loader and name it here."""

from collections.abc import Callable
from pathlib import Path

from semisup.data.dataset import Dataset
from semisup.data.mnist import load_mnist, load_mnist5k
from semisup.data.tfds import load_tfds
from semisup.errors import InputError

CATALOGUE: dict[str, Callable[[Path | None], Dataset]] = {
    "mnist5k": load_mnist5k,
    "mnist": load_mnist,
}

# tfds:NAME stands for any image classification set of tensorflow-datasets.
TFDS_PREFIX = "tfds:"


def load_dataset(name: str, data_dir: str | Path | None = None) -> Dataset:
    """The data set called `name`, in memory.

    Args:
        name: a key of `CATALOGUE`, or "tfds:" and a name in tensorflow-datasets.
        data_dir: the folder with its original files, where it has any.

    Raises:
        InputError: the name is unknown, or the files are missing or damaged.
    """
    folder = None if data_dir is None else Path(data_dir).expanduser()
    if name.startswith(TFDS_PREFIX):
        return load_tfds(name.removeprefix(TFDS_PREFIX), folder)
    if name not in CATALOGUE:
        raise InputError(
            f"unknown data set {name!r}; known: {', '.join(CATALOGUE)}, {TFDS_PREFIX}NAME"
        )
    if folder is not None and not folder.exists():
        raise InputError(f"there is no folder {folder}, which --data_dir names")
    return CATALOGUE[name](folder)
