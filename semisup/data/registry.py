"""The data sets by name. To add one, write its loader and name it here."""

from collections.abc import Callable
from pathlib import Path

from semisup.data.adaptation import as_rgb, resized
from semisup.data.dataset import Dataset
from semisup.data.sources.digits import load_svhn, load_svhn_extra, load_synth, load_usps
from semisup.data.sources.mnist import load_mnist, load_mnist5k
from semisup.data.sources.mnistm import load_mnistm, make_mnistm_local
from semisup.data.sources.own import load_folder, load_npz
from semisup.data.sources.stl10 import load_stl10
from semisup.data.sources.synth_digits import load_synth_digits
from semisup.data.sources.tfds import load_tfds
from semisup.data.sources.traffic_signs import load_gtsrb, load_synth_signs
from semisup.errors import InputError

# Sets that come with a package, or through tensorflow-datasets, if there is no folder.
_WITHOUT_FILES: dict[str, Callable[[Path | None], Dataset]] = {
    "mnist5k": load_mnist5k,
    "mnist": load_mnist,
    "mnist3": lambda data_dir: as_rgb(load_mnist(data_dir)),
    "mnistm_local": make_mnistm_local,
    "synth_digits": lambda data_dir: load_synth_digits(),
}

_FROM_FILES: dict[str, Callable[[Path], Dataset]] = {
    "svhn": load_svhn,
    "svhn_extra": load_svhn_extra,
    "stl10": load_stl10,
    "usps": load_usps,
    "mnistm": load_mnistm,
    "synth": load_synth,
    "gtsrb": load_gtsrb,
    "synth_signs": load_synth_signs,
}

FOLDER, NPZ = "folder", "npz"

# tfds:NAME stands for any image classification set of tensorflow-datasets.
TFDS_PREFIX = "tfds:"

# Where tensorflow-datasets has a set under another name, for want of files.
_IN_TFDS = {"svhn": "svhn_cropped", "stl10": "stl10"}

NAMES = (*_WITHOUT_FILES, *_FROM_FILES, NPZ, FOLDER)


def load_dataset(
    name: str,
    data_dir: str | Path | None = None,
    *,
    new_size: int = 0,
    skip_unreadable: bool = False,
) -> Dataset:
    """The data set called `name`, in memory.

    Args:
        name: one of `NAMES`, or "tfds:" and a name in tensorflow-datasets.
        data_dir: the folder or file with its original files. Without it, mnist5k,
            mnistm_local and synth_digits are made from packages; mnist, mnist3, svhn
            and stl10 come through tensorflow-datasets.
        new_size: if above 0, the images are resized to this height and width.
        skip_unreadable: of people's own folders, leave out files that can't be read.

    Raises:
        InputError: the name is unknown, or the files are missing or damaged.

    Example:
        >>> digits = semisup.load_dataset("mnist5k")
        >>> digits.train_images.shape, digits.test_images.shape, digits.class_names[:3]
        ((4000, 28, 28, 1), (1000, 28, 28, 1), ('0', '1', '2'))
    """
    path = None if data_dir is None else Path(data_dir).expanduser()
    if name not in NAMES and not name.startswith(TFDS_PREFIX):
        raise InputError(f"unknown data set {name!r}; known: {', '.join(NAMES)}, {TFDS_PREFIX}NAME")
    # tensorflow-datasets makes its own.
    if path is not None and not path.exists() and not name.startswith(TFDS_PREFIX):
        raise InputError(f"there is no file or folder {path}, which --data_dir names")
    if path is None and name in _IN_TFDS:
        dataset = load_tfds(_IN_TFDS[name], None)
    elif name.startswith(TFDS_PREFIX):
        dataset = load_tfds(name.removeprefix(TFDS_PREFIX), path)
    elif name in _WITHOUT_FILES:
        dataset = _WITHOUT_FILES[name](path)
    elif path is None:
        raise InputError(f"data set {name} needs --data_dir, the place of its files")
    elif name == FOLDER:
        dataset = load_folder(path, new_size, skip_unreadable)
    elif name == NPZ:
        dataset = load_npz(path, new_size)
    else:
        dataset = _FROM_FILES[name](path)
    return resized(dataset, new_size) if new_size > 0 else dataset
