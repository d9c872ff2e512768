"""Methods that bring the embeddings of a target domain close to those of the source."""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from comparison.method import Batch, Method

Tensor = Any


@tf.custom_gradient
def reverse_gradient(x: Tensor, scale: Tensor) -> tuple[Tensor, Any]:
    """x, whose gradient is taken times -scale."""
    return tf.identity(x), lambda gradient: (-scale * gradient, None)


@dataclass
class AdversarialDomains(Method):
    """DANN: a classifier of the domain learns, and the embedding learns against it.

    Cross-entropy of the domain, its gradient reversed on the way to the embedding and times
    lambda(t) = weight (2 / (1 + exp(-gamma t)) - 1). It is the mean over source and target, half
    of the sum that the paper's equation has.

    Args:
        weight: lambda at the end.
        gamma: how fast lambda grows.
        units: of the domain classifier's hidden layer.
    """

    weight: float = 1.0
    gamma: float = 10.0
    units: int = 100

    paper = "Ganin et al., Domain-Adversarial Training, 2016"
    search = ({"weight": 0.3}, {"weight": 0.1})

    def build(self, model: Any) -> list[Any]:
        self.domain = keras.Sequential(
            [
                keras.Input((model.classifier.kernel.shape[0],)),
                keras.layers.Dense(self.units, activation="relu", dtype="float32"),
                keras.layers.Dense(1, dtype="float32"),
            ],
            name="domain_classifier",
        )
        return [self.domain]

    def loss(self, model: Any, batch: Batch) -> Tensor:
        scale = self.weight * (2.0 / (1.0 + ops.exp(-self.gamma * batch.progress)) - 1.0)
        domains = batch.labeled.embedding, batch.unlabeled.embedding
        source, target = (self.domain(reverse_gradient(x, scale))[:, 0] for x in domains)
        # -log of the probability of the domain that it is, sigmoid(source) and 1 - sigmoid(target)
        return 0.5 * (ops.mean(ops.softplus(-source)) + ops.mean(ops.softplus(target)))


@dataclass
class MMD(Method):
    """weight MMD^2(A, B), k = the mean of Gaussian kernels of several widths.

    MMD^2 = mean k(a, a') + mean k(b, b') - 2 mean k(a, b). The widths are the mean squared
    distance times 1/4, 1/2, 1, 2, 4, as in the paper's code, which sums the kernels.

    Args:
        weight: of the loss.
    """

    weight: float = 1.0

    paper = "Long et al., Learning Transferable Features with Deep Adaptation Networks, 2015"
    search = ({"weight": 0.3}, {"weight": 3.0})

    def loss(self, model: Any, batch: Batch) -> Tensor:
        return self.weight * mmd(batch.labeled.embedding, batch.unlabeled.embedding)


def mmd(A: Tensor, B: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of samples [N, D] and [M, D], a float32 scalar."""
    width = ops.stop_gradient(ops.mean(squared_distances(*[ops.concatenate([A, B])] * 2)))

    def mean_kernel(X: Tensor, Y: Tensor) -> Tensor:
        distances = squared_distances(X, Y) / (width + 1e-12)
        return ops.mean(sum(ops.exp(-distances / scale) for scale in (0.25, 0.5, 1, 2, 4)) / 5.0)

    return mean_kernel(A, A) + mean_kernel(B, B) - 2.0 * mean_kernel(A, B)


def squared_distances(A: Tensor, B: Tensor) -> Tensor:
    """|a_i - b_j|^2, float32 [N, M]."""
    squares = ops.sum(A**2, axis=1)[:, None] + ops.sum(B**2, axis=1)[None, :]
    return ops.maximum(squares - 2.0 * ops.matmul(A, ops.transpose(B)), 0.0)


@dataclass
class Coral(Method):
    """weight |C_A - C_B|^2 / (4 d^2), the covariances of the d class scores.

    Args:
        weight: of the loss.
    """

    weight: float = 1.0

    paper = "Sun and Saenko, Deep CORAL, 2016"
    search = ({"weight": 10.0}, {"weight": 0.1})

    def loss(self, model: Any, batch: Batch) -> Tensor:
        return self.weight * coral(batch.labeled.logits, batch.unlabeled.logits)


def coral(A: Tensor, B: Tensor) -> Tensor:
    """Squared Frobenius distance of the covariances of [N, D] and [M, D], over 4 D^2."""
    return ops.sum((covariance(A) - covariance(B)) ** 2) / (4.0 * A.shape[1] ** 2)


def covariance(X: Tensor) -> Tensor:
    """Of the columns of [n, D], unbiased, float32 [D, D]; 0 of a single row."""
    centred = X - ops.mean(X, axis=0, keepdims=True)
    return ops.matmul(ops.transpose(centred), centred) / max(X.shape[0] - 1, 1)
