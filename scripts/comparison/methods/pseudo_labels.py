"""Methods that take the model's own predictions on unlabelled images for labels."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from comparison.method import Batch, Method

Tensor = Any


def cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """-log p(label) of each row, float32 [n]."""
    log_probabilities = ops.log_softmax(logits, axis=1)
    return -ops.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]


@dataclass
class PseudoLabels(Method):
    """alpha(t) mean over B of H(argmax p(x), p(x)).

    Args:
        weight: alpha at the end.
        begin, end: the shares of all steps between which alpha grows from 0. The paper's 100 and
            600 epochs of a training whose length it does not say.
    """

    weight: float = 3.0
    begin: float = 0.1
    end: float = 0.6

    paper = "Lee, Pseudo-Label, 2013"
    search = ({"weight": 1.0}, {"weight": 0.3})

    def loss(self, model: Any, batch: Batch) -> Tensor:
        alpha = ops.clip((batch.progress - self.begin) / (self.end - self.begin), 0.0, 1.0)
        logits = batch.unlabeled.logits
        return self.weight * alpha * ops.mean(cross_entropy(ops.argmax(logits, axis=1), logits))


@dataclass
class FixMatch(Method):
    """weight mean over B of 1(max q >= threshold) H(argmax q, p(strong(x))), q = p(weak(x)).

    Args:
        weight: of the loss.
        threshold: the minimum confidence of a pseudo-label.
    """

    weight: float = 1.0
    threshold: float = 0.95

    paper = "Sohn et al., FixMatch, 2020"
    view = "strong"
    search = ({"threshold": 0.8}, {"threshold": 0.6})

    def loss(self, model: Any, batch: Batch) -> Tensor:
        q = ops.stop_gradient(ops.softmax(batch.unlabeled.logits, axis=1))
        confident = ops.cast(ops.max(q, axis=1) >= self.threshold, "float32")
        strong = model(batch.view, training=True)["logits"]
        return self.weight * ops.mean(confident * cross_entropy(ops.argmax(q, axis=1), strong))
