"""The loop, in this process, on easy digits."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup import experiment, recipes
from semisup.config import ALWAYS
from semisup.errors import InputError
from semisup.evaluation import label_free
from semisup.optimizers import freezing
from semisup.runs import checkpoints, files
from semisup.runs.directory import RunDirectory
from semisup.runtime import machine, precision, signals
from semisup.training import evaluator, loop, pseudo_labels
from tests import processes

SMALL = {
    "sup_per_batch": 2,
    "unsup_batch_size": 20,
    "max_steps": 30,
    "eval_interval": 10,
    "log_interval": 5,
}


pytestmark = pytest.mark.usefixtures("without_pictures")


def recipe(mnist_dir, **changes):
    return recipes.get("mnist", data_dir=str(mnist_dir), **{**SMALL, **changes})


@pytest.fixture(scope="module")
def finished(mnist_dir, tmp_path_factory):
    logdir = tmp_path_factory.mktemp("run")
    result = loop.train(recipe(mnist_dir), logdir, ["semisup-train"])
    return logdir, result


def test_training_learns_and_reports(finished):
    logdir, result = finished
    records = [json.loads(line) for line in (logdir / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 10, 20, 30]
    errors = [record["test_error"] for record in records]
    assert errors[0] > 50
    assert errors[-1] < 10
    assert result["test_error"] == errors[-1]
    assert result["test_error_min"] == min(errors[1:])  # the untrained model does not count
    assert result["test_error_median"] == np.median(errors[1:])
    assert result["steps"] == result["selected_step"] == 30
    assert all(0 <= record[name] <= 1 for record in records for name in label_free.NAMES)
    assert records[-1][label_free.SCORE] > records[0][label_free.SCORE]
    seconds = [record["train_seconds"] for record in records]
    assert seconds == sorted(seconds)
    assert result["train_seconds"] == seconds[-1] > 0
    assert result == json.loads((logdir / "result.json").read_text())
    assert result["hardware"] == machine.hardware()
    assert set(result["versions"]) == {"python", "semisup", "tensorflow", "keras"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])
    assert records[-1]["walker_loss"] > 0
    # Of the steps since the last entry only, 6 to 10; the first step is wrong for sure.
    assert records[1]["error"] == 0


def test_saved_model_is_the_trained_one(finished, mnist_dir):
    logdir, result = finished
    model = keras.models.load_model(logdir / "model.keras")
    dataset = experiment.build(recipe(mnist_dir)).data.dataset
    logits = model.predict(dataset.test_images, verbose=0)["logits"]
    error = 100 * np.mean(logits.argmax(axis=1) != dataset.test_labels)
    assert error == pytest.approx(result["test_error"])


def test_finished_run_is_not_run_again(finished, mnist_dir, capsys):
    logdir, result = finished
    before = {path: path.stat().st_mtime_ns for path in logdir.rglob("*") if path.name != "lock"}
    assert loop.train(recipe(mnist_dir), logdir) == result
    assert "finished" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_run_in_the_folder_is_refused(finished, mnist_dir, monkeypatch):
    # Before its pseudo-labels are read, which may be of other images.
    monkeypatch.setattr(pseudo_labels, "of_run", None)
    with pytest.raises(InputError, match=r"holds another run .visit_weight was 1.0, is 0.5"):
        loop.train(recipe(mnist_dir, visit_weight=0.5), finished[0])
    # The same images at the same places, but their classes are called otherwise.
    digits = experiment.load_data(recipe(mnist_dir))
    renamed = dataclasses.replace(digits, class_names=digits.class_names[::-1])
    with pytest.raises(InputError, match=r"holds another run .*its images or classes have changed"):
        loop.train(recipe(mnist_dir), finished[0], dataset=renamed)


def test_a_run_whose_data_has_moved_resumes(tiny, tmp_path, capsys):
    old, new, run = tmp_path / "old.npz", tmp_path / "new.npz", RunDirectory(tmp_path / "run")
    shutil.copy(tiny.data_dir, old)
    here, there = (dataclasses.replace(tiny, data_dir=str(path)) for path in (old, new))
    result = loop.train(here, run.path)
    run.result.unlink()
    old.rename(new)
    again = loop.train(there, run.path)
    assert again["test_error"] == result["test_error"]
    assert f"data_dir was {old}, is {new}" in capsys.readouterr().out
    assert run.read_recipe() == there  # so that semisup-eval finds it


def test_a_folder_in_use_is_refused(tiny, tmp_path):
    refusal = rf"is in use by process {os.getpid()} on"
    with files.locked(tmp_path):
        with pytest.raises(InputError, match=refusal):
            loop.train(tiny, tmp_path)
        assert not (tmp_path / "recipe.json").exists()
        RunDirectory(tmp_path).claim(tiny, {"hash": "0"}, [])
        with pytest.raises(InputError, match=refusal):
            loop.train(tiny, tmp_path, overwrite=True)
        assert (tmp_path / "recipe.json").exists()


def test_last_evaluation_is_made_again_if_its_line_was_damaged(tiny, tmp_path):
    result = loop.train(tiny, tmp_path)
    (tmp_path / "result.json").unlink()
    *lines, last = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_text("".join(lines) + last[:9])
    again = loop.train(tiny, tmp_path)
    # It may be midnight; and whether the walk had collapsed went with the line.
    lost = {"date": None, "collapsed": None}
    assert {**again, **lost} == {**result, **lost}
    assert [e["step"] for e in RunDirectory(tmp_path).read_evaluations()] == [0, 20, 30]


def test_a_run_that_was_killed_before_its_first_checkpoint_makes_it(tiny, tmp_path, monkeypatch):
    saved = []

    def killed(run, step, model, **state):
        saved.append(step)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", killed)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                loop.train(tiny, tmp_path)
    assert saved == [0, 0]
    assert [e["step"] for e in RunDirectory(tmp_path).read_evaluations()] == [0]


def test_entries_of_tensorboard_are_in_their_file_before_a_checkpoint(tiny, tmp_path, monkeypatch):
    """A run that is killed then resumes behind them, and does not write them again."""
    written = {}

    def entries(step):
        [path] = tmp_path.glob("events.out.*")
        events = tf.compat.v1.train.summary_iterator(str(path))
        return sum(event.step == step for event in events)

    def look(run, step, model, **state):
        written[step] = entries(step)

    monkeypatch.setattr(checkpoints, "save", look)
    loop.train(dataclasses.replace(tiny, log_interval=5), tmp_path, save_interval=5)
    steps = range(0, 30, 5)  # at the last one there are pictures to come
    assert {step: written[step] for step in steps} == {step: entries(step) for step in steps}


def test_evaluations_whose_weights_are_lost_are_not_selected(tiny, tmp_path, monkeypatch):
    """model.keras is of step 30, whose checkpoint is damaged: step 10, the next best, has none."""
    scores = {0: 0.1, 10: 0.8, 20: 0.5, 30: 0.9}

    def scored(model, probe):
        return {name: scores[int(model.optimizer.iterations)] for name in label_free.NAMES}

    monkeypatch.setattr(label_free, "scores", scored)
    steps = {"eval_interval": 10, "learning_rate_schedule": "step"}
    selecting = dataclasses.replace(tiny, select="label_free", **steps)
    finish = evaluator.Evaluator.finish
    monkeypatch.setattr(evaluator.Evaluator, "finish", lambda *_: None)
    loop.train(selecting, tmp_path)
    run = RunDirectory(tmp_path)
    for path in run.checkpoints_by_step()[30]:
        if path.suffix != ".json":
            path.write_bytes(b"damaged")
    scores[30] = 0.6  # computed in another order
    monkeypatch.setattr(evaluator.Evaluator, "finish", finish)
    assert loop.train(selecting, tmp_path)["selected_step"] == 30
    lost = {e["step"]: bool(e.get("weights_lost")) for e in run.read_evaluations()}
    assert lost == {0: True, 10: True, 20: False, 30: False}


def test_signal_before_the_first_step_saves_too(tiny, tmp_path, monkeypatch):
    """While the step is traced, which takes seconds with a large network."""
    make = loop.make_train_step

    def make_and_signal(*arguments):
        signal.raise_signal(signal.SIGINT)
        return make(*arguments)

    monkeypatch.setattr(loop, "make_train_step", make_and_signal)
    with pytest.raises(signals.Stopped):
        loop.train(tiny, tmp_path)
    assert checkpoints.newest(RunDirectory(tmp_path)).endswith("step-1")


def test_a_signal_after_the_last_step_brings_the_result(tiny, tmp_path, monkeypatch):
    finish = evaluator.Evaluator.finish

    def signalled(*arguments):
        signal.raise_signal(signal.SIGTERM)
        finish(*arguments)

    monkeypatch.setattr(evaluator.Evaluator, "finish", signalled)
    with pytest.raises(signals.Stopped) as stopped:
        loop.train(tiny, tmp_path)
    assert stopped.value.result == RunDirectory(tmp_path).read_result()


def test_a_run_does_not_go_on_with_other_test_images(tiny, tmp_path):
    loop.train(tiny, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with np.load(tiny.data_dir) as arrays:
        fewer = {key: a[:6] if key.startswith("test") else a for key, a in arrays.items()}
    dataset = experiment.load_data(tiny)
    images, labels = fewer["test_images"][..., None], fewer["test_labels"]
    fewer = dataclasses.replace(dataset, test_images=images, test_labels=labels)
    with pytest.raises(InputError, match="on 9 test images at step 0, but now there are 6, so"):
        loop.train(tiny, tmp_path / "run", dataset=fewer)


def test_a_run_goes_on_when_what_it_began_from_is_gone(tiny, tmp_path):
    source = tmp_path / "source"
    loop.train(tiny, source)
    began = dataclasses.replace(
        tiny, init_from=str(source), split_file=str(source / "split.json"), max_steps=40
    )
    result = loop.train(began, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    shutil.rmtree(source)
    assert loop.train(began, run.path) == result
    run.result.unlink()
    for path in run.checkpoints_by_step()[40]:
        path.unlink()
    assert loop.train(began, run.path)["steps"] == 40
    # Without a checkpoint it would begin with other weights.
    run.result.unlink()
    for path in run.checkpoints.glob("*.json"):
        path.unlink()
    with pytest.raises(InputError, match=r"there is no finished run in .*source; `init_from`"):
        loop.train(began, run.path)


def test_a_run_goes_on_with_the_defaults_that_it_was_begun_with(mnist_dir, tmp_path, monkeypatch):
    """Where "auto" is another precision, too, and in a version with another learning rate."""
    used = []

    def stopped(setup, *rest):
        dtype = setup.model.network.get_layer("embedding").compute_dtype
        used.append((dtype, float(setup.model.optimizer.learning_rate)))
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "Trainer", stopped)
    trained = recipe(mnist_dir, learning_rate=None, learning_rate_schedule="step")
    for here, rate, again in (
        ("float32", 0.5, False),
        ("mixed_bfloat16", 0.25, False),
        ("mixed_bfloat16", 0.25, True),
    ):
        resolve = lambda name, here=here: here if name == "auto" else name  # noqa: E731
        monkeypatch.setattr(precision, "resolve", resolve)
        monkeypatch.setitem(experiment.settings._LEARNING_RATES, "mnist_model", rate)
        with pytest.raises(KeyboardInterrupt):
            loop.train(trained, tmp_path, overwrite=again)
    assert used == [("float32", 0.5), ("float32", 0.5), ("bfloat16", 0.25)]


def test_training_seconds_are_those_of_the_steps_alone(tiny, tmp_path, monkeypatch):
    """By a clock that ticks at each look, and a hundred times in an evaluation."""
    now, evaluate = itertools.count(), loop.Trainer._evaluate

    def evaluate_slowly(*arguments):
        evaluate(*arguments)
        for _ in range(100):
            next(now)

    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr(loop.Trainer, "_evaluate", evaluate_slowly)
    recipe = dataclasses.replace(tiny, max_steps=4, eval_interval=2)
    assert loop.train(recipe, tmp_path, save_interval=1)["train_seconds"] == 4
    seconds = [e["train_seconds"] for e in RunDirectory(tmp_path).read_evaluations()]
    assert seconds == [0, 2, 4]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"association_scope": "replica"}, False),
        ({"separate_batches": True}, False),
    ],
)
def test_batch_norm_is_of_all_devices_where_they_share_a_walk(tiny, tmp_path, changes, wanted):
    norm = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.BatchNormalization()]
    keras.Sequential(norm).save(tmp_path / "network.keras")
    recipe = dataclasses.replace(tiny, architecture=str(tmp_path / "network.keras"), **changes)
    setup = experiment.build(recipe)
    model = loop._model_on_devices(setup, tf.distribute.OneDeviceStrategy("/cpu:0"))
    layers = model.network._flatten_layers()
    found = [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]
    assert [each.synchronized for each in found] == [wanted]


def test_bad_save_interval_is_refused(tiny, tmp_path):
    with pytest.raises(InputError, match="`save_interval` is 0; it must be at least 1"):
        loop.train(tiny, tmp_path, save_interval=0)


@pytest.mark.parametrize(
    "augmentation",
    ["digits", *(pytest.param(name, marks=pytest.mark.slow) for name in ("svhn", "stl10"))],
)
def test_deterministic_runs_are_identical(tiny, tmp_path, augmentation):
    """And no operation of ours is one that TensorFlow refuses to make deterministic."""
    recipe = dataclasses.replace(tiny, augmentation=augmentation, max_steps=8)
    if augmentation == "stl10":
        recipe = dataclasses.replace(in_colour(recipe, tmp_path), architecture="mnist_model")
    weights = []
    for logdir in (tmp_path / "one", tmp_path / "other"):
        process = processes.start(processes.train, recipe, logdir, True)
        process.join()
        assert process.exitcode == 0, processes.said(process)
        weights.append(keras.models.load_model(logdir / "model.keras").get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def in_colour(recipe, folder):
    """The recipe on the same images as RGB."""
    with np.load(recipe.data_dir) as grey:
        arrays = {k: np.stack([a] * 3, -1) if a.ndim == 3 else a for k, a in grey.items()}
    np.savez(folder / "colour.npz", **arrays)
    return dataclasses.replace(recipe, data_dir=str(folder / "colour.npz"))


def test_weights_that_are_no_numbers_are_not_saved(tiny, tmp_path, monkeypatch):
    """The loss of a step is that of the weights before it: it may still be a number."""
    monkeypatch.setattr(loop, "make_train_step", _spoiling(loop.make_train_step, step=5))
    with pytest.raises(InputError, match=r"/kernel no longer finite at step 5; the last good"):
        loop.train(tiny, tmp_path, save_interval=1)
    assert checkpoints.newest(RunDirectory(tmp_path)).endswith("step-4")


def _spoiling(make, step):
    """`make`, but of a training step that at some step makes a weight infinite."""

    def make_spoiling(model, spec):
        train_step = make(model, spec)
        steps = iter(range(1, step + 1))

        class Spoiling:
            get_concrete_function = train_step.get_concrete_function

            def __call__(self, *batch):
                logs = train_step(*batch)
                if next(steps) == step:
                    kernel = model.trainable_variables[0]
                    kernel.assign(kernel + float("inf"))
                return logs

        return Spoiling()

    return make_spoiling


@pytest.mark.parametrize("freeze_steps", [2, ALWAYS])
def test_a_run_that_is_frozen_to_its_end_keeps_its_first_weights(tiny, tmp_path, freeze_steps):
    recipe = dataclasses.replace(tiny, freeze_steps=freeze_steps, max_steps=2)
    assert not experiment.uses_features(recipe)  # its images change in each step
    loop.train(recipe, tmp_path)
    first, last = (
        experiment.build(recipe).model,
        keras.models.load_model(tmp_path / "model.keras"),
    )
    backbones = (freezing.backbone_of(m.network).get_weights() for m in (first, last))
    for before, after in zip(*backbones, strict=True):
        np.testing.assert_array_equal(before, after)
    assert not np.array_equal(*(m.classifier.kernel for m in (first, last)))


def test_a_backbone_is_trained_once_its_frozen_steps_are_over(tiny, tmp_path):
    recipe = dataclasses.replace(tiny, freeze_steps=1, max_steps=2)
    loop.train(recipe, tmp_path)
    first, last = experiment.build(recipe).model, keras.models.load_model(tmp_path / "model.keras")
    before, after = (freezing.backbone_of(m.network).get_weights() for m in (first, last))
    assert all(not np.array_equal(*pair) for pair in zip(before, after, strict=True))


def test_the_label_free_score_selects_the_result(tiny, tmp_path, monkeypatch):
    """The score is best at step 20 of 30; the run is killed before it has saved that model.

    Step 10 then loses its score, as in a file that somebody has edited.
    """
    scores = {0: 1.0, 10: 0.5, 20: 0.9, 30: 0.7}  # the untrained model is never chosen

    def scored(model, probe):
        return {name: scores[int(model.optimizer.iterations)] for name in label_free.NAMES}

    monkeypatch.setattr(label_free, "scores", scored)
    selecting = dataclasses.replace(
        tiny, select="label_free", eval_interval=10, learning_rate_schedule="step", ema=0.9
    )
    save = RunDirectory.save_model

    def killed_at_20(run, model):
        if int(model.optimizer.iterations) == 20:
            raise KeyboardInterrupt
        save(run, model)

    monkeypatch.setattr(RunDirectory, "save_model", killed_at_20)
    with pytest.raises(KeyboardInterrupt):
        loop.train(selecting, tmp_path / "run")
    monkeypatch.setattr(RunDirectory, "save_model", save)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace(f', "{label_free.SCORE}": 0.5', ""))
    assert metrics.read_text().count(label_free.SCORE) == 2
    result = loop.train(selecting, tmp_path / "run")
    records = RunDirectory(tmp_path / "run").read_evaluations()
    evaluations = {record["step"]: record["test_error"] for record in records}
    assert list(evaluations) == [0, 10, 20, 30]
    assert (result["selected_step"], result["steps"]) == (20, 30)
    assert result["test_error"] == evaluations[20]
    to_20 = dataclasses.replace(selecting, select="last", max_steps=20)
    loop.train(to_20, tmp_path / "to_20")
    chosen, wanted = (
        keras.models.load_model(tmp_path / name / "model.keras") for name in ("run", "to_20")
    )
    for weight, other in zip(chosen.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_of_equal_label_free_scores_the_later_is_selected(tiny):
    recipe = dataclasses.replace(tiny, select="label_free")
    scores = ((0, 0.9), (10, 0.5), (20, 0.7), (30, 0.7), (40, 0.6))
    evaluations = [{"step": step, label_free.SCORE: score} for step, score in scores]
    assert evaluator._selected(evaluations, recipe)["step"] == 30
    assert evaluator._selected(evaluations[:1], recipe)["step"] == 0
    assert evaluator._selected([{"step": 0}, {"step": 10}], recipe)["step"] == 10


def test_the_median_is_of_the_last_five_evaluations(tiny, tmp_path, monkeypatch):
    errors = [1.0, 80.0, 70.0, 60.0, 10.0, 20.0, 5.0, 30.0]  # the first is of the untrained model
    evaluate = evaluator.Evaluator.evaluate

    def with_error(self, step, *arguments):
        evaluate(self, step, *arguments)
        self.evaluations[-1]["test_error"] = errors[step]

    monkeypatch.setattr(evaluator.Evaluator, "evaluate", with_error)

    result = loop.train(dataclasses.replace(tiny, max_steps=7, eval_interval=1), tmp_path)
    assert result["test_error_median"] == 20
    assert (result["test_error_min"], result["test_error"]) == (5, 30)


def test_not_a_number_stops_the_run_and_names_the_loss(mnist_dir, tmp_path):
    with pytest.raises(InputError, match=r"loss.* no longer finite at step \d+; the last good"):
        loop.train(recipe(mnist_dir, learning_rate=1e30), tmp_path)
    assert not (tmp_path / "result.json").exists()


def test_the_step_is_traced_once_in_graph_mode(mnist_dir):
    setup = experiment.build(recipe(mnist_dir))
    traces = 0
    original = setup.model.compute_loss

    def counted(*args, **kwargs):
        nonlocal traces
        traces += 1
        assert not tf.executing_eagerly()
        return original(*args, **kwargs)

    setup.model.compute_loss = counted
    batches = setup.batches()
    train_step = loop.make_train_step(setup.model, batches)
    graph = train_step.get_concrete_function().graph
    for images, labels in batches.take(5):
        train_step(images, labels)
    assert traces == 1
    assert train_step.experimental_get_tracing_count() == 1
    names = [op.name for op in graph.get_operations()]
    for scope in ("similarity", "p_ab", "p_ba", "p_aba", "walker_loss", "visit_loss"):
        assert any(name.startswith(f"association/{scope}/") for name in names), scope
    # One forward pass covers A and B: each of the six convolutions stands in the graph once.
    assert sum(op.type == "Conv2D" for op in graph.get_operations()) == 6
    # No call of Python, and no search for the labelled rows.
    assert not {op.type for op in graph.get_operations()} & {"PyFunc", "EagerPyFunc", "Where"}


def test_training_without_test_images_knows_no_error(tmp_path, capsys, pictures):
    """One image of a class: all are learned from. TensorFlow globs the folder's name."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    unlabeled = random.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.savez(
        tmp_path / "a.npz", train_images=images, train_labels=range(3), unlabeled_images=unlabeled
    )
    one_each = recipes.get(
        "mnist5k", dataset="npz", data_dir=str(tmp_path / "a.npz"), sup_per_class=-1,
        sup_per_batch=1, unsup_batch_size=8, max_steps=2, eval_interval=2, augmentation="none",
    )  # fmt: skip
    run = RunDirectory(tmp_path / "lr[3e-3]")
    result = loop.train(one_each, run.path)
    assert [result[name] for name in ("test_error", "test_error_median", "test_error_min")] == [
        None, None, None
    ]  # fmt: skip
    assert run.read_result() == result
    assert [record["test_error"] for record in run.read_evaluations()] == [None, None]
    assert run.model.is_file() and run.projector_config.is_file()
    [events] = run.path.glob("events.out.*.semisup")
    tags = {
        v.tag for e in tf.compat.v1.train.summary_iterator(str(events)) for v in e.summary.value
    }
    assert "associations" in tags and "neighbours" in tags
    assert not {"test/error", "confusion_matrix", "mistakes"} & tags
    printed = capsys.readouterr().out
    assert "there is no test image of 0, 1, 2, so their error is unknown" in printed
    assert "nan" not in printed and "test_error" not in printed


