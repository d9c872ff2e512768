"""The embeddings of a finished run's labelled images: labeled.npz.

With it beside the model, prediction and export need neither the data set nor another pass over
it: a folder of a few megabytes can be copied to another machine. Embeddings rather than images,
since they are what is compared, and smaller; but a few images too, to check exports on.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semisup.data.dataset import evenly_spaced
from semisup.data.image_io import FULL, Reading, ValueRange
from semisup.data.labeled_data import LabeledData
from semisup.data.npz import read_npz
from semisup.errors import InputError
from semisup.evaluation.metrics import Predictions, predict
from semisup.models.associative_model import AssociativeModel
from semisup.runs import files

# Labelled images whose embeddings are kept, and of these the ones that are kept as pixels.
EMBEDDINGS_KEPT, _IMAGES_KEPT = 10_000, 64


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


class EmbeddedImages(NamedTuple):
    """What `embed` returns.

    Attributes:
        indices: into the training images, int64 [n], ascending: the split's labelled images, or
            10,000 of them, as many of each class where it has them.
        predictions: embeddings and logits of these.
        record: what the run keeps of them.
    """

    indices: np.ndarray
    predictions: Predictions
    record: LabeledEmbeddings


def embed(model: AssociativeModel, data: LabeledData) -> EmbeddedImages:
    """Embed the labelled images of a run with its model as it is now."""
    dataset, labeled = data.dataset, data.split.labeled
    if len(labeled) > EMBEDDINGS_KEPT:
        labeled = labeled[_of_all_classes(data.labeled_labels, EMBEDDINGS_KEPT)]
    labels = dataset.train_labels[labeled]
    by_class = labeled[np.argsort(labels, kind="stable")]
    shown = by_class[evenly_spaced(len(by_class), _IMAGES_KEPT)]
    predictions = predict(model, dataset.train_images[labeled])
    record = LabeledEmbeddings(
        embeddings=predictions.embeddings,
        labels=labels,
        names=np.array(dataset.train_names(labeled)),
        class_names=np.array(dataset.class_names),
        images=np.asarray(dataset.train_images[shown]),
        values_in=np.array(dataset.values_in or (), np.float64),
    )
    return EmbeddedImages(labeled, predictions, record)


def _of_all_classes(labels: np.ndarray, count: int) -> np.ndarray:
    """`count` places, ascending, at random: as many of each class, or all of a small one."""
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    number_in_class = np.arange(len(labels)) - np.repeat(first, sizes)
    return np.sort(order[np.argsort(number_in_class, kind="stable")[:count]])


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
