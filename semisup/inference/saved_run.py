"""Load a finished run for inference: its model and the embeddings of its labelled images."""

from dataclasses import dataclass

from absl import logging

from semisup import experiment
from semisup.data.image_io import Reading
from semisup.models.associative_model import AssociativeModel
from semisup.models.backbones import load_model
from semisup.optimizers.ema import take_averages
from semisup.runs import checkpoints, labeled_embeddings
from semisup.runs.directory import RunDirectory
from semisup.runs.labeled_embeddings import LabeledEmbeddings


@dataclass(frozen=True)
class SavedRun:
    """A trained model, its labelled images, and how its image files were read."""

    model: AssociativeModel
    labeled: LabeledEmbeddings
    how: Reading


def load(run: RunDirectory) -> SavedRun:
    """Load the model of a run and its labelled images.

    Of a finished run it reads model.keras and labeled.npz. A run that has not ended is
    taken as of its newest checkpoint, for which its data must be in reach.

    Raises:
        InputError: there is no run or no checkpoint yet, or a file is damaged.
    """
    recipe = run.read_begun_recipe()
    if experiment.resizes_as_tensorflow_1(recipe, recipe.target_dataset or recipe.dataset):
        logging.warning(
            f"images of this run that were not of {recipe.new_size}x{recipe.new_size} pixels were "
            "resized as TensorFlow 1 did it (`compat=authors`), others are resized with "
            "antialiasing: bring them to this size yourself to be sure of the same predictions"
        )
    if run.model.is_file() and run.labeled.is_file():
        model, labeled = load_model(run.model), labeled_embeddings.load(run.labeled)
        return SavedRun(model, labeled, labeled.reading(recipe.max_megapixels))
    setup = experiment.rebuild(recipe, run)
    run.check_split(setup.data.split_on_record.hash)
    if run.model.is_file() and run.read_result():  # the result, which `select` may have chosen
        setup.load_weights(run.model)
    else:
        checkpoints.restore(setup.model, checkpoints.newest(run))
        take_averages(setup.model)
    labeled = labeled_embeddings.embed(setup.model, setup.data).record
    return SavedRun(setup.whole_model(), labeled, labeled.reading(recipe.max_megapixels))
