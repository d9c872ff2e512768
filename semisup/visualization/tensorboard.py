"""What TensorBoard shows of a run. Call these inside `with writer.as_default()`."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import summary_v2 as hparams  # its api asks for tf.keras

from semisup.config import Recipe
from semisup.data.labeled_data import LabeledData
from semisup.evaluation import label_free
from semisup.evaluation.metrics import Evaluation, predict
from semisup.evaluation.names import printable
from semisup.losses import association
from semisup.models.associative_model import AssociativeModel
from semisup.visualization import (
    WalkSample,
    association_figure,
    confusion_figure,
    mistakes_figure,
    neighbors_figure,
    to_pixels,
)

NEIGHBORS_AMONG = 2000  # unlabelled images, which are embedded for figure 4

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
        name: value if isinstance(value, int | float) else printable(str(value))
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


def write_evaluation(
    step: int,
    evaluation: Evaluation,
    model: AssociativeModel,
    sample: WalkSample,
    histograms: WalkSample,
) -> None:
    """Test errors, the confusion matrix (if there are test images), figure 2 and histograms.

    Args:
        step: the training step.
        evaluation: of the model on the test images.
        model: the model as it is now.
        sample: a few images to draw walks on.
        histograms: more images, for the histograms of embeddings and visits.
    """
    report = evaluation.report
    if len(evaluation.logits):
        tf.summary.scalar("test/error", report.error, step)
        tf.summary.scalar("test/balanced_error", report.balanced_error, step)
        tf.summary.scalar("test/macro_f1", report.macro_f1, step)
        confusion = confusion_figure(report, f"step {step}: test error {report.error_in_words}")
        tf.summary.image("confusion_matrix", to_pixels(confusion), step)
    for name, error in zip(report.class_names, report.error_per_class, strict=True):
        if np.isfinite(error):
            tf.summary.scalar(f"test_error_per_class/{printable(name)}", error, step)
    walks = association_figure({f"associations at step {step}": model}, sample)
    tf.summary.image("associations", to_pixels(walks), step)

    A, B = (predict(model, images).embeddings for images in histograms)
    P_visit = association.p_visit(association.walk(A, B, model.similarity, model.temperature).P_ab)
    tf.summary.histogram("walk/visit_probability", P_visit, step)
    tf.summary.histogram("embedding/labelled", A, step)
    tf.summary.histogram("embedding/unlabelled", B, step)


def write_end(
    step: int, data: LabeledData, model: AssociativeModel, evaluation: Evaluation
) -> None:
    """Figures 3 and 4, which cost some seconds: at the end of a run only.

    Args:
        step: the training step.
        data: what the model was trained and evaluated on.
        model: the trained model, which embeds some unlabelled images.
        evaluation: of the model on the test images.
    """
    if len(evaluation.logits):
        tf.summary.image("mistakes", to_pixels(mistakes_figure(data, evaluation)), step)
    neighbors = neighbors_figure(model, data, evaluation, among=NEIGHBORS_AMONG)
    tf.summary.image("neighbours", to_pixels(neighbors), step)
