"""Monitor a run: non-finite losses and weights, batch norm that has not settled."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from semisup.errors import InputError
from semisup.models.associative_model import AssociativeModel

# Share of batch norm's statistics that may still be their first values when a model is evaluated.
_FIRST_VALUES = 0.01

# Steps after which `LossMonitor` checks at the latest, which bounds how many it keeps.
_CHECK_EVERY = 100


class LossMonitor:
    """Detect non-finite losses and report the first step that has one.

    A bad loss spoils the weights, hence all losses of the next step; and what a step reports
    is a mean since the last entry, in which a non-finite value is seen from then on. So each step's
    report is kept, as it is on its device, and read only if a later one is bad: to read every
    step's would make a GPU wait for the processor.

    Args:
        folder: the run's folder, for the error.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._unread: list[tuple[int, Mapping[str, Any]]] = []

    def add(self, step: int, logs: Mapping[str, Any]) -> None:
        """Keep what a step reported: scalar tensors by name; now and then, `check`."""
        self._unread.append((step, logs))
        if len(self._unread) >= _CHECK_EVERY:
            self.check()

    def check(self) -> None:
        """Check the steps since the last check.

        Raises:
            InputError: a number in them is not finite. Names the first step that has one, and
                of that step the loss terms, or else whatever is bad.
        """
        if self._unread and not _bad(self._unread[-1][1]):
            self._unread.clear()
        for step, logs in self._unread:
            terms = {name: value for name, value in logs.items() if name.endswith("_loss")}
            check_finite_values(terms, step, self._folder)
            check_finite_values(logs, step, self._folder)


def check_finite_values(values: Mapping[str, Any], step: int, folder: Path) -> None:
    """Raises InputError that names those of the values that are not finite, and the step."""
    if bad := _bad(values):
        if step == 0:
            raise InputError(
                f"{', '.join(bad)} not finite before the first step; give the network other "
                "initial weights"
            )
        raise InputError(
            f"{', '.join(bad)} no longer finite at step {step}; the last good checkpoint is in "
            f"{folder}; try a lower `learning_rate` or other loss weights"
        )


def _bad(values: Mapping[str, Any]) -> list[str]:
    return [name for name, value in values.items() if not math.isfinite(value)]


def check_weights(model: AssociativeModel, step: int, folder: Path) -> None:
    """Raise InputError that names the weights that are not finite, and the step."""
    sizes = {
        weight.path: tf.reduce_sum(tf.abs(weight.value)) for weight in model.trainable_variables
    }
    check_finite_values(sizes, step, folder)


def fresh_batch_norms(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The trainable batch norm layers whose moving statistics are still their first values."""
    return [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.built
        and layer.trainable
        and not np.any(layer.moving_mean.numpy())
        and np.all(layer.moving_variance.numpy() == 1.0)
    ]


def unsettled_batch_norm(
    model: AssociativeModel, fresh: Sequence[keras.layers.BatchNormalization], batches: int
) -> str | None:
    """The warning that moving statistics have not come far from their first values, or None.

    Of these the share momentum^updates is left: Keras's 0.99 leaves 5 % after 300. Where
    variances are far below the first value of 1, the model is then evaluated with several times
    the variance that it was trained with.

    Args:
        model: the model that is trained.
        fresh: the layers of `fresh_batch_norms` before training.
        batches: that it is trained on. Where A and B pass the network apart, each counts twice.
    """
    updates = 2 * batches if model.separate_batches else batches
    momentum = max((float(layer.momentum) for layer in fresh), default=0.0)
    left = momentum**updates
    if left <= _FIRST_VALUES or updates == 0:
        return None
    return (
        f"batch norm with a momentum of {momentum:g} keeps {100 * left:.0f} % of its initial "
        f"statistics after {updates} batches, so test images are normalised differently from "
        "training images; use a smaller momentum, such as BatchNormalization(momentum=0.9), or "
        "train for longer"
    )
