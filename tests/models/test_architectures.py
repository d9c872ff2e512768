"""Layer sizes and weights counted by hand from the paper's tables of layers."""

import keras
import numpy as np
import pytest

from semisup.errors import InputError
from semisup.models import architectures, imagenet_networks


def conv(inputs, outputs, bias=True):
    return 3 * 3 * inputs * outputs + bias * outputs


def dense(inputs, outputs):
    return inputs * outputs + outputs


COUNTS = {
    "mnist_model": conv(1, 32) + conv(32, 32) + conv(32, 64) + conv(64, 64) + conv(64, 128)
    + conv(128, 128) + dense(3 * 3 * 128, 128),
    "svhn_model": conv(3, 32) + 2 * conv(32, 32) + conv(32, 64) + 2 * conv(64, 64)
    + conv(64, 128) + 2 * conv(128, 128) + dense(4 * 4 * 128, 128),
    "dann_model": conv(3, 32) + 2 * conv(32, 32) + conv(32, 64) + 2 * conv(64, 64)
    + conv(64, 128) + 2 * conv(128, 128) + dense(4 * 4 * 128, 2048),
    "stl10_model": conv(3, 32) + conv(32, 64) + conv(64, 64) + conv(64, 128) + conv(128, 128)
    + conv(128, 256) + dense(5 * 5 * 256, 128),
    # Batch norm: an offset, a mean and a variance for each kernel, and no bias.
    "stl10_batch_norm_model": conv(3, 32, 0) + conv(32, 64, 0) + conv(64, 64, 0)
    + conv(64, 128, 0) + conv(128, 128, 0) + conv(128, 256, 0) + conv(256, 128, 0)
    + 3 * (32 + 64 + 64 + 128 + 128 + 256 + 128) + dense(5 * 5 * 128, 128),
}  # fmt: skip

SHAPES = {
    "mnist_model": (28, 28, 1),
    "svhn_model": (32, 32, 3),
    "dann_model": (32, 32, 3),
    "stl10_model": (96, 96, 3),
    "stl10_batch_norm_model": (96, 96, 3),
}

POOLED = {
    "mnist_model": [14, 7, 3],
    "svhn_model": [16, 8, 4],
    "dann_model": [16, 8, 4],
    "stl10_model": [23, 11, 5],
    "stl10_batch_norm_model": [23, 11, 5],
}


def raw_pixels(name, count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPES[name]), dtype=np.uint8)


def layers_of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_the_registry_is_covered_here():
    larger = {builder.__name__ for builder in imagenet_networks.NETWORKS}
    assert set(architectures.ARCHITECTURES) == set(COUNTS) | larger


@pytest.mark.parametrize("name", COUNTS)
def test_sizes_are_those_of_the_paper(name):
    model = architectures.build(name, SHAPES[name])
    assert model.count_params() == COUNTS[name]
    pools = layers_of(model, keras.layers.MaxPooling2D)
    assert [pool.output.shape[1] for pool in pools] == POOLED[name]
    emb_size = 2048 if name == "dann_model" else 128
    assert model.output.shape == (None, emb_size)
    assert architectures.build(name, SHAPES[name], emb_size=17).output.shape == (None, 17)


@pytest.mark.parametrize("name", COUNTS)
def test_activations_are_those_of_the_paper(name):
    model = architectures.build(name, SHAPES[name])
    wanted = keras.activations.relu if name == "dann_model" else keras.activations.elu
    *activations, embedding = layers_of(model, keras.layers.Activation)
    assert len(activations) == len(layers_of(model, keras.layers.Conv2D))
    assert all(layer.activation is wanted for layer in activations)
    linear = name == "stl10_batch_norm_model"
    assert embedding.activation is (keras.activations.linear if linear else wanted)


