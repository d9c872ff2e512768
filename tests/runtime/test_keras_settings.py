"""Settings of Keras's that are not ours: mended in programs, named in the library."""

import importlib
import json
import os
import sys
import types

import keras
import pytest

from semisup.errors import InputError
from semisup.models import architectures
from semisup.runtime import keras_settings


def keras_with(backend):
    return types.SimpleNamespace(config=types.SimpleNamespace(backend=lambda: backend))


def test_check_backend_names_the_environment_variable(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    for module in (None, keras_with("torch")):  # None: Keras fails without torch
        with pytest.raises(
            InputError, match=r"is torch \(.*variable KERAS_BACKEND.*set KERAS_BACK"
        ):
            keras_settings.check_backend(module)


def test_check_backend_names_the_file(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    with pytest.raises(InputError, match=r"is jax \(.*keras.json\), but semisup needs tensorflow"):
        keras_settings.check_backend(None)
    keras_settings.check_backend(keras_with("tensorflow"))
    (tmp_path / "keras.json").write_text("{")
    keras_settings.check_backend(None)  # Keras's own trouble, then


def test_prepare_environment_and_use_defaults_undo_what_programs_cannot_use(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    keras_settings.prepare_environment()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    try:
        keras.config.set_floatx("float16")
        keras.config.set_image_data_format("channels_first")
        keras.config.set_epsilon(1e-3)
        keras_settings.use_defaults()
        now = (keras.config.floatx(), keras.config.image_data_format(), keras.config.epsilon())
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_image_data_format("channels_last")
        keras.config.set_epsilon(1e-7)
    assert now == ("float32", "channels_last", 1e-7)


@pytest.mark.parametrize(
    "name", ["mnist_model", "svhn_model", "stl10_model", "keras:MobileNetV3Small"]
)
def test_networks_take_channels_last_whatever_keras_is_set_to(name):
    keras.config.set_image_data_format("channels_first")
    try:
        network = architectures.build(name, (32, 32, 1))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert network.output_shape == (None, 128)
    assert network.count_params() == architectures.build(name, (32, 32, 1)).count_params()


@pytest.mark.parametrize("name", ["sklearn", "pandas", "matplotlib.pyplot"])
def test_without_extras_hides_them_only_inside(monkeypatch, name):
    monkeypatch.delitem(sys.modules, name, raising=False)
    with keras_settings.without_extras(), pytest.raises(ImportError):
        importlib.import_module(name)
    assert name not in sys.modules
    monkeypatch.setitem(sys.modules, name, marker := types.ModuleType(name))
    with keras_settings.without_extras():
        assert importlib.import_module(name) is marker
