"""A run opened for use: its model, and the labelled images that it learned from.

A finished run keeps the embeddings of its labelled images (labeled.npz) beside its model,
so that prediction and export need neither the data set nor another pass over it: a folder
of a few megabytes can be copied to another machine. Embeddings rather than images, since
they are what is compared, and smaller; but a few images too, to check exports on.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisup import experiment
from semisup.data.npz import read_npz
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.experiment import Experiment
from semisup.models.associative_model import AssociativeModel
from semisup.models.backbones import load_model
from semisup.optimizers.ema import take_averages
from semisup.runs import checkpoints, directory, files

# Labelled images that are kept as pixels.
_IMAGES_KEPT = 64


@dataclass(frozen=True)
class Labeled:
    """What a run keeps of its labelled images.

    Attributes:
        embeddings: of each labelled image, float32 [N, D].
        labels: int64 [N].
        names: of each labelled image, its file or its place in the data set, str [N].
        class_names: of all classes, str [classes].
        images: a few of the labelled images, uint8 [n, H, W, C], spread over the classes.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    class_names: np.ndarray
    images: np.ndarray

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images that the model takes."""
        return self.images.shape[1:]


@dataclass(frozen=True)
class Trained:
    """A trained model and its labelled images."""

    model: AssociativeModel
    labeled: Labeled


def collect_labeled(setup: Experiment) -> Labeled:
    """The labelled images of an experiment, as its model embeds them now."""
    dataset, indices = setup.dataset, setup.split.labeled
    labels = dataset.train_labels[indices]
    by_class = indices[np.argsort(labels, kind="stable")]
    count = min(_IMAGES_KEPT, len(by_class))
    spread = by_class[np.linspace(0, len(by_class) - 1, count, dtype=int)]
    return Labeled(
        embeddings=predict(setup.model, dataset.train_images[indices]).embeddings,
        labels=labels,
        names=np.array(dataset.train_names(indices)),
        class_names=np.array(dataset.class_names),
        images=np.asarray(dataset.train_images[spread]),
    )


def save_labeled(logdir: Path, labeled: Labeled) -> None:
    """Write the run's labeled.npz, whole or not at all."""
    with files.whole(logdir / directory.LABELED) as temporary:
        np.savez_compressed(temporary, **vars(labeled))


def load(logdir: Path) -> Trained:
    """The model of the run in `logdir` and its labelled images.

    Of a finished run it reads model.keras and labeled.npz. A run that has not ended is
    taken as of its newest checkpoint, for which its data must be in reach.

    Raises:
        InputError: there is no run or no checkpoint yet, or a file is damaged.
    """
    recipe = directory.read_begun_recipe(logdir)
    if (logdir / directory.MODEL).is_file() and (logdir / directory.LABELED).is_file():
        return Trained(
            load_model(logdir / directory.MODEL), _load_labeled(logdir / directory.LABELED)
        )
    setup = experiment.build_again(recipe, logdir)
    checkpoints.restore(setup.model, checkpoints.newest(logdir))
    take_averages(setup.model)
    return Trained(setup.model, collect_labeled(setup))


def _load_labeled(path: Path) -> Labeled:
    arrays = read_npz(path)
    wanted = Labeled.__dataclass_fields__
    if not wanted.keys() <= arrays.keys():
        raise InputError(f"{path} is damaged or of another version; delete it to do without")
    return Labeled(**{name: arrays[name] for name in wanted})