@pytest.mark.parametrize("name", COUNTS)
def test_every_convolution_and_dense_layer_has_the_l2_term(name):
    weight = {"mnist_model": 1e-3, "stl10_batch_norm_model": 5e-3}.get(name, 1e-4)
    model = architectures.build(name, SHAPES[name])
    kernels = [
        layer.kernel.numpy()
        for layer in layers_of(model, (keras.layers.Conv2D, keras.layers.Dense))
    ]
    wanted = sum(weight / 2 * np.sum(kernel.astype(np.float64) ** 2) for kernel in kernels)
    np.testing.assert_allclose(float(sum(model.losses)), wanted, rtol=1e-5)


@pytest.mark.parametrize("name", COUNTS)
def test_raw_pixels_go_in_as_bytes_or_floats(name):
    model = architectures.build(name, SHAPES[name])
    images = raw_pixels(name)
    embeddings = model.predict(images, verbose=0)
    assert embeddings.dtype == np.float32
    assert np.all(np.isfinite(embeddings))
    as_floats = model.predict(images.astype(np.float32), verbose=0)
    np.testing.assert_array_equal(embeddings, as_floats)


def normalised(name, images):
    """The tensor that the first convolution of the network sees."""
    model = architectures.build(name, SHAPES[name])
    first = layers_of(model, keras.layers.Conv2D)[0]
    return keras.Model(model.input, first.input).predict(images, verbose=0)


def test_mnist_input_is_divided_by_255():
    images = raw_pixels("mnist_model")
    np.testing.assert_allclose(normalised("mnist_model", images), images / 255.0, rtol=1e-6)


def test_stl10_input_is_centred_at_128():
    images = raw_pixels("stl10_model")
    wanted = (images.astype(np.float64) - 128) / 128
    np.testing.assert_allclose(normalised("stl10_model", images), wanted, rtol=1e-5, atol=1e-6)


def test_svhn_input_is_divided_by_each_images_variance():
    images = raw_pixels("svhn_model")
    wanted = np.empty(images.shape)
    for n in range(len(images)):
        for c in range(3):
            channel = images[n, :, :, c].astype(np.float64)
            wanted[n, :, :, c] = (channel - channel.mean()) / (channel.var() + 1e-5)
    np.testing.assert_allclose(normalised("svhn_model", images), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", COUNTS)
def test_saved_networks_load_and_agree(name, tmp_path):
    model = architectures.build(name, SHAPES[name])
    model.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    images = raw_pixels(name)
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), again.predict(images, verbose=0)
    )


def test_batch_norm_decay_is_the_momentum_of_batch_norm():
    name = "stl10_batch_norm_model"
    model = architectures.build(name, (17, 17, 3), batch_norm_decay=0.9)
    norms = layers_of(model, keras.layers.BatchNormalization)
    assert [norm.momentum for norm in norms] == [0.9] * 7
    default = architectures.build(name, (17, 17, 3))
    assert layers_of(default, keras.layers.BatchNormalization)[0].momentum == 0.99
    with pytest.raises(InputError, match="`batch_norm_decay` is for stl10_batch_norm_model, not"):
        architectures.build("svhn_model", (32, 32, 3), batch_norm_decay=0.9)


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="unknown architecture 'alexnet'; known: mnist_model"):
        architectures.build("alexnet", (28, 28, 1))
    with pytest.raises(InputError, match="mnist_model needs images of at least 8x8 pixels"):
        architectures.build("mnist_model", (7, 28, 1))
    with pytest.raises(InputError, match="these are 96x16"):
        architectures.build("stl10_model", (96, 16, 3))
    with pytest.raises(InputError, match="svhn_model needs images of at least 8x8 pixels"):
        architectures.svhn_model((4, 4, 3))
    with pytest.raises(InputError, match=r"channels\), but `image_shape` is \(28, 28\)"):
        architectures.mnist_model((28, 28))
    with pytest.raises(InputError, match="`dropout` is for keras:NAME and PATH"):
        architectures.build("svhn_model", (32, 32, 3), dropout=0.1)


@pytest.mark.parametrize("name", COUNTS)
def test_the_smallest_images_are_taken(name):
    smallest = 17 if name.startswith("stl10") else 8
    assert architectures.build(name, (smallest, smallest, 3)).output_shape[0] is None
