"""Show the progress of a run: a progress bar on a terminal, plain lines in a log file."""

import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from semisup.data.dataset import Dataset
from semisup.evaluation import names
from semisup.experiment import Experiment
from semisup.runtime import progress
from semisup.training import pseudo_labels, self_training

# Classes that are named at the start, and the columns for a name.
_CLASSES, _NAME = 12, 20

_FEW_TEST_IMAGES = 100


class Progress:
    """Show the step, the newest values and the time left.

    Args:
        first_step: the step at which the run begins or resumes.
        last_step: the step at which it will end.
    """

    def __init__(self, first_step: int, last_step: int):
        self.first_step, self.last_step = first_step, last_step
        self.values: dict[str, float] = {}
        self.end_seconds = 0.0  # of what follows the last step
        self.started = time.monotonic()
        self.bar = None
        if progress.shows_bar(sys.stdout):
            self.bar = tqdm(total=last_step, initial=first_step, unit="step", file=sys.stdout)

    def update(self, step: int, values: Mapping[str, float] | None = None) -> None:
        """Note a finished step and, now and then, new values."""
        self.values.update(values or {})
        if self.bar is not None:
            self.bar.set_postfix(self._words(), refresh=False)
            self.bar.update(step - self.bar.n)
        elif values is None and progress.is_line_due():
            self.write_line(step)

    def warn(self, message: str) -> None:
        """Log a warning on a line of its own."""
        if self.bar is not None:
            self.bar.clear()
        logging.warning(message)

    def write_line(self, step: int) -> None:
        """Where there is no bar, print the step, the values and the time left."""
        if self.bar is not None:
            return
        words = [f"step {step}/{self.last_step}"]
        words += [f"{name} {value}" for name, value in self._words().items()]
        if step > self.first_step:
            elapsed = time.monotonic() - self.started
            left = elapsed / (step - self.first_step) * (self.last_step - step)
            left += self.end_seconds
            words.append(f"{left / 60:.1f} min left")
        progress.write_line("  ".join(words))

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()

    def _words(self) -> dict[str, str]:
        return {name: f"{value:.4g}" for name, value in self.values.items()}


def describe_run(setup: Experiment, folder: Path, replicas: int) -> Iterator[str]:
    """Yield the lines that say where a run trains, and on how many images of which classes.

    Args:
        setup: the run.
        folder: where it is recorded.
        replicas: how many devices share a batch.
    """
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = device if replicas == 1 else f"{replicas} {device}s"
    watch = f"tensorboard --logdir={shlex.quote(str(folder))}"
    yield f"Training on {devices} in {setup.recipe.precision}, in {folder}; to watch: {watch}"
    data, left_out = setup.data, setup.test_images_left_out
    test = f"{len(data.dataset.test_labels):,}"
    if left_out:
        test += f" of {len(data.dataset.test_labels) + left_out:,}"
    labeled, unlabeled = len(data.split.labeled), len(data.split.unlabeled)
    yield f"{labeled:,} labelled, {unlabeled:,} unlabelled, {test} test images"
    yield from describe_classes(data.dataset, left_out)
    yield from pseudo_labels.describe(setup.recipe, data)
    if beyond := self_training.labels_beyond(setup.recipe, data):
        yield (
            f"The runs before (`teacher`, `init_from`) were trained with {beyond:,} labels that "
            "this run does not have; count them, too, when you report the number of labels"
        )
    labels = data.pseudo_labels
    if not (setup.recipe.associates or (labels and len(labels.indices))):
        yield "The unlabelled images are not used: the weights of all losses on them are 0"


def describe_classes(dataset: Dataset, left_out: int = 0) -> Iterator[str]:
    """Yield the lines that say which classes there are, and how many images of each.

    Args:
        dataset: the data set.
        left_out: how many test images it has beside those to evaluate on (`eval_images`).
    """
    among = " (of those drawn by `eval_images`)" if left_out else ""
    classes = range(dataset.num_classes)
    train = np.bincount(dataset.train_labels, minlength=len(classes))
    test = np.bincount(dataset.test_labels, minlength=len(classes))
    short = names.shorten(dataset.class_names, _NAME)
    shown = [f"{short[c]} ({train[c]:,}; {test[c]:,})" for c in classes[:_CLASSES]]
    more = ""
    if len(classes) > _CLASSES:
        more = f", ... ({train.min():,} to {train.max():,}; {test.min():,} to {test.max():,})"
    yield f"{len(classes)} classes (training; test images): {', '.join(shown)}{more}"
    if missing := dataset.classes_without_test_images:
        yield f"warning: {names.untested(missing)}{among}"
    yield from describe_test_size(len(dataset.test_labels))


def describe_test_size(count: int) -> Iterator[str]:
    """Yield the line that says what an error on so few test images is worth."""
    if 0 < count < _FEW_TEST_IMAGES:
        yield (
            f"warning: the error is of {count} test images only, so one of them changes it by "
            f"{100 / count:.1f} points"
        )
