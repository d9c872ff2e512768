"""Self-training: a finished run labels unlabelled images for the next one. Ours, not the paper's.

The walker and the visit loss learn from which images lie together; what comes of that is a
classifier that errs on few of the unlabelled images, and on fewer still of those it is sure of.
A network that learns from these as from any labelled image, without a walk, errs less than
its teacher. (Xie et al., "Self-training with Noisy Student", CVPR 2020, is the same idea.)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisup.backbones import load_model
from semisup.data.dataset import Dataset, Images
from semisup.data.splits import Split
from semisup.data.stored_images import together
from semisup.errors import InputError
from semisup.evaluation import predict
from semisup.model import AssociativeModel
from semisup.runs import MODEL


@dataclass(frozen=True)
class Taught:
    """Images of the unlabelled pool, and the classes that a teacher gave them.

    Attributes:
        indices: into the data set's `unlabeled_pool`, int64 [n], ascending.
        labels: their classes, int64 [n].
    """

    indices: np.ndarray
    labels: np.ndarray


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
    logits = predict(model, pool[candidates])["logits"]
    labels = logits.argmax(axis=1)
    of_labelled = np.isin(labels, dataset.train_labels[split.labeled])
    # The greatest log probability, less than 0 by the log of the sum over all classes.
    sureness = -np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1))
    sureness[~of_labelled] = -np.inf
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


def _load(teacher: Path, dataset: Dataset) -> AssociativeModel:
    path = teacher / MODEL
    if not path.is_file():
        raise InputError(f"there is no {path}; --teacher must name the folder of a finished run")
    model = load_model(path)
    shape = getattr(model, "network", model).input_shape[1:]
    if not isinstance(model, AssociativeModel) or model.num_classes != dataset.num_classes:
        raise InputError(
            f"the run in {teacher} does not tell the {dataset.num_classes} classes of "
            f"{dataset.name} apart; --teacher must name a run on the same data"
        )
    if shape != dataset.image_shape:
        raise InputError(
            f"the run in {teacher} takes images of {'x'.join(map(str, shape))}, not of "
            f"{'x'.join(map(str, dataset.image_shape))}; --teacher must name a run on such images"
        )
    return model
