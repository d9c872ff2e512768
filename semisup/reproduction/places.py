"""Where the files of a data set are, given one folder for all of them."""

from pathlib import Path

# Data sets that need no files, and read none.
_WITHOUT_FILES = (None, "mnist5k", "synth_digits")

# Names under the folder, where they are not the data set's.
_NAMES = {
    "mnist3": ("mnist",),
    "mnistm_local": ("mnist",),
    "stl10": ("stl10", "stl10_binary", "stl10_binary.tar.gz"),
}


def place_of(dataset: str | None, data_dir: str | None) -> str | None:
    """The place of a data set's files, as an absolute path.

    Args:
        dataset: its name in the catalogue.
        data_dir: its folder, or a folder that has one for each data set; None for none.

    Returns:
        `data_dir`/NAME if there is such a folder or file, else `data_dir`; None where
        no files are needed.
    """
    if data_dir is None or dataset in _WITHOUT_FILES:
        return None
    for name in _NAMES.get(dataset, (dataset,)):
        if (Path(data_dir) / name).exists():
            return str((Path(data_dir) / name).resolve())
    return str(Path(data_dir).resolve())
