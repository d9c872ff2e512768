"""Where the files of a recipe's data sets are, given one folder for all of them."""

from semisup.config import Recipe
from semisup.data.registry import DATASETS, place_of


def places_of(
    recipe: Recipe, data_dir: str | None, target_data_dir: str | None = None
) -> dict[str, str | None]:
    """A recipe's `data_dir` and `target_data_dir`, given one folder for both or one for each."""
    return {
        "data_dir": place_of(recipe.dataset, data_dir),
        "target_data_dir": place_of(recipe.target_dataset, target_data_dir or data_dir),
    }


def in_words(name: str | None) -> str:
    """The files of a data set as a reader finds them: DIR/mnist in the folder DIR of many sets.

    DIR alone of people's own images and of tfds:NAME, which have no place in it.
    """
    info = DATASETS.get(name or "")
    return "DIR" if info is None or info.own else f"DIR/{(*info.folders, info.name)[0]}"
