"""Networks from images to embeddings: the paper's and the authors'.

Each builder returns an ordinary Keras model: raw pixels [batch, H, W, C] in
[0, 255], uint8 or float, to embeddings [batch, emb_size]. Input normalisation is
part of the network, so a saved model takes the pixels as they are on disk.

    network = build("mnist_model", image_shape=(28, 28, 1))

The paper writes C(n, k) for a convolution with n kernels of k x k, P(k) for max
pooling and FC(n) for a dense layer; the comments do too. The paper says that the
pooling has stride 1; its sizes 28 -> 14 -> 7 -> 3 need the authors' stride 2.
"""

from collections.abc import Callable
from functools import partial

import keras
from keras import layers

from semisup.config import NO_WEIGHTS, SAVED_MODEL
from semisup.errors import InputError, check_known
from semisup.models import backbones, imagenet_networks
from semisup.models.backbones import ImageShape
from semisup.models.building_blocks import (
    conv3,
    embedding,
    image_input,
    pooling,
    standardise_by_variance,
)


def mnist_model(
    image_shape: ImageShape = (28, 28, 1), emb_size: int = 128, l2_weight: float = 1e-3
) -> keras.Model:
    """The paper's MNIST network (section 4), 434,016 weights for 28x28x1.

    C(32,3) C(32,3) P(2)  C(64,3) C(64,3) P(2)  C(128,3) C(128,3) P(2)  FC(128), ELU.

    Args:
        image_shape: (height, width, channels), height and width at least 8.
        emb_size: size of the embedding.
        l2_weight: the authors' code has 1e-3 here, the paper says 1e-4.

    Raises:
        InputError: the images are too small, or the embedding has no size.

    Examples:
        >>> network = semisup.mnist_model()
        >>> network.input_shape, network.output_shape, network.count_params()
        ((None, 28, 28, 1), (None, 128), 434016)
    """
    images = image_input(image_shape, "mnist_model")
    x = layers.Rescaling(1.0 / 255.0)(images)
    for block, filters in enumerate((32, 64, 128), start=1):
        x = conv3(x, f"conv{block}_1", filters, l2_weight)
        x = conv3(x, f"conv{block}_2", filters, l2_weight)
        x = pooling(2, name=f"pool{block}")(x)
    return keras.Model(images, embedding(x, emb_size, l2_weight), name="mnist_model")


def svhn_model(
    image_shape: ImageShape = (32, 32, 3),
    emb_size: int = 128,
    l2_weight: float = 1e-4,
    activation: str = "elu",
    name: str = "svhn_model",
) -> keras.Model:
    """The paper's SVHN network (section 4.3), 743,040 weights for 32x32x3.

    Three blocks C(n,3) C(n,3) C(n,3) P(2) with n = 32, 64, 128, then FC(128).

    Args:
        image_shape: (height, width, channels), height and width at least 8.
        emb_size: size of the embedding.
        l2_weight: as in the paper and the authors' code, 1e-4.
        activation: the paper has "elu".
        name: the model's name.

    Raises:
        InputError: the images are too small, or the embedding has no size.

    Examples:
        >>> semisup.svhn_model((32, 32, 3), emb_size=64).output_shape
        (None, 64)
    """
    images = image_input(image_shape, name)
    x = standardise_by_variance(images)
    # Divided by their variance, the pixels are near 0.01, where bfloat16 leaves nothing of
    # ELU's exp(x) - 1 but steps of 0.004.
    conv = partial(conv3, l2_weight=l2_weight, activation=activation, activation_dtype="float32")
    for block, filters in enumerate((32, 64, 128), start=1):
        for i in (1, 2, 3):
            x = conv(x, f"conv{block}_{i}", filters)
        x = pooling(2, name=f"pool{block}")(x)
    return keras.Model(images, embedding(x, emb_size, l2_weight, activation), name=name)


def stl10_model(
    image_shape: ImageShape = (96, 96, 3), emb_size: int = 128, l2_weight: float = 1e-4
) -> keras.Model:
    """The paper's STL-10 network (section 4.2), 1,392,256 weights for 96x96x3.

    C(32,3) C(64,3,stride=2) P(3)  C(64,3) C(128,3) P(2)  C(128,3) C(256,3) P(2)  FC(128).

    The paper does not say how the input is scaled: here as in the authors' code.

    Args:
        image_shape: (height, width, channels), height and width at least 17.
        emb_size: size of the embedding.
        l2_weight: as in the paper, 1e-4.

    Raises:
        InputError: the images are too small, or the embedding has no size.

    Examples:
        >>> semisup.stl10_model().count_params()
        1392256
    """
    images = image_input(image_shape, "stl10_model", smallest=17)
    x = _stl10_body(images, partial(conv3, l2_weight=l2_weight))
    return keras.Model(images, embedding(x, emb_size, l2_weight), name="stl10_model")


