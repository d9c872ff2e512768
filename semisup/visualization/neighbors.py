"""The paper's figure 4: images and their nearest neighbours among the unlabelled ones."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from semisup.data.dataset import evenly_spaced
from semisup.data.labeled_data import LabeledData
from semisup.evaluation.metrics import Evaluation, predict
from semisup.evaluation.neighbors import nearest
from semisup.models.associative_model import AssociativeModel
from semisup.visualization.plots import draw_images
from semisup.visualization.text import short_name, short_names, text_properties

_NEIGHBORS = 5
_CLASSES = 10  # at most, a row each
_UNKNOWN = 4  # rows of unlabelled images, where the data set brings some of its own


class _Row(NamedTuple):
    """An image of figure 4 with its neighbours, which are indices into the unlabelled pool."""

    image: np.ndarray
    name: str
    label: int | None
    neighbors: np.ndarray
    similarity: np.ndarray


def neighbors_figure(
    model: AssociativeModel, data: LabeledData, evaluation: Evaluation, among: int = 10_000
) -> Figure:
    """The paper's figure 4: test images and their 5 nearest unlabelled images, by cosine.

    One test image of each class, of at most ten classes. Where the true classes of the
    unlabelled images are known, a frame tells the neighbours of the same class from others.
    Where the data set brings unlabelled images of its own, some of these are looked up too,
    below the others: they may be of classes that nobody labelled. So they are where there are no
    test images.

    Args:
        model: the model.
        data: where the images are from.
        evaluation: of the model on the test images.
        among: at most so many of the unlabelled images are embedded and searched.
    """
    dataset, split = data.dataset, data.split
    random = np.random.default_rng(0)
    count = min(among, len(split.unlabeled))
    pool = np.sort(random.choice(split.unlabeled, count, replace=False))
    embeddings = predict(model, dataset.unlabeled_pool[pool]).embeddings
    classes = np.unique(dataset.test_labels)
    classes = classes[evenly_spaced(len(classes), _CLASSES)]
    tests = np.array(
        [random.choice(np.flatnonzero(dataset.test_labels == c)) for c in classes], np.int64
    )
    found = nearest(evaluation.embeddings[tests], embeddings, _NEIGHBORS)
    names = short_names(dataset.class_names, 10)
    rows = [
        _Row(np.asarray(dataset.test_images[i]), names[c], int(c), pool[indices], similarity)
        for i, c, indices, similarity in zip(tests, classes, *found, strict=True)
    ]
    present = len(np.unique(dataset.test_labels))
    some = f" of {len(classes)} of the {present} classes" if len(classes) < present else ""
    queries = f"test images{some}" if rows else "some unlabelled images"
    if dataset.unlabeled_images is not None or not rows:
        queries += " and some unlabelled ones" if rows else ""
        # Not the training images, which may be in the pool, too, and labelled.
        first = len(dataset.train_labels) if rows and dataset.train_in_pool else 0
        own = np.flatnonzero(pool >= first)
        unknown = random.choice(own, min(_UNKNOWN, len(own)), replace=False)
        found = nearest(embeddings[unknown], embeddings, _NEIGHBORS + 1)
        for i, indices, similarity in zip(unknown, *found, strict=True):
            others = np.flatnonzero(indices != i)[:_NEIGHBORS]  # not the image itself
            image = np.asarray(dataset.unlabeled_pool[pool[i]])
            rows.append(_Row(image, "unlabelled", None, pool[indices[others]], similarity[others]))
    title = f"{short_name(dataset.name)}: {queries}, each with the nearest of {count:,} "
    title += "unlabelled images"
    if dataset.unlabeled_images is None and len(tests):
        title += "\nblue frame: of the same class; dashed orange: of another"
    return _draw_rows(rows, data, title)


def _draw_rows(rows: list[_Row], data: LabeledData, title: str) -> Figure:
    """Two blocks of rows side by side: image, gap, neighbours."""
    dataset, half = data.dataset, -(-len(rows) // 2)
    figure = Figure(figsize=(14.0, 1.12 * half + 0.7), layout="constrained")
    figure.suptitle(title, **text_properties())
    # As wide as one image, as five, and as nothing, so that all images come out alike.
    grid = figure.add_gridspec(half, 5, width_ratios=(1.1, 5.42, 0.3, 1.1, 5.42))
    for i, row in enumerate(rows):
        block, line = divmod(i, half)
        axes = figure.add_subplot(grid[line, 3 * block])
        draw_images(axes, [row.image], 1)
        height = row.image.shape[0]
        name = axes.text(-0.08 * height, 0.5 * height, row.name, va="center", **text_properties())
        name.set(ha="right", rotation=0 if len(row.name) <= 2 else 90)
        right = None
        if dataset.unlabeled_images is None and row.label is not None:
            right = dataset.train_labels[row.neighbors] == row.label
        axes = figure.add_subplot(grid[line, 3 * block + 1])
        images = [np.asarray(dataset.unlabeled_pool[j]) for j in row.neighbors]
        corners = [f"{s:.2f}" for s in row.similarity]
        draw_images(axes, images, _NEIGHBORS, corners=corners, right=right)
    return figure
