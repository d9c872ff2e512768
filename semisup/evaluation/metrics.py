"""Evaluation on labelled images: predictions, confusion matrix and errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from semisup.data.dataset import Images
from semisup.data.lazy_images import as_images, network_inputs
from semisup.errors import InputError
from semisup.evaluation import names
from semisup.models.associative_model import AssociativeModel
from semisup.runtime.arguments import class_numbers
from semisup.runtime.progress import tracked

# Images in a batch, and pixels of all of them, which bound the memory.
_BATCH_SIZE = 500
_PIXELS = _BATCH_SIZE * 64 * 64

# Columns: of a whole table, of the errors in it, and of names, to which long ones are cut.
_TABLE_WIDTH, _ERROR_WIDTH = 100, 8
_SHORTEST_NAME, _NAME_IN_MATRIX, _NAME_IN_LIST = 6, 10, 15
_CONFUSIONS = 3  # in a row of the list: the most frequent ones


class Predictions(NamedTuple):
    """A model's embeddings and logits of some images.

    Attributes:
        embeddings: float32 [N, D].
        logits: float32 [N, classes].
    """

    embeddings: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Report:
    """The confusion matrix of a model on labelled images, and the errors that follow from it.

    Attributes:
        confusion: int64 [classes, classes]; row c counts the images of class c by the
            class that the model gave them.
        class_names: one for each class.
    """

    confusion: np.ndarray
    class_names: tuple[str, ...]

    def __str__(self) -> str:
        return self.table()

    @property
    def error(self) -> float:
        """Images classified wrongly, in percent; NaN without images."""
        images = int(self.confusion.sum())
        if images == 0:
            return math.nan
        return 100.0 * (images - int(np.trace(self.confusion))) / images

    @property
    def error_in_words(self) -> str:
        """The error and what it is of, "2.50 % of 1,000 images", or that it is not known."""
        images = int(self.confusion.sum())
        return f"{self.error_text} of {images:,} images" if images else self.error_text

    @property
    def error_per_class(self) -> np.ndarray:
        """For each class, its images classified wrongly, in percent; NaN without images."""
        images = self.confusion.sum(axis=1)
        wrong = images - np.diag(self.confusion)
        nothing = np.full(len(images), np.nan)
        return np.divide(100.0 * wrong, images, out=nothing, where=images > 0)

    @property
    def balanced_error(self) -> float:
        """The mean of the classes' errors, in percent: 100 less the balanced accuracy.

        Every class counts the same, however many images it has; one without images is left out.
        NaN without images of any.
        """
        errors = self.error_per_class
        present = np.isfinite(errors)
        return float(errors[present].mean()) if present.any() else math.nan

    @property
    def macro_f1(self) -> float:
        """The mean of the classes' F1 scores, in [0, 1].

        F1 is the harmonic mean of precision and recall, 0 for a class that is never predicted
        rightly. A class without images that is never predicted is left out. NaN without images.
        """
        total = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        present = total > 0
        if not present.any():
            return math.nan
        return float(np.mean(2.0 * np.diag(self.confusion)[present] / total[present]))

    @property
    def error_text(self) -> str:
        """The error as people read it: "2.50 %", or that it is not known."""
        error = self.error
        return f"{error:.2f} %" if np.isfinite(error) else "unknown (no test images)"

    def table(self) -> str:
        """The errors as text to read, at most 100 columns wide.

        Of few classes the confusion matrix and the error of each class; of many a list, with
        what each class is most often mistaken for. Below, the metrics in which every class counts
        the same, if there are images.
        """
        if not self.confusion.any():
            return self._classes()
        below = (
            f"balanced accuracy {100.0 - self.balanced_error:.2f} %, macro F1 {self.macro_f1:.4f}"
        )
        return f"{self._classes()}\n{below}"

    def _classes(self) -> str:
        longest = max(names.display_width(name) for name in self.class_names)
        needed = max(len(str(self.confusion.max())), min(longest, _SHORTEST_NAME))
        widest = (_TABLE_WIDTH - _ERROR_WIDTH) // (len(self.class_names) + 1) - 1
        if widest < needed:
            return self._list()
        short = names.shorten(self.class_names, max(min(widest, _NAME_IN_MATRIX), 4))
        rows = [["", *short]]
        for name, counts in zip(short, self.confusion, strict=True):
            rows.append([name, *(str(n) if n else "." for n in counts)])
        width = 1 + max(names.display_width(cell) for row in rows for cell in row)
        errors = ["error", *map(_percent, self.error_per_class)]
        return "\n".join(
            "".join(_right(cell, width) for cell in row) + error.rjust(_ERROR_WIDTH)
            for row, error in zip(rows, errors, strict=True)
        )

    def _list(self) -> str:
        short = names.shorten(self.class_names, _NAME_IN_LIST)
        rows = [("class", "images", "error", "most often mistaken for")]
        for c, (counts, error) in enumerate(zip(self.confusion, self.error_per_class, strict=True)):
            wrong = np.where(np.arange(len(counts)) == c, 0, counts)
            order = np.argsort(-wrong, kind="stable")[:_CONFUSIONS]
            mistakes = ", ".join(f"{short[i]} ({wrong[i]})" for i in order if wrong[i])
            rows.append((short[c], str(counts.sum()), _percent(error), mistakes))
        width = max(names.display_width(row[0]) for row in rows)
        numbers = 2 + max(len(cell) for row in rows for cell in row[1:3])
        left = 2 * numbers + 2 + width
        return "\n".join(
            (
                row[0]
                + " " * (width - names.display_width(row[0]))
                + "".join(cell.rjust(numbers) for cell in row[1:3])
                + "  "
                + _fit(row[3], _TABLE_WIDTH - left)
            ).rstrip()
            for row in rows
        )


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions on labelled images, and the report on them.

    Attributes:
        embeddings: of the images, float32 [N, D].
        logits: float32 [N, classes].
        report: the mistakes.
    """

    embeddings: np.ndarray
    logits: np.ndarray
    report: Report


