"""Where the files of a data set are, given one folder for all of them."""

from pathlib import Path

from semisup.config import Recipe

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


def places_of(
    recipe: Recipe, data_dir: str | None, target_data_dir: str | None = None
) -> dict[str, str | None]:
    """A recipe's `data_dir` and `target_data_dir`, given one folder for both or one for each."""
    return {
        "data_dir": place_of(recipe.dataset, data_dir),
        "target_data_dir": place_of(recipe.target_dataset, target_data_dir or data_dir),
    }
