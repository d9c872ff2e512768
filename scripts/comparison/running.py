"""One run of a comparison, and the time that a step of each method takes."""

import dataclasses
import functools
import math
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from comparison import methods as known
from comparison.method import Method
from comparison.model import ComparedModel, compared
from comparison.record import DATA, Record, refuse_other_data
from semisup import experiment
from semisup.config import LABELS_ONLY, NO_WEIGHTS, Recipe
from semisup.data import adaptation, pipeline
from semisup.data.augmentation.draw import Draw, Seed
from semisup.data.augmentation.rand_augment import as_uint8, cut_out, rand_augment
from semisup.data.dataset import Dataset
from semisup.data.fingerprint import (
    brightness_digest,
    fingerprint,
    json_digest,
    pixels_fingerprint,
)
from semisup.data.sources.hold_out import hold_out_test_images
from semisup.errors import InputError
from semisup.evaluation.metrics import evaluate
from semisup.experiment.settings import initial_weights
from semisup.runtime.machine import hardware, here_and_now, versions
from semisup.runtime.progress import is_line_due, write_line
from semisup.training.cluster_labels import predict_cluster_labels

# Of features, which can't be augmented, the share that a strong view drops.
_DROPPED = 0.5

# Steps of each method that are not timed, that are timed in one go, and how often.
_WARM_UP, _TIMED, _ROUNDS = 3, 10, 3

# Seeds and policies are a process's: the threads of a cluster's worker must take turns.
_alone = threading.Lock()


class Job(NamedTuple):
    """A run to be made.

    Attributes:
        method: a name, such as "association+fixmatch".
        parameters: of each of its methods, where they are not the published ones.
        recipe: the settings, with its seed and steps.
        validation: evaluate on a part of the training images, not on the test images.
        data: of the data of the runs on record, from which its own must not differ: a digest by
            the name of each thing that is known of it.
    """

    method: str
    parameters: known.Parameters
    recipe: Recipe
    validation: bool = False
    data: Mapping[str, str | None] = {}

    @property
    def key(self) -> dict[str, Any]:
        """What names the run in the record."""
        return {
            "method": self.method,
            "parameters": known.parameters_of(self.method, self.parameters),
            "seed": self.recipe.seed,
            "steps": self.recipe.max_steps,
            "validation": self.validation,
        }


def run(job: Job) -> dict[str, Any]:
    """Train and evaluate.

    Returns:
        The run's record: its key, `hardware`, `versions` and `date`, the digests that `DATA` names,
        and its `evaluations`: [step, error in percent, mean training loss so far], the
        loss None if it is not finite.

    Raises:
        InputError: the images, their classes or the frozen network are others than on record.
    """
    steps = job.recipe.max_steps
    with _alone:
        setup, model, batches = _build(job)
        data = _known_of(setup)
        refuse_other_data(data, job.data)
        evaluated = _Evaluations(job, setup.data.dataset)
        model.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=[evaluated])
    return {**job.key, **here_and_now(), **data, "evaluations": evaluated.made}


def _known_of(setup: experiment.Experiment) -> dict[str, str | None]:
    """The digests that `DATA` names.

    Of the training pixels None where the names of files tell images apart.
    """
    random = initial_weights(setup.recipe) == NO_WEIGHTS  # other ones for each seed
    network = None if random else setup.network_hashes["backbone_hash"]
    dataset = setup.data.dataset
    of_each = (
        json_digest([fingerprint(dataset), network]),
        pixels_fingerprint(dataset),
        json_digest([len(dataset.test_labels), brightness_digest(dataset.test_images)]),
    )
    return dict(zip(DATA, of_each, strict=True))


class _Evaluations(keras.callbacks.Callback):
    """Evaluate after every `eval_interval` steps and the last, and say so."""

    def __init__(self, job: Job, dataset: Dataset) -> None:
        super().__init__()
        self._job, self._dataset = job, dataset
        self.made: list[list[float | None]] = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        step, recipe = batch + 1, self._job.recipe
        if step % recipe.eval_interval and step != recipe.max_steps:
            if is_line_due():
                write_line(f"{self._job.method}, seed {recipe.seed}, step {step}")
            return
        dataset = self._dataset
        with self.model.evaluated():
            images, labels = dataset.test_images, dataset.test_labels
            report = evaluate(self.model, images, labels, dataset.class_names).report
        loss = float((logs or {})["loss"])
        self.made.append([step, report.error, loss if math.isfinite(loss) else None])
        on = "validation" if self._job.validation else "test"
        write_line(
            f"{self._job.method}, seed {recipe.seed}, step {step} of {recipe.max_steps}: "
            f"{on} error {report.error:.2f} %"
        )


def measure_times(
    record: Record, names: Sequence[str], parameters: known.Parameters, recipe: Recipe
) -> None:
    """Add to a record the time of a step of association and these methods, where one is missing.

    Then, and where versions have changed, all methods with a time are measured again together:
    the machine may have been busier before.

    Raises:
        InputError: it has times of other hardware.
    """
    times, missing = record.content["times"], record.untimed(names)
    others = {each["hardware"] for each in times.values()} - {hardware()}
    changed = not others and any(each.get("versions") != versions() for each in times.values())
    if not missing and not changed:
        return
    if others:
        raise InputError(
            f"{record.path} has times of other hardware ({'; '.join(sorted(others))}), which can't "
            f"be compared with those of {hardware()}; choose another --out"
        )
    if times:
        write_line(
            "The times on record are measured again, in turn with those that are missing. In equal "
            "time methods may then take other steps, and their runs are made again."
        )
    every = dict.fromkeys(("association", *names, *times))
    measured = milliseconds_per_step([Job(name, parameters, recipe) for name in every])
    for name, milliseconds in measured.items():
        times[name] = {"milliseconds": milliseconds, **here_and_now()}
    record.write()


