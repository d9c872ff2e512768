"""The training loop: steps, evaluations, checkpoints, resume."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from semisup import experiment
from semisup.config import Recipe
from semisup.data.dataset import Dataset
from semisup.errors import InputError, check_bounds, reason
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers import freezing
from semisup.runs import checkpoints, directory
from semisup.runtime import distribution, paths, signals, workers
from semisup.training import collapse, evaluator, monitoring, progress, pseudo_labels
from semisup.visualization import tensorboard

_SHOWN = ("loss", "walker_loss", "visit_loss", "classification_loss")


def train(
    recipe: Recipe,
    logdir: str | Path,
    command: Sequence[str] = (),
    *,
    overwrite: bool = False,
    save_interval: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
    dataset: Dataset | None = None,
) -> dict[str, Any]:
    """Train a model by a recipe, or resume the run in `logdir`.

    Args:
        recipe: all settings.
        logdir: the run's folder; see `semisup.runs.directory`.
        command: the words of the command line, for the record.
        overwrite: start again, whatever run is in `logdir`.
        save_interval: steps between checkpoints; by default one at each evaluation, where a run
            with `select` always has one.
        strategy: the devices that share each batch, from `distribution.strategy`; None for
            one device.
        dataset: the recipe's data, if it is loaded already.

    Returns:
        What result.json holds: `test_error` (of the last evaluation, or of the one that
        the recipe's `select` chose; `selected_step` is its step), `test_error_median` (of
        the last 5), `test_error_min` (the lowest of all; it was chosen on the test images,
        so quote it as such), all in percent, None without test images; `train_seconds`
        (the training steps alone, without loading, tracing, evaluating and saving); `steps`;
        `collapsed`, whether the walk had collapsed at the end, so that an error of then does not
        benefit from association; `test_images`, how many; `hardware`, `versions` and `date` of
        the end.

    Raises:
        InputError: the recipe or its data is bad, its batches can't be shared out, the
            folder holds another run, is in use or has links in it, its checkpoints are damaged,
            a loss is not finite, or another worker is gone or began otherwise.
        signals.Stopped: SIGINT or SIGTERM came; the last step is saved. After the last one it has
            the result.
    """
    if save_interval is not None:
        check_bounds("save_interval", save_interval, minimum=1)
    run, chief = directory.RunDirectory(logdir), workers.is_chief(strategy)
    run.refuse_links()
    if overwrite:
        run.refuse_needed(recipe)
    resolved, resumes = recipe, not overwrite and run.holds(recipe)
    if resumes:
        first_weights = not (run.has_checkpoint() or run.result.exists())
        resolved = experiment.from_run(run.as_begun(recipe), run, first_weights)
    experiment.warn_of_random_backbone(recipe)
    setup = experiment.build(resolved, dataset)
    if not resumes:
        experiment.warn_at_start(setup)
    if overwrite or not run.pseudo_labels.exists():
        pseudo_labels.check_teacher(recipe, setup.data.dataset)  # before anything is removed
    model = _model_on_devices(setup, strategy)
    with (
        workers.lost_worker_reported(strategy),
        run.hold() if chief else nullcontext(),
        signals.deferred() as interrupted,
    ):
        with workers.chief_first(strategy):
            if overwrite and chief:
                run.clear()
            setup = _claim(run, setup, recipe, command, chief)
        if result := run.read_result():
            run.check_test_images(len(setup.data.dataset.test_labels))
            print(f"{run} holds this run, which is already finished.")
            workers.leave(strategy)
            return result
        try:
            trainer = Trainer(setup, model, run, save_interval or recipe.eval_interval)
            result = trainer.train(interrupted)
        except tf.errors.ResourceExhaustedError as error:
            raise InputError(
                f"out of memory or disk space: {reason(error)}; the last checkpoint is intact; "
                "free some space and give the same command again, or, to save memory, use a "
                "smaller batch in another `logdir`"
            ) from None
        if interrupted():
            raise signals.Stopped(result)
        return result


def _model_on_devices(
    setup: experiment.Experiment, strategy: tf.distribute.Strategy | None
) -> AssociativeModel:
    """The model that learns: the experiment's own, or its like on the devices of a strategy."""
    if strategy is None:
        return setup.model
    recipe = setup.recipe
    walk_of_each = recipe.associates and recipe.association_scope == "replica"
    distribution.check_shares(
        strategy.num_replicas_in_sync,
        setup.labeled_in_batch,
        recipe.unsup_batch_size if recipe.associates else 0,
        recipe.sup_per_batch if walk_of_each else None,
    )
    with workers.lost_worker_reported(strategy), strategy.scope():
        model = setup.untrained_model()
    # With A and B apart it can't: TensorFlow has no collectives inside a condition.
    if recipe.association_scope == "global" and not recipe.separate_batches:
        distribution.synchronize_batch_norm(model.network)
    return model


