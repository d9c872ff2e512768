"""The paper's figures 2, 3 and 4 of a run, as files."""

from pathlib import Path

from semisup import experiment
from semisup.evaluation.metrics import predict
from semisup.experiment import Experiment
from semisup.visualization import figures
from semisup.visualization.mistakes_figure import mistakes_figure
from semisup.visualization.neighbors_figure import neighbours_figure


def write_figures(setup: Experiment, step: int, folder: Path) -> list[Path]:
    """Draw the figures of a trained model and write them, each whole or not at all.

    Args:
        setup: the run; its model has the weights of `step`. Figure 2 sets it beside a
            model with the run's first weights.
        step: the training step that the model has come to.
        folder: where to.

    Returns:
        The files figure2.png, figure3.png and figure4.png.
    """
    untrained = experiment.build_model(setup.recipe, setup.dataset)
    walked = {"at the start": untrained, f"after {step:,} steps": setup.model}
    sample = figures.choose_walk_sample(setup.dataset, setup.split)
    logits = predict(setup.model, setup.dataset.test_images).logits
    drawn = {
        "figure2.png": figures.association_figure(walked, sample),
        "figure3.png": mistakes_figure(setup.dataset, setup.split, logits),
        "figure4.png": neighbours_figure(setup.model, setup.dataset, setup.split),
    }
    for name, figure in drawn.items():
        figures.save(figure, folder / name)
    return [folder / name for name in drawn]
