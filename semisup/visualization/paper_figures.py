"""The paper's figures 2, 3 and 4 of a trained model, as files."""

from pathlib import Path

from semisup.data.labeled_data import LabeledData
from semisup.evaluation.metrics import Evaluation
from semisup.models.associative_model import AssociativeModel
from semisup.runs.directory import RunDirectory
from semisup.visualization.mistakes import mistakes_figure
from semisup.visualization.neighbors import neighbors_figure
from semisup.visualization.plots import save
from semisup.visualization.text import short_name
from semisup.visualization.walks import SHOWN_CLASSES, association_figure, choose_walk_sample


def write_figures(
    folder: Path,
    data: LabeledData,
    model: AssociativeModel,
    evaluation: Evaluation,
    *,
    untrained: AssociativeModel,
    step: int,
    ending: str = "png",
) -> list[Path]:
    """Draw the figures of a trained model and write them, each whole or not at all.

    Args:
        folder: where to.
        data: what the model was trained and evaluated on.
        model: the model, with the weights of `step`.
        evaluation: of the model on the test images.
        untrained: a model with the initial weights, which figure 2 shows beside it.
        step: the training step.
        ending: "png", "pdf" or "svg".

    Returns:
        The files: figure2, figure3 and figure4, with the ending.
    """
    name = short_name(data.dataset.name)
    trained = f"after {step:,} steps: test error {evaluation.report.error_in_words}"
    walked = {"at the start": untrained, trained: model}
    title = f"{name}: walks from labelled images (A) to unlabelled ones (B) and back"
    notes = []
    labeled_classes = data.dataset.num_classes - len(data.classes_without_labels)
    if labeled_classes > SHOWN_CLASSES:
        notes.append(f"{SHOWN_CLASSES} of the {labeled_classes} classes")
    if data.dataset.unlabeled_images is not None:
        notes.append("B in the order of the predicted classes")
    title += "\n" * bool(notes) + "; ".join(notes)
    figures = (
        association_figure(walked, choose_walk_sample(data, model=model), title),
        mistakes_figure(data, evaluation),
        neighbors_figure(model, data, evaluation),
    )
    paths = RunDirectory(folder).figures(ending)
    for figure, path in zip(figures, paths, strict=True):
        save(figure, path)
    return list(paths)
