"""Learning by Association (Haeusser, Mordvintsev, Cremers, CVPR 2017) in Keras.

    import semisup

    model = semisup.AssociativeModel(network, num_classes=10)     # any Keras model
    model.compile("adam")
    model.fit(semisup.association_batches(images, labels, unlabeled_images), steps_per_epoch=500)

More is in the namespaces `semisup.losses`, `models`, `optimizers`, `data`, `evaluation` and
`visualization`. After `import semisup`, in any order with `import keras`,
`keras.models.load_model` loads what was saved with our classes.

All names are imported when they are first used: `semisup-train --help` must not wait
for TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from semisup.errors import InputError
from semisup.runtime import keras_registration

if TYPE_CHECKING:
    from semisup import data as data
    from semisup import evaluation as evaluation
    from semisup import losses as losses
    from semisup import models as models
    from semisup import optimizers as optimizers
    from semisup import visualization as visualization
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

_NAMESPACES = ("data", "evaluation", "losses", "models", "optimizers", "visualization")

_MODULE_OF = {
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
    if name in _NAMESPACES:
        return importlib.import_module(f"semisup.{name}")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"semisup.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'semisup' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_NAMESPACES})


keras_registration.register()
