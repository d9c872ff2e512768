"""Detect a collapsed walk, in a run and in `fit`, and say what to try.

The thresholds lie well outside of what runs that ended well have shown: batches of 100 labelled
and 100 unlabelled images, in which the walk visited more than half of the unlabelled ones, and the
visit loss came within 0.5 of its minimum.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from absl import logging

from semisup.errors import InputError
from semisup.evaluation import names
from semisup.experiment import Experiment
from semisup.models.associative_model import AssociativeModel
from semisup.runtime.arguments import whole_number
from semisup.training import monitoring

# Of the unlabelled samples, the share that a walk must visit.
FEWEST_VISITED = 0.1

# Of how few samples that share would be less than one, which each walk visits.
_FEW = 1.5

# Nats of the visit loss above its minimum.
LARGEST_EXCESS = 0.5

# Nats between a walk's losses and those of one whose steps are all equally likely.
UNIFORM = 0.02

# Nats of the visit loss below its minimum that say the batch is smaller than was told.
_OF_OTHER_SIZE = math.log(2)

# The metrics by which `collapse` tells.
_WATCHED = ("walker_loss", "visit_entropy")

# The weights of the losses of the walk.
_OF_WALK = ("walker_weight", "visit_weight")

# Nats of the walker loss above that of such a walk. No walk that is trained well comes near.
WRONG = 0.5


class WalkSize(NamedTuple):
    """The size of the walk of a training batch.

    Attributes:
        labeled: samples of A.
        unlabeled: samples of B.
        classes: of A. Of one alone, no round trip can go wrong, and its losses say nothing.
    """

    labeled: int
    unlabeled: int
    classes: int


def walk_of(model: AssociativeModel, labeled: int, unlabeled: int, classes: int) -> WalkSize:
    """The walk of a batch of so many images: over those of all devices, or of each alone.

    Args:
        model: the model that learns.
        labeled, unlabeled: images in a batch.
        classes: of the labelled ones.
    """
    replicas = model.distribute_strategy.num_replicas_in_sync
    walks = replicas if model.association_scope == "replica" else 1
    virtual = model.virtual_embeddings
    labeled, unlabeled = max(labeled // walks, 1), max(unlabeled // walks, 1)
    return WalkSize(labeled + virtual, unlabeled, classes + virtual)


def collapse(
    logs: Mapping[str, float], walk: WalkSize, begun: bool, visits: bool = True
) -> str | None:
    """Say how the walk has collapsed; None if it has not.

    Args:
        logs: means over some steps, as `AssociativeModel` reports them.
        walk: its size.
        begun: whether the walk has been trained for long enough to be other than uniform, which
            it may be with the initial weights.
        visits: whether few visits are a collapse: not without a visit loss, which asks for more.
    """
    visited = math.exp(logs["visit_entropy"])
    fewest = max(FEWEST_VISITED * walk.unlabeled, _FEW) if walk.unlabeled > 2 else 0.0
    if visits and visited < fewest:
        return f"it visits about {visited:.0f} of {walk.unlabeled} unlabelled images"
    if walk.classes > 1:
        uniform = math.log(walk.labeled)
        if logs["walker_loss"] > uniform + WRONG:
            return (
                "it mostly ends in a wrong class (walker loss "
                f"{logs['walker_loss']:.1f}; a random walk has {uniform:.1f})"
            )
        if (
            begun
            and logs["walker_loss"] > uniform - UNIFORM
            and logs["visit_entropy"] > math.log(walk.unlabeled) - UNIFORM
        ):
            return "all its steps are equally likely, so all embeddings are alike"
    return None


def advice(model: AssociativeModel) -> str:
    """Say what to try against a collapse, given what the model is set to already."""
    if model.similarity != "cosine":
        return "try `similarity=cosine`, which bounds the similarities"
    return f"try a lower `learning_rate`, or a higher `temperature` than {model.temperature:g}"


def unreachable_visits(logs: Mapping[str, float], walk: WalkSize) -> str | None:
    """Say that the visit loss can't be learned; None if it can."""
    excess = logs["visit_loss"] - math.log(walk.unlabeled)
    if excess <= LARGEST_EXCESS:
        return None
    return (
        f"the visit loss stays {excess:.1f} above its minimum, which it can't reach if there "
        "are unlabelled images of classes without labels; label some of them, try a smaller "
        "`visit_weight`, or `virtual_embeddings=N`"
    )


