"""The moving average of the weights, which a Keras optimizer with `use_ema` keeps."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


def take_averages(model: keras.Model) -> None:
    """Replace the model's weights by their moving averages, if its optimizer keeps those."""
    if model.optimizer.use_ema and int(model.optimizer.iterations.numpy()) > 0:
        model.optimizer.finalize_variable_values(model.trainable_variables)


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """A context in which the model's weights are their moving averages.

    Unlike Keras's SwapEMAWeights, which swaps by adding and subtracting, this restores the
    weights bit for bit.
    """
    if not model.optimizer.use_ema:
        yield
        return
    before = [weight.numpy() for weight in model.trainable_variables]
    take_averages(model)
    try:
        yield
    finally:
        for weight, value in zip(model.trainable_variables, before, strict=True):
            weight.assign(value)
