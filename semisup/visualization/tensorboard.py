"""What TensorBoard shows of a run. Call these inside `with writer.as_default()`."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from semisup.config import Recipe
from semisup.evaluation import label_free
from semisup.evaluation.metrics import Report, predict
from semisup.experiment import Experiment
from semisup.losses import association
from semisup.models.associative_model import AssociativeModel
from semisup.visualization import figures
from semisup.visualization.mistakes_figure import mistakes_figure
from semisup.visualization.neighbors_figure import neighbours_figure

_COMPARED = (
    "dataset",
    "sup_per_class",
    "sup_seed",
    "architecture",
    "walker_weight",
    "visit_weight",
    "learning_rate",
    "max_steps",
    "seed",
)


def write_graph(graph: tf.Graph) -> None:
    """The graph page: the training step, the association under its name scopes."""
    tf.summary.graph(graph.as_graph_def(add_shapes=True))


def write_settings(recipe: Recipe) -> None:
    """The hparams page, which compares the settings and errors of runs side by side.

    It has the settings that runs are compared by, and those that are not at their default.
    """
    settings, default = dataclasses.asdict(recipe), dataclasses.asdict(Recipe())
    shown = {
        name: str(value) if value is None else value
        for name, value in settings.items()
        if name in _COMPARED or value != default[name]
    }
    hparams.hparams(shown)


def write_training(step: int, logs: Mapping[str, float], model: AssociativeModel) -> None:
    """Scalars of the steps since the last entry: losses, statistics, weights, rate."""
    for name, value in logs.items():
        tf.summary.scalar(f"train/{name}", value, step)
    for name, value in model.loss_weights_now().items():
        tf.summary.scalar(f"weights/{name}", value, step)
    tf.summary.scalar("train/learning_rate", model.optimizer.learning_rate, step)


def write_label_free(step: int, scores: Mapping[str, float]) -> None:
    """Scalars of `semisup.evaluation.label_free`."""
    for name, value in scores.items():
        tf.summary.scalar(f"label_free/{name.removeprefix(label_free.PREFIX)}", value, step)


def write_end(step: int, setup: Experiment) -> None:
    """Figures 3 and 4, which cost some seconds: at the end of a run only."""
    logits = predict(setup.model, setup.dataset.test_images).logits
    mistakes = mistakes_figure(setup.dataset, setup.split, logits)
    tf.summary.image("mistakes", figures.to_pixels(mistakes), step)
    neighbours = neighbours_figure(setup.model, setup.dataset, setup.split)
    tf.summary.image("neighbours", figures.to_pixels(neighbours), step)


def write_evaluation(
    step: int,
    report: Report,
    model: AssociativeModel,
    sample: figures.WalkSample,
    probe: figures.WalkSample,
) -> None:
    """Test errors, the confusion matrix, figure 2 and histograms.

    Args:
        step: the training step.
        report: the evaluation.
        model: the model as it is now.
        sample: a few images to draw walks on.
        probe: more images, for the histograms.
    """
    tf.summary.scalar("test/error", report.error, step)
    for name, error in zip(report.class_names, report.error_per_class, strict=True):
        if np.isfinite(error):
            tf.summary.scalar(f"test_error_per_class/{name}", error, step)
    confusion = figures.confusion_figure(report, f"step {step}: test error {report.error:.2f} %")
    tf.summary.image("confusion_matrix", figures.to_pixels(confusion), step)
    walks = figures.association_figure({f"associations at step {step}": model}, sample)
    tf.summary.image("associations", figures.to_pixels(walks), step)

    A, B = (predict(model, images).embeddings for images in probe)
    P_visit = association.p_visit(association.walk(A, B, model.similarity).P_ab)
    tf.summary.histogram("walk/visit_probability", P_visit, step)
    tf.summary.histogram("embedding/labelled", A, step)
    tf.summary.histogram("embedding/unlabelled", B, step)
