"""The training loop: steps, evaluations, checkpoints, progress, resume."""

import math
import shlex
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from semisup import (
    checkpoints,
    experiment,
    figures,
    freezing,
    interrupts,
    projector,
    runs,
    summaries,
    trained,
)
from semisup.errors import InputError
from semisup.evaluation import evaluate
from semisup.model import AssociativeModel
from semisup.progress import Progress
from semisup.settings import Recipe

# `test_error_median` is the median of this many evaluations at the end of a run.
MEDIAN_OVER = 5

_SHOWN = ("loss", "walker_loss", "visit_loss", "classification_loss")


def train(recipe: Recipe, logdir: Path, command: Sequence[str] = ()) -> dict[str, float]:
    """Train as the recipe says, or go on where a run in `logdir` left off.

    Args:
        recipe: all settings.
        logdir: the run's folder; see `semisup.runs`.
        command: the words of the command line, for the record.

    Returns:
        What result.json holds: `test_error` (of the last evaluation),
        `test_error_median` (of the last 5), `test_error_min` (the least of all; it was
        chosen on the test images, so quote it as such), all in percent;
        `train_seconds` (the training steps alone, without loading, tracing, evaluating
        and saving); `steps`.

    Raises:
        InputError: the recipe or its data is bad, the folder holds another run, or a
            loss is no longer a finite number.
        KeyboardInterrupt: SIGINT or SIGTERM came; the last step is saved.
    """
    setup = experiment.build(recipe)
    runs.claim(logdir, recipe, setup.split.as_json(), command)
    if result := runs.read_result(logdir):
        print(f"{logdir} holds this run already, finished.")
        return result
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    watch = f"tensorboard --logdir={shlex.quote(str(logdir))}"
    print(f"Training on {device} in {logdir}; to watch: {watch}")
    model = setup.model
    seconds = tf.Variable(0.0, dtype="float64")
    manager = checkpoints.manager(logdir, model, train_seconds=seconds)
    step = 0
    if manager.latest_checkpoint:
        step = checkpoints.restore(model, manager.latest_checkpoint, train_seconds=seconds)
    evaluations = runs.read_metrics(logdir, last_step=step)
    if step > 0:
        print(f"Resuming at step {step} of {recipe.max_steps}.")

    batches = setup.batches(start_step=step)
    train_step = make_train_step(model, batches.element_spec)
    frozen_step = make_train_step(model, batches.element_spec)
    if step < recipe.freeze_steps:
        with freezing.frozen(model.network):
            frozen_step.get_concrete_function()
    writer = tf.summary.create_file_writer(str(logdir))
    sample = figures.choose_walk_sample(setup.dataset, setup.split)
    probe = figures.choose_walk_sample(setup.dataset, setup.split, per_class=10, unlabeled=100)
    progress = Progress(step, recipe.max_steps, ("test_error", *_SHOWN))

    def evaluate_now(logs: Mapping[str, float]) -> None:
        dataset = setup.dataset
        report = evaluate(model, dataset.test_images, dataset.test_labels, dataset.class_names)
        record = {"step": step, "train_seconds": float(seconds), "test_error": report.error, **logs}
        summaries.write_evaluation(step, report, model, sample, probe)
        evaluations.append(record)
        runs.append_metrics(logdir, record)
        manager.save(step)
        progress.update(step, {"test_error": report.error})
        progress.write_line(step)

    graph = train_step.get_concrete_function().graph  # traces it, before the clock starts
    with writer.as_default(), interrupts.deferred() as interrupted:
        if not evaluations:
            summaries.write_graph(graph)
            summaries.write_settings(recipe)
            evaluate_now({})
        iterator = iter(batches)
        started = time.monotonic()
        while step < recipe.max_steps:
            take_step = frozen_step if step < recipe.freeze_steps else train_step
            logs = take_step(*_next(iterator))
            step += 1
            evaluating = step % recipe.eval_interval == 0 or step == recipe.max_steps
            if evaluating or step % recipe.log_interval == 0:
                logs = {name: float(value) for name, value in logs.items()}
                _check_finite(logs, step, logdir)
                summaries.write_training(step, logs, model)
                model.reset_metrics()
                progress.update(step, {name: logs[name] for name in _SHOWN})
            else:
                progress.update(step)
            if evaluating or interrupted():
                seconds.assign_add(time.monotonic() - started)
                if evaluating:
                    evaluate_now(logs)  # saves too
                else:
                    manager.save(step)
                if interrupted():
                    raise KeyboardInterrupt
                started = time.monotonic()
    writer.close()

    errors = [record["test_error"] for record in evaluations if record["step"] > 0]
    result = {
        "test_error": errors[-1],
        "test_error_median": statistics.median(errors[-MEDIAN_OVER:]),
        "test_error_min": min(errors),
        "train_seconds": float(seconds),
        "steps": step,
    }
    runs.save_model(logdir, model)
    trained.save_labeled(logdir, trained.collect_labeled(setup))
    projector.write(logdir, setup)
    runs.write_json(logdir / runs.RESULT, result)
    return result


def make_train_step(
    model: AssociativeModel, batch_spec: Any
) -> tf.types.experimental.GenericFunction:
    """`model.train_step` as one TensorFlow graph, traced once.

    Args:
        model: a compiled model.
        batch_spec: the (images, labels) that a batch consists of, as `tf.TensorSpec`.

    Returns:
        A function of (images, labels) that takes one training step and returns the
        model's metrics since they were last reset.
    """

    @tf.function(input_signature=batch_spec)
    def train_step(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.train_step((images, labels))

    return train_step


def _next(iterator: Iterator[Any]) -> Any:
    """The next batch; a file that can't be read any more ends the run with its one line."""
    try:
        return next(iterator)
    except tf.errors.UnknownError as error:
        # TensorFlow puts what a Python function raised into its own message.
        _, mark, line = error.message.partition(f"{InputError.__name__}: ")
        if not mark:
            raise
        raise InputError(line.split("\n")[0]) from None


def _check_finite(logs: Mapping[str, float], step: int, logdir: Path) -> None:
    bad = [name for name, value in logs.items() if not math.isfinite(value)]
    if bad:
        raise InputError(
            f"{', '.join(bad)} no longer finite at step {step}; the last good checkpoint is in "
            f"{logdir}; try a lower --learning_rate or other loss weights"
        )
