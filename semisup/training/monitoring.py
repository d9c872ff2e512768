"""Signs in a run's losses that something is wrong: non-finite values, a walk that collapses.

The thresholds for the walk lie well outside of what runs that ended well have shown: batches of
100 labelled and 100 unlabelled images, in which the walk visited more than half of the unlabelled
ones, and the visit loss came within 0.5 of its minimum.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from semisup.errors import InputError
from semisup.experiment import Experiment
from semisup.models.associative_model import AssociativeModel

# Steps after which `LossMonitor` checks at the latest, which bounds how many it keeps.
_CHECK_EVERY = 100


class LossMonitor:
    """Detect non-finite losses and report the first step that has one.

    A bad loss spoils the weights, hence all losses of the next step; and what a step reports
    is a mean since the last entry, in which one bad number is seen from then on. So each step's
    report is kept, as it is on its device, and read only if a later one is bad: to read every
    step's would make a GPU wait for the processor.

    Args:
        folder: the run's folder, for the error.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._unread: list[tuple[int, Mapping[str, Any]]] = []

    def add(self, step: int, logs: Mapping[str, Any]) -> None:
        """Keep what a step reported: scalar tensors by name; now and then, `check`."""
        self._unread.append((step, logs))
        if len(self._unread) >= _CHECK_EVERY:
            self.check()

    def check(self) -> None:
        """Check the steps since the last check.

        Raises:
            InputError: a number in them is not finite. Names the first step that has one, and
                of that step the loss terms, or else whatever is bad.
        """
        if self._unread and not _bad(self._unread[-1][1]):
            self._unread.clear()
        for step, logs in self._unread:
            terms = {name: value for name, value in logs.items() if name.endswith("_loss")}
            check_finite(terms, step, self._folder)
            check_finite(logs, step, self._folder)


def check_finite(values: Mapping[str, Any], step: int, folder: Path) -> None:
    """Raises InputError that names those of the values that are not finite, and the step."""
    if bad := _bad(values):
        raise InputError(
            f"{', '.join(bad)} no longer finite at step {step}; the last good checkpoint is in "
            f"{folder}; try a lower `learning_rate` or other loss weights"
        )


def _bad(values: Mapping[str, Any]) -> list[str]:
    return [name for name, value in values.items() if not math.isfinite(value)]


def check_weights(model: AssociativeModel, step: int, folder: Path) -> None:
    """Raise InputError that names the weights that are not finite, and the step."""
    sizes = {
        weight.path: tf.reduce_sum(tf.abs(weight.value)) for weight in model.trainable_variables
    }
    check_finite(sizes, step, folder)


# Of the unlabelled samples, the share that a walk must visit.
FEWEST_VISITED = 0.1

# Nats of the visit loss above its least.
LARGEST_EXCESS = 0.5

# Nats between a walk's losses and those of one whose steps are all equally likely.
UNIFORM = 0.02


def signs(
    logs: Mapping[str, float], labelled: int, unlabelled: int, progress: float, classes: int
) -> Iterator[tuple[str, str]]:
    """What is wrong with the walks: a word for it, and a line that says what to try.

    Args:
        logs: means over some steps, as `AssociativeModel` reports them.
        labelled: samples of A in a batch.
        unlabelled: samples of B in a batch.
        progress: how far the run is, from 0 to 1. Much is allowed at the beginning.
        classes: of A. Of one alone, no round trip can go wrong, and its losses say nothing.
    """
    visited = math.exp(logs["visit_entropy"])
    if progress >= 0.25 and visited < FEWEST_VISITED * unlabelled:
        yield (
            "few",
            f"the walker has collapsed: it visits some {visited:.0f} of {unlabelled} unlabelled "
            "images; try a larger `visit_weight`, a lower `learning_rate` or `similarity=cosine`",
        )
    if (
        progress >= 0.25
        and classes > 1
        and logs["walker_loss"] > math.log(labelled) - UNIFORM
        and logs["visit_entropy"] > math.log(unlabelled) - UNIFORM
    ):
        yield (
            "alike",
            "the walker has collapsed: all its steps are equally likely, so all embeddings are "
            "alike; try a lower `learning_rate`, or a walker that sets in slowly "
            "(`walker_weight_envelope=linear` `walker_weight_envelope_steps=N`)",
        )
    excess = logs["visit_loss"] - math.log(unlabelled)
    if progress >= 0.5 and excess > LARGEST_EXCESS:
        yield (
            "visits",
            f"the visit loss stays {excess:.1f} above its least, which it can't reach if there "
            "are unlabelled images of classes without labels; label some of them, try a smaller "
            "`visit_weight`, or `virtual_embeddings=N`",
        )


def missing_classes(names: Sequence[str]) -> str:
    """The line for classes of which no image is labelled."""
    return (
        f"no image of {', '.join(names)} is labelled: the visit loss draws their unlabelled "
        "images to other classes; try a smaller `visit_weight`, or `virtual_embeddings=N`"
    )


class CollapseMonitor:
    """Find signs in the training losses that the walk does not work, each once.

    Args:
        setup: the run.
        model: the model that learns.
    """

    def __init__(self, setup: Experiment, model: AssociativeModel) -> None:
        self._recipe, self._model = setup.recipe, model
        # A walk is over the embeddings of all devices, or of each alone.
        replicas = model.distribute_strategy.num_replicas_in_sync
        walks = replicas if setup.recipe.association_scope == "replica" else 1
        virtual = setup.recipe.virtual_embeddings
        self._labeled = setup.labeled_in_batch // walks + virtual
        self._unlabeled = setup.recipe.unsup_batch_size // walks
        self._classes = setup.labeled_in_batch // setup.recipe.sup_per_batch + virtual
        self._found: set[str] = set()

    def new_signs(self, step: int, logs: Mapping[str, float]) -> Iterator[str]:
        """Yield a line for each sign that was not there before.

        None while the losses of the walk have no weight: then it is not trained.

        Args:
            step: the training step.
            logs: the model's metrics, means over some steps.
        """
        weights = self._model.loss_weights_now()
        if min(weights["walker_weight"], weights["visit_weight"]) == 0:
            return
        progress = step / self._recipe.max_steps
        for sign, line in signs(logs, self._labeled, self._unlabeled, progress, self._classes):
            if sign not in self._found:
                yield line
            self._found.add(sign)