def _claim(
    run: directory.RunDirectory,
    setup: experiment.Experiment,
    recipe: Recipe,
    command: Sequence[str],
    chief: bool,
) -> experiment.Experiment:
    """Make the folder that of this run; returns the experiment with its pseudo-labels."""
    if not chief and not run.recipe.exists():
        raise InputError(
            f"this worker does not see the run that the chief began in {run}; `logdir` "
            "must be a folder that all workers share"
        )
    claim = functools.partial(
        run.claim,
        recipe,
        setup.data.split_on_record.as_json(),
        command,
        setup.recipe,
        setup.network_hashes,
    )
    if run.recipe.exists():
        claim()  # else pseudo-labels would be read that are of other images
    labels = pseudo_labels.of_run(run, recipe, setup.data)
    claim()
    if chief:
        for line in run.note_moved(recipe):
            print(line)
    if labels and chief and not run.pseudo_labels.exists():
        pseudo_labels.keep(run, labels)
    data = dataclasses.replace(setup.data, pseudo_labels=labels)
    return dataclasses.replace(setup, data=data)


class Due(NamedTuple):
    """What is to be done after a step."""

    log: bool
    evaluate: bool
    save: bool
    stop: bool


class Clock:
    """The seconds that training steps took, kept in the checkpoints.

    Loading, tracing, evaluating and saving do not count.
    """

    def __init__(self) -> None:
        self.seconds = tf.Variable(0.0, dtype="float64")
        self._started = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._started = time.monotonic()

    def stop(self) -> None:
        """Add the seconds since `start`."""
        self.seconds.assign_add(time.monotonic() - self._started)


