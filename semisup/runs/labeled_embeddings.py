"""The embeddings of a finished run's labelled images: labeled.npz.

With it beside the model, prediction and export need neither the data set nor another pass over
it: a folder of a few megabytes can be copied to another machine. Embeddings rather than images,
since they are what is compared, and smaller; but a few images too, to check exports on.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisup.data.image_io import FULL, Reading, ValueRange
from semisup.data.npz import read_npz
from semisup.errors import InputError
from semisup.runs import files


@dataclass(frozen=True)
class LabeledEmbeddings:
    """A run's labelled images as its model embeds them.

    Attributes:
        embeddings: of each labelled image, float32 [N, D].
        labels: int64 [N].
        names: of each labelled image, its file or its place in the data set, str [N].
        class_names: of all classes, str [classes].
        images: a few of the labelled images, uint8 [n, H, W, C], spread over the classes.
        values_in: of files with more than 8 bits a value, the two values that became 0 and 255,
            float64 [2]; empty where the run had no such files.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    class_names: np.ndarray
    images: np.ndarray
    values_in: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images that the model takes."""
        return self.images.shape[1:]

    def reading(self, max_megapixels: int) -> Reading:
        """Return how new image files are read: as those that the run was trained on."""
        if not len(self.values_in):
            return Reading(FULL, max_megapixels, assumed=True)
        return Reading(ValueRange(*self.values_in), max_megapixels)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with files.whole(path) as temporary:
            np.savez_compressed(temporary, **vars(self))


def load(path: Path) -> LabeledEmbeddings:
    """Read the file.

    Raises:
        InputError: it is missing, damaged or of another version.
    """
    arrays = read_npz(path)
    wanted = [field.name for field in dataclasses.fields(LabeledEmbeddings)]
    if not set(wanted) <= arrays.keys():
        raise InputError(
            f"{path} is damaged or of another version; if it is deleted, the newest checkpoint and "
            "the run's data are used instead"
        )
    return LabeledEmbeddings(**{name: arrays[name] for name in wanted})
