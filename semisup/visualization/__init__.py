"""Pictures of what a model learned, as matplotlib figures, and TensorBoard's pages.

    write_figures(folder, data, model, evaluation, ...)    the paper's figures 2 to 4, as files
    association_figure(models, choose_walk_sample(data))    figure 2: walks
    mistakes_figure(data, evaluation)                       figure 3: mistakes
    neighbors_figure(model, data, evaluation)               figure 4: nearest neighbours
    confusion_figure(report)                                the confusion matrix
    contact_sheet(images, captions)                         images with captions
    save(figure, path), to_pixels(figure)                   a figure as a file, as an array

Modules to import by name: `tensorboard` and `projector`, what TensorBoard shows of a run.

The test images are embedded once, before: `evaluation` is what `semisup.evaluation.evaluate`
returns for the test images, `data` a `semisup.data.labeled_data.LabeledData`.
"""

from semisup.visualization.mistakes import mistakes_figure
from semisup.visualization.neighbors import neighbors_figure
from semisup.visualization.paper_figures import write_figures
from semisup.visualization.plots import confusion_figure, contact_sheet, save, to_pixels
from semisup.visualization.text import short_names
from semisup.visualization.walks import WalkSample, association_figure, choose_walk_sample

__all__ = [
    "WalkSample",
    "association_figure",
    "choose_walk_sample",
    "confusion_figure",
    "contact_sheet",
    "mistakes_figure",
    "neighbors_figure",
    "save",
    "short_names",
    "to_pixels",
    "write_figures",
]
