"""Pictures of what a model learned, as matplotlib figures.

`save` writes one to a file; `to_pixels` makes an image of it for TensorBoard.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from semisup.data.dataset import Dataset
from semisup.data.splits import Split
from semisup.evaluation.metrics import Report, predict
from semisup.losses import association
from semisup.models.associative_model import AssociativeModel
from semisup.runs import files
from semisup.visualization.plots import draw_images

_WIDTH = 13.0  # of a picture of walks, in inches

_A_COLOUR, _B_COLOUR = "#1a7f37", "#b3261e"  # green and red, as in the paper's figure 2


class WalkSample(NamedTuple):
    """A few images to show walks on: A [n, H, W, C] labelled, B [m, H, W, C] unlabelled."""

    A: np.ndarray
    B: np.ndarray


def choose_walk_sample(
    dataset: Dataset, split: Split, per_class: int = 2, unlabeled: int = 40, classes: int = 10
) -> WalkSample:
    """Images for `association_figure`, the same at every call.

    Args:
        dataset: where from.
        split: which images are labelled and unlabelled.
        per_class: labelled images of each class (the paper's figure 2 has 2).
        unlabeled: unlabelled images at most. They are put in the order of their true
            classes, where the data set knows those, so that right walks run straight.
        classes: of this many classes at most.
    """
    labels = dataset.train_labels[split.labeled]
    rows = [split.labeled[labels == c][:per_class] for c in np.unique(labels)[:classes]]
    random = np.random.default_rng(0)
    drawn = random.choice(split.unlabeled, min(unlabeled, len(split.unlabeled)), replace=False)
    if dataset.unlabeled_images is None:
        drawn = drawn[np.argsort(dataset.train_labels[drawn], kind="stable")]
    return WalkSample(
        np.asarray(dataset.train_images[np.concatenate(rows)]),
        np.asarray(dataset.unlabeled_pool[drawn]),
    )


def association_figure(models: Mapping[str, AssociativeModel], sample: WalkSample) -> Figure:
    """The paper's figure 2: walks A -> B -> A; the darker a line, the likelier the step.

    Args:
        models: whose embeddings to walk on; each gets a panel under its title, for
            instance one before and one after training.
        sample: the images to walk on, from `choose_walk_sample`.
    """
    figure = Figure(figsize=(_WIDTH, 5.1 * len(models)), layout="constrained")
    for row, (title, model) in enumerate(models.items(), start=1):
        axes = figure.add_subplot(len(models), 1, row)
        axes.set_title(title, fontsize=13)
        _draw_walks(axes, model, sample)
    return figure


def confusion_figure(report: Report, title: str = "") -> Figure:
    """The confusion matrix with its counts; mistakes stand out against the right ones."""
    classes = len(report.class_names)
    side = 1.8 + 0.45 * min(classes, 50)  # more would fill the memory, and no screen shows them
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    draw_confusion(axes, report)
    axes.set_title(title or f"test error {report.error:.2f} %")
    return figure


def draw_confusion(axes: matplotlib.axes.Axes, report: Report) -> None:
    """The confusion matrix of a report, on axes of its own."""
    classes = len(report.class_names)
    share = report.confusion / np.maximum(report.confusion.sum(axis=1, keepdims=True), 1)
    # The square root lifts the few mistakes out of the white.
    axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    if classes <= 50:
        for (row, column), count in np.ndenumerate(report.confusion):
            if count:
                colour = "white" if share[row, column] > 0.3 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, size=9)
    ticks = range(0, classes, -(-classes // 50))
    shown = [report.class_names[i] for i in ticks]
    axes.set_xticks(ticks, shown, rotation=90 if classes > 10 else 0)
    axes.set_yticks(ticks, shown)
    axes.set(xlabel="predicted class", ylabel="true class")


def contact_sheet(images: np.ndarray, captions: Sequence[str], title: str = "") -> Figure:
    """Images side by side, a caption above each.

    Args:
        images: uint8 [N, H, W, C].
        captions: one for each.
        title: stands above them.
    """
    columns = min(10, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.3 * columns, 1.6 * rows + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=11)
    draw_images(figure.add_subplot(), list(images), columns, words=captions)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all; the file's ending (.png, .pdf, .svg) says as what."""
    with files.whole(path) as temporary:
        figure.savefig(temporary, dpi=150)


def to_pixels(figure: Figure) -> np.ndarray:
    """A figure as an image, uint8 [1, height, width, 3], for `tf.summary.image`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[None, ..., :3]


def _draw_walks(axes: matplotlib.axes.Axes, model: AssociativeModel, sample: WalkSample) -> None:
    A, B = (predict(model, images).embeddings for images in sample)
    walk = association.walk(A, B, model.similarity)
    x_a, x_b = ((np.arange(len(images)) + 0.5) * _WIDTH / len(images) for images in sample)
    size = 0.92 * _WIDTH / max(len(A), len(B), 16)
    top, middle, bottom = 4.4, 2.2, 0.0
    for name, images, x, y, colour in (
        ("A", sample.A, x_a, top, _A_COLOUR),
        ("B", sample.B, x_b, middle, _B_COLOUR),
        ("A", sample.A, x_a, bottom, _A_COLOUR),
    ):
        axes.text(-0.25, y, name, color=colour, fontsize=14, ha="center", va="center")
        for image, centre in zip(images, x, strict=True):
            extent = (centre - size / 2, centre + size / 2, y - size / 2, y + size / 2)
            axes.imshow(_inked(image, colour), extent=extent, interpolation="nearest", zorder=2)
    gap = 0.6 * size
    _draw_steps(axes, x_a, x_b, top - gap, middle + gap, np.asarray(walk.P_ab))
    _draw_steps(axes, x_b, x_a, middle - gap, bottom + gap, np.asarray(walk.P_ba))
    axes.set(xlim=(-0.45, _WIDTH), ylim=(bottom - size, top + size), aspect="equal")
    axes.set_axis_off()


def _inked(image: np.ndarray, colour: str) -> np.ndarray:
    """A grey image as coloured ink on white; an RGB image in a frame of the colour."""
    pixels = image.astype(np.float32) / 255.0
    rgb = np.array(matplotlib.colors.to_rgb(colour), np.float32)
    if image.shape[-1] == 1:
        return 1.0 - pixels * (1.0 - rgb)
    framed = np.broadcast_to(rgb, (*(n + 4 for n in image.shape[:2]), 3)).copy()
    framed[2:-2, 2:-2] = pixels
    return framed


def _draw_steps(
    axes: matplotlib.axes.Axes,
    x_from: np.ndarray,
    x_to: np.ndarray,
    y_from: float,
    y_to: float,
    P: np.ndarray,
) -> None:
    """A line for each step; its darkness is the step's probability, P [from, to]."""
    i, j = np.nonzero(P > 0.01)  # fainter ones can't be seen, only slow the drawing
    if len(i) == 0:
        return
    lines = [[(x_from[a], y_from), (x_to[b], y_to)] for a, b in zip(i, j, strict=True)]
    axes.add_collection(LineCollection(lines, colors="black", alpha=P[i, j], lw=1.1, zorder=1))
