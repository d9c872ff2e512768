"""A recipe made concrete: its data, labelled subset, batches and model.

setup = experiment.build(recipe)
batches, model = setup.batches(), setup.model
"""

from semisup.experiment.data import load_data, resizes_as_tensorflow_1
from semisup.experiment.experiment import Experiment, build, from_run, rebuild, warn_at_start
from semisup.experiment.model import build_model
from semisup.experiment.settings import uses_features, warn_of_random_backbone, with_defaults

__all__ = [
    "Experiment",
    "build",
    "build_model",
    "from_run",
    "load_data",
    "rebuild",
    "resizes_as_tensorflow_1",
    "uses_features",
    "warn_at_start",
    "warn_of_random_backbone",
    "with_defaults",
]
