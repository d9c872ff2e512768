"""Weights of saved models: load, compare, and compute a digest."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semisup.errors import InputError, reason
from semisup.models.associative_model import AssociativeModel
from semisup.models.backbones import Backbone, load_model


def load(model: AssociativeModel, path: Path, backbone: Backbone | None = None) -> None:
    """Load the weights of a saved model with the same network.

    A model of features takes what lies on top of the saved one's backbone.

    Args:
        model: the model.
        path: the saved one, from images.
        backbone: of a model of features; that of the saved one must be the same. None where it
            is known to be.

    Raises:
        InputError: there is no such file, it is damaged, or of another network.
    """
    if not path.is_file():
        raise InputError(f"there is no {path}; restore it, or train again")
    saved = load_model(path)
    below = _below(saved, model)
    if backbone and not _same(below, backbone.features.weights):
        raise InputError(
            f"the backbone in {path} differs from that of `architecture`, or it has been trained; "
            f"to use the network in it as a frozen backbone, give `architecture={path}` without "
            "`init_from`; to train all of it, give `freeze_steps=0`"
        )
    left_out = {id(weight) for weight in below}
    try:
        # Not load_weights, which passes over what it does not find.
        model.set_weights([w.numpy() for w in saved.weights if id(w) not in left_out])
    except ValueError as error:
        raise InputError(
            f"cannot take the weights of {path}: {reason(error).rstrip('.')}; `architecture`, "
            "`emb_size`, `virtual_embeddings` and the number of classes must be those of that run"
        ) from None


def _below(saved: keras.Model, model: AssociativeModel) -> list[keras.Variable]:
    """The weights in a saved model below what `model` has; none if that takes images too."""
    if len(model.network.input_shape) != 2:
        return []
    network = getattr(saved, "network", saved).weights
    return network[: len(network) - len(model.network.weights)]


def _same(weights: Sequence[keras.Variable], others: Sequence[keras.Variable]) -> bool:
    return len(weights) == len(others) and all(
        np.array_equal(weight.numpy(), other.numpy())
        for weight, other in zip(weights, others, strict=True)
    )


def digest(model: keras.Model) -> str:
    """Digest of the weights of a model: their order, types, shapes and values; 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for weight in model.weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{value.dtype} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def digest_of_layers(model: keras.Model) -> str:
    """Digest of the layers of a model and their settings, but not its weights; 32 hex digits.

    Operations such as scaling count, too. The same for the same model, whatever was made before
    it in the process.
    """
    config = _without_names(keras.saving.serialize_keras_object(model), {})
    settings = json.dumps(config, sort_keys=True, default=repr)
    return hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()


def _without_names(config: Any, numbers: Mapping[str, int]) -> Any:
    """A Keras object's settings with each layer's name replaced by its number in its model.

    Keras numbers names by what the process has made before: dense, dense_1, dense_2.

    Args:
        config: the settings, or a part of them.
        numbers: the number of each layer of the model around it.
    """
    if isinstance(config, list | tuple):
        if len(config) == 3 and isinstance(config[0], str) and config[0] in numbers:
            return [numbers[config[0]], *config[1:]]  # where a tensor is from
        return [_without_names(each, numbers) for each in config]
    if not isinstance(config, dict):
        return config
    if "DTypePolicy" in str(config.get("class_name")):
        return config  # its name says the precision
    if isinstance(layers := config.get("layers"), list):
        named = (layer.get("name") if isinstance(layer, dict) else None for layer in layers)
        numbers = {name: i for i, name in enumerate(named) if name}
    # Where a layer was called is `inbound_nodes`; what it was built with follows from that.
    left_out = ("name", "build_config", "shared_object_id")
    return {
        key: _without_names(value, numbers) for key, value in config.items() if key not in left_out
    }
