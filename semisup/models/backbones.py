"""Backbones: `keras.applications` and saved Keras models as networks to embeddings.

    keras:MobileNetV2      any name in keras.applications, without its classifier
    PATH.keras             a saved model from images to embeddings

Like all networks here, both take raw pixels [batch, H, W, C] in [0, 255]. The scaling that
an application wants (its `preprocess_input`) becomes part of the network; a model of
your own must do its own.
"""

import importlib
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import keras
from absl import logging
from keras import layers

from semisup.config import IMAGENET, NO_WEIGHTS, SAVED_MODEL, names_a_path
from semisup.errors import InputError, check_known, reason
from semisup.models.building_blocks import l2, one_tensor
from semisup.runtime import keras_settings
from semisup.runtime.arguments import whole_number
from semisup.runtime.paths import expanded

ImageShape = tuple[int, int, int]

PREFIX = "keras:"

# Of a network whose trained weights a checkpoint is about to bring: nothing is loaded.
RESTORED = "from a checkpoint"

# Names of the layers around a saved network.
_OURS = ("head", "rgb")

# Size of the embedding on top of an application, as in the paper: FC(128).
EMB_SIZE = 128

# Some applications average their batch statistics over thousands of steps (MobileNetV2: 0.999).
# From random weights, a run of hundreds of steps would be evaluated with statistics that are
# mostly still those of the first step.
_MOMENTUM = 0.9


def is_backbone(name: str) -> bool:
    """Whether `build` knows what an architecture of this name is."""
    return name.startswith(PREFIX) or names_a_path("architecture", name)


class Backbone(NamedTuple):
    """A network to embeddings with a backbone below, and its two parts, which share its weights.

    Attributes:
        network: from images [batch, H, W, C] to embeddings [batch, D].
        features: from images to the backbone's features [batch, F].
        head: from features to embeddings.
    """

    network: keras.Model
    features: keras.Model
    head: keras.Model


def build(
    name: str,
    image_shape: ImageShape,
    emb_size: int | None = None,
    weights: str = NO_WEIGHTS,
    l2_weight: float | None = None,
    dropout: float = 0.0,
) -> Backbone:
    """The network called `name` for images of `image_shape`; grey ones become RGB inside it.

    Args:
        name: "keras:" and a name in keras.applications, or the path of a .keras file.
        image_shape: (height, width, channels).
        emb_size: size of a dense layer on top, without activation. By default 128 on an
            application, and none on a saved model, whose output is the embedding.
        weights: the initial weights of an application: "none" (random), "imagenet"
            (downloaded by Keras), or its .weights.h5 file, without the classifier; `RESTORED`.
        l2_weight: of the dense layer on top, see `building_blocks.l2`; None for no such loss.
        dropout: share of the features that is dropped in training, in [0, 1).

    Raises:
        InputError: there is no such network or file, its weights can't be loaded or do not
            fit, or the images do not.
    """
    if not 0 <= dropout < 1:
        raise InputError(f"`dropout` is {dropout}; it must be in [0, 1)")
    images = keras.Input(image_shape)
    if name.startswith(PREFIX):
        with keras_settings.channels_last():
            features = _application(name.removeprefix(PREFIX), images, weights)
        emb_size = EMB_SIZE if emb_size is None else emb_size
    else:
        if weights != NO_WEIGHTS:
            raise InputError(f"{name} brings its own weights; leave out `weights={weights}`")
        features = _saved_model(expanded(name), images)
    given = keras.Input(features.shape[1:], name="features")
    kept = layers.Dropout(dropout, name="dropout")(given) if dropout else given
    if emb_size is None:
        embedding = layers.Identity(name="embedding")(kept)
    else:
        emb_size = whole_number("emb_size", emb_size, minimum=1)
        regularizer = None if l2_weight is None else l2(l2_weight)
        embedding = layers.Dense(emb_size, kernel_regularizer=regularizer, name="embedding")(kept)
    head = keras.Model(given, embedding, name="head")
    network = keras.Model(
        images,
        head(features),
        name=name.removeprefix(PREFIX) if name.startswith(PREFIX) else "saved",
    )
    return Backbone(network, keras.Model(images, features, name="features"), head)