def test_a_wrong_teacher_costs_no_run(finished, mnist_dir, tmp_path):
    logdir, result = finished
    student = recipe(mnist_dir, teacher=str(tmp_path / "typo"))
    with pytest.raises(InputError, match=r"there is no finished run in .*typo"):
        loop.train(student, logdir, overwrite=True)
    assert RunDirectory(logdir).read_result() == result
    with pytest.raises(InputError, match=r"there is no finished run in .*typo"):
        loop.train(student, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_weights_of_an_unfinished_run_are_no_first_weights(finished, mnist_dir, tmp_path):
    """With `select` it has a model.keras: of its best evaluation so far."""
    run = RunDirectory(shutil.copytree(finished[0], tmp_path / "run"))
    experiment.build(recipe(mnist_dir, init_from=str(run)))
    run.result.unlink()
    with pytest.raises(InputError, match=r"no finished run in .*run; `init_from` must name"):
        experiment.build(recipe(mnist_dir, init_from=str(run)))


def test_each_evaluation_that_may_be_selected_is_saved(mnist_dir, tmp_path):
    """Else a resumed run could select one of which model.keras has no weights any more."""
    settings = recipe(mnist_dir, select="label_free", eval_interval=1, max_steps=4)
    loop.train(settings, tmp_path, save_interval=4)
    assert sorted(RunDirectory(tmp_path).checkpoints_by_step()) == [2, 3, 4]


def test_log_at_each_step_writes_lines_between_evaluations(
    mnist_dir, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("semisup.runtime.progress.SECONDS_BETWEEN_LINES", 0.0)
    loop.train(recipe(mnist_dir, log_interval=1, max_steps=4, eval_interval=4), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("step ")] == [
        *("0/4", "1/4", "2/4", "3/4", "4/4")
    ]


def test_each_evaluation_is_saved_unless_told_otherwise(tiny, tmp_path):
    loop.train(dataclasses.replace(tiny, max_steps=6, eval_interval=2), tmp_path)
    assert sorted(RunDirectory(tmp_path).checkpoints_by_step()) == [2, 4, 6]


@pytest.mark.parametrize(("frozen", "batches"), [(0, 4), (1, 3)])
def test_run_warns_of_batch_norm_that_has_not_settled(tiny, tmp_path, caplog, frozen, batches):
    layers = [keras.layers.Flatten(), keras.layers.Dense(4), keras.layers.BatchNormalization()]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(tmp_path / "network.keras")
    settings = {"architecture": str(tmp_path / "network.keras"), "freeze_steps": frozen}
    loop.train(dataclasses.replace(tiny, max_steps=4, **settings), tmp_path / "run")
    [line] = [line for line in caplog.messages if "batch norm" in line]
    assert f"statistics after {batches} batches" in line


def test_memory_that_runs_out_is_one_line(tiny, tmp_path, monkeypatch):
    def exhausted(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore")

    monkeypatch.setattr(loop.Trainer, "train", exhausted)
    line = "^out of memory or disk space: OOM when allocating; the last checkpoint is intact"
    with pytest.raises(InputError, match=line):
        loop.train(tiny, tmp_path)


def test_a_run_warns_of_a_frozen_random_network(tiny, tmp_path, caplog, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "build", stopped)
    with pytest.raises(KeyboardInterrupt):
        loop.train(dataclasses.replace(tiny, architecture="mnist_model", freeze_steps=-1), tmp_path)
    assert "mnist_model stays frozen with random weights" in caplog.text
