"""Muon's steps: orthogonal for hidden layers, Adam's for all else; a run goes on with them."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup import AssociativeModel, Muon
from semisup.errors import InputError
from semisup.optimizers import muon
from semisup.runtime import precision


def zeros(*shape):
    return keras.Variable(np.zeros(shape, np.float32), name="kernel")


@pytest.fixture
def normal():
    """A function that draws numbers, the same in each test."""
    random = np.random.default_rng(0)
    return lambda *shape: random.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(288, 32), (32, 288), (40, 40), (1, 7)])
def test_orthogonal_keeps_directions_and_levels_singular_values(normal, shape):
    matrix = normal(*shape)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    # In the same directions; the values around 1 but for small ones.
    inside = u.T @ np.array(muon.orthogonal(tf.constant(matrix))) @ v.T
    np.testing.assert_allclose(inside - np.diag(np.diag(inside)), 0, atol=1e-4)
    levelled = np.diag(inside)[s > 0.01 * np.linalg.norm(s)]
    assert levelled.min() > 0.6
    assert levelled.max() < 1.3


def steps(optimizer, variables, gradients):
    optimizer.build(variables)
    step = tf.function(lambda *gradient: optimizer.apply(list(gradient)))
    for gradient in gradients:
        step(*map(tf.constant, gradient))


def test_muon_moves_a_kernel_as_its_matrix(normal):
    kernel, matrix = (zeros(*s) for s in ((3, 3, 4, 8), (36, 8)))
    gradients = normal(5, 36, 8)
    steps(Muon(0.01), [kernel], [[g.reshape(3, 3, 4, 8)] for g in gradients])
    steps(Muon(0.01), [matrix], [[g] for g in gradients])
    np.testing.assert_allclose(np.reshape(kernel, (36, 8)), matrix, rtol=1e-5, atol=1e-8)


def test_muon_moves_a_matrix_by_the_formula(normal):
    matrix = zeros(20, 6)
    gradients = normal(4, 20, 6)
    steps(Muon(0.01, momentum=0.9), [matrix], [[g] for g in gradients])
    wanted, moving = np.zeros((20, 6)), np.zeros((20, 6))
    for gradient in gradients:
        moving = 0.9 * moving + gradient
        x = (gradient + 0.9 * moving).T
        x /= np.linalg.norm(x)
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        wanted -= 0.01 * 0.2 * np.sqrt(20) * x.T
    np.testing.assert_allclose(matrix, wanted, rtol=1e-4, atol=1e-6)


def test_muon_moves_all_but_hidden_layers_by_adam(normal):
    bias = zeros(5)
    with keras.name_scope("classifier"):
        named = zeros(6, 4)
    same = [zeros(5), zeros(6, 4)]
    gradients = [[normal(5), normal(6, 4)] for _ in range(4)]
    steps(Muon(0.01), [bias, named], gradients)
    steps(keras.optimizers.Adam(0.01), same, gradients)
    for ours, adams in zip((bias, named), same, strict=True):
        np.testing.assert_allclose(ours, adams, rtol=1e-5)


def test_muon_leaves_kernels_of_one_column_to_adam(normal):
    # Depthwise convolutions have a filter for each channel, which are no matrix together.
    shapes = [(3, 3, 5, 1), (6, 1)]
    ours, same = ([zeros(*shape) for shape in shapes] for _ in range(2))
    gradients = [[normal(*shape) for shape in shapes] for _ in range(3)]
    steps(Muon(0.01), ours, gradients)
    steps(keras.optimizers.Adam(0.01), same, gradients)
    for one, adams in zip(ours, same, strict=True):
        np.testing.assert_allclose(one, adams, rtol=1e-5)


def test_muon_takes_orthogonal_steps_in_bfloat16(normal):
    with precision.policy("mixed_bfloat16"):
        model = make_model()
    model.compile(Muon(0.02))
    kernel = model.network.get_layer("embedding").kernel
    before = np.array(kernel)
    model.train_on_batch(normal(6, 8, 8, 1), np.array([0, 1, 0, 1, -1, -1]))
    assert model.network.compute_dtype == "bfloat16"
    assert kernel.dtype == "float32"
    step = (np.array(kernel) - before) / (0.02 * 0.2 * max(kernel.shape) ** 0.5)
    assert np.linalg.svd(step, compute_uv=False) == pytest.approx(np.ones(4), abs=0.35)


def make_model():
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="embedding"),
        ]
    )
    return AssociativeModel(network, 2, virtual_embeddings=3)


def test_muon_takes_only_the_kernels_of_the_network():
    model = make_model()
    model.compile(Muon(0.01, use_ema=True))
    variables = model.trainable_variables
    model.optimizer.build(variables)
    chosen = zip(variables, model.optimizer.of_hidden_layer, strict=True)
    assert [variable.path.split("/")[-2:] for variable, is_muons in chosen if is_muons] == [
        ["conv", "kernel"],
        ["embedding", "kernel"],
    ]
    assert len(variables) == 7


def test_muon_leaves_all_that_is_no_kernel_to_adam():
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(9, 8)(tokens)
    x = keras.layers.MultiHeadAttention(2, 4)(x, x)
    x = keras.layers.LayerNormalization(axis=(1, 2))(x)
    network = keras.Model(tokens, keras.layers.Dense(5)(keras.layers.Flatten()(x)))
    optimizer = Muon(0.01)
    optimizer.build(network.trainable_variables)
    chosen = zip(network.trainable_variables, optimizer.of_hidden_layer, strict=True)
    assert [tuple(variable.shape) for variable, is_muons in chosen if is_muons] == [(48, 5)]


@pytest.mark.parametrize("path", ["classifier/dense/kernel", "dense_10/kernel"])
def test_muon_chooses_by_the_last_names_which_loading_keeps(path):
    variable = types.SimpleNamespace(path=path, shape=(4, 5))
    assert muon._is_of_hidden_layer(variable)
    variable.path = f"{path.rpartition('/')[0]}/classifier/kernel"
    assert not muon._is_of_hidden_layer(variable)


def test_muon_saves_with_the_model_and_goes_on(normal, tmp_path):
    model = make_model()
    model.compile(Muon(0.02, momentum=0.8))
    images, labels = normal(6, 8, 8, 1), np.array([0, 1, 0, 1, -1, -1])
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.momentum == 0.8
    for each in (model, again):
        each.train_on_batch(images, labels)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_muon_refuses_a_momentum_out_of_range():
    for momentum in (-0.1, 1.0):
        with pytest.raises(InputError, match=r"`momentum` is .*; it must be in \[0, 1\)"):
            Muon(momentum=momentum)
