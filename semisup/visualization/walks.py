"""The paper's figure 2: walks from labelled images to unlabelled ones and back."""

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from semisup.data.dataset import Images
from semisup.data.labeled_data import LabeledData
from semisup.data.lazy_images import in_memory
from semisup.evaluation.metrics import predict
from semisup.losses import association
from semisup.models.associative_model import AssociativeModel
from semisup.visualization.plots import BLUE, ORANGE, drawable
from semisup.visualization.text import text_properties

_WIDTH = 13.0  # of a picture, in inches


# Unlabelled images of which some are drawn by their predicted classes.
_PREDICTED = 1000


class WalkSample(NamedTuple):
    """A few images to show walks on: A [n, H, W, C] labelled, B [m, H, W, C] unlabelled."""

    A: Images
    B: Images


SHOWN_CLASSES = 10  # of figure 2, at most


def choose_walk_sample(
    data: LabeledData,
    per_class: int = 2,
    unlabeled: int = 40,
    classes: int = SHOWN_CLASSES,
    model: AssociativeModel | None = None,
) -> WalkSample:
    """Choose images for `association_figure`, the same at every call.

    Args:
        data: where from.
        per_class: labelled images of each class (the paper's figure 2 has 2).
        unlabeled: unlabelled images at most. Where the data set knows their true classes,
            they are in this order, so that right walks run straight.
        classes: of this many labelled classes at most; of more, the unlabelled images are of
            the chosen ones too, where that is known.
        model: where no true classes of unlabelled images are known, those that this trained
            model predicts take their place.
    """
    dataset, split, labels = data.dataset, data.split, data.labeled_labels
    present = np.unique(labels)
    chosen = present[:classes]
    random = np.random.default_rng(0)
    pool, of_pool = split.unlabeled, None
    if dataset.unlabeled_images is None:
        of_pool = dataset.train_labels[pool]
    elif model is not None:
        pool = random.choice(pool, min(_PREDICTED, len(pool)), replace=False)
        of_pool = predict(model, dataset.unlabeled_pool[pool]).logits.argmax(axis=1)
    places = np.arange(len(pool))
    if of_pool is not None and len(chosen) < len(present) and np.isin(of_pool, chosen).any():
        places = np.flatnonzero(np.isin(of_pool, chosen))
    places = random.choice(places, min(unlabeled, len(places)), replace=False)
    if of_pool is not None:
        places = places[np.argsort(of_pool[places], kind="stable")]
    drawn = pool[places]
    return WalkSample(
        in_memory(dataset.train_images[data.first_of_each_class(per_class, chosen)]),
        in_memory(dataset.unlabeled_pool[drawn]),
    )


def association_figure(
    models: Mapping[str, AssociativeModel] | AssociativeModel, sample: WalkSample, title: str = ""
) -> Figure:
    """The paper's figure 2: walks A -> B -> A; the darker a line, the likelier the step.

    Args:
        models: whose embeddings to walk on: one model, or several by their titles, for instance
            before and after training.
        sample: the images to walk on, from `choose_walk_sample`, or others of one size that the
            models take, with pixels as `plots.drawable` takes them.
        title: stands above all.

    Raises:
        InputError: the images can't be drawn, or a model is no `AssociativeModel`.
    """
    if not isinstance(models, Mapping):
        models = {"": models}
    figure = Figure(figsize=(_WIDTH, 5.1 * len(models)), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=14, **text_properties())
    for row, (name, model) in enumerate(models.items(), start=1):
        axes = figure.add_subplot(len(models), 1, row)
        axes.set_title(name, fontsize=13, **text_properties())
        _draw_walks(axes, model, sample)
    return figure


def _draw_walks(axes: matplotlib.axes.Axes, model: AssociativeModel, sample: WalkSample) -> None:
    pixels_a, pixels_b = (drawable(images) for images in sample)
    A, B = (predict(model, images).embeddings for images in sample)
    walk = association.walk(A, B, model.similarity, model.temperature)
    x_a, x_b = ((np.arange(len(images)) + 0.5) * _WIDTH / len(images) for images in sample)
    size = 0.92 * _WIDTH / max(len(A), len(B), 16)
    top, middle, bottom = 4.4, 2.2, 0.0
    for name, images, x, y, colour in (
        ("A", pixels_a, x_a, top, BLUE),
        ("B", pixels_b, x_b, middle, ORANGE),
        ("A", pixels_a, x_a, bottom, BLUE),
    ):
        axes.text(-0.25, y, name, color=colour, fontsize=14, ha="center", va="center")
        for image, centre in zip(images, x, strict=True):
            inked = _inked(image, colour)
            half_y, half_x = (size / 2 * n / max(inked.shape[:2]) for n in inked.shape[:2])
            extent = (centre - half_x, centre + half_x, y - half_y, y + half_y)
            axes.imshow(inked, extent=extent, interpolation="nearest", zorder=2)
    gap = 0.6 * size
    _draw_steps(axes, x_a, x_b, top - gap, middle + gap, np.asarray(walk.P_ab))
    _draw_steps(axes, x_b, x_a, middle - gap, bottom + gap, np.asarray(walk.P_ba))
    axes.set(xlim=(-0.45, _WIDTH + 0.1), ylim=(bottom - size, top + size), aspect="equal")
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
