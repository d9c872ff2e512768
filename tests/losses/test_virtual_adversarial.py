"""Virtual adversarial training against loops in float64."""

import numpy as np
import pytest
import tensorflow as tf

from semisup.losses import virtual_adversarial

W = np.random.default_rng(0).normal(size=(6, 3))
IMAGES, NOISE = np.random.default_rng(1).normal(size=(2, 4, 6))


def logits_of(images):
    return tf.matmul(images, W.astype(np.float32))


def log_softmax(x):
    """Of one sample [classes]."""
    return x - np.log(sum(np.exp(value) for value in x))


def naive_divergence(image, r):
    """KL(p(x) || p(x + r)) of one image."""
    log_p, log_q = log_softmax(image @ W), log_softmax((image + r) @ W)
    return sum(np.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))


def naive_direction(image, noise, xi):
    """By central differences at xi times the noise's direction."""
    r = xi * noise / np.sqrt(sum(noise**2))
    gradient = np.array(
        [
            (naive_divergence(image, r + step) - naive_divergence(image, r - step)) / 2e-6
            for step in 1e-6 * np.eye(len(image))
        ]
    )
    return gradient / np.sqrt(sum(gradient**2))


def float32(array):
    return tf.constant(array, tf.float32)


@pytest.mark.parametrize("noise", [NOISE, NOISE[:1]], ids=["for each", "for all"])
@pytest.mark.parametrize("in_graph", [False, True])
def test_divergence_is_that_of_a_loop(noise, in_graph):
    lengths = np.array([0.5, 1.0, 2.0, 4.0])
    loss = virtual_adversarial.adversarial_divergence
    loss = tf.function(loss) if in_graph else loss
    images = float32(IMAGES)
    found = loss(logits_of, images, logits_of(images), float32(noise), float32(lengths))
    for i, image in enumerate(IMAGES):
        start = noise[i % len(noise)]
        r = lengths[i] * naive_direction(image, start, 0.1 * lengths[i])
        assert float(found[i]) == pytest.approx(naive_divergence(image, r), rel=1e-4)


def test_direction_has_length_one_whatever_the_scale_and_no_noise_is_no_direction():
    images = float32(IMAGES)
    for scale in (1e-25, 1.0, 1e15):
        d = virtual_adversarial.adversarial_direction(
            logits_of, images, logits_of(images), float32(scale * NOISE), 0.1
        )
        np.testing.assert_allclose(np.linalg.norm(d, axis=1), 1.0, rtol=1e-5)
    zeros = virtual_adversarial.unit(tf.zeros([2, 3]))
    np.testing.assert_array_equal(zeros, np.zeros((2, 3)))


def test_gradient_is_that_through_the_changed_prediction_only():
    """The prediction p(x) and the direction are targets: no gradient flows through them."""
    images, weights = float32(IMAGES), tf.Variable(W, dtype=tf.float32)

    def scores(x):
        return tf.matmul(x, weights)

    with tf.GradientTape() as tape:
        changes = virtual_adversarial.adversarial_divergence(
            scores, images, scores(images), float32(NOISE), 1.0
        )
    found = tape.gradient(changes, weights)
    expected = np.zeros_like(W)
    for image, noise in zip(IMAGES, NOISE, strict=True):
        changed = image + naive_direction(image, noise, 0.1)
        p, q = np.exp(log_softmax(image @ W)), np.exp(log_softmax(changed @ W))
        expected += np.outer(changed, q - p)  # of the cross-entropy of q with the target p
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_gradient_is_that_of_the_entropy_too():
    """An entropy without a gradient would be a number in the log that nothing makes smaller."""
    images, weights = float32(IMAGES), tf.Variable(W, dtype=tf.float32)

    def scores(x):
        return tf.matmul(x, weights)

    with tf.GradientTape(persistent=True) as tape:
        logits = scores(images)
        both = virtual_adversarial.vat_losses(scores, images, logits, 0.3, tf.constant(0))
        noise = tf.random.stateless_normal([1, 6], [0, 0], alg="philox")
        lengths = 0.3 * virtual_adversarial.norm(images)
        change = virtual_adversarial.adversarial_divergence(scores, images, logits, noise, lengths)
    found = tape.gradient(both, weights) - tape.gradient(change, weights)
    expected = np.zeros_like(W)
    for image in IMAGES:
        log_p = log_softmax(image @ W)
        p = np.exp(log_p)
        expected -= np.outer(image, p * (log_p - sum(p * log_p)))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_entropy_and_norm():
    random = np.random.default_rng(0)
    logits = random.normal(size=(5, 3))
    for found, row in zip(virtual_adversarial.entropy(float32(logits)), logits, strict=True):
        log_p = log_softmax(row)
        assert float(found) == pytest.approx(-sum(np.exp(log_p) * log_p), rel=1e-5)
    images = random.integers(0, 256, (2, 3, 3, 1)).astype(np.uint8)
    expected = [np.sqrt(sum(float(v) ** 2 for v in image.ravel())) for image in images]
    np.testing.assert_allclose(virtual_adversarial.norm(images), expected, rtol=1e-6)
