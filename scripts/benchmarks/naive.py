"""The step as a user would first write it in Keras: two passes, `fit`, float32."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from semisup.config import Recipe
from semisup.data.dataset import Dataset
from semisup.models import architectures, building_blocks


class NaiveModel(keras.Model):
    """Labelled and unlabelled images pass through the network one after the other."""

    def __init__(self, network: keras.Model):
        super().__init__()
        self.network = network
        self.classifier = keras.layers.Dense(10, kernel_regularizer=building_blocks.l2(1e-4))
        self.classifier.build(network.output_shape)

    def train_step(self, data: Any) -> dict[str, Any]:
        (labelled, unlabelled), labels = data
        with tf.GradientTape() as tape:
            A = self.network(labelled, training=True)
            B = self.network(unlabelled, training=True)
            M = tf.matmul(A, B, transpose_b=True)
            P_ab, P_ba = tf.nn.softmax(M), tf.nn.softmax(tf.transpose(M))
            P_aba = tf.matmul(P_ab, P_ba)
            same = tf.cast(labels[:, None] == labels[None, :], tf.float32)
            T = same / tf.reduce_sum(same, axis=1, keepdims=True)
            walker = -tf.reduce_mean(tf.reduce_sum(T * tf.math.log(1e-8 + P_aba), axis=1))
            visit = -tf.reduce_mean(tf.math.log(1e-8 + tf.reduce_mean(P_ab, axis=0)))
            logits = self.classifier(A)
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = walker + visit + tf.reduce_mean(entropy) + tf.add_n(self.losses)
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


class _Times(keras.callbacks.Callback):
    """The milliseconds of each step of a `fit`, in which it also waits for its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.milliseconds: list[float] = []
        self._began = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.milliseconds.append(1e3 * (time.perf_counter() - self._began))


def turns(
    dataset: Dataset, recipe: Recipe, steps: int
) -> dict[str, Callable[[], dict[str, list[float]]]]:
    """One turn: `fit` for so many steps and one before them, which has the start of `fit`."""
    network = architectures.build(recipe.architecture, dataset.image_shape)
    model = NaiveModel(network)
    model.compile("adam")
    random = np.random.default_rng(0)
    chosen = np.concatenate([np.flatnonzero(dataset.train_labels == c)[:10] for c in range(10)])

    def batches():
        while True:
            unlabelled = random.choice(len(dataset.train_images), 100, replace=False)
            images = dataset.train_images[chosen], dataset.train_images[unlabelled]
            yield images, dataset.train_labels[chosen]

    stream = batches()
    model.fit(stream, steps_per_epoch=1, verbose=0)

    def turn() -> dict[str, list[float]]:
        times = _Times()
        model.fit(stream, steps_per_epoch=1 + steps, verbose=0, callbacks=[times])
        return {"naive": times.milliseconds[1:]}

    return {"naive": turn}
