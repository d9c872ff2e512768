"""What a trained model is for: classify new images, export the classifier, choose what to label.

    classifier = semisup.inference.probability_model(model, (28, 28, 1))   # images to probabilities
    semisup.inference.export(model, "tflite", "digits.tflite", images)

Modules:

    exporter          a plain Keras model, SavedModel, TFLite or ONNX file of a model
    saved_run         the model and the labelled images of a run's folder
    inputs            image files, folders and .npz files in batches
    predictor         class, probability and nearest labelled image of each image
    active_learning   which unlabelled images to label next
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semisup.inference.exporter import export, probability_model

__all__ = ["export", "probability_model"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # later: `inputs` is needed before TensorFlow
        return getattr(importlib.import_module("semisup.inference.exporter"), name)
    raise AttributeError(f"module 'semisup.inference' has no attribute {name!r}")
