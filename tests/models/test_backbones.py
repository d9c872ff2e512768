"""Networks of keras.applications and saved models as embeddings."""

import inspect

import keras
import numpy as np
import pytest

from semisup import AssociativeModel
from semisup.errors import InputError
from semisup.models import architectures, backbones
from semisup.optimizers.freezing import backbone_of

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def test_an_application_scales_its_input_as_keras_says():
    # ResNet50 wants BGR with ImageNet's means subtracted; MobileNetV2 wants [-1, 1].
    for name, module in (
        ("ResNet50", keras.applications.resnet50),
        ("MobileNetV2", keras.applications.mobilenet_v2),
    ):
        keras.utils.set_random_seed(0)
        network = architectures.build(f"keras:{name}", (32, 32, 3))
        assert network.output_shape == (None, 128)
        pixels = module.preprocess_input(IMAGES.astype(np.float32))
        top = network.get_layer("head").get_layer("embedding")
        wanted = backbone_of(network)(pixels) @ top.kernel + top.bias
        np.testing.assert_allclose(network(IMAGES), wanted, rtol=1e-3, atol=1e-4)


def test_build_gives_the_parts_of_its_network(tmp_path):
    path = str(tmp_path / "mine.keras")
    saved_model(path, keras.layers.Dense(5))
    for name, shape, emb_size, sizes in (
        ("keras:MobileNetV3Small", (32, 32, 1), None, (576, 128)),
        ("keras:MobileNetV3Small", (32, 32, 3), 7, (576, 7)),
        (path, (32, 32, 1), 7, (5, 7)),
        (path, (32, 32, 3), None, (5, 5)),
    ):
        network, features, head = backbones.build(name, shape, emb_size)
        images = IMAGES[..., : shape[2]]
        assert (features.output_shape[1], network.output_shape[1]) == sizes
        np.testing.assert_array_equal(head(features(images)), network(images))
        ours = [id(weight) for weight in (*features.weights, *head.weights)]
        assert [id(weight) for weight in network.weights] == ours
        assert len(head.weights) == (0 if sizes == (5, 5) else 2)


