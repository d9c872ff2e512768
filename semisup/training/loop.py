"""The training loop: steps, checkpoints, progress, resume."""

import dataclasses
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import tensorflow as tf

from semisup import experiment
from semisup.config import Recipe
from semisup.errors import InputError, reason
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers import freezing
from semisup.runs import checkpoints, directory, locks
from semisup.runs.overwrite import clear, refuse_links, refuse_needed
from semisup.runtime import distribution, precision, signals, workers
from semisup.training import finite, monitoring, self_training
from semisup.training.evaluator import Judge
from semisup.training.progress import Progress
from semisup.visualization import tensorboard

_SHOWN = ("loss", "walker_loss", "visit_loss", "classification_loss")


def train(
    recipe: Recipe,
    logdir: Path,
    command: Sequence[str] = (),
    *,
    overwrite: bool = False,
    save_interval: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> dict[str, float]:
    """Train as the recipe says, or go on where a run in `logdir` left off.

    Args:
        recipe: all settings.
        logdir: the run's folder; see `semisup.runs.directory`.
        command: the words of the command line, for the record.
        overwrite: begin anew, whatever run is in `logdir`; see `semisup.runs.overwrite`.
        save_interval: steps between checkpoints; by default one at each evaluation.
        strategy: the devices that share each batch, from `distribution.strategy`; None for
            one device.

    Returns:
        What result.json holds: `test_error` (of the last evaluation, or of the one that
        the recipe's `select` chose; `selected_step` is its step), `test_error_median` (of
        the last 5), `test_error_min` (the least of all; it was chosen on the test images,
        so quote it as such), all in percent; `train_seconds` (the training steps alone,
        without loading, tracing, evaluating and saving); `steps`.

    Raises:
        InputError: the recipe or its data is bad, its batches can't be shared out, the
            folder holds another run, is in use or has links in it, its checkpoints are damaged,
            a loss is no longer a finite number, or another worker is gone or began otherwise.
        signals.Stopped: SIGINT or SIGTERM came; the last step is saved.
    """
    if save_interval is not None and save_interval < 1:
        raise InputError(f"--save_interval is {save_interval}; it must be at least 1")
    refuse_links(logdir)
    if overwrite:
        refuse_needed(logdir, recipe)
    begun = None if overwrite else directory.read_precision(logdir)
    numbers = begun or precision.resolve(recipe.precision)
    setup = experiment.build(dataclasses.replace(recipe, precision=numbers))
    model = setup.model
    if strategy:
        distribution.check_shares(
            strategy.num_replicas_in_sync,
            setup.labelled_in_batch,
            recipe.unsup_batch_size if recipe.associates else 0,
        )
        with workers.losses_named(strategy), strategy.scope():
            model = experiment.build_model(setup.recipe, setup.dataset)
        # With A and B apart it can't: TensorFlow has no collectives inside a condition.
        if recipe.association_scope == "global" and not recipe.separate_batches:
            distribution.synchronize_batch_norm(model.network)
    chief = workers.is_chief(strategy)
    with (
        workers.losses_named(strategy),
        locks.held(logdir) if chief else nullcontext(),
        signals.deferred() as interrupted,
    ):
        with workers.chief_first(strategy):
            if overwrite and chief:
                clear(logdir)
            if not chief and not (logdir / directory.RECIPE).exists():
                raise InputError(
                    f"this worker does not see the run that the chief began in {logdir}; --logdir "
                    "must be a folder that all workers share"
                )
            taught = self_training.taught_to(logdir, recipe, setup.dataset, setup.split)
            directory.claim(logdir, recipe, setup.split.as_json(), command, numbers)
            if taught and chief and not (logdir / directory.TAUGHT).exists():
                self_training.keep(logdir, taught)
            setup = dataclasses.replace(setup, taught=taught)
        if result := directory.read_result(logdir):
            print(f"{logdir} holds this run already, finished.")
            return result
        try:
            return _train(setup, model, logdir, save_interval or recipe.eval_interval, interrupted)
        except tf.errors.ResourceExhaustedError as error:
            raise InputError(
                f"no room left: {reason(error)}; the last checkpoint is intact: make room (for "
                "memory, a smaller batch in another --logdir) and give the same command again"
            ) from None


def _train(
    setup: experiment.Experiment,
    model: AssociativeModel,
    logdir: Path,
    save_interval: int,
    interrupted: Callable[[], bool],
) -> dict[str, float]:
    """Train in a folder that is ours, from its newest checkpoint on, until `interrupted`.

    `model` learns. It is `setup.model`, or its like on many devices.
    """
    recipe, strategy = setup.recipe, model.distribute_strategy
    _announce(setup, strategy, logdir)
    seconds = tf.Variable(0.0, dtype="float64")
    step = checkpoints.resume(logdir, model, train_seconds=seconds)
    workers.check_alike(
        strategy,
        {
            "--save_interval": save_interval,
            "precision": recipe.precision,
            "the step begun at": step,
        },
    )
    judge = Judge(setup, model, logdir, step) if workers.is_chief(strategy) else None
    begun = workers.any_of(strategy, bool(judge and judge.evaluations))
    if step > 0:
        print(f"Resuming at step {step} of {recipe.max_steps}.")

    batches = setup.batches(step, *workers.place(strategy))
    train_step = make_train_step(model, batches.element_spec)
    frozen_step = make_train_step(model, batches.element_spec)
    if step < recipe.freeze_steps:
        with freezing.frozen(model.network):
            frozen_step.get_concrete_function()
    writer = tf.summary.create_noop_writer()
    if judge:
        writer = tf.summary.create_file_writer(str(logdir), filename_suffix=directory.EVENTS)
    progress = Progress(step, recipe.max_steps, ("test_error", *_SHOWN))

    def evaluates(step: int) -> bool:
        return step == recipe.max_steps or step % recipe.eval_interval == 0

    def evaluate_now(logs: Mapping[str, float]) -> None:
        if judge:
            progress.update(step, {"test_error": judge.evaluate(step, float(seconds), logs)})
            progress.write_line(step)

    def save() -> None:
        _check_weights(model, step, logdir)  # the losses are those of the weights before it
        with workers.folder_to_write(strategy, logdir) as folder:
            checkpoints.save(folder, step, model, train_seconds=seconds)

    warned: set[str] = set()

    def diagnose(logs: Mapping[str, float]) -> None:
        for sign, line in _signs(setup, model, step, logs):
            if sign not in warned:
                progress.warn(line)
            warned.add(sign)

    missing = setup.classes_without_labels
    if missing and recipe.visit_weight > 0 and recipe.virtual_embeddings == 0:
        progress.warn(monitoring.missing_classes(missing))

    losses = finite.LossWatch(logdir)
    graph = train_step.get_concrete_function().graph  # traces it, before the clock starts
    with writer.as_default():
        if not begun:
            tensorboard.write_graph(graph)
            tensorboard.write_settings(recipe)
            evaluate_now({})
            save()
        elif judge:
            if evaluates(step) and judge.evaluations[-1]["step"] < step:
                evaluate_now({})  # its line in the file was damaged since, and left out
            judge.save_if_chosen(step)  # the run may have been killed before it could be
        iterator = iter(batches)
        started = time.monotonic()
        while step < recipe.max_steps:
            take_step = frozen_step if step < recipe.freeze_steps else train_step
            logs = take_step(*_next(iterator))
            step += 1
            losses.add(step, logs)
            stopping, evaluating = workers.any_of(strategy, interrupted()), evaluates(step)
            saving = step == recipe.max_steps or stopping or step % save_interval == 0
            logging = evaluating or step % recipe.log_interval == 0
            if logging or saving:
                losses.look()  # if one is no number, nothing of this step is worth keeping
            if logging:
                logs = {name: float(value) for name, value in logs.items()}
                tensorboard.write_training(step, logs, model)
                model.reset_metrics()
                progress.update(step, {name: logs[name] for name in _SHOWN})
                diagnose(logs)
            else:
                progress.update(step)
            if evaluating or saving:
                seconds.assign_add(time.monotonic() - started)
                if evaluating:
                    evaluate_now(logs)
                if saving:
                    save()
                if evaluating and judge:
                    judge.save_if_chosen(step)
                if stopping:
                    workers.wait_for_all(strategy)  # while the chief writes
                    raise signals.Stopped
                started = time.monotonic()
        if judge:
            judge.take_selected(step)
    writer.close()
    if judge is None:
        workers.wait_for_all(strategy)
        return directory.read_result(logdir) or {}
    result = judge.write_result(step, float(seconds))
    workers.wait_for_all(strategy)
    return result


def _announce(setup: experiment.Experiment, strategy: tf.distribute.Strategy, logdir: Path) -> None:
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if strategy.num_replicas_in_sync > 1:
        device = f"{strategy.num_replicas_in_sync} {device}s"
    watch = f"tensorboard --logdir={shlex.quote(str(logdir))}"
    print(f"Training on {device} in {setup.recipe.precision}, in {logdir}; to watch: {watch}")
    counts = (len(setup.split.labeled), len(setup.split.unlabeled), len(setup.dataset.test_labels))
    print("{:,} labelled, {:,} unlabelled, {:,} test images".format(*counts))
    if setup.taught:
        count, teacher = len(setup.taught.indices), setup.recipe.teacher
        print(
            f"{count:,} of the unlabelled ones have labels of {teacher}, which was surest of them"
        )
        if beyond := self_training.labels_beyond(setup.recipe, setup.dataset, setup.split):
            print(f"Its own training knew {beyond:,} labels that this run has not: count them in")
    elif not setup.recipe.associates:
        print("The unlabelled ones are not used: no loss on them has a weight")


def _check_weights(model: AssociativeModel, step: int, logdir: Path) -> None:
    sizes = {
        weight.path: tf.reduce_sum(tf.abs(weight.value)) for weight in model.trainable_variables
    }
    finite.check_finite(sizes, step, logdir)


def _signs(
    setup: experiment.Experiment, model: AssociativeModel, step: int, logs: Mapping[str, float]
) -> Iterator[tuple[str, str]]:
    """What `monitoring.signs` says of the walks; nothing where the losses on them have no weight."""
    recipe, weights = setup.recipe, model.loss_weights_now()
    if min(weights["walker_weight"], weights["visit_weight"]) == 0:
        return  # not trained to walk, or not yet
    # A walk is over the embeddings of all devices, or of each alone.
    replicas = model.distribute_strategy.num_replicas_in_sync
    walks = replicas if recipe.association_scope == "replica" else 1
    yield from monitoring.signs(
        logs,
        setup.labelled_in_batch // walks + recipe.virtual_embeddings,
        recipe.unsup_batch_size // walks,
        progress=step / recipe.max_steps,
        classes=setup.labelled_in_batch // recipe.sup_per_batch + recipe.virtual_embeddings,
    )


def make_train_step(
    model: AssociativeModel, batch_spec: Any
) -> tf.types.experimental.GenericFunction:
    """`model.train_step` as one TensorFlow graph, traced once.

    Args:
        model: a compiled model. If it was made in the scope of a `tf.distribute` strategy,
            its replicas share each batch.
        batch_spec: the (images, labels) that a batch consists of, as `tf.TensorSpec`.

    Returns:
        A function of (images, labels) that takes one training step and returns the
        model's metrics since they were last reset, their mean over the replicas.
    """
    strategy = model.distribute_strategy

    def replica_step(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = (distribution.share(images), distribution.share(labels))
        return distribution.mean(model.train_step(batch))

    # As in Keras's `fit`, no AutoGraph, which would also take a third of a second.
    @tf.function(input_signature=batch_spec, autograph=False)
    def train_step(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        logs = strategy.run(replica_step, args=(images, labels))
        return strategy.experimental_local_results(logs)[0]

    return train_step


def _next(iterator: Iterator[Any]) -> Any:
    """The next batch; a file that can't be read any more ends the run with its one line."""
    try:
        return next(iterator)
    except tf.errors.OpError as error:
        # TensorFlow puts what a Python function raised into its own message.
        _, mark, line = error.message.partition(f"{InputError.__name__}: ")
        if not mark:
            raise
        raise InputError(line.split("\n")[0]) from None