def missing_classes(classes: Sequence[str]) -> str:
    """The warning about classes of which no image is labelled."""
    return (
        f"no image of {names.listed(classes)} is labelled: the visit loss assigns their unlabelled "
        "images to other classes; try a smaller `visit_weight`, or `virtual_embeddings=N`"
    )


class CollapseMonitor:
    """Detect a collapsed walk and related problems in a run's losses; report each once.

    Args:
        setup: the run.
        model: the model that learns.

    Attributes:
        collapsed: whether the walk was collapsed when it was last looked at.
    """

    def __init__(self, setup: Experiment, model: AssociativeModel) -> None:
        self._recipe, self._model = setup.recipe, model
        classes = setup.labeled_in_batch // setup.recipe.sup_per_batch
        self._walk = walk_of(model, setup.labeled_in_batch, setup.recipe.unsup_batch_size, classes)
        self._warned: set[str] = set()
        self.collapsed = False

    def new_warnings(self, step: int, logs: Mapping[str, float]) -> Iterator[str]:
        """Yield a line for each problem that was not there before.

        None while the walker loss has no weight, and no collapse while it grows. Nothing about
        visits without a visit loss, or while it grows.

        Args:
            step: the training step.
            logs: the model's metrics, means over some steps.
        """
        recipe, model = self._recipe, self._model
        weights = {name: float(model.loss_schedules[name](step)) for name in _OF_WALK}
        if weights["walker_weight"] == 0:
            return
        found = None
        # Also at the first of the steps that the means are of.
        first = max(step - recipe.log_interval, 0)
        grown = {
            name: _has_grown(model, name, min(float(model.loss_schedules[name](first)), weight))
            for name, weight in weights.items()
        }
        asked = weights["visit_weight"] > 0 and grown["visit_weight"]
        if grown["walker_weight"]:
            found = collapse(logs, self._walk, step >= 0.25 * recipe.max_steps, asked)
        self.collapsed = found is not None
        if found and "collapse" not in self._warned:
            self._warned.add("collapse")
            yield f"the walk has collapsed at step {step}: {found}; {advice(self._model)}"
        late = step >= 0.5 * recipe.max_steps
        visits = unreachable_visits(logs, self._walk) if asked and late else None
        if visits and not found and "visits" not in self._warned:
            self._warned.add("visits")
            yield visits


def _has_grown(model: AssociativeModel, name: str, weight: Any) -> bool:
    """Whether this is all of the weight of a loss that is ramped up; True if it is not."""
    return float(weight) >= 0.99 * getattr(model.loss_schedules[name], "final_weight", 0.0)


def _walks_in_full(model: AssociativeModel, weights: Mapping[str, Any]) -> bool:
    """Whether the walker loss has a weight, and no loss of the walk is still ramped up."""
    grown = all(_has_grown(model, name, weights[name]) for name in _OF_WALK)
    return grown and float(weights["walker_weight"]) > 0


