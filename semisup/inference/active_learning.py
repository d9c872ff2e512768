"""Active learning: suggest unlabelled images to label, by the walk's visits and uncertainty.

A label is expected to help by two criteria, each in [0, 1] as a rank among all candidates:

    rarity        the walk seldom visits the image: a low visit probability, equation (9)
    uncertainty   from there the walk steps back to several classes: the entropy of P_ba,
                  equation (2), summed over the labelled images of each class

The score is their mean. Ranks, since after training both are close to 0 or 1 for most
images. So that the images chosen stand for many others, all candidates are put into as many
clusters as images are wanted; of each cluster's upper half by score, the image nearest to the
cluster's centre is taken. (The highest scores alone are mostly outliers, whose labels help less
than random ones: docs/studies.)
"""

import csv
import io
from typing import NamedTuple

import numpy as np
from scipy.stats import entropy, rankdata

from semisup.data.dataset import evenly_spaced
from semisup.data.labeled_data import LabeledData
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.evaluation.neighbors import unit_rows
from semisup.losses import association, blockwise, class_mass
from semisup.models.associative_model import AssociativeModel
from semisup.runs import files
from semisup.runs.directory import RunDirectory
from semisup.visualization import contact_sheet, save, short_names

# Of more labelled images, this many are taken: P_ab has a row for each.
_LABELED = 1000

COLUMNS = ("path", "score", "visit_probability", "uncertainty", "back_to")


class WalkStatistics(NamedTuple):
    """Statistics of the walk for each unlabelled image, arrays [M].

    Attributes:
        visit: visit probability P_visit, equation (9); they sum to 1.
        uncertainty: entropy of the class that the walker steps back to, divided by that of
            an even choice: in [0, 1].
        back_to: the most probable of these classes, an integer.
    """

    visit: np.ndarray
    uncertainty: np.ndarray
    back_to: np.ndarray


def walk_statistics(
    A: np.ndarray,
    B: np.ndarray,
    labels: np.ndarray,
    similarity: str = "dot",
    temperature: float = 1.0,
) -> WalkStatistics:
    """Compute the visit probability of each B_j, and the class that the walk steps back to.

    Args:
        A: labelled embeddings [N, D].
        B: unlabelled embeddings [M, D].
        labels: classes of A [N].
        similarity: see `association.similarity_matrix`.
        temperature: likewise.
    """
    # By blocks of B, whatever their number: A x B of them may be far too many at once.
    block_size = blockwise.BLOCK_SIZE
    walk = blockwise.class_walk(
        *association.as_dot(A, B, similarity, temperature), labels, block_size
    )
    classes = int(np.max(labels)) + 1
    back = class_mass(A, B, labels, classes, similarity, temperature, block_size=block_size)
    back = np.asarray(back, np.float64)
    # Of one class there is no doubt, and its logarithm is 0.
    uncertainty = entropy(back, axis=1) / np.log(max(len(np.unique(labels)), 2))
    return WalkStatistics(np.asarray(walk.P_visit), uncertainty, back.argmax(axis=1))


def balanced(labels: np.ndarray, most: int) -> np.ndarray:
    """Places of as many images of each class, as in a training batch.

    Large classes would draw the steps to them, and start most walks. Images of small classes come
    again.

    Args:
        labels: classes of the images [N].
        most: images in all; more only if there are more classes.
    """
    classes, counts = np.unique(labels, return_counts=True)
    each = min(int(counts.max()), max(1, most // len(classes)))
    chosen = []
    for c in classes:
        places = np.flatnonzero(labels == c)
        # From all of them: files in order may be of one day each.
        some = places[evenly_spaced(len(places), each)]
        chosen.append(np.resize(some, each))
    return np.concatenate(chosen)


def scores(statistics: WalkStatistics) -> np.ndarray:
    """The mean of both ranks, float64 [M] in [0, 1]; high where a label is expected to help."""
    ranks = [rankdata(values) for values in (-statistics.visit, statistics.uncertainty)]
    return (np.mean(ranks, axis=0) - 1) / max(len(statistics.visit) - 1, 1)


def choose(score: np.ndarray, B: np.ndarray, count: int) -> np.ndarray:
    """The `count` images to label, no two alike, as indices; the highest score first.

    Args:
        score: of each image [M].
        B: their embeddings [M, D].
        count: how many; at most M.
    """
    from sklearn.cluster import KMeans

    directions = unit_rows(B)
    clusters = min(count, len(np.unique(directions, axis=0)))
    grouping = KMeans(clusters, n_init=3, random_state=0).fit(directions)
    distance = np.linalg.norm(directions - grouping.cluster_centers_[grouping.labels_], axis=1)
    chosen = []
    for cluster in np.unique(grouping.labels_):  # some are empty where images hardly differ
        members = np.flatnonzero(grouping.labels_ == cluster)
        upper = members[score[members] >= np.median(score[members])]
        chosen.append(upper[np.argmin(distance[upper])])
    return np.array(sorted(chosen, key=lambda i: (-score[i], i)))


def check_candidates(data: LabeledData) -> None:
    """Raise InputError if every image has a label already."""
    if len(data.candidates) == 0:
        raise InputError(
            f"every image of {data.dataset.name} is already labelled, so there is none to suggest; "
            "train with images in unlabeled/, or with fewer labels (`sup_per_class`)"
        )


def why_fewer(data: LabeledData, chosen: int) -> str:
    """Why `write` has chosen fewer images than it was asked for."""
    candidates = len(data.candidates)
    if chosen == candidates:
        return f"the run has only {candidates:,} unlabelled images"
    return f"all {candidates:,} unlabelled images have nearly the same embedding as one of these"


def write(
    folder: RunDirectory, data: LabeledData, model: AssociativeModel, count: int
) -> np.ndarray:
    """Suggest images to label, as two files in a folder.

    Writes suggestions.csv (the image, its score and statistics, the class that the walker
    steps back to) and suggestions.png, a contact sheet of the images.

    Args:
        folder: where to.
        data: the images, and which of them are labelled and unlabelled.
        model: the trained model.
        count: how many to suggest; fewer where `why_fewer` says so.

    Returns:
        Their places in the data set's unlabelled pool, the most useful first.

    Raises:
        InputError: every image has a label already.
    """
    check_candidates(data)
    dataset, candidates = data.dataset, data.candidates
    labeled = data.split.labeled[balanced(data.labeled_labels, _LABELED)]
    A = predict(model, dataset.train_images[labeled]).embeddings
    B = predict(model, dataset.unlabeled_pool[candidates]).embeddings
    statistics = walk_statistics(
        A, B, dataset.train_labels[labeled], model.similarity, model.temperature
    )
    score = scores(statistics)
    chosen = choose(score, B, min(count, len(candidates)))
    names, classes = dataset.pool_names(candidates[chosen]), dataset.class_names
    rows = [
        (
            name,
            f"{score[i]:.4f}",
            f"{statistics.visit[i]:.3g}",
            f"{statistics.uncertainty[i]:.4f}",
            classes[statistics.back_to[i]],
        )
        for name, i in zip(names, chosen, strict=True)
    ]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([COLUMNS, *rows])
    table, picture = folder.suggestions
    files.write_text(table, text.getvalue())
    images = np.asarray(dataset.unlabeled_pool[candidates[chosen]])
    short = short_names(classes, 12)
    captions = [
        f"{rank}: {short[statistics.back_to[i]]}?\n{statistics.uncertainty[i]:.2f}"
        for rank, i in enumerate(chosen, start=1)
    ]
    title = "label these next: number, most probable class, uncertainty"
    save(contact_sheet(images, captions, title), picture)
    return candidates[chosen]
