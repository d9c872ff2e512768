"""Labels from the association, against loops."""

import math

import numpy as np
import pytest
import tensorflow as tf

from semisup.losses import pseudo_labels
from tests.losses.test_association import embeddings, naive_walk


def test_class_mass_adds_up_the_steps_into_each_class():
    A, B, labels = embeddings("unbalanced, any order")
    _, _, P_ba, _ = naive_walk(A, B)
    expected = np.zeros((len(B), 3))
    for j in range(len(B)):
        for i, label in enumerate(labels):
            if 0 <= label < 3:
                expected[j, label] += P_ba[j, i]
    for block_size in (0, 2, 3, len(B), 100):
        mass = pseudo_labels.class_mass(A, B, labels, 3, block_size=block_size)
        np.testing.assert_allclose(mass, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("block_size", [0, 2])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean"])
def test_class_mass_of_every_similarity_and_temperature(metric, temperature, block_size):
    A, B, labels = embeddings("unbalanced, any order")
    _, _, P_ba, _ = naive_walk(A, B, metric, temperature)
    expected = P_ba @ (labels[:, None] == np.arange(3))
    mass = pseudo_labels.class_mass(A, B, labels, 3, metric, temperature, block_size=block_size)
    np.testing.assert_allclose(mass, expected, rtol=1e-4, atol=1e-7)


def test_class_mass_has_no_gradient():
    A, B, labels = embeddings("unbalanced, any order")
    A, B = tf.Variable(A), tf.Variable(B)
    with tf.GradientTape() as tape:
        mass = tf.reduce_sum(pseudo_labels.class_mass(A, B, labels, 3) ** 2)
    assert tape.gradient(mass, [A, B]) == [None, None]


@pytest.mark.parametrize("strange", [2**32 + 1, 1.5, 3])
def test_class_mass_counts_no_label_that_is_no_class(strange):
    A, B = np.eye(3, 4, dtype=np.float32), np.ones((2, 4), np.float32)
    mass = pseudo_labels.class_mass(A, B, np.array([0, 1, strange]), 3)
    np.testing.assert_allclose(mass, [[1 / 3, 1 / 3, 0]] * 2, rtol=1e-6)


def test_pseudo_label_loss_is_finite_beside_impossible_classes():
    loss = pseudo_labels.pseudo_label_loss([[0.0, -np.inf, 1.0]], [[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(loss, math.log(1 + math.e) - 1, rtol=1e-6)


def test_pseudo_label_loss_counts_confident_samples_only():
    logits = tf.constant([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 5.0, 0.0]])
    mass = tf.constant([[0.02, 0.96, 0.02], [0.94, 0.03, 0.03], [0.0, 0.95, 0.05]])
    first = math.log(math.exp(2) + 1 + math.e) - 0.0
    third = math.log(math.e + math.exp(5) + 1) - 5.0
    with tf.GradientTape() as tape:
        tape.watch([logits, mass])
        loss = pseudo_labels.pseudo_label_loss(logits, mass)
    np.testing.assert_allclose(loss, (first + third) / 3, rtol=1e-6)
    by_logits, by_mass = tape.gradient(loss, [logits, mass])
    assert by_mass is None
    np.testing.assert_array_equal(by_logits[1], [0.0, 0.0, 0.0])
    for row in (0, 2):  # both of class 1
        exponentials = np.exp(np.float64(logits[row]))
        wanted = (exponentials / exponentials.sum() - [0, 1, 0]) / 3
        np.testing.assert_allclose(by_logits[row], wanted, rtol=1e-5)
    assert float(pseudo_labels.pseudo_label_loss(logits[:0], mass[:0])) == 0.0
