"""What scripts/suggestion_study.py suggests is what semisup-eval would."""

import dataclasses
import json

import numpy as np

from semisup.runs.directory import RunDirectory
from tests.processes import said, start


def a_study(recipe, logdir):
    """A study of one seed whose runs are not made: all weights that they keep are 1."""
    import suggestion_study
    from absl import flags

    from semisup import experiment
    from semisup.inference import active_learning
    from semisup.training import loop

    def train(recipe, folder, dataset):
        folder.mkdir(parents=True, exist_ok=True)
        model = experiment.build(recipe, dataset).model
        for weight in model.trainable_variables:
            weight.assign(np.ones(weight.shape))
        RunDirectory(folder).save_model(model)
        return {"test_error": 1.0, "hardware": folder.name, "versions": {}, "date": "2026-01-02"}

    def write(folder, data, model, count):
        for weight in model.trainable_variables:
            np.testing.assert_array_equal(weight, np.ones(weight.shape))
        print("suggested")
        return np.arange(count)

    suggestion_study.recipe_from_flags = lambda one_run: recipe
    loop.train, active_learning.write = train, write
    words = ["--count=2", "--seeds=1", f"--logdir={logdir}", f"--out={logdir}/study.json"]
    flags.FLAGS(["", *words])
    suggestion_study.main()


def test_suggestions_are_by_the_model_that_the_run_kept(tiny, tmp_path):
    process = start(a_study, tiny, tmp_path)
    process.join()
    assert process.exitcode == 0, said(process)
    assert "suggested" in said(process)
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["hardware"] == ["before", "suggested", "random"]  # of the runs
    assert (record["seeds"], record["steps"]) == ([tiny.seed], tiny.max_steps)
    assert record["test_error"] == {"before": [1.0], "suggested": [1.0], "random": [1.0]}


def test_nothing_to_choose_from_is_said_before_any_training(tiny, tmp_path):
    process = start(a_study, dataclasses.replace(tiny, sup_per_class=-1), tmp_path)
    process.join()
    assert process.exitcode != 0
    assert "are labelled; give a smaller --sup_per_class" in said(process)
    assert not any(tmp_path.iterdir())
