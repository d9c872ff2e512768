"""A frozen backbone: for the first steps of a run, only what is new on top of it learns.

The classifier and the embedding layer begin at random. Their first gradients would spoil a
pretrained network below them; so it waits until they make sense.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops


def backbone_of(network: keras.Model) -> keras.Model:
    """The model nested in `network`, as `semisup.models.backbones` builds it; else all of it."""
    nested = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return nested[0] if nested else network


@contextmanager
def frozen(network: keras.Model) -> Iterator[None]:
    """Inside, no weight of the network's backbone is trained.

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


@keras.saving.register_keras_serializable(package="semisup")
class LateAdam(keras.optimizers.Adam):
    """Adam for variables of which some begin to learn later than the others.

    Adam divides its averages by 1 - beta^t, since they begin at zero. For a late variable
    they begin at zero when it is thawed, so t must count from there: with the steps of the
    whole run, its first steps would be several times too large.

    Args:
        learning_rate: as Adam's.
        late: places of the late variables among those that the optimizer is built with.
        late_by: the step from which they learn.
    """

    def __init__(
        self, learning_rate: Any, late: Sequence[int] = (), late_by: int = 0, **kwargs: Any
    ):
        super().__init__(learning_rate, **kwargs)
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


def optimizer(
    learning_rate: Any, model: keras.Model, network: keras.Model, freeze_steps: int, **options: Any
) -> keras.optimizers.Optimizer:
    """Adam, with any of its options, for a backbone that is frozen for `freeze_steps` steps."""
    if freeze_steps == 0:
        return keras.optimizers.Adam(learning_rate, **options)
    waiting = {id(variable) for variable in backbone_of(network).trainable_variables}
    variables = enumerate(model.trainable_variables)
    late = [place for place, variable in variables if id(variable) in waiting]
    return LateAdam(learning_rate, late, freeze_steps, **options)
