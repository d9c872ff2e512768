"""The walk in blocks against the walk with its matrices, and against the paper's loops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.losses import association, blockwise
from semisup.models.associative_model import AssociativeModel
from tests.losses.test_association import METRICS, naive_losses
from tests.processes import kilobytes_of

LONG_TAIL = np.repeat(np.arange(9), [1, 1, 1, 2, 3, 5, 8, 13, 21])

LABELS = {
    "balanced": np.arange(48) % 6,
    "sorted": np.repeat(np.arange(12), 4),
    "one class": np.full(31, 7),
    "each its own": np.arange(40)[::-1],
    "long tail": np.random.default_rng(0).permutation(LONG_TAIL),
    "any integers": np.random.default_rng(0).choice([-5, 0, 3, 10**6], 30),
    "a single sample": np.zeros(1, int),
}


def embeddings(labels, unlabelled=37, scale=1.0):
    random, shape = np.random.default_rng(0), (len(labels) + unlabelled, 8)
    both = tf.constant(random.normal(scale=scale, size=shape), tf.float32)
    return both[: len(labels)], both[len(labels) :], tf.constant(labels)


def losses_and_gradients(A, B, labels, metric, block_size, weights=(1, 0.5, 2, 3, 0.1)):
    """The five numbers, and the gradient of a mixture of them all."""

    def compute(A, B):
        with tf.GradientTape() as tape:
            tape.watch([A, B])
            losses = association.association_losses(A, B, labels, metric, block_size=block_size)
            mixture = sum(w * loss for w, loss in zip(weights, losses, strict=True) if w)
        gradients = tape.gradient(mixture, [A, B])
        assert all(map(tf.is_tensor, gradients))  # none is sparse
        return losses, gradients

    return compute(A, B)


def check_alike(expected, got, atol=0.0):
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-5, atol=1e-6)
    for one, other in zip(expected[1], got[1], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=atol + 1e-4 * np.abs(one).max())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", LABELS)
def test_blocks_and_matrices_give_the_same_losses_and_gradients(case, metric):
    inputs = embeddings(LABELS[case])
    expected = losses_and_gradients(*inputs, metric, 0)
    check_alike(expected, losses_and_gradients(*inputs, metric, 10))


def in_graph(block_size):
    """The losses and gradients as one graph for any number of samples."""
    spec = [tf.TensorSpec([None, 8]), tf.TensorSpec([None, 8]), tf.TensorSpec([None], tf.int64)]

    def compute(A, B, labels):
        return losses_and_gradients(A, B, labels, "dot", block_size)

    return tf.function(compute, input_signature=spec, autograph=False)


def test_blocks_and_matrices_give_the_same_in_a_graph():
    plain, blocks = in_graph(0), in_graph(10)
    for labels in LABELS.values():
        inputs = embeddings(np.int64(labels))
        check_alike(plain(*inputs), blocks(*inputs))


@pytest.mark.parametrize("block_size", [1, 36, 37, 38])
def test_block_size_changes_nothing(block_size):
    inputs = embeddings(LABELS["long tail"])
    expected = losses_and_gradients(*inputs, "dot", 0)
    check_alike(expected, losses_and_gradients(*inputs, "dot", block_size))


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_give_the_losses_of_the_loops(metric):
    A, B, labels = embeddings(LABELS["long tail"][:20], 11)
    expected = naive_losses(*(np.float64(x) for x in (A, B)), labels.numpy(), metric)
    got = association.association_losses(A, B, labels, metric, block_size=4)
    np.testing.assert_allclose(got[:2], expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 10.0, 100.0])
def test_blocks_of_tiny_and_large_similarities(scale):
    inputs = embeddings(LABELS["long tail"], scale=scale)
    # Without the square root, whose slope at 0 is infinite.
    expected, got = (
        losses_and_gradients(*inputs, "dot", block_size, weights=(1, 0.5, 2, 0, 0.1))
        for block_size in (0, 10)
    )
    assert np.isfinite(expected[1][0]).all()
    # At 100 all walks are certain: gradients are 0, or what rounding leaves of large numbers.
    check_alike(expected, got, atol=1e-5)


def test_buckets_hold_every_sample_once():
    rows, present = blockwise._buckets(tf.constant(LABELS["long tail"]))
    kept = np.concatenate([r.numpy()[p.numpy()] for r, p in zip(rows, present, strict=True)])
    assert sorted(kept) == list(range(len(LABELS["long tail"])))
    assert sum(r.numpy().size for r in rows) <= 4 * len(kept)
    for part, there in zip(rows, present, strict=True):
        for row, places in zip(part.numpy(), there.numpy(), strict=True):
            assert len(set(LABELS["long tail"][row[places]])) == 1


def test_association_losses_choose_blocks_for_large_batches(monkeypatch):
    seen = []
    walk = blockwise.class_walk
    monkeypatch.setattr(blockwise, "class_walk", lambda *a: seen.append(a[3]) or walk(*a))
    A, B, labels = embeddings(LABELS["balanced"])
    association.association_losses(A, B, labels)
    assert seen == []
    monkeypatch.setattr(blockwise, "LARGEST_MATRIX", len(A) * len(B) - 1)
    association.association_losses(A, B, labels)
    assert seen == [blockwise.BLOCK_SIZE]


@pytest.mark.parametrize("unlabelled", [40, 0])
def test_associative_model_walks_large_batches_in_blocks(monkeypatch, unlabelled):
    images = np.random.default_rng(0).normal(size=(60 + unlabelled, 4)).astype("float32")
    labels = np.r_[np.arange(60) % 5, np.full(unlabelled, -1)]
    walks, seen = blockwise.class_walk, []
    monkeypatch.setattr(blockwise, "class_walk", lambda *a: seen.append(a[3]) or walks(*a))
    losses = []
    for largest in (10**6, 10):
        monkeypatch.setattr(blockwise, "LARGEST_MATRIX", largest)
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model = AssociativeModel(network, 5)
        model.compile("sgd")
        steps = [model.train_on_batch(images, labels, return_dict=True) for _ in range(3)]
        losses.append([step["loss"] for step in steps])
        assert bool(seen) == (largest == 10)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@pytest.mark.slow
def test_blocks_need_less_memory_than_one_matrix():
    """Losses and gradients of 8,192 by 8,192 samples in less than one matrix of theirs."""
    script = """
from pathlib import Path
import numpy as np, tensorflow as tf
from semisup.losses import association
labels = tf.constant(np.arange(8192) % 2048)

@tf.function
def gradients(A, B, labels):
    with tf.GradientTape() as tape:
        tape.watch([A, B])
        losses = association.association_losses(A, B, labels)
    return tape.gradient(losses.walker, [A, B])

few = tf.random.normal([2048, 4])
gradients(few, few, labels[:2048])  # TensorFlow's own needs
A = tf.random.normal([8192, 4])
before = peak()
gradients(A, A, labels)
print(peak() - before)
"""
    assert kilobytes_of(script) * 1024 < 4 * 8192**2


def test_block_size_must_not_be_negative():
    with pytest.raises(InputError, match="`block_size` is -1; it must be at least 0"):
        association.association_losses(*embeddings(LABELS["balanced"]), block_size=-1)