class Trainer:
    """Trains a run in its folder, from the newest checkpoint on.

    Args:
        setup: the run.
        model: the model that learns: `setup.model`, or its like on many devices.
        run: the run's folder, which is ours.
        save_interval: steps between checkpoints.
    """

    def __init__(
        self,
        setup: experiment.Experiment,
        model: AssociativeModel,
        run: directory.RunDirectory,
        save_interval: int,
    ) -> None:
        self.setup, self.model, self.run = setup, model, run
        self.recipe, self.strategy = setup.recipe, model.distribute_strategy
        self.save_interval = save_interval
        for line in progress.describe_run(setup, run.path, self.strategy.num_replicas_in_sync):
            print(line)
        run.check_test_images(len(setup.data.dataset.test_labels))
        self.clock = Clock()
        self.first_step = checkpoints.resume(run, model, train_seconds=self.clock.seconds)
        agreed = {"`save_interval`": save_interval, "`precision`": self.recipe.precision}
        workers.check_alike(self.strategy, {**agreed, "the first step": self.first_step})
        self.evaluator = None
        if workers.is_chief(self.strategy):
            self.evaluator = evaluator.Evaluator(setup, model, run, self.first_step)
        if self.first_step > 0:
            print(f"Resuming at step {self.first_step} of {self.recipe.max_steps}.")
        self.progress = progress.Progress(self.first_step, self.recipe.max_steps)
        self.losses = monitoring.LossMonitor(run.path)
        self.collapse = collapse.CollapseMonitor(setup, model)

    def train(self, interrupted: Callable[[], bool]) -> dict[str, Any]:
        """Take all steps; returns the run's result.

        Args:
            interrupted: whether the run is to stop after this step.

        Raises:
            signals.Stopped: it was; the last step is saved.
        """
        batches = self.setup.batches(self.first_step, *workers.rank_and_size(self.strategy))
        train_step = self._make_train_steps(batches)
        with closing(self.progress), self._writer(), self.model.errors_in_one_line():
            self._begin(train_step)
            iterator = iter(batches)
            self.clock.start()
            for step in range(self.first_step + 1, self.recipe.max_steps + 1):
                logs = train_step(step)(*next(iterator))
                self.losses.add(step, logs)
                due = self._due(step, interrupted)
                if due.log or due.save:
                    self.losses.check()  # of a step with a non-finite loss nothing is kept
                if due.log:
                    logs = self._log(step, logs)
                if not due.evaluate:
                    self.progress.update(step)
                if due.evaluate or due.save:
                    self.clock.stop()
                    if due.evaluate:
                        self._evaluate(step, logs)
                    if due.save:
                        self._save(step)
                    if due.evaluate and self.evaluator:
                        self.evaluator.save_if_selected(step)
                    if due.stop:
                        workers.leave(self.strategy)  # once the chief has written
                        raise signals.Stopped
                    self.clock.start()
            self.progress.close()
            if self.evaluator:
                self.evaluator.finish(
                    self.recipe.max_steps, float(self.clock.seconds), self.collapse.collapsed
                )
        workers.leave(self.strategy)
        return self.run.read_result() or {}

    def _due(self, step: int, interrupted: Callable[[], bool]) -> Due:
        last = step == self.recipe.max_steps
        stop = workers.any_of(self.strategy, interrupted())
        evaluate = self._evaluates(step)
        log = evaluate or step % self.recipe.log_interval == 0
        # What `select` keeps is replaced at an evaluation: no run may resume before that.
        selects = evaluate and self.recipe.select != "last"
        save = last or stop or selects or step % self.save_interval == 0
        return Due(log, evaluate, save, stop)

    def _evaluates(self, step: int) -> bool:
        return step == self.recipe.max_steps or step % self.recipe.eval_interval == 0

    def _begin(self, train_step: Callable[[int], Any]) -> None:
        """Write what a run begins with, or what was lost when it was cut short."""
        graph = train_step(self.recipe.max_steps).get_concrete_function().graph  # traces it
        missing = self.setup.data.classes_without_labels
        if missing and self.recipe.visit_weight > 0 and self.recipe.virtual_embeddings == 0:
            self.progress.warn(collapse.missing_classes(missing))
        step = self.first_step
        fresh = monitoring.fresh_batch_norms(self.model.network) if step == 0 else []
        unfrozen = max(self.recipe.max_steps - self.recipe.frozen_steps, 0)
        if line := monitoring.unsettled_batch_norm(self.model, fresh, unfrozen):
            self.progress.warn(line)
        begun = bool(self.evaluator and self.evaluator.evaluations)
        saved = bool(self.evaluator and self.run.has_checkpoint())
        has_begun, has_saved = (workers.any_of(self.strategy, each) for each in (begun, saved))
        if not has_begun:
            tensorboard.write_graph(graph)
            tensorboard.write_settings(self.recipe)
            self._evaluate(step, {})
        if not has_begun or not has_saved:  # it may have been killed before it could be
            self._save(step)
        if has_begun and self.evaluator:
            trained = [e for e in self.evaluator.evaluations if "visit_entropy" in e]
            for record in trained[-1:]:  # what the run has warned of already, it says again
                self._warn_of_collapse(int(record["step"]), record)
            if self._evaluates(step) and self.evaluator.evaluations[-1]["step"] < step:
                self._evaluate(step, {})  # its line in the file was damaged since, and left out
            self.evaluator.save_if_selected(step)  # the run may have been killed before it could be

    def _log(self, step: int, logs: Mapping[str, Any]) -> dict[str, float]:
        """Write the means since the last entry to TensorBoard and show them."""
        means = {name: float(value) for name, value in logs.items()}
        tensorboard.write_training(step, means, self.model)
        self.model.reset_metrics()
        self.progress.update(step, {name: means[name] for name in _SHOWN})
        self._warn_of_collapse(step, means)
        return means

    def _warn_of_collapse(self, step: int, means: Mapping[str, float]) -> None:
        for line in self.collapse.new_warnings(step, means):
            self.progress.warn(line)

    def _evaluate(self, step: int, logs: Mapping[str, float]) -> None:
        if self.evaluator:
            error = self.evaluator.evaluate(step, float(self.clock.seconds), logs)
            self.progress.end_seconds = self.evaluator.end_seconds()
            self.progress.update(step, {} if error is None else {"test_error": error})
            self.progress.write_line(step)

    def _save(self, step: int) -> None:
        # The losses are those of the weights before the step.
        monitoring.check_weights(self.model, step, self.run.path)
        tf.summary.flush()  # a run that resumes here writes no entry of an earlier step again
        with workers.folder_to_write(self.strategy, self.run.path) as folder:
            checkpoints.save(
                directory.RunDirectory(folder), step, self.model, train_seconds=self.clock.seconds
            )

    def _make_train_steps(self, batches: tf.data.Dataset) -> Callable[[int], Any]:
        """A function from a step's number to what takes it: with a frozen backbone, or without."""
        train_step = make_train_step(self.model, batches)
        frozen_steps = 0 if self.setup.backbone else self.recipe.frozen_steps
        if self.first_step >= frozen_steps:
            return lambda step: train_step
        frozen_step = make_train_step(self.model, batches)
        with freezing.frozen(self.model.network):
            frozen_step.get_concrete_function()
        return lambda step: frozen_step if step <= frozen_steps else train_step

    @contextmanager
    def _writer(self) -> Iterator[None]:
        """Context manager: write TensorBoard's entries to the run's folder, in the chief only."""
        if not self.evaluator:
            with tf.summary.create_noop_writer().as_default():
                yield
            return
        with paths.plain(self.run.path) as folder:
            writer = tf.summary.create_file_writer(
                str(folder), filename_suffix=directory.EVENTS_ENDING
            )
            with writer.as_default():
                yield
            writer.close()


def make_train_step(
    model: AssociativeModel, batches: tf.data.Dataset
) -> tf.types.experimental.GenericFunction:
    """`model.train_step` as one TensorFlow graph, traced once.

    Args:
        model: a compiled model. If it was made in the scope of a `tf.distribute` strategy,
            its replicas share each batch.
        batches: what it will be given, (images, labels). Where these are `association_batches`,
            A and B are not searched for.

    Returns:
        A function of (images, labels) that takes one training step and returns the
        model's metrics since they were last reset, their mean over the replicas.
    """
    strategy = model.distribute_strategy

    def replica_step(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = (distribution.share(images), distribution.share(labels))
        return distribution.mean(model.train_step(batch))

    # As in Keras's `fit`, no AutoGraph, which would also take a third of a second.
    @tf.function(input_signature=batches.element_spec, autograph=False)
    def train_step(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        with model.expecting(batches, distribution.shares(strategy)):
            logs = strategy.run(replica_step, args=(images, labels))
        return strategy.experimental_local_results(logs)[0]

    return train_step
