"""The paper's figure 3: labelled images, confusion matrix and misclassified test images."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from semisup.data.labeled_data import LabeledData
from semisup.evaluation.metrics import Evaluation
from semisup.visualization.plots import draw_confusion, draw_images
from semisup.visualization.text import short_name, short_names, text_properties

# Labelled images of a class, at most, and of all, if that is at least one of each class.
_PER_CLASS, _LABELED = 10, 200
_ARROW = "\N{RIGHTWARDS ARROW}"


class _Layout(NamedTuple):
    """How the misclassified images are laid out, with the names of both classes above each."""

    columns: int
    rows: int
    between: str
    text_size: float


# Names of two letters fit side by side, longer ones below each other.
_SHORT_NAMES, _LONG_NAMES = _Layout(10, 4, " ", 8.0), _Layout(8, 3, "\n", 6.5)


def mistakes_figure(data: LabeledData, evaluation: Evaluation) -> Figure:
    """The paper's figure 3: labelled images, misclassified test images, confusion matrix.

    Args:
        data: where the images are from.
        evaluation: of a model on the test images.
    """
    dataset, report = data.dataset, evaluation.report
    predicted = evaluation.logits.argmax(axis=1)
    figure = Figure(figsize=(15.0, 8.4))
    # By default long names of the classes push the label below them over the edge.
    figure.set_layout_engine("constrained", h_pad=0.08)
    figure.suptitle(
        f"{short_name(dataset.name)}: test error {report.error_in_words}", **text_properties()
    )
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 1.32))
    left = grid[0].subgridspec(2, 1, height_ratios=(1.5, 1))

    shown, per_class = _some_of_each_class(data)
    axes = figure.add_subplot(left[0])
    images = [np.asarray(dataset.train_images[i]) for i in shown]
    # About as wide as high, and no class broken across rows if all have as many.
    draw_images(axes, images, per_class * max(1, round(np.sqrt(len(shown)) / per_class)))
    count = len(data.split.labeled)
    some = "all" if len(shown) == count else f"{len(shown):,} of"
    axes.set_title(f"{some} {count:,} labelled images", fontsize=11)

    names = short_names(dataset.class_names, 8)
    layout = _SHORT_NAMES if max(map(len, names)) <= 2 else _LONG_NAMES
    most = layout.columns * layout.rows
    mistakes = confident_mistakes(dataset.test_labels, evaluation.logits, most)
    captions = [
        f"{names[dataset.test_labels[i]]}{layout.between}{_ARROW} {names[predicted[i]]}"
        for i in mistakes
    ]
    images = [np.asarray(dataset.test_images[i]) for i in mistakes]
    axes = figure.add_subplot(left[1])
    size = layout.text_size
    draw_images(axes, images, layout.columns, captions=captions, text_size=size)
    wrong = int(np.sum(predicted != dataset.test_labels))
    some = f"all {wrong}" if wrong <= most else f"the {most} most confident of {wrong:,}"
    some = f"{some} misclassified test images" if wrong > 1 else "the only misclassified test image"
    title = f"{some}: true {_ARROW} predicted"
    none = "no test image is misclassified" if len(predicted) else "there are no test images"
    axes.set_title(title if wrong else none, fontsize=11)

    draw_confusion(figure.add_subplot(grid[1]), report, side=6.5)
    return figure


def confident_mistakes(labels: np.ndarray, logits: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` misclassified images, by true class and then as predicted.

    Where there are more, those of which the classifier is most confident.

    Args:
        labels: true classes [T].
        logits: float [T, classes].
        count: how many at most.
    """
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    confidence = softmax(logits[wrong], axis=1).max(axis=1, initial=0.0)
    chosen = wrong[np.argsort(-confidence, kind="stable")[:count]]
    return chosen[np.lexsort((predicted[chosen], labels[chosen]))]


def _some_of_each_class(data: LabeledData) -> tuple[np.ndarray, int]:
    """The first few labelled images of every class, by class, and the most that one has."""
    counts = np.unique(data.labeled_labels, return_counts=True)[1]
    per_class = int(np.clip(_LABELED // len(counts), 1, min(_PER_CLASS, counts.max())))
    return data.first_of_each_class(per_class), per_class
