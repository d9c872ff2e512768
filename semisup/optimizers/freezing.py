"""A frozen backbone: for the first steps of a run, only the layers on top of it are trained.

The classifier and the embedding layer have random initial weights. Their first gradients would
spoil a pretrained network below them.

    frozen         trains without the backbone, for as long as a step is traced
    LateAdam       Adam for variables that are trained from a later step on
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops


def backbone_of(network: keras.Model) -> keras.Model:
    """The model nested in `network`, as `semisup.models.backbones` builds it; else all of it."""
    nested = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return nested[0] if nested else network


@contextmanager
def frozen(network: keras.Model) -> Iterator[None]:
    """A context in which no weight of the network's backbone is trained.

    Its batch norm layers normalise by their moving averages, which stay as they are.
    A `tf.function` that is traced inside stays so for good.
    """
    # Each layer by itself, parents first: a saved model may have frozen some of its own.
    before = [(layer, layer.trainable) for layer in backbone_of(network)._flatten_layers()]
    backbone_of(network).trainable = False
    try:
        yield
    finally:
        for layer, trainable in before:
            layer.trainable = trainable


def late_variables(model: keras.Model) -> list[int]:
    """Which of an `AssociativeModel`'s trainable variables belong to the backbone, by index."""
    backbone = {id(variable) for variable in backbone_of(model.network).trainable_variables}
    variables = enumerate(model.trainable_variables)
    return [index for index, variable in variables if id(variable) in backbone]


@keras.saving.register_keras_serializable(package="semisup")
class LateAdam(keras.optimizers.Adam):
    """Adam for variables of which some are trained from a later step on.

    Adam divides its averages by 1 - beta^t, since they begin at zero. For a late variable
    they begin at zero when its training begins, so t must count from there: with the steps of
    the whole run, its first steps would be several times too large.

    Args:
        learning_rate: a number or a schedule, as Adam's.
        late: indices of the late variables among those that the optimizer is built with.
        late_by: the step from which they are trained.
        options: as those of keras.optimizers.Adam.
    """

    def __init__(
        self, learning_rate: Any, late: Sequence[int] = (), late_by: int = 0, **options: Any
    ):
        if isinstance(learning_rate, np.number):  # Keras takes Python's numbers only
            learning_rate = float(learning_rate)
        super().__init__(learning_rate, **options)
        self.late, self.late_by = tuple(late), late_by

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self._get_variable_index(variable) in self.late:
            step = ops.cast(self.iterations + 1, "float32")
            own_step = ops.maximum(step - self.late_by, 1.0)
            learning_rate = learning_rate * self._correction(own_step) / self._correction(step)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "late": self.late, "late_by": self.late_by}

    def _correction(self, step: Any) -> Any:
        return ops.sqrt(1.0 - ops.power(self.beta_2, step)) / (1.0 - ops.power(self.beta_1, step))
