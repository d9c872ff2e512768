"""Virtual adversarial training: predictions stay where they would change most."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from keras import ops

from comparison.method import Batch, Method
from semisup.losses import virtual_adversarial

Tensor = Any

# Of the pixels, whose values networks divide by it; for features see `VirtualAdversarial`.
_RANGE = 255.0


@dataclass
class VirtualAdversarial(Method):
    """VAT with entropy minimisation: mean over B of KL(p(x) || p(x + r)) + H(p(x)).

    r is `epsilon` times the direction that changes p most.

    Args:
        epsilon: length of r, of images whose pixels are in [0, 1]; of features, in the mean length
            of these over 10.
        weight: of the divergence.
        entropy: weight of the entropy.
    """

    epsilon: float = 2.0
    weight: float = 1.0
    entropy: float = 1.0

    paper = "Miyato et al., Virtual Adversarial Training, 2017"
    search = ({"epsilon": 1.0}, {"epsilon": 4.0})

    def loss(self, model: Any, batch: Batch) -> Tensor:
        images, logits = batch.unlabeled.images, batch.unlabeled.logits
        of_images = len(images.shape) == 4
        unit = _RANGE if of_images else ops.mean(virtual_adversarial.norm(images)) / 10.0

        def logits_of(changed: Tensor) -> Tensor:
            return model(changed, training=True)["logits"]

        noise = tf.random.stateless_normal(tf.shape(images), batch.seed)
        change = virtual_adversarial.adversarial_divergence(
            logits_of, images, logits, noise, self.epsilon * unit
        )
        entropy = virtual_adversarial.entropy(logits)
        return self.weight * ops.mean(change) + self.entropy * ops.mean(entropy)