def evaluate(
    model: AssociativeModel,
    images: Images,
    labels: np.ndarray,
    class_names: Sequence[str] | None = None,
) -> Evaluation:
    """Classify labelled images and count the mistakes.

    Args:
        model: the model.
        images: [N, H, W, C], as the model takes them: an array, a tensor, a list, `LazyImages`.
        labels: integers [N], in [0, classes).
        class_names: one for each class; by default their numbers.

    Raises:
        InputError: as `count_mistakes` and `predict`; or there are fewer names than the model has
            classes.

    Examples:
        >>> digits = semisup.load_dataset("mnist5k")
        >>> images, labels = digits.test_images[:50], digits.test_labels[:50]
        >>> model = semisup.AssociativeModel(semisup.mnist_model(), num_classes=10)
        >>> found = semisup.evaluation.evaluate(model, images, labels, digits.class_names)
        >>> found.embeddings.shape, found.logits.shape
        ((50, 128), (50, 10))
        >>> int(found.report.confusion.sum()), 0 <= found.report.error <= 100  # in percent
        (50, True)
    """
    _check_model(model)
    names = [*map(str, range(model.num_classes))] if class_names is None else class_names
    if len(names) < model.num_classes:
        raise InputError(
            f"`class_names` has {len(names)} names, but the model has {model.num_classes} classes; "
            "give one for each, in the order of the classes"
        )
    embeddings, logits = predict(model, images)
    report = count_mistakes(labels, logits.argmax(axis=1), names)
    return Evaluation(embeddings, logits, report)


def count_mistakes(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> Report:
    """Compute the report from true and predicted classes.

    Args:
        labels: true classes [N], in [0, classes); there may be none.
        predicted: predicted classes [N].
        class_names: one for each class.

    Raises:
        InputError: a label or a prediction is no class, which would be left out unseen, or there
            are not as many of both.
    """
    classes = len(class_names)
    labels = class_numbers(labels, "leave out the images without labels")
    predicted = np.asarray(predicted)
    if predicted.size and predicted.dtype.kind not in "iu":
        raise InputError(f"predicted classes must be whole numbers, but are {predicted.dtype}")
    predicted = predicted.astype(np.int64)
    if predicted.shape != labels.shape:
        raise InputError(
            f"there are labels {labels.shape}, but predicted classes {predicted.shape}; give "
            "one for each image"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(
            f"labels must be in [0, {classes}) to evaluate on, but go from {labels.min()} to "
            f"{labels.max()}; leave out the images without labels"
        )
    if len(predicted) and not 0 <= np.min(predicted) <= np.max(predicted) < classes:
        raise InputError(
            f"predicted classes go from {np.min(predicted)} to {np.max(predicted)}, but "
            f"`class_names` has {classes} names"
        )
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2)
    return Report(confusion.reshape(classes, classes), tuple(class_names))


def predict(model: AssociativeModel, images: Images) -> Predictions:
    """Embed and classify images, in batches.

    Args:
        model: the model.
        images: [N, H, W, C], as the model takes them: an array, a tensor, a list, `LazyImages`;
            for a model of features, `lazy_images.FeaturedImages`. There may be none.

    Raises:
        InputError: the model is no `AssociativeModel`, or the images differ in size.
    """
    _check_model(model)
    images = as_images(images)
    if len(images) == 0:
        if not model.built:
            model.build((None, *images.shape[1:]))
        widths = (model.classifier.kernel.shape[0], model.num_classes)
        return Predictions(*(np.empty((0, n), np.float32) for n in widths))
    takes_features = len(getattr(model.network, "input_shape", ())) == 2
    inputs = network_inputs if takes_features else np.asarray
    size = _BATCH_SIZE
    if not takes_features:
        size = min(size, max(1, _PIXELS // math.prod(images.shape[1:3])))
    starts = tracked(range(0, len(images), size), len(images), size, "embedding")
    if model.predict_function is None and not model.run_eagerly:
        _trace(model, inputs(images[:1]))
    parts = [_outputs(model, inputs(images[i : i + size])) for i in starts]
    return Predictions(*map(np.concatenate, zip(*parts, strict=True)))


def _outputs(model: AssociativeModel, batch: np.ndarray) -> Predictions:
    """Embeddings and logits of a batch; Keras repeats them for each replica of a strategy."""
    outputs = model.predict_on_batch(batch)
    return Predictions(*(outputs[name][: len(batch)] for name in ("embedding", "logits")))


def _check_model(model: Any) -> None:
    if not isinstance(model, AssociativeModel):
        raise InputError(
            f"`model` is a {type(model).__name__}, but it must be an AssociativeModel, whose "
            "predictions are embeddings and logits"
        )


def _trace(model: AssociativeModel, image: np.ndarray) -> None:
    """Trace the graph of `predict_on_batch` for batches of any size; Keras would for each anew."""
    model.make_predict_function()
    any_size = tf.TensorSpec((None, *image.shape[1:]), image.dtype)
    graph: Any = model.predict_function
    graph.get_concrete_function([(any_size,)])


def _percent(error: float) -> str:
    return f"{error:.1f}%" if np.isfinite(error) else "-"


def _right(text: str, width: int) -> str:
    return " " * (width - names.display_width(text)) + text


def _fit(mistakes: str, width: int) -> str:
    """As many of the mistakes, separated by commas, as fit."""
    while names.display_width(mistakes) > width and ", " in mistakes:
        mistakes = mistakes.rpartition(", ")[0]
    return mistakes
