"""How good a model is: test error, confusion matrix, error of each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semisup.data.dataset import Images
from semisup.models.associative_model import AssociativeModel

_AT_ONCE = 500  # images, which bounds the memory


@dataclass(frozen=True)
class Report:
    """A model's mistakes on a set of labelled images.

    Attributes:
        confusion: int64 [classes, classes]; row c counts the images of class c by the
            class that the model gave them.
        class_names: one for each class.
    """

    confusion: np.ndarray
    class_names: tuple[str, ...]

    @property
    def error(self) -> float:
        """Images classified wrongly, in percent."""
        images = int(self.confusion.sum())
        return 100.0 * (images - int(np.trace(self.confusion))) / images

    @property
    def error_per_class(self) -> np.ndarray:
        """For each class, its images classified wrongly, in percent; NaN without images."""
        images = self.confusion.sum(axis=1)
        wrong = images - np.diag(self.confusion)
        nothing = np.full(len(images), np.nan)
        return np.divide(100.0 * wrong, images, out=nothing, where=images > 0)

    def table(self) -> str:
        """The confusion matrix and the error of each class, as text to read."""
        names = [name[:10] for name in self.class_names]
        rows = [["", *names, "error"]]
        for name, counts, error in zip(names, self.confusion, self.error_per_class, strict=True):
            rows.append([name, *(str(n) if n else "." for n in counts), f"{error:.1f}%"])
        width = 1 + max(len(cell) for row in rows for cell in row)
        return "\n".join("".join(cell.rjust(width) for cell in row) for row in rows)


def evaluate(
    model: AssociativeModel,
    images: Images,
    labels: np.ndarray,
    class_names: Sequence[str],
) -> Report:
    """Classify labelled images and count the mistakes.

    Args:
        model: the model.
        images: [N, H, W, C], as the model takes them.
        labels: integers [N].
        class_names: one for each class.
    """
    return count_mistakes(labels, predict(model, images)["logits"].argmax(axis=1), class_names)


def count_mistakes(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> Report:
    """The report on predictions that have been made: true and predicted classes, [N] each."""
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(labels, predicted, labels=np.arange(len(class_names)))
    return Report(confusion.astype(np.int64), tuple(class_names))


def predict(model: AssociativeModel, images: Images) -> dict[str, np.ndarray]:
    """Embeddings [N, D] and logits [N, classes] of the images, float32."""
    parts = [
        model.predict_on_batch(np.asarray(images[i : i + _AT_ONCE]))
        for i in range(0, len(images), _AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