def stl10_batch_norm_model(
    image_shape: ImageShape = (96, 96, 3),
    emb_size: int = 128,
    l2_weight: float = 5e-3,
    batch_norm_decay: float = 0.99,
) -> keras.Model:
    """The authors' STL-10 network: `stl10_model` with batch norm on every convolution.

    It adds C(128,3) before the dense layer, has a stronger L2 weight and an embedding
    without activation. As the authors did, pass A and B through it apart
    (`AssociativeModel(separate_batches=True)`), so that each is normalised by itself.

    Args:
        image_shape: (height, width, channels), height and width at least 17.
        emb_size: size of the embedding.
        l2_weight: as in the authors' code, 5e-3.
        batch_norm_decay: momentum of the moving statistics, in [0, 1).

    Raises:
        InputError: the images are too small, or the embedding has no size.
    """
    images = image_input(image_shape, "stl10_batch_norm_model", smallest=17)
    conv = partial(conv3, l2_weight=l2_weight, batch_norm_decay=batch_norm_decay)
    x = conv(_stl10_body(images, conv), "conv4", 128)
    x = embedding(x, emb_size, l2_weight, activation=None)
    return keras.Model(images, x, name="stl10_batch_norm_model")


def dann_model(
    image_shape: ImageShape = (32, 32, 3), emb_size: int = 2048, l2_weight: float = 1e-4
) -> keras.Model:
    """The authors' network for domain adaptation: `svhn_model` with ReLU and 2,048 dimensions.

    Args:
        image_shape, emb_size, l2_weight: as those of `svhn_model`.

    Raises:
        InputError: the images are too small, or the embedding has no size.
    """
    return svhn_model(image_shape, emb_size, l2_weight, activation="relu", name="dann_model")


ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    builder.__name__: builder
    for builder in (
        *(mnist_model, svhn_model, stl10_model, stl10_batch_norm_model, dann_model),
        *imagenet_networks.NETWORKS,
    )
}


def check_batch_norm_decay(name: str, decay: float | None) -> None:
    """Raise InputError if a decay is given to an architecture that does not take one."""
    if decay is not None and name != stl10_batch_norm_model.__name__:
        raise InputError(f"`batch_norm_decay` is for stl10_batch_norm_model, not for {name}")


def build(
    name: str,
    image_shape: ImageShape,
    emb_size: int | None = None,
    l2_weight: float | None = None,
    weights: str = NO_WEIGHTS,
    dropout: float = 0.0,
    batch_norm_decay: float | None = None,
) -> keras.Model:
    """The network called `name` for images of `image_shape`.

    Args:
        name: a key of `ARCHITECTURES`, or what `semisup.models.backbones.build` takes:
            "keras:MobileNetV2" and the like, or the path of a .keras file.
        image_shape: (height, width, channels).
        emb_size: size of the embedding; None for the architecture's own.
        l2_weight: as the paper counts it, see `l2`; None for the architecture's own. For a
            backbone, that of the dense layer on top.
        weights: initial weights of a network of keras.applications, or of one of the authors' that
            has its layers.
        dropout: see `backbones.build`; of other people's networks only.
        batch_norm_decay: of stl10_batch_norm_model only; None for its own.

    Raises:
        InputError: there is no such architecture, or the images are too small for it.
    """
    check_batch_norm_decay(name, batch_norm_decay)
    if backbones.is_backbone(name):
        built = backbones.build(name, image_shape, emb_size, weights, l2_weight, dropout)
        return built.network
    known = (*ARCHITECTURES, f"{backbones.PREFIX}NAME", f"PATH{SAVED_MODEL}")
    check_known("architecture", name, known)
    if weights != NO_WEIGHTS and name not in imagenet_networks.OF_KERAS:
        others = ", ".join(("`architecture=keras:NAME`", *imagenet_networks.OF_KERAS))
        raise InputError(f"`weights={weights}` is for {others}, not for {name}")
    if dropout:
        raise InputError(
            f"`dropout` is for keras:NAME and PATH.keras, not for the `architecture` {name}"
        )
    sizes = {"emb_size": emb_size, "l2_weight": l2_weight, "batch_norm_decay": batch_norm_decay}
    given = {size: value for size, value in sizes.items() if value is not None}
    network = ARCHITECTURES[name](image_shape, **given)
    if weights not in (NO_WEIGHTS, backbones.RESTORED):
        imagenet_networks.load_convolutions(network, weights)
    return network


def _stl10_body(
    images: keras.KerasTensor, conv: Callable[..., keras.KerasTensor]
) -> keras.KerasTensor:
    x = layers.Rescaling(1.0 / 128.0, offset=-1.0)(images)
    x = conv(x, "conv1_1", 32)
    x = conv(x, "conv1_2", 64, strides=2)
    x = pooling(3, strides=2, name="pool1")(x)
    x = conv(x, "conv2_1", 64)
    x = conv(x, "conv2_2", 128)
    x = pooling(2, name="pool2")(x)
    x = conv(x, "conv3_1", 128)
    x = conv(x, "conv3_2", 256)
    return pooling(2, name="pool3")(x)
