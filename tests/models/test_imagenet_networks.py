"""The authors' larger networks: layer sizes and weights, counted by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from semisup.errors import InputError
from semisup.models import architectures, backbones, imagenet_networks


def conv(inputs, outputs, size=3):
    return size * size * inputs * outputs + outputs


def dense(inputs, outputs):
    return inputs * outputs + outputs


# Weights below the dense layers. Inception v3: kernels and biases of its definition's 94
# convolutions, 14 of them in the stem and the first three modules.
STEM = conv(3, 32) + conv(32, 32) + conv(32, 64) + conv(64, 80, 1) + conv(80, 192)


def first_module(inputs, pooled):
    return (
        conv(inputs, 64, 1)
        + conv(inputs, 48, 1) + conv(48, 64, 5)
        + conv(inputs, 64, 1) + conv(64, 96) + conv(96, 96)
        + conv(inputs, pooled, 1)
    )  # fmt: skip


VGG16 = (
    conv(3, 64) + conv(64, 64) + conv(64, 128) + conv(128, 128) + conv(128, 256)
    + 2 * conv(256, 256) + conv(256, 512) + 5 * conv(512, 512)
)  # fmt: skip
COUNTS = {
    "inception_model_small": STEM + first_module(192, 32) + first_module(256, 64)
    + first_module(288, 64) + dense(2 * 2 * 288, 128),
    "vgg16_model": VGG16 + dense(512, 4096) + dense(4096, 128),
    "vgg16_model_small": VGG16 + dense(512, 4096),
    "alexnet_model": conv(3, 64, 11) + conv(64, 192, 5) + conv(192, 384) + conv(384, 384)
    + conv(384, 256) + dense(256, 4096) + dense(4096, 128),
}  # fmt: skip


@pytest.fixture(scope="module")
def built():
    """Each network for the smallest images that it takes."""
    smallest = imagenet_networks.SMALLEST
    return {name: architectures.build(name, (smallest[name],) * 2 + (3,)) for name in COUNTS}


@pytest.mark.parametrize("name", COUNTS)
def test_networks_have_the_authors_sizes(built, name):
    assert built[name].count_params() == COUNTS[name]
    assert built[name].output_shape == (None, 4096 if name == "vgg16_model_small" else 128)


@pytest.mark.parametrize("name", COUNTS)
def test_networks_have_the_authors_activations_and_l2(built, name):
    network = built[name]
    linear = name == "vgg16_model"
    wanted = keras.activations.linear if linear else keras.activations.relu
    assert network.layers[-1].activation is wanted
    if not name.startswith("inception"):
        inner = [
            each for each in network.layers if isinstance(each, layers.Conv2D) or each.name == "fc6"
        ]
        assert len(inner) == {"vgg16_model": 14, "vgg16_model_small": 13, "alexnet_model": 6}[name]
        assert all(each.activation is keras.activations.relu for each in inner)
    kernels = [w for w in network.trainable_weights if w.path.endswith("kernel")]
    regularised = 0.0 if name.startswith("inception") else 5e-4 / 2
    squares = sum(float(np.sum(np.square(kernel.numpy()))) for kernel in kernels)
    losses = float(sum(network.losses)) if network.losses else 0.0
    assert losses == pytest.approx(regularised * squares, rel=1e-4)
    if name == "alexnet_model":
        biases = [w for w in network.trainable_weights if w.path.endswith("bias")]
        assert all(np.all(bias.numpy() == np.float32(0.1)) for bias in biases)


@pytest.mark.parametrize("name", COUNTS)
def test_networks_divide_each_channel_by_its_variance(built, name):
    """What their first layer with weights takes, and Inception v3's from [0, 1], not [0, 255]."""
    network = built[name]
    first = next(each for each in network.layers if each.weights)
    given = keras.Model(network.input, first._inbound_nodes[-1].input_tensors[0])
    pixels = np.random.default_rng(0).integers(0, 256, (2, *network.input_shape[1:]))
    images = pixels / 255.0 if name.startswith("inception") else pixels.astype(np.float64)
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    wanted = centred / (np.square(centred).mean(axis=(1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(given(pixels.astype(np.float32)), wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", COUNTS)
def test_networks_drop_half_of_fc6_where_the_authors_do(built, name):
    rates = [each.rate for each in built[name].layers if isinstance(each, layers.Dropout)]
    assert rates == ([0.5] if name in ("vgg16_model", "alexnet_model") else [])


@pytest.mark.parametrize("name", ["inception_model_small", "alexnet_model"])
def test_networks_take_bytes_and_smaller_images_are_refused(built, name):
    smallest = imagenet_networks.SMALLEST[name]
    images = np.random.default_rng(0).integers(0, 256, (2, smallest, smallest, 3), dtype=np.uint8)
    embeddings = built[name](images).numpy()
    assert embeddings.shape == (2, 128)
    assert np.all(np.isfinite(embeddings))
    message = f"{name} needs images of at least {smallest}x{smallest} pixels"
    with pytest.raises(InputError, match=message):
        architectures.build(name, (smallest - 1, smallest, 3))


def test_load_convolutions_takes_batch_norm_into_them(built, monkeypatch):
    """The same features as the network of keras.applications, whatever its statistics."""
    network = built["inception_model_small"]
    source = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    random = np.random.default_rng(0)
    for layer in source.layers:
        if isinstance(layer, layers.BatchNormalization):
            beta, mean, variance = (random.uniform(0.1, 0.5, w.shape) for w in layer.weights)
            layer.set_weights([beta, mean, variance])
    asked = []
    monkeypatch.setattr(backbones, "application", lambda *words: asked.append(words) or source)
    imagenet_networks.load_convolutions(network, "imagenet")
    assert asked == [("InceptionV3", "imagenet")]
    pixels = random.normal(size=(2, 35, 35, 3)).astype(np.float32)
    [body] = (layer for layer in network.layers if isinstance(layer, keras.Model))
    wanted = keras.Model(source.input, source.get_layer("mixed2").output)(pixels)
    np.testing.assert_allclose(body(pixels), wanted, rtol=1e-3, atol=1e-4)


def test_load_convolutions_of_vgg16_takes_red_for_red(built, monkeypatch):
    """Keras's takes blue, green and red, ours red, green and blue."""
    network = built["vgg16_model_small"]
    source = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    monkeypatch.setattr(backbones, "application", lambda *words: source)
    imagenet_networks.load_convolutions(network, "imagenet")
    (first, second, *_), (their_first, their_second, *_) = (
        [layer for layer in each.layers if isinstance(layer, layers.Conv2D)]
        for each in (network, source)
    )
    pixels = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    wanted = their_first(pixels[..., ::-1])
    np.testing.assert_allclose(first(pixels), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(second.kernel, their_second.kernel)


def test_load_convolutions_wants_a_network_with_such_weights():
    with pytest.raises(InputError, match=r"not for alexnet_model"):
        architectures.build("alexnet_model", (67, 67, 3), weights="imagenet")
    with pytest.raises(InputError, match="for RGB images, but these have one channel"):
        architectures.build("vgg16_model_small", (32, 32, 1), 8, weights="imagenet")


@pytest.mark.slow  # builds all of Inception v3
def test_inception_model_has_the_authors_sizes():
    network = architectures.build("inception_model", (75, 75, 3))
    convolutions = imagenet_networks._convolutions(network)
    assert len(convolutions) == 94
    assert all(layer.use_bias for layer in convolutions)
    # Without its classifier Keras's has 21,802,784: a shift, a mean and a variance for each of
    # 17,216 kernels, where here each has a bias.
    assert network.count_params() == 21_802_784 - 2 * 17_216 + dense(2048, 128)