def names() -> list[str]:
    """The networks in keras.applications."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def load_model(path: Path) -> keras.Model:
    """A saved Keras model, not compiled. Code in the file is never run.

    Raises:
        InputError: the file is missing or damaged, or its model needs code to be run.
    """
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras's reader fails in many ways
        said = " ".join(str(error).split())
        raise InputError(f"cannot load the model {path}: {said}") from None


def application(
    name: str, weights: str, size: tuple[int | None, int | None] = (None, None)
) -> keras.Model:
    """A network of keras.applications without its classifier: RGB images to features [batch, F].

    Args:
        name: its name there.
        weights: as those of `build`.
        size: height and width of the images; None for any.

    Raises:
        InputError: there is no such network, its weights can't be loaded or do not fit, or the
            size does not.
    """
    check_known("keras.applications network", name, names())
    if weights.endswith(SAVED_MODEL):
        raise InputError(
            f"`weights={weights}` is a saved network; give it as `architecture={weights}`"
        )
    builder = getattr(keras.applications, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some note that weights were learned at 224x224
            network: keras.Model = builder(
                include_top=False, weights=_of_keras(weights), input_shape=(*size, 3), pooling="avg"
            )
    except Exception as error:  # Keras's download and its readers fail in many ways
        said = " ".join(str(error).split())
        if weights == IMAGENET and "fetch" in said:
            said += (
                "; without a connection, give a file of weights (`weights=FILE`), a saved network "
                "of yours (`architecture=PATH.keras`), or train from random weights "
                "(`recipe=photos_from_scratch`)"
            )
        elif "nput size" in said or "input_shape" in said:
            said += " (`new_size=N` makes all images NxN)"
        raise InputError(f"{PREFIX}{name} with `weights={weights}`: {said}") from None
    return network


def _application(name: str, images: keras.KerasTensor, weights: str) -> keras.KerasTensor:
    """Features of the images by a network of keras.applications, [batch, features]."""
    backbone = application(name, weights, images.shape[1:3])
    if weights == NO_WEIGHTS:
        for layer in backbone.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = min(layer.momentum, _MOMENTUM)
    module = importlib.import_module(getattr(keras.applications, name).__module__)
    return backbone(module.preprocess_input(_with_channels(images, 3)))


def _of_keras(weights: str) -> str | None:
    """The weights as keras.applications wants them named."""
    if weights in (NO_WEIGHTS, RESTORED):
        return None
    return weights if weights == IMAGENET else str(expanded(weights))


def _saved_model(path: Path, images: keras.KerasTensor) -> keras.KerasTensor:
    """The output of a saved model for the images."""
    if not path.is_file():
        raise InputError(f"there is no file {path}, which `architecture` names")
    saved = load_model(path)
    # A run's own model.keras is a network with a classifier on top.
    saved = getattr(saved, "network", saved)
    _warn_of_classifier(path, saved)
    if saved.name in _OURS:  # Keras wants a name once in a model
        saved.name = f"saved_{saved.name}"
    wanted = getattr(saved, "input_shape", None)
    if not isinstance(wanted, tuple) or len(wanted) != 4:
        raise InputError(f"{path} must take one image [batch, H, W, C], but takes {wanted}")
    pixels = _with_channels(images, wanted[3] or images.shape[3])
    if wanted[3] not in (None, pixels.shape[3]):
        raise InputError(
            f"{path} takes images of {wanted[3]} channels, but these have {images.shape[3]}"
        )
    for have, want in zip(pixels.shape[1:], wanted[1:], strict=True):
        if want not in (None, have):
            raise InputError(
                f"{path} takes images of {'x'.join(map(str, wanted[1:]))}, but these are "
                f"{'x'.join(map(str, images.shape[1:]))}; `new_size=N` makes all images NxN"
            )
    try:
        features = one_tensor(saved(pixels))
    except ValueError as error:
        raise InputError(
            f"{path} can't take images of {'x'.join(map(str, images.shape[1:]))}: "
            f"{reason(error)}; `new_size=N` makes all images NxN"
        ) from None
    if not isinstance(features, keras.KerasTensor):
        raise InputError(
            f"{path} must give one embedding [batch, D], but it has several outputs; save one of "
            "them: keras.Model(model.inputs, model.outputs[0])"
        )
    return features


def _warn_of_classifier(path: Path, saved: keras.Model) -> None:
    """Log a warning if a saved model ends in class probabilities."""
    last: Any = saved
    while isinstance(last, keras.Model) and last.layers:
        last = last.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    of_one_class = activation == "sigmoid" and getattr(last, "units", 0) == 1
    if isinstance(last, layers.Softmax) or activation == "softmax" or of_one_class:
        logging.warning(
            f"{path} ends in class probabilities (its layer {last.name!r}), which are taken for "
            "features; save it without its last layer (docs/own_images.md, Networks)"
        )


def _with_channels(images: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Grey images with their channel three times, where three are wanted."""
    if images.shape[-1] == 1 and channels == 3:
        return layers.Concatenate(name="rgb")([images] * 3)
    return images
