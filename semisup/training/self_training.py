"""Self-training: a finished run labels unlabelled images for the next one. Ours, not the paper's.

What the walker and the visit loss make is a classifier that errs on few of the unlabelled images,
and on fewer still of those it is sure of. A new network learns from these as from any labelled
image, with a walk or without. (Xie et al., "Self-training with Noisy Student improves ImageNet
classification", CVPR 2020, is the same idea.) BUILD_NOTES.md has what it brings on MNIST.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisup.config import Recipe
from semisup.data.dataset import Dataset, Images
from semisup.data.lazy_images import together
from semisup.data.npz import read_npz
from semisup.data.splits import Split, read_split
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.models.associative_model import AssociativeModel
from semisup.models.backbones import load_model
from semisup.runs import directory, files


@dataclass(frozen=True)
class Taught:
    """Images of the unlabelled pool, and the classes that a teacher gave them.

    Attributes:
        indices: into the data set's `unlabeled_pool`, int64 [n], ascending.
        labels: their classes, int64 [n].
    """

    indices: np.ndarray
    labels: np.ndarray


def taught_to(logdir: Path, recipe: Recipe, dataset: Dataset, split: Split) -> Taught | None:
    """What the run in `logdir` learns from its teacher, if it has one.

    A run that has begun keeps this, so that it goes on with the same labels whatever became of
    its teacher.

    Raises:
        InputError: as `teach`, or what the run has kept is damaged.
    """
    if not recipe.teacher:
        return None
    path = logdir / directory.TAUGHT
    if not path.exists():
        return teach(Path(recipe.teacher), dataset, split, recipe.teacher_share)
    arrays = read_npz(path)
    indices, labels = (arrays.get(name, np.empty(0)) for name in ("indices", "labels"))
    sizes = {"indices": len(dataset.unlabeled_pool), "labels": dataset.num_classes}
    for name, values in (("indices", indices), ("labels", labels)):
        if (
            values.dtype != np.int64
            or values.shape != indices.shape[:1]
            or np.any((values < 0) | (values >= sizes[name]))
        ):
            raise InputError(f"{path} is damaged: its {name} are not those of {dataset.name}")
    return Taught(indices, labels)


def keep(logdir: Path, taught: Taught) -> None:
    """Write what a teacher said to the run's folder, whole or not at all."""
    with files.whole(logdir / directory.TAUGHT) as temporary:
        np.savez_compressed(temporary, **vars(taught))


def teach(teacher: Path, dataset: Dataset, split: Split, share: float) -> Taught:
    """Labels of the unlabelled images that the run in `teacher` is surest of.

    The surest are those of the greatest probability of any class. Labelled images are left out,
    and so are classes of which no image is labelled.

    Args:
        teacher: the folder of a finished run.
        dataset: where the images are.
        split: which of them are labelled, and which unlabelled.
        share: how many of the unlabelled ones get a label, in (0, 1].

    Raises:
        InputError: the folder holds no finished run, or one of other classes or images.
    """
    model = _load(teacher, dataset)
    pool, candidates = dataset.unlabeled_pool, split.unlabeled
    if dataset.unlabeled_images is None:
        candidates = np.setdiff1d(candidates, split.labeled)
    if len(candidates) == 0:
        return Taught(candidates, candidates)
    logits = predict(model, pool[candidates]).logits
    labels = logits.argmax(axis=1)
    of_labelled = np.isin(labels, dataset.train_labels[split.labeled])
    sureness = np.where(of_labelled, _log_odds(logits), -np.inf)
    wanted = min(round(share * len(candidates)), int(of_labelled.sum()))
    surest = np.sort(np.argsort(-sureness, kind="stable")[:wanted])
    return Taught(candidates[surest], labels[surest].astype(np.int64))


def joined(dataset: Dataset, split: Split, taught: Taught | None) -> tuple[Images, np.ndarray]:
    """All images to learn the labels of, and these labels: the split's own, then the taught."""
    images, labels = dataset.train_images[split.labeled], dataset.train_labels[split.labeled]
    if taught is None:
        return images, labels
    more = dataset.unlabeled_pool[taught.indices]
    return together(images, more), np.concatenate([labels, taught.labels])


def labels_beyond(recipe: Recipe, dataset: Dataset, split: Split) -> int:
    """How many labels the teacher learned from that are not among the run's own.

    0 where they can't be compared: of another data set, or when the teacher is gone.
    """
    teacher = Path(recipe.teacher or "")
    try:
        before = directory.read_recipe(teacher)
        known = read_split(teacher / directory.SPLIT, dataset)
    except InputError:
        return 0
    if (before.dataset, before.data_dir) != (recipe.dataset, recipe.data_dir):
        return 0
    return len(np.setdiff1d(known.labeled, split.labeled))


def _log_odds(logits: np.ndarray) -> np.ndarray:
    """Of the most probable class against all others, [N].

    It orders as that class's probability does, which is 1 in float32 for very many images.
    """
    ascending = np.sort(logits.astype(np.float64), axis=1)
    return ascending[:, -1] - np.logaddexp.reduce(ascending[:, :-1], axis=1)


def _load(teacher: Path, dataset: Dataset) -> AssociativeModel:
    path = teacher / directory.MODEL
    if not path.is_file() or directory.read_result(teacher) is None:
        raise InputError(
            f"there is no finished run in {teacher}; --teacher must name the folder of one"
        )
    model = load_model(path)
    names = tuple(read_npz(teacher / directory.LABELED).get("class_names", ()))
    if not isinstance(model, AssociativeModel) or names != dataset.class_names:
        raise InputError(
            f"the run in {teacher} does not tell the {dataset.num_classes} classes of "
            f"{dataset.name} apart; --teacher must name a run on the same data"
        )
    shape = getattr(model.network, "input_shape", (None, *dataset.image_shape))[1:]
    if shape != dataset.image_shape:
        raise InputError(
            f"the run in {teacher} takes images of {'x'.join(map(str, shape))}, not of "
            f"{'x'.join(map(str, dataset.image_shape))}; --teacher must name a run on such images"
        )
    return model
