"""Learning by Association (Haeusser, Mordvintsev, Cremers, CVPR 2017) in Keras.

    import semisup

    model = semisup.AssociativeModel(network, num_classes=10)     # any Keras model
    model.compile("adam")
    model.fit(semisup.association_batches(images, labels, unlabeled_images), steps_per_epoch=500)

The names below are loaded when they are first used: `semisup-train --help` must not wait
for TensorFlow.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from semisup.errors import InputError

if TYPE_CHECKING:
    from semisup.data.pipeline import association_batches
    from semisup.data.registry import load_dataset
    from semisup.data.splits import choose_split
    from semisup.losses.association import association_losses, classification_loss, total_loss, walk
    from semisup.models.architectures import mnist_model, stl10_model, svhn_model
    from semisup.models.associative_model import AssociativeModel
    from semisup.optimizers.muon import Muon
    from semisup.optimizers.schedules import Envelope

__all__ = [
    "AssociativeModel",
    "Envelope",
    "InputError",
    "Muon",
    "association_batches",
    "association_losses",
    "choose_split",
    "classification_loss",
    "load_dataset",
    "mnist_model",
    "stl10_model",
    "svhn_model",
    "total_loss",
    "walk",
]

_HOME = {
    "AssociativeModel": "models.associative_model",
    "Envelope": "optimizers.schedules",
    "Muon": "optimizers.muon",
    "association_batches": "data.pipeline",
    "association_losses": "losses.association",
    "choose_split": "data.splits",
    "classification_loss": "losses.association",
    "load_dataset": "data.registry",
    "mnist_model": "models.architectures",
    "stl10_model": "models.architectures",
    "svhn_model": "models.architectures",
    "total_loss": "losses.association",
    "walk": "losses.association",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'semisup' has no attribute {name!r}")
    return getattr(importlib.import_module(f"semisup.{_HOME[name]}"), name)


# `import keras, semisup` is enough for keras.models.load_model to know our classes.
if "keras" in sys.modules:
    importlib.import_module("semisup.models.associative_model")
    importlib.import_module("semisup.optimizers.muon")
