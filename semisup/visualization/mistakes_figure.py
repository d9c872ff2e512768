"""The paper's figure 3: what was labelled, what is mistaken for what, and examples of it."""

import numpy as np
from matplotlib.figure import Figure

from semisup.data.dataset import Dataset
from semisup.data.splits import Split
from semisup.evaluation.metrics import count_mistakes
from semisup.visualization import figures
from semisup.visualization.plots import draw_images

_CLASSES, _PER_CLASS = 20, 10  # of the labelled images, at most
_ARROW = "\N{RIGHTWARDS ARROW}"
_MISTAKES_WIDE, _MISTAKES_HIGH = 10, 4  # images


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

    shown = _labelled_images(dataset, split)
    axes = figure.add_subplot(left[0])
    draw_images(axes, shown, _PER_CLASS * max(1, round(len(shown) / _PER_CLASS**2)))
    some = "all" if len(shown) == len(split.labeled) else f"{len(shown)} of"
    axes.set_title(f"{some} {len(split.labeled):,} labelled images")

    mistakes = surest_mistakes(dataset.test_labels, logits, _MISTAKES_WIDE * _MISTAKES_HIGH)
    names = [name[:8] for name in dataset.class_names]
    # Names of two letters fit side by side, longer ones below each other.
    between = " " if max(map(len, names)) <= 2 else "\n"
    words = [
        f"{names[dataset.test_labels[i]]}{between}{_ARROW} {names[predicted[i]]}" for i in mistakes
    ]
    images = [np.asarray(dataset.test_images[i]) for i in mistakes]
    axes = figure.add_subplot(left[1])
    draw_images(axes, images, _MISTAKES_WIDE, words=words, word_size=8 if between == " " else 5.9)
    wrong = int(np.sum(predicted != dataset.test_labels))
    some = f"all {wrong}" if wrong == len(mistakes) else f"the {len(mistakes)} surest of {wrong:,}"
    title = f"{some} misclassified test images: true {_ARROW} predicted"
    axes.set_title(title if wrong else "no test image is misclassified")

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


def _labelled_images(dataset: Dataset, split: Split) -> list[np.ndarray]:
    """Labelled images by class, the first few of each of the first few classes."""
    labels = dataset.train_labels[split.labeled]
    classes = np.unique(labels)[:_CLASSES]
    rows = np.concatenate([split.labeled[labels == c][:_PER_CLASS] for c in classes])
    return [np.asarray(dataset.train_images[i]) for i in rows]
