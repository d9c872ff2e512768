"""The moving average of the weights, which a Keras optimizer with `use_ema` keeps."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Inside, the model's weights are their moving averages, if its optimizer keeps those.

    Unlike Keras's SwapEMAWeights, which swaps by adding and subtracting, this gives back
    the very same bits.
    """
    if not model.optimizer.use_ema or int(model.optimizer.iterations) == 0:
        yield
        return
    weights = model.trainable_variables
    before = [weight.numpy() for weight in weights]
    model.optimizer.finalize_variable_values(weights)
    try:
        yield
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value)
