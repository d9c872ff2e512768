"""`CheckedModel`: Keras's `fit`, `evaluate` and `predict` with checked arguments."""

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from semisup.data import pipeline
from semisup.data.image_arrays import check_finite_pixels
from semisup.errors import InputError, from_graph
from semisup.models import labels
from semisup.runtime.arguments import class_numbers

# Of the metrics of an `AssociativeModel`.
_MORE_IS_BETTER = ("p_correct", "estimated_accuracy", "visit_entropy")

# Scales up to this one bring bytes into [0, 1] or [-1, 1]: 1 / 255, 1 / 127.5.
_OF_BYTES = 0.01


class CheckedModel(keras.Model):
    """A Keras model on a network, of `num_classes` classes whose labels may be -1 (unlabelled).

    Attributes:
        uses_unlabeled: whether a loss on unlabelled rows counts at any step.
        labeled_first: where that is known of the batches that a step is traced for, the number of
            labelled rows, with which each begins; else None.
    """

    network: keras.Model
    num_classes: int
    uses_unlabeled: bool
    means: dict[str, keras.metrics.Mean]
    train_function: Any  # Keras's
    labeled_first: int | None = None
    _traced_for: int | None = None  # the `labeled_first` of Keras's `train_function`
    _evaluating: bool = False

    @contextmanager
    def expecting(self, batches: Any, shares: int = 1) -> Iterator[None]:
        """Context manager: trace `train_step` for the layout of such batches.

        In those of `association_batches` it is known which rows are labelled; in others, each
        step searches the labels. `fit` does this itself; a training loop of your own may.

        Args:
            batches: what the model will be trained on, whatever Keras takes.
            shares: n replicas that share a batch, of which each takes every n-th row.

        Raises:
            InputError: their labels are no classes.
        """
        first = None
        if (found := _classes(pipeline.labels_of_batches(batches), self.num_classes)) is not None:
            labeled = found[::shares] >= 0
            count = int(labeled.sum())
            first = count if labeled[:count].all() else None
        before, self.labeled_first = self.labeled_first, first
        traced = self.train_function, self._traced_for
        try:
            yield
        finally:
            self.labeled_first = before
            if before is not None:  # `fit` goes on with batches of the layout before
                self.train_function, self._traced_for = traced

    def make_train_function(self, force: bool = False) -> Any:
        """As Keras has it, anew for batches of another layout."""
        force = force or self._traced_for != self.labeled_first
        self._traced_for = self.labeled_first
        return super().make_train_function(force)

    def _resolve_auto_jit_compile(self) -> bool:
        """False: no XLA unless `compile(jit_compile=True)` says so; processors are slower by it."""
        return False

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it, with warnings of what was not learned.

        Raises:
            InputError: labels are missing, names, one-hot or no classes; there are none to train or
                to validate on; a pixel of an array is NaN or infinite; batches have no end and
                there is no number of steps; there are weights of samples or classes, or `compile`
                was given a loss.
        """
        call = _fit_arguments(super().fit, self.num_classes, *args, **kwargs)
        # Keras gives each of several replicas consecutive rows, of A or of B.
        alone = self.distribute_strategy.num_replicas_in_sync == 1
        batches = call.arguments.get("x")
        some = pipeline.images_of_batches(batches)
        _warn_if_scaled_twice(self.network, batches if some is None else some)
        self._set_modes(call.arguments.get("callbacks"))
        with self.expecting(batches if alone else None), self.errors_in_one_line():
            history = super().fit(*call.args, **call.kwargs)
        self._warn_of_nothing_learned(history.history)
        return history

    def _warn_of_nothing_learned(self, of_epochs: dict[str, list[float]]) -> None:
        """Log a warning if no batch had a labelled, or an unlabelled image, or weights are NaN."""
        if bad := [w.path for w in self.trainable_variables if not np.isfinite(w).all()]:
            logging.warning(
                f"after this training {len(bad)} weights are NaN or infinite, such as {bad[0]}; "
                "look for images with such pixels, or take a lower learning rate"
            )
        elif np.all(np.isnan(of_epochs.get("error", 0.0))):
            logging.warning("no batch had a labelled image: their labels are all -1")
        elif self.uses_unlabeled and not np.any(of_epochs.get("visit_loss", 1.0)):
            logging.warning(
                "no batch had both labelled and unlabelled images, so nothing was learned by "
                "association; unlabelled ones have the label -1 (those of a data set are its "
                "`unlabeled_pool`)"
            )

    def _set_modes(self, callbacks: Any) -> None:
        """Tell callbacks that watch one of our metrics whether more or less of it is better."""
        for callback in keras.tree.flatten(getattr(callbacks, "callbacks", callbacks)):
            watched = str(getattr(callback, "monitor", "")).removeprefix("val_")
            if getattr(callback, "mode", None) == "auto" and watched in self.means:
                callback.mode = "max" if watched in _MORE_IS_BETTER else "min"

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it; of batches without a labelled image every result is NaN, with a warning.

        Raises:
            InputError: as `fit`; or arrays have no label at all.
        """
        call = inspect.signature(super().evaluate).bind(*args, **kwargs)
        given = call.arguments
        _check_end(given.get("x"), given.get("steps"), "evaluate", "steps")
        if (y := _classes(given.get("y"), self.num_classes)) is not None:
            _check_any(y, "evaluate")
            given["y"] = y
        self._evaluating = True
        try:
            with self.errors_in_one_line():
                results = super().evaluate(*call.args, **call.kwargs)
        finally:
            self._evaluating = False
        if float(self.means["error"].count.numpy()) > 0:
            return results
        logging.warning("there was no labelled image to evaluate on, so all results are NaN")
        return keras.tree.map_structure(lambda _: float("nan"), results)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it.

        Raises:
            InputError: batches have no end and there is no number of steps.
        """
        call = inspect.signature(super().predict).bind(*args, **kwargs)
        _check_end(call.arguments.get("x"), call.arguments.get("steps"), "predict", "steps")
        with self.errors_in_one_line():
            return super().predict(*call.args, **call.kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it; a label that is no class raises an InputError."""
        call = self._bound(super().train_on_batch, *args, **kwargs)
        # In a callback of `fit`, too, whose batches may have another layout.
        with self.expecting(None), self.errors_in_one_line():
            return super().train_on_batch(*call.args, **call.kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it, likewise."""
        call = self._bound(super().test_on_batch, *args, **kwargs)
        with self.errors_in_one_line():
            return super().test_on_batch(*call.args, **call.kwargs)

    def _bound(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The arguments of a method on one batch, with labels as int64."""
        call = inspect.signature(method).bind(*args, **kwargs)
        if (y := _classes(call.arguments.get("y"), self.num_classes)) is not None:
            call.arguments["y"] = y
        return call

    @contextmanager
    def errors_in_one_line(self) -> Iterator[None]:
        """Context manager: a graph that stops at a label or a file ends with that one line.

        The methods above do this themselves; a training loop of your own may.

        Raises:
            InputError: it stopped so; TensorFlow puts what a Python function raised into its own
                message.
        """
        try:
            yield
        except tf.errors.OpError as error:
            named = labels.outside_classes(error, self.num_classes) or from_graph(error)
            if named is None:
                raise
            raise named from None


def _fit_arguments(method: Callable[..., Any], num_classes: int, *args: Any, **kwargs: Any) -> Any:
    """The arguments of Keras's `fit`, with labels as int64."""
    call = inspect.signature(method).bind(*args, **kwargs)
    given = call.arguments
    check_finite_pixels(given.get("x"))
    _check_end(given.get("x"), given.get("steps_per_epoch"), "fit", "steps_per_epoch")
    if isinstance(given.get("x"), tf.data.Dataset):
        given.setdefault("shuffle", False)  # as Keras would, after a warning
    if (y := _classes(given.get("y"), num_classes)) is not None:
        given["y"] = y
        # Keras passes over the split where there is other data to validate on.
        split = given.get("validation_split") if given.get("validation_data") is None else None
        share = split or 0.0
        trained = math.floor(len(y) * (1.0 - share)) if 0 < share < 1 else len(y)
        if len(y) and not np.any(y[:trained] >= 0):
            raise InputError("no image to train on has a label: all are -1")
        _warn_of_few_labels(y[:trained], given.get("batch_size") or 32, num_classes)
        if trained < len(y) and not np.any(y[trained:] >= 0):
            raise InputError(
                f"`validation_split={share}` takes the last {len(y) - trained} images, of which "
                "none has a label; give images with labels as `validation_data`, or shuffle first"
            )
    validation = given.get("validation_data")
    if isinstance(validation, tuple | list) and len(validation) >= 2:
        images, y, *weights = validation
        if any(weight is not None for weight in weights):
            raise InputError(
                "AssociativeModel takes no sample weights; give `validation_data=(images, labels)`"
            )
        if (y := _classes(y, num_classes)) is not None:
            _check_any(y, "`validation_data`")
            given["validation_data"] = (images, y)
    else:
        steps = given.get("validation_steps")
        _check_end(validation, steps, "fit", "validation_steps", "`validation_data` is")
    return call


def _warn_if_scaled_twice(network: keras.Model, images: Any) -> None:
    """Log a warning if pixels are in [0, 1] and the network divides them by 255 once more."""
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f" or images.size == 0:
        return
    layers = [x for x in network._flatten_layers() if isinstance(x, keras.layers.Rescaling)]
    if any(np.max(np.abs(layer.scale)) > 1 for layer in layers):  # it takes such pixels
        return
    if not layers or not 0 < images.max() <= 1:  # a pass over all pixels
        return
    for layer in layers:
        if 0 < (scale := np.max(np.abs(layer.scale))) <= _OF_BYTES:
            logging.warning(
                f"pixels of the images are at most {images.max():g}, but the network's layer "
                f"{layer.name!r} divides them by {1 / scale:.4g}; give the images as they were "
                "before they were divided by 255"
            )
            return


def _classes(y: Any, num_classes: int) -> Any:
    """Labels as int64 [N]; None if there are none, or if they are symbolic."""
    if y is None or (tf.is_tensor(y) and not hasattr(y, "numpy")):
        return None
    numbers = class_numbers(y, labels.NONE_IS_MINUS_ONE)
    if len(numbers) and not -1 <= numbers.min() <= numbers.max() < num_classes:
        raise labels.out_of_range(numbers.min(), numbers.max(), num_classes)
    return numbers


def _warn_of_few_labels(y: np.ndarray, batch_size: int, num_classes: int) -> None:
    """Log a warning if random batches hold too few labelled images to walk back to a class."""
    labeled, batch_size = int(np.sum(y >= 0)), min(batch_size, len(y))
    if labeled < len(y) and batch_size * labeled / len(y) < num_classes:
        logging.warning(
            f"a batch of {batch_size} has {batch_size * labeled / len(y):.1f} labelled images on "
            f"average, fewer than the {num_classes} classes: most walks can't go wrong, so nothing "
            "is learned from them; take `association_batches`, or a larger `batch_size`"
        )


def _check_any(y: np.ndarray, what: str) -> None:
    if not np.any(y >= 0):
        raise InputError(f"{what} needs images with labels, but all {len(y)} are -1")


def _check_end(
    batches: Any, steps: int | None, method: str, argument: str, what: str = "these batches are"
) -> None:
    """Raise InputError if batches have no end and no number of steps ends them."""
    if (
        steps is None
        and isinstance(batches, tf.data.Dataset)
        and int(batches.cardinality()) == tf.data.INFINITE_CARDINALITY
    ):
        raise InputError(f"{what} infinite, so {method} needs `{argument}`, such as {argument}=100")
