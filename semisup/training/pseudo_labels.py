"""The pseudo-labels of a run: where they come from, and how they are recorded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semisup import experiment
from semisup.config import Recipe
from semisup.data import npz
from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData, PseudoLabels
from semisup.errors import InputError
from semisup.runs import files
from semisup.runs.directory import RunDirectory
from semisup.training import cluster_labels, self_training


def check_teacher(recipe: Recipe, dataset: Dataset) -> None:
    """Raise InputError if the recipe has a teacher that can't label the images of the data set."""
    if recipe.teacher:
        self_training.load_teacher(RunDirectory(recipe.teacher), dataset)


def of_run(run: RunDirectory, recipe: Recipe, data: LabeledData) -> PseudoLabels | None:
    """Return the pseudo-labels that a run learns, if it has a teacher or takes those of clusters.

    A run that has begun keeps them, so that it goes on with the same ones whatever became of
    its teacher.

    Raises:
        InputError: as `self_training.predict_pseudo_labels`, or what the run has kept is damaged.
    """
    # Labels of clusters are a use of unlabelled images: none where only labels are to be used.
    of_clusters = recipe.cluster_share and recipe.associates and experiment.uses_features(recipe)
    if not recipe.teacher and not of_clusters:
        return None
    if run.pseudo_labels.exists():
        return _read(run.pseudo_labels, data.dataset)
    if recipe.teacher:
        teacher = RunDirectory(recipe.teacher)
        return self_training.predict_pseudo_labels(teacher, data, recipe.teacher_share)
    return cluster_labels.predict_cluster_labels(data, recipe.cluster_share)


def _read(path: Path, dataset: Dataset) -> PseudoLabels:
    arrays = npz.read_npz(path)
    indices, labels = (arrays.get(name, np.empty(0)) for name in ("indices", "labels"))
    sizes = {"indices": len(dataset.unlabeled_pool), "labels": dataset.num_classes}
    for name, values in (("indices", indices), ("labels", labels)):
        if (
            values.dtype != np.int64
            or values.shape != indices.shape[:1]
            or np.any((values < 0) | (values >= sizes[name]))
        ):
            raise InputError(f"{path} is damaged: its {name} are not those of {dataset.name}")
    return PseudoLabels(indices, labels)


def keep(run: RunDirectory, pseudo_labels: PseudoLabels) -> None:
    """Write the pseudo-labels to the run's folder, whole or not at all."""
    with files.whole(run.pseudo_labels) as temporary:
        np.savez_compressed(temporary, **vars(pseudo_labels))


def describe(recipe: Recipe, data: LabeledData) -> Iterator[str]:
    """Yield the lines that say where a run's pseudo-labels are from, or why there are none."""
    if data.pseudo_labels is None:
        if recipe.cluster_share and recipe.associates:
            yield (
                "No pseudo-labels from clusters: they need the features of a pretrained network "
                "that stays frozen, without augmentation"
            )
        return
    source = "the most typical ones of each cluster get its class"
    if recipe.teacher:
        if recipe.cluster_share:
            yield "No pseudo-labels from clusters: those of the teacher are used"
        source = f"those about which {recipe.teacher} is most confident"
    if count := len(data.pseudo_labels.indices):
        yield f"{count:,} of the unlabelled ones have pseudo-labels: {source}"
    elif recipe.teacher:
        yield "The teacher labels no image: all are labelled already, or `teacher_share` is too low"
