"""The paper's figure 4: images and their nearest neighbours among the unlabelled ones."""

import numpy as np
from matplotlib.figure import Figure

from semisup.data.dataset import Dataset
from semisup.data.splits import Split
from semisup.evaluation.metrics import predict
from semisup.evaluation.neighbors import nearest
from semisup.models.associative_model import AssociativeModel
from semisup.visualization.plots import draw_images

_NEIGHBOURS = 5
_CLASSES = 10  # at most, a row each
_UNKNOWN = 4  # rows of unlabelled images, where the data set brings some of its own
_AT_MOST = 10_000  # unlabelled images to search, which bounds the time


def neighbours_figure(model: AssociativeModel, dataset: Dataset, split: Split) -> Figure:
    """A test image of each class, and its 5 nearest unlabelled images with their similarity.

    Where the data set brings unlabelled images of its own, some of these are looked up too,
    below the others: they may be of classes that nobody labelled.

    Args:
        model: whose embeddings to compare.
        dataset: where the images are from.
        split: which of them are unlabelled.
    """
    random = np.random.default_rng(0)
    count = min(_AT_MOST, len(split.unlabeled))
    pool = np.sort(random.choice(split.unlabeled, count, replace=False))
    embeddings = predict(model, dataset.unlabeled_pool[pool]).embeddings
    classes = np.unique(dataset.test_labels)[:_CLASSES]
    tests = [random.choice(np.flatnonzero(dataset.test_labels == c)) for c in classes]
    test_images = [np.asarray(dataset.test_images[i]) for i in tests]
    found = nearest(predict(model, np.stack(test_images)).embeddings, embeddings, _NEIGHBOURS)
    rows = [
        (image, dataset.class_names[c], *row)
        for image, c, *row in zip(test_images, classes, *found, strict=True)
    ]
    if dataset.unlabeled_images is not None:
        unknown = random.choice(count, min(_UNKNOWN, count), replace=False)
        found = nearest(embeddings[unknown], embeddings, _NEIGHBOURS + 1)
        for i, indices, similarity in zip(unknown, *found, strict=True):
            others = np.flatnonzero(indices != i)[:_NEIGHBOURS]  # not the image itself
            image = np.asarray(dataset.unlabeled_pool[pool[i]])
            rows.append((image, "unlabelled", indices[others], similarity[others]))
    return _draw(rows, dataset, pool)


def _draw(rows: list[tuple], dataset: Dataset, pool: np.ndarray) -> Figure:
    """Two blocks of rows side by side: image, gap, neighbours."""
    half = -(-len(rows) // 2)
    figure = Figure(figsize=(14.0, 1.02 * half + 0.5), layout="constrained")
    figure.suptitle(
        f"{dataset.name}: test images, and the nearest of {len(pool):,} unlabelled ones by cosine"
    )
    # As wide as one image, as five, and as nothing, so that all images come out alike.
    grid = figure.add_gridspec(half, 5, width_ratios=(1.1, 5.42, 0.3, 1.1, 5.42))
    for i, (image, name, indices, similarity) in enumerate(rows):
        block, row = divmod(i, half)
        axes = figure.add_subplot(grid[row, 3 * block])
        draw_images(axes, [image], 1)
        upright = 0 if len(name) <= 2 else 90
        axes.text(-0.1, -0.5, name[:12], rotation=upright, ha="right", va="center")
        axes = figure.add_subplot(grid[row, 3 * block + 1])
        neighbours = [np.asarray(dataset.unlabeled_pool[pool[j]]) for j in indices]
        draw_images(axes, neighbours, _NEIGHBOURS, corners=[f"{s:.2f}" for s in similarity])
    return figure
