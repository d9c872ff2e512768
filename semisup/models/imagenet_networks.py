"""The authors' larger networks, made for ImageNet: Inception v3, VGG16, AlexNet.

They take what the smaller ones take, raw pixels [batch, H, W, C] in [0, 255], and have the
authors' input normalisation. Inception v3 has no batch norm, but biases: the authors leave out
the part of its definition that would put it in.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from semisup.errors import InputError
from semisup.models import backbones
from semisup.models.backbones import ImageShape
from semisup.models.building_blocks import (
    embedding,
    image_input,
    l2,
    pooling,
    standardise_by_variance,
)
from semisup.runtime import keras_settings
from semisup.runtime.arguments import whole_number

# Smallest height and width: smaller ones have no pixel left before the last layer.
SMALLEST = {
    "inception_model": 75,
    "inception_model_small": 35,
    "vgg16_model": 32,
    "vgg16_model_small": 32,
    "alexnet_model": 67,
}

# Those that have the convolutions of a network in keras.applications, with its name.
OF_KERAS = {
    "inception_model": "InceptionV3",
    "inception_model_small": "InceptionV3",
    "vgg16_model": "VGG16",
    "vgg16_model_small": "VGG16",
}

# Those that take blue, green and red, in this order.
_OF_BGR = ("VGG16",)

# The module of Inception v3 that the embedding is made of, as Keras calls it.
_LAST = {"inception_model": "mixed10", "inception_model_small": "mixed2"}

_DROPOUT = 0.5


def inception_model(
    image_shape: ImageShape = (299, 299, 3), emb_size: int = 128, l2_weight: float = 0.0
) -> keras.Model:
    """Inception v3 up to its last module (Mixed_7c, the authors say), then FC(128), ReLU.

    Args:
        image_shape: (height, width, channels), height and width at least 75.
        emb_size: size of the embedding.
        l2_weight: of the embedding's layer; the authors have none.

    Raises:
        InputError: the images are too small, or the embedding has no size.
    """
    return _inception("inception_model", image_shape, emb_size, l2_weight)


def _inception(name: str, image_shape: ImageShape, emb_size: int, l2_weight: float) -> keras.Model:
    images = image_input(image_shape, name, SMALLEST[name])
    x = standardise_by_variance(layers.Rescaling(1.0 / 255.0)(images))
    with keras_settings.channels_last():
        base = keras.applications.InceptionV3(
            include_top=False, weights=None, input_shape=(None, None, image_shape[2])
        )
    body = keras.Model(base.input, base.get_layer(_LAST[name]).output)
    body = keras.models.clone_model(
        body,
        clone_function=_without_batch_norm,
        call_function=lambda layer, *inputs, **_: layer(*inputs),
    )
    return keras.Model(images, embedding(body(x), emb_size, l2_weight, "relu"), name=name)


def inception_model_small(
    image_shape: ImageShape = (96, 96, 3), emb_size: int = 128, l2_weight: float = 0.0
) -> keras.Model:
    """The first three modules of Inception v3 (to Mixed_5d), then FC(128), ReLU."""
    return _inception("inception_model_small", image_shape, emb_size, l2_weight)


def vgg16_model(
    image_shape: ImageShape = (224, 224, 3), emb_size: int = 128, l2_weight: float = 5e-4
) -> keras.Model:
    """VGG16 with FC(4096), ReLU, dropout and a linear FC(128) on top.

    Args:
        image_shape: (height, width, channels), height and width at least 32.
        emb_size: size of the embedding.
        l2_weight: of all layers, as in the authors' code.

    Raises:
        InputError: the images are too small, or the embedding has no size.
    """
    images, x = _vgg16(image_shape, l2_weight, "vgg16_model")
    x = layers.Dense(4096, "relu", kernel_regularizer=l2(l2_weight), name="fc6")(x)
    x = layers.Dropout(_DROPOUT, name="dropout6")(x)
    return keras.Model(images, embedding(x, emb_size, l2_weight, None), name="vgg16_model")


def vgg16_model_small(
    image_shape: ImageShape = (224, 224, 3), emb_size: int = 4096, l2_weight: float = 5e-4
) -> keras.Model:
    """`vgg16_model` without its last layer: FC(4096) is the embedding, ReLU."""
    images, x = _vgg16(image_shape, l2_weight, "vgg16_model_small")
    x = embedding(x, emb_size, l2_weight, "relu")
    return keras.Model(images, x, name="vgg16_model_small")


def alexnet_model(
    image_shape: ImageShape = (224, 224, 3), emb_size: int = 128, l2_weight: float = 5e-4
) -> keras.Model:
    """AlexNet (its second version): C(64,11,stride=4) P(3)  C(192,5) P(3)  C(384,3) C(384,3)
    C(256,3) P(3)  FC(4096), dropout, FC(128), ReLU throughout.

    Args:
        image_shape: (height, width, channels), height and width at least 67.
        emb_size: size of the embedding.
        l2_weight: of all layers, as in the authors' code.

    Raises:
        InputError: the images are too small, or the embedding has no size.
    """
    common = {
        "kernel_regularizer": l2(l2_weight),
        "bias_initializer": keras.initializers.Constant(0.1),
    }
    convolution = {**common, "activation": "relu", "data_format": "channels_last"}
    images = image_input(image_shape, "alexnet_model", SMALLEST["alexnet_model"])
    x = standardise_by_variance(images)
    x = layers.Conv2D(64, 11, 4, name="conv1", **convolution)(x)
    x = pooling(3, strides=2, name="pool1")(x)
    x = layers.Conv2D(192, 5, padding="same", name="conv2", **convolution)(x)
    x = pooling(3, strides=2, name="pool2")(x)
    for number, filters in ((3, 384), (4, 384), (5, 256)):
        conv = layers.Conv2D(filters, 3, padding="same", name=f"conv{number}", **convolution)
        x = conv(x)
    x = layers.Flatten(data_format="channels_last")(pooling(3, strides=2, name="pool5")(x))
    common["kernel_initializer"] = keras.initializers.TruncatedNormal(stddev=0.005)
    x = layers.Dense(4096, "relu", name="fc6", **common)(x)
    x = layers.Dropout(_DROPOUT, name="dropout6")(x)
    x = layers.Dense(whole_number("emb_size", emb_size, minimum=1), name="embedding", **common)(x)
    # float32 under any precision policy, as in all networks here.
    x = layers.Activation("relu", dtype="float32", name="embedding_float32")(x)
    return keras.Model(images, x, name="alexnet_model")


NETWORKS: tuple[Callable[..., keras.Model], ...] = (
    inception_model,
    inception_model_small,
    vgg16_model,
    vgg16_model_small,
    alexnet_model,
)


def load_convolutions(network: keras.Model, weights: str) -> None:
    """Give a network of `OF_KERAS` the convolutions of the one in keras.applications.

    Where that has batch norm, its moving statistics become part of kernels and biases: without
    training the convolutions give the same. But the images come with the authors' scaling, not
    with that of ImageNet: the weights are a start to train from, not a source of features.

    Args:
        network: of this module, for RGB images.
        weights: "imagenet" (downloaded by Keras) or its file of weights, without the classifier.

    Raises:
        InputError: the weights can't be had, or the images are grey.
    """
    if network.input_shape[3] != 3:
        raise InputError(f"`weights={weights}` is for RGB images, but these have one channel")
    with keras_settings.channels_last():
        source = backbones.application(OF_KERAS[network.name], weights)
    if network.name in _LAST:
        source = keras.Model(source.input, source.get_layer(_LAST[network.name]).output)
    pairs = zip(_convolutions(network), _convolutions(source), strict=True)
    for number, (ours, theirs) in enumerate(pairs):
        kernel, bias = _kernel_and_bias(theirs)
        if number == 0 and OF_KERAS[network.name] in _OF_BGR:
            kernel = kernel[:, :, ::-1]
        ours.set_weights([kernel, bias])


def _convolutions(network: keras.Model) -> list[layers.Conv2D]:
    """All of a network, in the order of its graph."""
    parts = [network, *(layer for layer in network.layers if isinstance(layer, keras.Model))]
    return [layer for part in parts for layer in part.layers if isinstance(layer, layers.Conv2D)]


def _kernel_and_bias(conv: layers.Conv2D) -> list[np.ndarray]:
    """Of a convolution, with the batch norm that follows it, if one does."""
    if conv.use_bias:
        kernel, bias = conv.get_weights()
        return [kernel, bias]
    [kernel] = conv.get_weights()
    norm = next(
        node.operation
        for node in conv._outbound_nodes
        if isinstance(node.operation, layers.BatchNormalization)
    )
    shift, mean, variance = norm.get_weights()  # it has no factor
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    return [kernel * scale, shift - mean * scale]


def _vgg16(
    image_shape: ImageShape, l2_weight: float, name: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Its input and its last features, flat."""
    images = image_input(image_shape, name, SMALLEST[name])
    x = standardise_by_variance(images)
    for block, (count, filters) in enumerate(
        ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1
    ):
        for i in range(1, count + 1):
            conv = layers.Conv2D(
                filters,
                3,
                padding="same",
                data_format="channels_last",
                activation="relu",
                kernel_regularizer=l2(l2_weight),
                name=f"block{block}_conv{i}",
            )
            x = conv(x)
        x = pooling(2, name=f"block{block}_pool")(x)
    return images, layers.Flatten(data_format="channels_last")(x)


def _without_batch_norm(layer: keras.Layer) -> keras.Layer:
    """The same layer; of a convolution with its bias, and nothing in the place of batch norm."""
    if isinstance(layer, layers.BatchNormalization):
        return layers.Identity(name=layer.name)
    config = layer.get_config()
    if isinstance(layer, layers.Conv2D):
        config["use_bias"] = True
    return layer.__class__.from_config(config)
