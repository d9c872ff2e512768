"""Layers from which the networks are built."""

from functools import partial
from typing import Any

import keras
from keras import layers, ops

from semisup.errors import InputError
from semisup.runtime.arguments import whole_number


def l2(weight: float) -> keras.regularizers.L2:
    """L2 as the authors' framework defines it: weight / 2 times the sum of squares.

    Keras leaves out the 1/2, so the paper's 1e-4 is 5e-5 in Keras's terms.
    """
    return keras.regularizers.L2(float(weight) / 2.0)


def one_tensor(tensors: Any) -> Any:
    """What a list, tuple or dict of one tensor holds, as Keras takes it; else as it is."""
    if isinstance(tensors, tuple | list | dict) and len(tensors) == 1:
        return next(iter(tensors.values() if isinstance(tensors, dict) else tensors))
    return tensors


# Whatever keras.json says: images are [batch, H, W, C].
pooling = partial(layers.MaxPooling2D, data_format="channels_last")


def image_input(
    image_shape: tuple[int, int, int], network: str, smallest: int = 8
) -> keras.KerasTensor:
    """The input of a network: images [batch, *image_shape].

    Args:
        image_shape: (height, width, channels).
        network: its name, for the error.
        smallest: height and width that it needs: smaller images have no pixel left at its end.

    Raises:
        InputError: the images are smaller, or not of that form.
    """
    if len(image_shape) != 3:
        raise InputError(
            f"{network} needs images (height, width, channels), but `image_shape` is {image_shape}"
        )
    if min(image_shape[:2]) < smallest:
        raise InputError(
            f"{network} needs images of at least {smallest}x{smallest} pixels, but these are "
            f"{image_shape[0]}x{image_shape[1]}"
        )
    return keras.Input(image_shape)


def conv3(
    x: keras.KerasTensor,
    name: str,
    filters: int,
    l2_weight: float,
    strides: int = 1,
    activation: str = "elu",
    activation_dtype: str | None = None,
    batch_norm_decay: float | None = None,
) -> keras.KerasTensor:
    """C(filters, 3); the activation may be computed more precisely than the convolution."""
    x = layers.Conv2D(
        filters,
        3,
        strides,
        padding="same",
        data_format="channels_last",
        use_bias=batch_norm_decay is None,  # batch norm subtracts any bias again
        kernel_regularizer=l2(l2_weight),
        name=name,
    )(x)
    if batch_norm_decay is not None:
        normalise = layers.BatchNormalization(
            momentum=batch_norm_decay, epsilon=1e-3, scale=False, name=f"{name}_batch_norm"
        )
        x = normalise(x)
    return layers.Activation(activation, dtype=activation_dtype, name=f"{name}_{activation}")(x)


def embedding(
    x: keras.KerasTensor, emb_size: int, l2_weight: float, activation: str | None = "elu"
) -> keras.KerasTensor:
    """FC(emb_size)."""
    size = whole_number("emb_size", emb_size, minimum=1)
    dense = layers.Dense(size, kernel_regularizer=l2(l2_weight), name="embedding")
    x = dense(layers.Flatten(data_format="channels_last")(x))
    # float32 under any precision policy: it goes into the association as it is.
    return layers.Activation(activation or "linear", dtype="float32", name="embedding_float32")(x)


def standardise_by_variance(images: keras.KerasTensor) -> keras.KerasTensor:
    """(x - mean) / (variance + 1e-5) per image and channel, as the authors' code has it.

    By the variance, not by its square root: their slip, but the published SVHN
    settings (learning rate, initial weights) go with it.
    """
    centred = images - ops.mean(images, axis=(1, 2), keepdims=True)
    return centred / (ops.mean(ops.square(centred), axis=(1, 2), keepdims=True) + 1e-5)
