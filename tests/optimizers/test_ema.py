"""The moving average of the weights, against one computed by hand."""

import dataclasses

import keras
import numpy as np

from semisup.optimizers import ema
from semisup.training import loop


def make(**averages):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1, **averages), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_averaged_weights_are_the_average_so_far_and_leave_no_trace():
    model = make(use_ema=True, ema_momentum=0.9)
    images, targets = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    expected = None
    for _ in range(4):
        model.train_on_batch(images, targets)
        weights = model.get_weights()[0]
        expected = weights if expected is None else 0.9 * expected + 0.1 * weights
    before = model.get_weights()[0].tobytes()
    with ema.averaged_weights(model):
        np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-6)
    assert model.get_weights()[0].tobytes() == before


def test_averaged_weights_without_average_or_steps_are_the_weights():
    for model in (make(), make(use_ema=True)):
        weights = model.get_weights()[0]
        with ema.averaged_weights(model):
            np.testing.assert_array_equal(model.get_weights()[0], weights)


def test_ema_run_is_evaluated_and_saved_with_averages(tiny, tmp_path):
    plain, averaged = (
        dataclasses.replace(tiny, ema=ema, max_steps=20, eval_interval=10) for ema in (0.0, 0.9)
    )
    for recipe in (plain, averaged):
        loop.train(recipe, tmp_path / str(recipe.ema))
    plain, averaged = (
        keras.models.load_model(tmp_path / name / "model.keras") for name in ("0.0", "0.9")
    )
    # The steps are the same, only the saved weights are not.
    for one, other in zip(plain.optimizer._momentums, averaged.optimizer._momentums, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    expected = averaged.optimizer._model_variables_moving_average
    for variable, average in zip(averaged.trainable_variables, expected, strict=True):
        np.testing.assert_array_equal(variable.numpy(), average.numpy())
    pairs = zip(plain.trainable_variables, averaged.trainable_variables, strict=True)
    assert max(np.abs(a.numpy() - b.numpy()).max() for a, b in pairs) > 1e-4
