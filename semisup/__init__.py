"""Learning by Association (Haeusser, Mordvintsev, Cremers, CVPR 2017) in Keras.

    import semisup

    model = semisup.AssociativeModel(network, num_classes=10)     # any Keras model
    model.compile("adam")
    model.fit(semisup.association_batches(images, labels, unlabeled_images), steps_per_epoch=500)

More is in the namespaces `semisup.losses`, `models`, `optimizers`, `data`, `evaluation`,
`inference` and `visualization`. After `import semisup`, in any order with `import keras`,
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
    from semisup import inference as inference
    from semisup import losses as losses
    from semisup import models as models
    from semisup import optimizers as optimizers
    from semisup import visualization as visualization
    from semisup.data import association_batches, choose_split, load_dataset
    from semisup.losses import association_losses, classification_loss, total_loss, walk
    from semisup.models import AssociativeModel, mnist_model, stl10_model, svhn_model
    from semisup.optimizers import Envelope, Muon
    from semisup.training.collapse import CollapseWarning

__all__ = [
    "AssociativeModel",
    "CollapseWarning",
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

_NAMESPACES = (
    *("data", "evaluation", "inference", "losses", "models", "optimizers", "visualization"),
)

_NAMES_IN = {
    "data": ("association_batches", "choose_split", "load_dataset"),
    "losses": ("association_losses", "classification_loss", "total_loss", "walk"),
    "models": ("AssociativeModel", "mnist_model", "stl10_model", "svhn_model"),
    "optimizers": ("Envelope", "Muon"),
    "training.collapse": ("CollapseWarning",),
}
_MODULE_OF = {name: module for module, names in _NAMES_IN.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return importlib.import_module(f"semisup.{name}")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"semisup.{_MODULE_OF[name]}"), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version  # takes some milliseconds

        try:
            return version("semisup")
        except PackageNotFoundError:
            raise AttributeError("semisup is not installed, so its version is unknown") from None
    raise AttributeError(f"module 'semisup' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_NAMESPACES, "__version__"})


keras_registration.register()
