"""What scripts/suggestion_study.py suggests is what semisup-eval would."""

import dataclasses

import numpy as np

from tests.processes import said, start


def a_study(recipe, logdir):
    """A study of one seed whose runs are not made: weights of 0, their averages are 1."""
    import suggestion_study
    from absl import flags

    from semisup.inference import active_learning
    from semisup.runs import checkpoints
    from semisup.training import loop

    def train(recipe, folder, dataset):
        folder.parent.mkdir(parents=True, exist_ok=True)
        return {"test_error": 1.0}

    def restore(model, checkpoint):
        model.optimizer.iterations.assign(1)
        for weight in model.trainable_variables:
            weight.assign(np.zeros(weight.shape))
        for average in model.optimizer._model_variables_moving_average:
            average.assign(np.ones(average.shape))

    def write(folder, data, model, count):
        for weight in model.trainable_variables:
            np.testing.assert_array_equal(weight, np.ones(weight.shape))
        print("suggested")
        return np.arange(count)

    suggestion_study.recipe_from_flags = lambda one_run: recipe
    loop.train, checkpoints.newest, checkpoints.restore = train, print, restore
    active_learning.write = write
    flags.FLAGS(["", "--count=2", "--seeds=1", f"--logdir={logdir}"])
    suggestion_study.main()


def test_suggestions_are_by_the_averaged_weights(tiny, tmp_path):
    process = start(a_study, dataclasses.replace(tiny, ema=0.9), tmp_path)
    process.join()
    assert process.exitcode == 0, said(process)
    assert "suggested" in said(process)
