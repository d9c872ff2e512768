"""Self-training: a finished run labels unlabelled images for the next one. Ours, not the paper's.

A classifier trained by association is wrong on few unlabelled images, and on fewer still of those
it is most confident about. A new network learns from these as from any labelled image, with a walk
or without. (Xie et al., "Self-training with Noisy Student improves ImageNet classification", CVPR
2020, is the same idea.) docs/studies/mnist.md has what it brings.
"""

from collections.abc import Sequence

import numpy as np
from absl import logging

from semisup.config import Recipe
from semisup.data import npz, splits
from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData, PseudoLabels
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.models.associative_model import AssociativeModel
from semisup.models.backbones import load_model
from semisup.runs.directory import RunDirectory


def predict_pseudo_labels(teacher: RunDirectory, data: LabeledData, share: float) -> PseudoLabels:
    """Predict labels for the unlabelled images of which a finished run is most confident.

    Confidence is the probability of the predicted class. Labelled images are left out, and so
    are classes of which no image is labelled.

    Args:
        teacher: the folder of a finished run.
        data: the images, and which of them are labelled and unlabelled.
        share: how many of the unlabelled ones get a label, in (0, 1].

    Raises:
        InputError: the folder holds no finished run, or one of other classes or images.
    """
    dataset, candidates = data.dataset, data.candidates
    model = load_teacher(teacher, dataset)
    _warn_of_other_values(teacher, dataset)
    if len(candidates) == 0:
        return PseudoLabels(candidates, candidates)
    logits = predict(model, dataset.unlabeled_pool[candidates]).logits
    labels = logits.argmax(axis=1)
    of_labeled_class = np.isin(labels, data.labeled_labels)
    confidence = np.where(of_labeled_class, _log_odds(logits), -np.inf)
    wanted = min(round(share * len(candidates)), int(of_labeled_class.sum()))
    chosen = np.sort(np.argsort(-confidence, kind="stable")[:wanted])
    return PseudoLabels(candidates[chosen], labels[chosen].astype(np.int64))


def labels_beyond(recipe: Recipe, data: LabeledData) -> int:
    """Count the labels that earlier runs learned from and that are not among the run's own.

    These are its teacher and the run that it is `init_from`, theirs, and so on. Those that can't
    be compared do not count: of another data set, or of a run that is gone.
    """
    known, seen = np.empty(0, np.int64), set[RunDirectory]()
    names = [recipe.teacher, recipe.init_from]
    while names:
        if not (name := names.pop()) or (run := RunDirectory(name)) in seen:
            continue  # `overwrite` may have made a run its own teacher's teacher
        seen.add(run)
        try:
            before = run.read_recipe()
            labeled = splits.read_labeled(run.split, data.dataset)
        except InputError:
            continue
        if (before.dataset, before.data_dir) == (recipe.dataset, recipe.data_dir):
            known = np.union1d(known, labeled)
            names += [before.teacher, before.init_from]
    return len(np.setdiff1d(known, data.split.labeled))


def _log_odds(logits: np.ndarray) -> np.ndarray:
    """Of the most probable class against all others, [N].

    It orders as that class's probability does, which is 1 in float32 for very many images.
    """
    ascending = np.sort(logits.astype(np.float64), axis=1)
    return ascending[:, -1] - np.logaddexp.reduce(ascending[:, :-1], axis=1)


def load_teacher(teacher: RunDirectory, dataset: Dataset) -> AssociativeModel:
    """Load the model of a finished run that can label the images of a data set.

    Raises:
        InputError: the folder holds no finished run, or one of other classes or images.
    """
    path = teacher.model
    if not path.is_file() or teacher.read_result() is None:
        raise InputError(
            f"there is no finished run in {teacher}; `teacher` must name the folder of one"
        )
    model = load_model(path)
    names = teacher.read_class_names()
    if not isinstance(model, AssociativeModel) or names != dataset.class_names:
        raise InputError(
            f"the run in {teacher} does not classify the {dataset.num_classes} classes of "
            f"{dataset.name}; `teacher` must name a run on the same data"
        )
    shape = getattr(model.network, "input_shape", (None, *dataset.image_shape))[1:]
    if shape != dataset.image_shape:
        raise InputError(
            f"the run in {teacher} takes images of {'x'.join(map(str, shape))}, not of "
            f"{'x'.join(map(str, dataset.image_shape))}; `teacher` must name a run on such images"
        )
    return model


def _warn_of_other_values(teacher: RunDirectory, dataset: Dataset) -> None:
    """Warn if the teacher's images became bytes by another range of values."""
    values_in = tuple(npz.read_npz(teacher.labeled, ["values_in"]).get("values_in", ()))
    if values_in != tuple(dataset.values_in or ()):
        logging.warning(
            f"the run in {teacher} read values from {_range(values_in)} as 0 to 255, but "
            f"{dataset.name} is read from {_range(dataset.values_in)}: the teacher sees other "
            "brightness than it has learned, so its labels may be wrong"
        )


def _range(values_in: Sequence[float] | None) -> str:
    return f"{values_in[0]:g} to {values_in[1]:g}" if values_in else "0 to 255"
