"""The moving average of the weights, which a Keras optimizer with `use_ema` keeps."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


def take_averages(model: keras.Model) -> None:
    """Replace the model's weights by their moving averages, if its optimizer keeps those."""
    optimizer = _averaging(model)
    if optimizer.use_ema and int(optimizer.iterations.numpy()) > 0:
        optimizer.finalize_variable_values(_averaged(model))


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """A context in which the model's weights are their moving averages.

    Unlike Keras's SwapEMAWeights, which swaps by adding and subtracting, this restores the
    weights bit for bit.
    """
    if not _averaging(model).use_ema:
        yield
        return
    weights = _averaged(model)
    before = [weight.numpy() for weight in weights]
    take_averages(model)
    try:
        yield
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value)


def _averaging(model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer that keeps the averages: under mixed_float16 Keras wraps the one given."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def _averaged(model: keras.Model) -> list[keras.Variable]:
    """The weights that the optimizer averages: fewer may be trainable by now, in other places."""
    return _averaging(model)._trainable_variables or model.trainable_variables
