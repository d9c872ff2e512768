"""The paper's figure 3: what was labelled, what is mistaken for what, and examples of it."""

import numpy as np
from matplotlib.figure import Figure

from semisup import figures
from semisup.data.dataset import Dataset
from semisup.data.splits import Split
from semisup.evaluation import count_mistakes
from semisup.montage import draw_images

_CLASSES, _PER_CLASS = 20, 10  # of the labelled images, at most
_MISTAKES_WIDE, _MISTAKES_HIGH = 10, 4


def mistakes_figure(dataset: Dataset, split: Split, logits: np.ndarray) -> Figure:
    """Labelled images, misclassified test images with "true > predicted", confusion matrix.

    Args:
        dataset: where the images are from.
        split: which training images are labelled.
        logits: of the test images, float [T, classes].
    """
    predicted = logits.argmax(axis=1)
    report = count_mistakes(dataset.test_labels, predicted, dataset.class_names)
    figure = Figure(figsize=(15.0, 8.2), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 1.32))
    left = grid[0].subgridspec(2, 1, height_ratios=(_PER_CLASS, 1.34 * _MISTAKES_HIGH + 1.5))

    shown, all_shown = _labelled_images(dataset, split)
    axes = figure.add_subplot(left[0])
    draw_images(axes, shown, _PER_CLASS * -(-len(shown) // (_PER_CLASS * _PER_CLASS)))
    axes.set_title(
        f"{'all' if all_shown else 'some'} of the {len(split.labeled):,} labelled images"
    )

    mistakes = surest_mistakes(dataset.test_labels, logits, _MISTAKES_WIDE * _MISTAKES_HIGH)
    wrong = int(np.sum(predicted != dataset.test_labels))
    axes = figure.add_subplot(left[1])
    names = [name[:8] for name in dataset.class_names]
    words = [
        f"{names[dataset.test_labels[i]]} \N{RIGHTWARDS ARROW} {names[predicted[i]]}"
        for i in mistakes
    ]
    draw_images(axes, [dataset.test_images[i] for i in mistakes], _MISTAKES_WIDE, words=words)
    some = "all" if len(mistakes) == wrong else f"the {len(mistakes)} surest"
    axes.set_title(
        f"{some} of {wrong:,} misclassified test images: true \N{RIGHTWARDS ARROW} predicted"
    )
    axes = figure.add_subplot(grid[1])
    figures.draw_confusion(axes, report)
    axes.set_title(f"{dataset.name}: test error {report.error:.2f} %")
    return figure


def surest_mistakes(labels: np.ndarray, logits: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` misclassified images, by true class and then as predicted.

    Where there are more, those that the classifier is surest of.

    Args:
        labels: true classes [T].
        logits: float [T, classes].
        count: how many at most.
    """
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    shifted = logits[wrong] - logits[wrong].max(axis=1, keepdims=True)
    sureness = 1.0 / np.exp(shifted).sum(axis=1)  # the softmax at the predicted class
    chosen = wrong[np.argsort(-sureness, kind="stable")[:count]]
    return chosen[np.lexsort((predicted[chosen], labels[chosen]))]


def _labelled_images(dataset: Dataset, split: Split) -> tuple[list[np.ndarray], bool]:
    """Labelled images by class, and whether these are all there are."""
    labels = dataset.train_labels[split.labeled]
    classes = np.unique(labels)[:_CLASSES]
    rows = np.concatenate([split.labeled[labels == c][:_PER_CLASS] for c in classes])
    return [np.asarray(dataset.train_images[i]) for i in rows], len(rows) == len(split.labeled)
