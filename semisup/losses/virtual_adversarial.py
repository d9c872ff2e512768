"""Virtual adversarial training (VAT) with entropy minimisation. Not in the paper.

The prediction must not change under the small perturbation that changes it most, and must be
confident (Miyato et al., "Virtual Adversarial Training", 2017).
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import name_scope, ops

from semisup.errors import InputError

Tensor = Any

# Of the change that measures the curvature, to the change that is trained against. The authors'
# 1e-6 is beyond what bfloat16 resolves.
_SHARE = 0.1


def vat_losses(
    logits_of: Callable[[Tensor], Tensor],
    inputs: Tensor,
    logits: Tensor,
    epsilon: float,
    step: Tensor,
) -> Tensor:
    """KL(p(x) || p(x + r)) + H(p(x)) of each input, where r is `epsilon` times as long as x.

    Args:
        logits_of: from inputs to class scores.
        inputs: x, [n, ...].
        logits: class scores of `inputs` [n, classes].
        epsilon: length of r, as a share of that of x.
        step: the training step, which seeds the search for r. It begins in one direction for all
            inputs, so that the losses do not depend on how they are shared out among devices.

    Returns:
        float32 [n], in nats.
    """
    shape = tf.concat([[1], tf.shape(inputs)[1:]], axis=0)
    seed = tf.stack([tf.cast(step, tf.int64), 0])
    noise = tf.random.stateless_normal(shape, seed, alg="philox")
    length = epsilon * norm(inputs)
    return adversarial_divergence(logits_of, inputs, logits, noise, length) + entropy(logits)


def adversarial_divergence(
    logits_of: Callable[[Tensor], Tensor],
    inputs: Tensor,
    logits: Tensor,
    noise: Tensor,
    length: float | Tensor,
) -> Tensor:
    """KL(p(x) || p(x + r)) of the change r that changes the prediction most; their equation (5).

    Gradients flow through p(x + r) only.

    Args:
        logits_of: from inputs to class scores.
        inputs: x, float [n, ...].
        logits: class scores of `inputs` [n, classes].
        noise: directions from which r is searched for, [n, ...] or one for all, [1, ...].
        length: Euclidean length of r, a number or one for each of `inputs`, [n].

    Returns:
        float32 [n], in nats.
    """
    with name_scope("adversarial_divergence"):
        inputs, p = ops.cast(inputs, "float32"), ops.stop_gradient(logits)
        per_row = [-1] + [1] * (len(inputs.shape) - 1)
        length = ops.reshape(ops.cast(length, "float32"), per_row)
        r = length * adversarial_direction(logits_of, inputs, p, noise, _SHARE * length)
        return divergence(p, logits_of(inputs + r))


def adversarial_direction(
    logits_of: Callable[[Tensor], Tensor],
    inputs: Tensor,
    logits: Tensor,
    noise: Tensor,
    xi: float | Tensor,
) -> Tensor:
    """The direction that changes the prediction most, by one step of power iteration.

    The gradient by r of KL(p(x) || p(x + r)) at r = xi * noise, scaled to length 1; their
    equation (12).

    Args:
        logits_of, inputs, logits: as those of `adversarial_divergence`.
        noise: likewise; its length does not matter.
        xi: length of the finite difference, as `inputs` broadcast.

    Returns:
        float32 [n, ...]. No gradient flows through it.
    """
    r = ops.broadcast_to(xi * unit(noise), ops.shape(inputs))
    with tf.GradientTape() as tape:
        tape.watch(r)
        changed = ops.sum(divergence(logits, logits_of(inputs + r)))
    gradient = tape.gradient(changed, r)
    if gradient is None:
        raise InputError(
            "virtual adversarial training (`vat_weight`) needs a network that is differentiable by "
            "its input, unlike one that begins with an Embedding"
        )
    return unit(ops.stop_gradient(gradient))


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL(p || q) of class probabilities, float32 [n], in nats."""
    log_p, log_q = (ops.log_softmax(ops.cast(each, "float32"), axis=1) for each in (logits, others))
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of class probabilities, float32 [n], in nats."""
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=1)
    return -ops.sum(ops.exp(log_p) * log_p, axis=1)


def norm(vectors: Tensor) -> Tensor:
    """Euclidean length of each row of [n, ...], float32 [n]."""
    flat = ops.reshape(ops.cast(vectors, "float32"), [ops.shape(vectors)[0], -1])
    return ops.norm(flat, axis=1)


def unit(vectors: Tensor) -> Tensor:
    """Each row of [n, ...] scaled to the Euclidean length 1; rows of zeros stay."""
    flat = ops.reshape(vectors, [ops.shape(vectors)[0], -1])
    scale = ops.max(ops.abs(flat), axis=1, keepdims=True) + 1e-30  # squares must not vanish
    return ops.reshape(ops.normalize(flat / scale, axis=1), ops.shape(vectors))
