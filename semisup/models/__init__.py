"""Networks from images to embeddings, and `AssociativeModel`, which trains any of them.

    network = semisup.models.build("svhn_model", image_shape=(32, 32, 3))
    model = semisup.models.AssociativeModel(network, num_classes=10)

All are Keras models. Modules:

    associative_model    a network, a classifier on top, and the paper's losses
    architectures        the paper's networks and the authors'; `build` takes one by name
    imagenet_networks    the authors' larger ones: Inception v3, VGG16, AlexNet
    building_blocks      what those are built of
    backbones            keras.applications, and saved Keras models, as networks
    features             the outputs of a frozen backbone, computed once and cached
    checked_model        `fit`, `evaluate` and `predict` with checked arguments
    labels, batch_rows   which rows of a batch are labelled
    weights              digests of a network's layers and weights
"""

from semisup.models.architectures import (
    build,
    dann_model,
    mnist_model,
    stl10_batch_norm_model,
    stl10_model,
    svhn_model,
)
from semisup.models.associative_model import AssociativeModel

__all__ = [
    "AssociativeModel",
    "build",
    "dann_model",
    "mnist_model",
    "stl10_batch_norm_model",
    "stl10_model",
    "svhn_model",
]
