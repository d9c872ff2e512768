"""The moving average of the weights, against one computed by hand."""

import dataclasses
import sys

import keras
import numpy as np

from semisup import experiment
from semisup.evaluation import label_free
from semisup.optimizers import ema
from semisup.runs import checkpoints
from semisup.runs.directory import RunDirectory
from semisup.training import loop
from tests import processes


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


def test_averages_are_those_of_their_weights_if_fewer_are_trainable_now():
    layers = [keras.layers.Dense(3, use_bias=False, name=name) for name in "ab"]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    for _ in range(3):
        model.train_on_batch(np.eye(3), np.eye(3))
    with ema.averaged_weights(model):
        wanted = [weight.copy() for weight in model.get_weights()]
    before = model.get_weights()
    assert not np.allclose(before, wanted)
    layers[0].trainable = False
    with ema.averaged_weights(model):
        np.testing.assert_array_equal(model.get_weights(), wanted)
    np.testing.assert_array_equal(model.get_weights(), before)


def test_averaged_weights_without_average_or_steps_are_the_weights():
    for model in (make(), make(use_ema=True)):
        weights = model.get_weights()[0]
        with ema.averaged_weights(model):
            np.testing.assert_array_equal(model.get_weights()[0], weights)


def test_averages_are_there_under_a_scaled_loss():
    """As Keras wraps the optimizer where the policy is mixed_float16."""
    model = make(use_ema=True, ema_momentum=0.9)
    model.compile(keras.optimizers.LossScaleOptimizer(model.optimizer), "mse")
    for _ in range(3):
        model.train_on_batch(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"))
    before = model.get_weights()[0]
    with ema.averaged_weights(model):
        assert not np.array_equal(model.get_weights()[0], before)
    np.testing.assert_array_equal(model.get_weights()[0], before)


def weights_equal(ours, theirs):
    return all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_ema_run_is_evaluated_and_saved_with_averages(tiny, tmp_path, monkeypatch):
    evaluated, scores = [], label_free.scores

    def note(model, probe):
        evaluated.append(model.get_weights())
        return scores(model, probe)

    monkeypatch.setattr(label_free, "scores", note)
    recipe = dataclasses.replace(tiny, ema=0.9, max_steps=10, eval_interval=10)
    loop.train(recipe, tmp_path)
    saved = keras.models.load_model(tmp_path / "model.keras")
    averages = saved.optimizer._model_variables_moving_average
    assert weights_equal(saved.trainable_variables, averages)
    assert weights_equal(saved.get_weights(), evaluated[-1])
    # Training itself went on with the weights as they were.
    run = RunDirectory(tmp_path)
    model = experiment.rebuild(recipe, run).model
    checkpoints.restore(model, checkpoints.newest(run))
    assert not weights_equal(model.get_weights(), evaluated[-1])

    process = processes.start(note_weights_of_evaluation, tmp_path)
    process.join()
    assert process.exitcode == 0, processes.said(process)
    for name in ("evaluated", "drawn from"):
        with np.load(tmp_path / f"{name}.npz") as weights:
            assert weights_equal(weights.values(), evaluated[-1]), name


def note_weights_of_evaluation(logdir):
    """Run semisup-eval, and write the weights that the model has when its parts take it."""
    from semisup import eval as program
    from semisup.evaluation import metrics
    from semisup.inference import active_learning

    evaluate = metrics.evaluate

    def note(model, *arguments):
        np.savez(logdir / "evaluated.npz", *model.get_weights())
        return evaluate(model, *arguments)

    def note_again(out, data, model, count):
        np.savez(logdir / "drawn from.npz", *model.get_weights())
        return []

    metrics.evaluate, active_learning.write = note, note_again
    sys.argv[1:] = [f"--logdir={logdir}", "--suggest=1"]
    program.console_main()