def milliseconds_per_step(jobs: Sequence[Job]) -> dict[str, float]:
    """The time of a training step of each job's method, its batch included.

    The methods take turns, so that what else the machine does is shared among them; the median
    of three turns of ten steps.
    """
    steps = {}
    for job in jobs:
        _, model, batches = _build(job)
        with model.expecting(batches):  # as in `fit`, which calls the same function
            train = model.make_train_function() or model.train_function
            steps[job.method] = functools.partial(train, iter(batches))
            for _ in range(_WARM_UP):
                steps[job.method]()
        write_line(f"{job.method}: ready to be timed")
    seconds: dict[str, list[float]] = {method: [] for method in steps}
    for _ in range(_ROUNDS):
        for method, step in steps.items():
            for _ in range(_TIMED):  # batches were prepared while others had their turn
                logs = step()
            float(logs["loss"])
            began = time.perf_counter()
            for _ in range(_TIMED):
                logs = step()
            float(logs["loss"])  # waits for the last
            seconds[method].append((time.perf_counter() - began) / _TIMED)
    return {method: 1000.0 * statistics.median(each) for method, each in seconds.items()}


def _build(job: Job) -> tuple[experiment.Experiment, ComparedModel, tf.data.Dataset]:
    methods = known.make(job.method, job.parameters)
    setup = _setup(job.recipe, job.validation)
    keras.utils.set_random_seed(job.recipe.seed)
    unlabeled = setup.recipe.unsup_batch_size if methods else 0
    return setup, compared(setup, methods, unlabeled), _batches(setup, methods)


@functools.lru_cache(maxsize=1)
def _setup(recipe: Recipe, validation: bool) -> experiment.Experiment:
    """The recipe's experiment; of the methods of one seed it is the same."""
    setup = experiment.build(recipe, _dataset(_of_data(recipe), validation))
    data = setup.data
    if len(data.dataset.test_labels) == 0:
        raise InputError(f"{data.dataset.name} has no images to evaluate on")
    if recipe.cluster_share > 0 and setup.backbone:
        pseudo_labels = predict_cluster_labels(data, recipe.cluster_share)
        setup = dataclasses.replace(
            setup, data=dataclasses.replace(data, pseudo_labels=pseudo_labels)
        )
    return setup


def _of_data(recipe: Recipe) -> Recipe:
    """The recipe with those settings only that loading its data depends on."""
    names = "dataset data_dir target_dataset target_data_dir train_in_pool new_size architecture"
    names += " freeze_steps augmentation skip_unreadable max_megapixels compat"
    return Recipe(**{name: getattr(recipe, name) for name in names.split()})


@functools.lru_cache(maxsize=2)
def _dataset(recipe: Recipe, validation: bool) -> Dataset:
    """The recipe's data; for validation a fifth of the training images in place of the test images.

    With a target, of its training images: their labels are used for nothing else.
    """
    if not validation:
        return experiment.load_data(recipe)
    if recipe.target_dataset is None:
        return _held_out(experiment.load_data(recipe))
    alone = dataclasses.replace(recipe, target_dataset=None, target_data_dir=None)
    target = dataclasses.replace(
        alone, dataset=recipe.target_dataset, data_dir=recipe.target_data_dir
    )
    held_out = _held_out(experiment.load_data(target))
    source = dataclasses.replace(alone, train_in_pool=False)  # the pool is the target's
    return adaptation.adapted(experiment.load_data(source), held_out)


def _held_out(dataset: Dataset) -> Dataset:
    """The data set with a fifth of its training images as its test images."""
    keep, held_out = hold_out_test_images(dataset.train_labels)
    return dataclasses.replace(
        dataset,
        train_images=dataset.train_images[keep],
        train_labels=dataset.train_labels[keep],
        test_images=dataset.train_images[held_out],
        test_labels=dataset.train_labels[held_out],
        train_files=None if dataset.train_files is None else dataset.train_files[keep],
        folds=None,
    )


def _batches(setup: experiment.Experiment, methods: Sequence[Method]) -> tf.data.Dataset:
    """The experiment's batches, with another view of the unlabelled images if a method wants it."""
    wanted = {method.view for method in methods if method.view}
    if not methods:
        alone = dataclasses.replace(setup.recipe, **LABELS_ONLY)
        return dataclasses.replace(setup, recipe=alone).batches()
    weak = setup.augment_unlabeled()
    return setup.batches(
        further_views=[_strong(weak) if view == "strong" else weak for view in wanted]
    )


def _strong(weak: pipeline.Augment | None) -> pipeline.Augment:
    """The weak augmentation, then two operations of RandAugment and a square cut out.

    Of features half the values are dropped.
    """

    def augment(images: tf.Tensor, seed: Seed) -> tf.Tensor:
        changed = images if weak is None else weak(images, seed)
        if len(images.shape) == 2:
            return tf.nn.experimental.stateless_dropout(changed, _DROPPED, seed)
        draw = Draw(tf.random.experimental.stateless_fold_in(seed, 1), tf.shape(images)[0])
        height, width = images.shape[1:3]
        centres = draw.integers(tf.constant([width, height]), 2)
        return cut_out(rand_augment(as_uint8(changed), draw), centres)

    return augment