class CollapseWarning(keras.callbacks.Callback):
    """Warn once in `fit` when the walk has collapsed.

    It checks every `every` steps and at the end of each epoch, but not while the walker loss has
    no weight, or it or the visit loss is still ramped up. It also warns at the end if the moving
    statistics of batch norm are still near their initial values.

    Args:
        labeled: labelled images in a batch, of all devices together.
        unlabeled: unlabelled images in a batch, likewise.
        every: steps between two checks, at least 1; with `steps_per_execution` the next time that
            many have been taken. The metrics are means since the epoch began, or since both losses
            have had their full weights.

    Examples:
        >>> warning = semisup.CollapseWarning(labeled=100, unlabeled=100)
        >>> # model.fit(batches, steps_per_epoch=500, callbacks=[warning])
    """

    def __init__(self, labeled: int, unlabeled: int, every: int = 50) -> None:
        super().__init__()
        self._labeled = whole_number("labeled", labeled, minimum=1)
        self._unlabeled = whole_number("unlabeled", unlabeled, minimum=1)
        self._every = whole_number("every", every, minimum=1)
        self._warned = self._told = False
        self._batches = 0  # of this `fit`
        self._epoch = self._looked = 0  # of these, at the beginning of the epoch and the last check
        self._grown = False  # at the last check
        self._before: np.ndarray | float = 0.0  # the sums of the epoch that are not counted
        self._fresh: list[keras.layers.BatchNormalization] = []

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Note the batch norm layers that have not been trained yet.

        Raises:
            InputError: what is trained is no `AssociativeModel`.
        """
        if not isinstance(self.model, AssociativeModel):
            raise InputError(
                f"CollapseWarning is for an AssociativeModel, but this is a "
                f"{type(self.model).__name__}, which takes no walk; leave it out"
            )
        self._warned = self._told = False
        self._fresh = monitoring.fresh_batch_norms(self.model.network)
        self._batches = 0

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Warn if those layers have seen too few batches."""
        if line := monitoring.unsettled_batch_norm(self.model, self._fresh, self._batches):
            logging.warning(line)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Begin with the epoch's sums, which Keras has reset."""
        self._epoch = self._looked = self._batches
        self._grown = _walks_in_full(self.model, self.model.loss_weights_now())
        self._before = 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Look at the losses of the steps so far, every so many steps."""
        if self._batches == self._epoch and not self._told and self._has_walked():
            self._check_size((logs or {}).get("visit_loss", math.inf))
        # With `steps_per_execution` Keras calls this after several steps.
        self._batches = self._epoch + batch + 1
        if self._batches - self._looked >= self._every:
            self._looked = self._batches
            self._look()

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Look at the losses of the epoch before its validation resets them."""
        self._look()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Look at the losses of the epoch."""
        self._look()

    def _sums(self, name: str) -> tuple[float, float]:
        """The sum of a metric since the epoch began, of all devices, and of how many batches."""
        mean = self.model.means[name]
        return float(mean.total.numpy()), float(mean.count.numpy())

    def _has_walked(self) -> bool:
        """Whether any batch of this epoch had labelled and unlabelled images."""
        return self._sums("visit_loss")[1] > 0

    def _check_size(self, visit_loss: float) -> None:
        # Of a whole batch it is never lower: log(M) is the entropy of the target, equation (10).
        if visit_loss < math.log(self._walk().unlabeled) - _OF_OTHER_SIZE:
            self._told = True
            logging.warning(
                f"CollapseWarning was made for {self._unlabeled} unlabelled images in a batch, but "
                f"the visit loss of {visit_loss:.2f} is of fewer; give the numbers of images in a "
                "batch, not of all"
            )

    def _walk(self) -> WalkSize:
        return walk_of(self.model, self._labeled, self._unlabeled, self.model.num_classes)

    def _look(self) -> None:
        """Warn if the walk has collapsed in the steps since both losses have their full weights."""
        if self._warned or not self._has_walked():
            return
        weights = self.model.loss_weights_now()
        sums = np.array([self._sums(name) for name in _WATCHED])
        grown, self._grown = self._grown, _walks_in_full(self.model, weights)
        if not grown:
            self._before = sums
            return
        totals, batches = (sums - self._before).T
        if not batches.all():
            return
        step = int(self.model.optimizer.iterations.numpy())
        begun, asked = step >= 4 * self._every, float(weights["visit_weight"]) > 0
        logs = dict(zip(_WATCHED, totals / batches, strict=True))
        if found := collapse(logs, self._walk(), begun, asked):
            self._warned = True
            logging.warning(f"the walk has collapsed at step {step}: {found}; {advice(self.model)}")
