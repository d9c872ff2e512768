"""Virtual adversarial training: predictions stay where they would change most."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from keras import ops

from comparison.method import Batch, Method

Tensor = Any

# Of the pixels, whose values networks divide by it; for features see `VirtualAdversarial`.
_RANGE = 255.0


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL(p || q) of class probabilities, float32 [n]."""
    log_p, log_q = ops.log_softmax(logits, axis=1), ops.log_softmax(others, axis=1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=1)


def unit(vectors: Tensor) -> Tensor:
    """Each row [n, ...] scaled to the Euclidean norm 1."""
    flat = ops.reshape(vectors, [ops.shape(vectors)[0], -1])
    scale = ops.max(ops.abs(flat), axis=1, keepdims=True) + 1e-30  # squares must not vanish
    return ops.reshape(ops.normalize(flat / scale, axis=1), ops.shape(vectors))


def direction(
    logits_of: Callable[[Tensor], Tensor], images: Tensor, logits: Tensor, noise: Tensor, xi: float
) -> Tensor:
    """The virtual adversarial direction: one step of power iteration from `noise`.

    d = gradient by r of KL(p(x) || p(x + r)) at r = xi * noise, scaled to 1.

    Args:
        logits_of: from images to class scores.
        images: float [n, ...].
        logits: the scores of `images`, [n, classes].
        noise: where to begin, [n, ...].
        xi: length of the finite difference.
    """
    r = xi * unit(noise)
    with tf.GradientTape() as tape:
        tape.watch(r)
        changed = ops.sum(divergence(logits, logits_of(images + r)))
    return unit(ops.stop_gradient(tape.gradient(changed, r)))


@dataclass
class VirtualAdversarial(Method):
    """VAT with entropy minimisation: mean over B of KL(p(x) || p(x + r)) + H(p(x)).

    r is `epsilon` times the direction that changes p most.

    Args:
        epsilon: length of r, of images whose pixels are in [0, 1]; of features, in the mean length
            of these over 10.
        weight: of the divergence.
        entropy: weight of the entropy.
        xi: length of the finite difference, a share of epsilon. The paper's 1e-6 is beyond
            what bfloat16 resolves.
    """

    epsilon: float = 2.0
    weight: float = 1.0
    entropy: float = 1.0
    xi: float = 0.1

    paper = "Miyato et al., Virtual Adversarial Training, 2017"
    search = ({"epsilon": 1.0}, {"epsilon": 4.0})

    def loss(self, model: Any, batch: Batch) -> Tensor:
        images = ops.cast(batch.unlabeled.images, "float32")
        length = self.epsilon * (_RANGE if len(images.shape) == 4 else _mean_length(images) / 10.0)
        logits = batch.unlabeled.logits
        p = ops.stop_gradient(logits)

        def logits_of(changed: Tensor) -> Tensor:
            return model(changed, training=True)["logits"]

        noise = tf.random.stateless_normal(tf.shape(images), batch.seed)
        r = length * direction(logits_of, images, p, noise, self.xi * length)
        log_p = ops.log_softmax(logits, axis=1)
        entropy = -ops.mean(ops.sum(ops.exp(log_p) * log_p, axis=1))
        change = ops.mean(divergence(p, logits_of(images + r)))
        return self.weight * change + self.entropy * entropy


def _mean_length(features: Tensor) -> Tensor:
    return ops.mean(ops.norm(features, axis=1))