def test_an_application_saves_and_loads_in_safe_mode(tmp_path):
    network = architectures.build("keras:MobileNetV3Small", (32, 32, 1), emb_size=16)
    model = AssociativeModel(network, 2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name, value in model.predict_on_batch(IMAGES[..., :1]).items():
        np.testing.assert_array_equal(again.predict_on_batch(IMAGES[..., :1])[name], value)


def test_grey_images_are_rgb_to_an_application_and_statistics_follow_quickly():
    network = architectures.build("keras:MobileNetV2", (32, 32, 1))
    grey = IMAGES[..., :1]
    pixels = keras.applications.mobilenet_v2.preprocess_input(np.repeat(grey, 3, axis=3) * 1.0)
    wanted = network.get_layer("head")(backbone_of(network)(pixels))
    np.testing.assert_allclose(network(grey), wanted, rtol=1e-3, atol=1e-5)
    norms = [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert {layer.momentum for layer in norms} == {0.9}


def test_a_network_whose_weights_a_checkpoint_brings_has_its_own_momentum():
    network = architectures.build("keras:MobileNetV3Small", (32, 32, 3), weights=backbones.RESTORED)
    norms = [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert {layer.momentum for layer in norms} == {0.999}


def test_weights_of_a_file_are_loaded(tmp_path):
    network = architectures.build("keras:MobileNetV3Small", (32, 32, 3))
    backbone = backbone_of(network)
    path = tmp_path / "mine.weights.h5"
    backbone.save_weights(path)
    again = architectures.build("keras:MobileNetV3Small", (32, 32, 3), weights=str(path))
    np.testing.assert_array_equal(backbone_of(again)(IMAGES), backbone(IMAGES))


def saved_model(path, *last, shape=(32, 32, 3)):
    layers = [keras.Input(shape), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), *last]
    model = keras.Sequential(layers)
    model.save(path)
    return model


def test_a_saved_model_of_any_size_refuses_images_that_are_too_small_for_it(tmp_path):
    layers = [keras.layers.Conv2D(4, 5), keras.layers.GlobalAveragePooling2D()]
    keras.Sequential([keras.Input((None, None, 3)), *layers]).save(tmp_path / "any.keras")
    assert architectures.build(str(tmp_path / "any.keras"), (6, 6, 3)).output_shape == (None, 4)
    message = r"any\.keras can't take images of 4x4x3: .*; `new_size=N` makes all images NxN"
    with pytest.raises(InputError, match=message) as refusal:
        architectures.build(str(tmp_path / "any.keras"), (4, 4, 3))
    assert "\n" not in str(refusal.value)


def test_a_saved_model_is_the_embedding(tmp_path):
    path = tmp_path / "mine.keras"
    mine = saved_model(path, keras.layers.Dense(5))
    network = architectures.build(str(path), (32, 32, 3))
    np.testing.assert_allclose(network(IMAGES), mine(IMAGES), rtol=1e-6)
    assert architectures.build(str(path), (32, 32, 3), emb_size=7).output_shape == (None, 7)
    np.testing.assert_allclose(
        architectures.build(str(path), (32, 32, 1))(IMAGES[..., :1]),
        mine(np.repeat(IMAGES[..., :1], 3, axis=3)),
        rtol=1e-6,
    )
    # A run's own model.keras gives its network.
    AssociativeModel(mine, 2).save(tmp_path / "model.keras")
    again = architectures.build(str(tmp_path / "model.keras"), (32, 32, 3))
    np.testing.assert_allclose(again(IMAGES), mine(IMAGES), rtol=1e-6)


@pytest.mark.parametrize(("activation", "told"), [("softmax", True), ("elu", False)])
def test_a_saved_classifier_in_place_of_features_has_a_warning(activation, told, tmp_path, caplog):
    last = keras.layers.Dense(5, activation, name="classes")
    saved_model(tmp_path / "whole.keras", keras.Sequential([last]))
    architectures.build(str(tmp_path / "whole.keras"), (32, 32, 3))
    assert ("whole.keras ends in class probabilities (its layer 'classes')" in caplog.text) == told


@pytest.mark.parametrize("name", ["head", "rgb"])
def test_a_saved_model_may_have_any_name_and_its_output_in_a_list(name, tmp_path):
    mine = saved_model(tmp_path / "mine.keras", keras.layers.Dense(5))
    keras.Model(mine.inputs, mine.outputs, name=name).save(tmp_path / "named.keras")
    network = architectures.build(str(tmp_path / "named.keras"), (32, 32, 1))
    wanted = mine(np.repeat(IMAGES[..., :1], 3, axis=3))
    np.testing.assert_allclose(network(IMAGES[..., :1]), wanted, rtol=1e-6)


def test_dropout_is_of_the_features_in_training(tmp_path):
    path = tmp_path / "mine.keras"
    saved_model(path, keras.layers.Dense(500))
    head = backbones.build(str(path), (32, 32, 3), dropout=0.75).head
    ones = np.ones((1, 500), np.float32)
    np.testing.assert_array_equal(head(ones), ones)
    kept = np.asarray(head(ones, training=True))
    assert set(np.unique(kept)) == {0, 4}
    assert 50 < np.count_nonzero(kept) < 200  # 125, but for 7 times its deviation


def test_l2_weighs_on_the_layer_on_top(tmp_path):
    path = tmp_path / "mine.keras"
    saved_model(path, keras.layers.Dense(5))
    assert not architectures.build(str(path), (32, 32, 3), emb_size=7).losses
    network = architectures.build(str(path), (32, 32, 3), emb_size=7, l2_weight=0.1)
    [loss] = network.losses
    top = network.get_layer("head").get_layer("embedding").kernel
    np.testing.assert_allclose(loss, 0.05 * np.sum(np.square(top)), rtol=1e-5)


def test_bad_requests_are_one_line(tmp_path):
    path = tmp_path / "mine.keras"
    saved_model(path, keras.layers.Dense(5))
    one_channel = tmp_path / "grey.keras"
    saved_model(one_channel, keras.layers.Dense(5), shape=(32, 32, 1))
    unsafe = tmp_path / "unsafe.keras"
    saved_model(unsafe, keras.layers.Lambda(lambda x: x + 1))
    double = tmp_path / "double.keras"
    images = keras.Input((32, 32, 3))
    keras.Model(images, [keras.layers.Flatten()(images)] * 2).save(double)
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(path.read_bytes()[:500])
    for name, shape, weights, message in (
        ("keras:MobileNet9", (32, 32, 3), "none", "unknown keras.applications .*MobileNetV2"),
        ("keras:MobileNetV2", (20, 20, 3), "none", "must be at least 32x32.*`new_size=N`"),
        ("keras:MobileNetV2", (32, 32, 3), "no.weights.h5", "MobileNetV2 with `weights=no"),
        ("keras:MobileNetV2", (32, 32, 3), "my.keras", "give it as `architecture=my.keras`"),
        ("mnist_model", (28, 28, 1), "imagenet", "is for `architecture=keras:NAME`"),
        (str(path), (32, 32, 3), "imagenet", "brings its own weights"),
        (str(path), (28, 28, 3), "none", "takes images of 32x32x3, but these are 28x28x3"),
        (str(one_channel), (32, 32, 3), "none", "takes images of 1 channels, but these have 3"),
        (str(double), (32, 32, 3), "none", "double.keras must give one embedding"),
        (str(unsafe), (32, 32, 3), "none", "cannot load the model .*unsafe"),
        (str(damaged), (32, 32, 3), "none", "cannot load the model .*damaged"),
        ("nowhere.keras", (32, 32, 3), "none", "there is no file nowhere.keras"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            architectures.build(name, shape, weights=weights)
        assert "\n" not in str(caught.value)


def test_weights_that_cannot_be_downloaded_are_one_line(monkeypatch):
    def no_connection(*_, **__):
        raise Exception("URL fetch failure on https://x: None -- [Errno -2] Name not known")

    module = inspect.getmodule(keras.applications.MobileNetV2)
    monkeypatch.setattr(module.file_utils, "get_file", no_connection)
    with pytest.raises(InputError, match=r"imagenet`: URL fetch failure .*`weights=FILE`"):
        backbones.build("keras:MobileNetV2", (96, 96, 3), weights="imagenet")
