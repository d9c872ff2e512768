"""Stateless random numbers."""

from typing import TypeAlias

import tensorflow as tf

Seed: TypeAlias = tf.Tensor  # integers [2]


class Draw:
    """Random numbers for a batch of images: a new stream at each call, all from one seed."""

    def __init__(self, seed: Seed, batch: tf.Tensor):
        self.seed, self.batch, self.streams = seed, batch, 0

    def _next(self) -> Seed:
        self.streams += 1
        return tf.random.experimental.stateless_fold_in(self.seed, self.streams)

    def uniform(self, low: float, high: float, *shape: int) -> tf.Tensor:
        return tf.random.stateless_uniform([self.batch, *shape], self._next(), low, high)

    def integers(self, below: tf.Tensor | int, *shape: int) -> tf.Tensor:
        """Whole numbers from 0 to `below` - 1, int32; `below` may be one for each column."""
        # TensorFlow draws whole numbers of one range only.
        shares = self.uniform(0.0, 1.0, *shape)
        return tf.cast(tf.floor(shares * tf.cast(below, tf.float32)), tf.int32)

    def normal(self, deviation: float, *shape: int) -> tf.Tensor:
        return tf.random.stateless_normal([self.batch, *shape], self._next(), stddev=deviation)

    def coin(self) -> tf.Tensor:
        return self.uniform(0.0, 1.0) < 0.5
